#include "mil_ops/window.h"

#include <algorithm>

namespace cortland::mil_ops {
namespace {

template <class Context>
Result<std::vector<int64_t>> per_axis(const Context& c, std::string_view input, size_t count, int64_t absent,
                                      int64_t least) {
  if (c.def.slot(input) < 0 || !c.has(input)) return std::vector<int64_t>(count, absent);
  if (!is_known(c, input)) return c.error(fmt::format("'{}' must be a plain constant", input));
  auto values = c.ints(input);
  if (values.size() != count) return c.error(fmt::format("'{}' has {} elements, expected {}", input, values.size(), count));
  for (int64_t v : values)
    if (v < least) return c.error(fmt::format("'{}' has the element {}, the least is {}", input, v, least));
  return values;
}

template <class Context>
Result<Windows> read(const Context& c, size_t spatial) {
  Windows w;
  std::string type = c.str("pad_type");
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
  if (type == "same")
    w.pad_type = PadType::Same;
  else if (type == "same_lower")
    w.pad_type = PadType::SameLower;
  else if (type == "custom")
    w.pad_type = PadType::Custom;
  else if (type != "valid")
    return c.error(fmt::format("pad_type '{}' is none of valid, same, same_lower, custom", type));
  TRY(w.strides, per_axis(c, "strides", spatial, 1, 1));
  TRY(w.dilations, per_axis(c, "dilations", spatial, 1, 1));
  TRY(w.pad, per_axis(c, "pad", 2 * spatial, 0, 0));
  w.ceil_mode = c.def.slot("ceil_mode") >= 0 && c.boolean("ceil_mode");
  if (w.ceil_mode) {
    if (spatial > 2) return c.error("ceil_mode is for one or two spatial axes");
    if (w.pad_type == PadType::Same) return c.error("ceil_mode does not go with pad_type 'same'");
    for (size_t i = 0; i < spatial; ++i)
      if (w.pad[2 * i] != w.pad[2 * i + 1]) return c.error("ceil_mode needs the same padding on both sides");
  }
  if (w.pad_type != PadType::Custom) std::fill(w.pad.begin(), w.pad.end(), 0);
  return w;
}

}  // namespace

Result<Windows> read_windows(const mil::InferContext& c, size_t spatial) {
  TRY(Windows w, read(c, spatial));
  if (w.pad_type == PadType::SameLower && c.program.target == mil::Target::iOS15)
    return c.error("pad_type 'same_lower' needs iOS16");
  return w;
}

Result<Windows> read_windows(const mil::EvalContext& c, size_t spatial) { return read(c, spatial); }

Dim Windows::extent(DimTable& dims, size_t axis, Dim kernel) const {
  return dims.add(dims.mul(dims.sub(kernel, 1), dilations[axis]), 1);
}

Dim Windows::out_size(DimTable& dims, size_t axis, Dim in, Dim kernel) const {
  const Dim stride = strides[axis];
  if (pad_type == PadType::Same || pad_type == PadType::SameLower) return dims.ceildiv(in, stride);
  const Dim padded = dims.add(in, pad[2 * axis] + pad[2 * axis + 1]);
  const Dim room = dims.sub(padded, extent(dims, axis, kernel));
  if (!ceil_mode) return dims.add(dims.floordiv(room, stride), 1);
  const Dim out = dims.add(dims.ceildiv(room, stride), 1);
  // The last window must start inside the input or the padding before it.
  return pad[2 * axis] > 0 ? dims.min(out, dims.ceildiv(dims.add(in, pad[2 * axis]), stride)) : out;
}

int64_t Windows::before(size_t axis, int64_t in, int64_t kernel, int64_t out) const {
  if (pad_type != PadType::Same && pad_type != PadType::SameLower) return pad[2 * axis];
  const int64_t total = std::max<int64_t>(0, (out - 1) * strides[axis] + (kernel - 1) * dilations[axis] + 1 - in);
  return pad_type == PadType::Same ? total / 2 : total - total / 2;
}

WindowAxes window_axes(const Windows& windows, const std::vector<int64_t>& in, const std::vector<int64_t>& kernel,
                       const std::vector<int64_t>& out) {
  WindowAxes axes;
  for (size_t i = 0; i < in.size(); ++i) {
    WindowAxis& a = axes[3 - in.size() + i];
    a = {in[i],
         out[i],
         kernel[i],
         windows.strides[i],
         windows.dilations[i],
         windows.before(i, in[i], kernel[i], out[i]),
         windows.pad[2 * i + 1]};
    if (windows.pad_type == PadType::Same || windows.pad_type == PadType::SameLower)
      a.after = std::max<int64_t>(0, (out[i] - 1) * a.stride + (kernel[i] - 1) * a.dilation + 1 - in[i] - a.before);
  }
  return axes;
}

}  // namespace cortland::mil_ops
