// Pools and resizing, in terms of those with a CPU kernel (which are two-dimensional). Volumes are pooled plane by plane and
// then in depth, which is the same.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using Ints = std::vector<int64_t>;
using torch::Arg;

namespace {
struct Window {
  Ints kernel, stride, padding, dilation;
  bool ceil = false;
};
}  // namespace

static std::optional<Window> window_of(Decomposition& d, size_t spatial) {
  auto read = [&](const char* name, int64_t otherwise) -> std::optional<Ints> {
    if (!d.node().find(name) && !d.has(name)) return Ints(spatial, otherwise);
    const auto given = d.ints(name);
    if (!given) return std::nullopt;
    if (given->empty()) return Ints();
    return given->size() == spatial ? *given : Ints(spatial, (*given)[0]);
  };
  const auto kernel = read("kernel_size", 1), stride = read("stride", 1), padding = read("padding", 0), dilation = read("dilation", 1);
  if (!kernel || !stride || !padding || !dilation || kernel->empty() || padding->empty() || dilation->empty()) return std::nullopt;
  return Window{*kernel, stride->empty() ? *kernel : *stride, *padding, *dilation, d.boolean("ceil_mode")};
}

static Window part(const Window& w, size_t begin, size_t end) {
  auto cut = [&](const Ints& v) { return Ints(v.begin() + static_cast<int64_t>(begin), v.begin() + static_cast<int64_t>(end)); };
  return {cut(w.kernel), cut(w.stride), cut(w.padding), cut(w.dilation), w.ceil};
}

// Across a plane whose second axis is pooled and whose first is not, or the other way round.
static Window along(const Window& w, bool first) {
  auto two = [&](const Ints& v, int64_t idle) { return first ? Ints{v[0], idle} : Ints{idle, v[0]}; };
  return {two(w.kernel, 1), two(w.stride, 1), two(w.padding, 0), two(w.dilation, 1), w.ceil};
}

namespace {
struct Pooled {
  V values, places;
};
}  // namespace

static Pooled max_pool(Steps& s, V x, const Window& w, const Shape& to) {
  const auto out = s.d.multi("aten.max_pool2d_with_indices.default",
                             {{"self", x}, {"kernel_size", Steps::list(w.kernel)}, {"stride", Steps::list(w.stride)}, {"padding", Steps::list(w.padding)},
                              {"dilation", Steps::list(w.dilation)}, {"ceil_mode", w.ceil}},
                             {{s.dtype(x), to}, {DType::I64, to}});
  return {out[0], out[1]};
}

static V average_pool(Steps& s, V x, const Window& w, const Shape& to, bool count_padding) {
  return s.d.op("aten.avg_pool2d.default",
                {{"self", x}, {"kernel_size", Steps::list(w.kernel)}, {"stride", Steps::list(w.stride)}, {"padding", Steps::list(w.padding)},
                 {"ceil_mode", w.ceil}, {"count_include_pad", count_padding}},
                {s.dtype(x), to});
}

Status max_pool2d(Decomposition& d) {
  Steps s(d);
  const auto w = window_of(d, 2);
  if (!w) return d.reject("the window must be numbers");
  return s.give(max_pool(s, d.tensor("self"), *w, d.result_type().shape).values);
}

Status max_pool1d(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto w = window_of(d, 1);
  Shape to = d.result_type().shape;
  if (!w || s.rank(x) < 2 || to.size() != s.shape(x).size()) return d.reject("the window must be numbers");
  const int row = s.rank(x) - 1;
  to.insert(to.begin() + row, Dim(1));
  const Pooled out = max_pool(s, s.unsqueeze(x, row), along(*w, false), to);
  TRY_DO(s.give(0, s.squeeze(out.values, row)));
  return d.node().results.size() > 1 ? s.give(1, s.squeeze(out.places, row)) : Status();
}

Status avg_pool1d(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto w = window_of(d, 1);
  Shape to = d.result_type().shape;
  if (!w || s.rank(x) < 2 || to.size() != s.shape(x).size()) return d.reject("the window must be numbers");
  const int row = s.rank(x) - 1;
  to.insert(to.begin() + row, Dim(1));
  return s.give(s.squeeze(average_pool(s, s.unsqueeze(x, row), along(*w, false), to, d.boolean("count_include_pad")), row));
}

namespace {
// x [N, C, D, H, W]: `plane` works on [N, C * D, H, W], then `depth` on [N, C, D, H * W].
struct Volume {
  V x;
  Shape from, to;
  bool batched;
};
}  // namespace

static Volume volume_of(Steps& s) {
  V x = s.d.node().find("input") ? s.d.tensor("input") : s.d.tensor("self");
  Shape to = s.d.result_type().shape;
  const bool batched = s.rank(x) == 5;
  if (!batched) x = s.unsqueeze(x, 0), to.insert(to.begin(), Dim(1));
  return {x, s.shape(x), to, batched};
}

template <class Plane, class Depth>
static Status by_planes(Steps& s, const Volume& v, Plane plane, Depth depth) {
  if (v.from.size() != 5 || v.to.size() != 5) return s.d.reject("a volume is expected");
  const Dim images = s.d.dims().mul(v.from[1], v.from[2]);
  const V flat = plane(s.view(v.x, {v.from[0], images, v.from[3], v.from[4]}), Shape{v.from[0], images, v.to[3], v.to[4]});
  const Dim area = s.d.dims().mul(v.to[3], v.to[4]);
  const V deep = depth(s.view(flat, {v.from[0], v.from[1], v.from[2], area}), Shape{v.from[0], v.from[1], v.to[2], area});
  const V y = s.view(deep, v.to);
  return s.give(v.batched ? y : s.squeeze(y, 0));
}

Status max_pool3d(Decomposition& d) {
  Steps s(d);
  const auto w = window_of(d, 3);
  if (!w || (d.node().results.size() > 1 && d.result_used(1))) return d.reject("places in a volume have no kernel");
  return by_planes(
      s, volume_of(s), [&](V x, const Shape& to) { return max_pool(s, x, part(*w, 1, 3), to).values; },
      [&](V x, const Shape& to) { return max_pool(s, x, along(part(*w, 0, 1), true), to).values; });
}

// Means of means are means where every window counts the same number of elements.
Status avg_pool3d(Decomposition& d) {
  Steps s(d);
  const auto w = window_of(d, 3);
  if (!w || d.has("divisor_override")) return d.reject("the window must be numbers");
  const bool count = d.boolean("count_include_pad");
  return by_planes(
      s, volume_of(s), [&](V x, const Shape& to) { return average_pool(s, x, part(*w, 1, 3), to, count); },
      [&](V x, const Shape& to) { return average_pool(s, x, along(part(*w, 0, 1), true), to, count); });
}

// ---- adaptive pools

static V adaptive_average(Steps& s, V x, const Shape& to) {
  if (!s.expect(to.size() >= 2)) return x;
  const Arg::List size = {s.size(to[to.size() - 2]), s.size(to.back())};
  return s.d.op("aten._adaptive_avg_pool2d.default", {{"self", x}, {"output_size", size}}, {s.dtype(x), to});
}

Status adaptive_avg_pool2d(Decomposition& d) {
  Steps s(d);
  return s.give(adaptive_average(s, d.tensor("self"), d.result_type().shape));
}

Status adaptive_avg_pool1d(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  Shape to = d.result_type().shape;
  if (s.rank(x) < 2 || to.size() != s.shape(x).size()) return d.reject("rows of channels are expected");
  const int row = s.rank(x) - 1;
  to.insert(to.begin() + row, Dim(1));
  return s.give(s.squeeze(adaptive_average(s, s.unsqueeze(x, row), to), row));
}

Status adaptive_avg_pool3d(Decomposition& d) {
  Steps s(d);
  auto pool = [&](V x, const Shape& to) { return adaptive_average(s, x, to); };
  return by_planes(s, volume_of(s), pool, pool);
}

// Window i of n over size elements: floor(i size / n) .. ceil((i + 1) size / n).
// `places`, if asked for, follow their values.
static Pooled adaptive_max_along(Steps& s, const Pooled& in, int dim, int64_t n) {
  const int64_t size = s.number_of(in.values, dim);
  if (n == size) return in;
  std::vector<V> values, places;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t begin = i * size / n, end = ((i + 1) * size + n - 1) / n;
    const V window = s.slice(in.values, dim, begin, end);
    if (!in.places) {
      values.push_back(s.extreme("amax", window, {dim}, true));
      continue;
    }
    const Shape one = s.reduced(window, {dim}, true);
    const auto top = s.d.multi("aten.max.dim", {{"self", window}, {"dim", int64_t{dim}}, {"keepdim", true}}, {{s.dtype(window), one}, {DType::I64, one}});
    values.push_back(top[0]);
    places.push_back(s.d.op("aten.gather.default", {{"self", s.slice(in.places, dim, begin, end)}, {"dim", int64_t{dim}}, {"index", top[1]}}, {DType::I64, one}));
  }
  return {s.cat(values, dim), in.places ? s.cat(places, dim) : V{}};
}

static Status adaptive_max_pool(Decomposition& d, int spatial) {
  Steps s(d);
  constexpr int64_t kMaxWindows = 512;
  const V x = d.tensor("self");
  const Shape from = s.shape(x), to = d.result_type().shape;
  if (from.size() != to.size() || s.rank(x) < spatial) return d.reject("the result does not fit its input");
  const size_t lead = from.size() - static_cast<size_t>(spatial);
  for (size_t dim = lead; dim < from.size(); ++dim)
    if (!to[dim].is_constant() || to[dim].constant() < 1 || to[dim].constant() > kMaxWindows || !from[dim].is_constant())
      return d.reject("the sizes must be numbers");
  Pooled pooled{x, {}};
  if (d.node().results.size() > 1 && d.result_used(1)) {
    const V numbers = s.range(s.product(from, lead, from.size()));
    pooled.places = s.expand(s.view(numbers, Shape(from.begin() + static_cast<int64_t>(lead), from.end())), from);
  }
  // The last dimension first: among equals the one that comes first in memory wins.
  for (size_t dim = from.size(); dim-- > lead;) pooled = adaptive_max_along(s, pooled, static_cast<int>(dim), to[dim].constant());
  TRY_DO(s.give(0, pooled.values));
  return pooled.places ? s.give(1, pooled.places) : Status();
}

Status adaptive_max_pool1d(Decomposition& d) { return adaptive_max_pool(d, 1); }
Status adaptive_max_pool2d(Decomposition& d) { return adaptive_max_pool(d, 2); }
Status adaptive_max_pool3d(Decomposition& d) { return adaptive_max_pool(d, 3); }

// ---- resizing

// How many input elements one step of the output is, along each spatial axis, if the program says so instead of sizes.
static std::vector<std::optional<double>> scales_of(Decomposition& d, size_t spatial) {
  std::vector<std::optional<double>> scales(spatial);
  if (const Arg* list = d.node().find("scale_factors"); list && list->as<Arg::List>()) {
    const auto& items = *list->as<Arg::List>();
    for (size_t i = 0; i < spatial && i < items.size(); ++i)
      if (const auto* f = items[i].as<double>()) scales[i] = *f;
  }
  const char* const names[][3] = {{"scales"}, {"scales_h", "scales_w"}, {"scales_d", "scales_h", "scales_w"}};
  for (size_t i = 0; i < spatial; ++i)
    if (d.node().find(names[spatial - 1][i]))
      if (const auto scale = d.number(names[spatial - 1][i])) scales[i] = scale;
  return scales;
}

namespace {
enum class Filter { Nearest, NearestExact, Linear, Cubic, SmoothLinear, SmoothCubic };
}  // namespace

static double cubic(double x, double a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

// Weights of the input elements that output element i is made of.
static void weigh(Filter filter, int64_t i, int64_t from, double ratio, bool align, float* row) {
  auto at = [&](double k) -> float& { return row[static_cast<int64_t>(std::clamp<double>(k, 0, static_cast<double>(from - 1)))]; };
  const double centre = align ? static_cast<double>(i) * ratio : (static_cast<double>(i) + 0.5) * ratio - 0.5;
  if (filter == Filter::Nearest) {
    at(std::floor(static_cast<float>(i) * static_cast<float>(ratio))) = 1;
  } else if (filter == Filter::NearestExact) {
    at(std::floor((static_cast<double>(i) + 0.5) * ratio)) = 1;
  } else if (filter == Filter::Linear) {
    const double x = std::max(centre, 0.0), low = std::floor(x);
    at(low) += static_cast<float>(1 - (x - low));
    at(low + 1) += static_cast<float>(x - low);
  } else if (filter == Filter::Cubic) {
    const double low = std::floor(centre);
    for (int k = -1; k <= 2; ++k) at(low + k) += static_cast<float>(cubic(centre - low - k, -0.75));
  } else {
    // Antialiased: the filter is as wide as an output element when that is the larger one.
    const bool linear = filter == Filter::SmoothLinear;
    const double stretch = std::max(ratio, 1.0), reach = (linear ? 1 : 2) * stretch;
    const double middle = align ? static_cast<double>(i) * ratio + 0.5 : (static_cast<double>(i) + 0.5) * ratio;
    auto edge = [&](double x) { return static_cast<int64_t>(std::clamp<double>(x, 0, static_cast<double>(from))); };
    const int64_t begin = edge(middle - reach + 0.5), end = edge(middle + reach + 0.5);
    double sum = 0;
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t k = begin; k < end; ++k) {
        const double x = (static_cast<double>(k) - middle + 0.5) / stretch;
        const double weight = linear ? std::max(0.0, 1 - std::abs(x)) : cubic(x, -0.5);
        if (pass == 0) sum += weight;
        else if (sum != 0) row[k] = static_cast<float>(weight / sum);
      }
  }
}

// Resizing along one axis is a product with a matrix of known numbers.
static V resize_along(Steps& s, V x, int dim, int64_t to, Filter filter, bool align, std::optional<double> scale) {
  const int64_t from = s.number_of(x, dim);
  const bool corners = align && filter != Filter::Nearest && filter != Filter::NearestExact;
  if (from == to && !scale) return x;
  double ratio = static_cast<double>(from) / static_cast<double>(to);
  if (corners) ratio = to > 1 ? static_cast<double>(from - 1) / static_cast<double>(to - 1) : 0;
  else if (scale && *scale > 1e-6) ratio = 1 / *scale;
  std::vector<float> table(static_cast<size_t>(from * to), 0);
  for (int64_t i = 0; i < to; ++i) weigh(filter, i, from, ratio, corners, table.data() + i * from);
  const V matrix = s.floats({to, from}, table, s.dtype(x));
  const int last = s.rank(x) - 1;
  if (dim == last) return s.linear(x, matrix, {});
  return s.transpose(s.linear(s.transpose(x, dim, last), matrix, {}), dim, last);
}

static Status resize(Decomposition& d, Filter filter, size_t spatial) {
  Steps s(d);
  constexpr int64_t kMaxTable = int64_t{1} << 22;
  V x = d.node().find("input") ? d.tensor("input") : d.tensor("self");
  const TensorType type = d.result_type();
  const bool align = d.node().find("align_corners") && d.boolean("align_corners");
  const auto scales = scales_of(d, spatial);
  if (!is_float(s.dtype(x)) || s.rank(x) != static_cast<int>(spatial) + 2 || type.rank() != s.rank(x)) return d.reject("a float image is expected");
  for (size_t i = 0; i < spatial; ++i) {
    const Dim from = s.shape(x)[i + 2], to = type.shape[i + 2];
    if (!from.is_constant() || !to.is_constant() || from.constant() < 1 || to.constant() < 1 || from.constant() > kMaxTable / to.constant())
      return d.reject("the sizes must be numbers");
  }
  for (size_t i = 0; i < spatial; ++i)
    x = resize_along(s, x, static_cast<int>(i) + 2, type.shape[i + 2].constant(), filter, align, scales[i]);
  return s.give(x);
}

// The kernels of images take sizes or scales as `.vec` has them.
static Status resize_image(Decomposition& d, const char* target) {
  Steps s(d);
  const auto scales = scales_of(d, 2);
  Arg size = d.arg("output_size"), factors;
  if (scales[0] && scales[1]) size = Arg(), factors = Arg::List{*scales[0], *scales[1]};
  std::vector<torch::NamedArg> args = {{"input", d.tensor("self")}, {"output_size", size}};
  if (d.node().find("align_corners")) args.push_back({"align_corners", d.arg("align_corners")});
  args.push_back({"scale_factors", factors});
  return s.give(d.op(target, std::move(args), d.result_type()));
}

Status nearest2d(Decomposition& d) { return resize_image(d, "aten.upsample_nearest2d.vec"); }
Status bilinear2d(Decomposition& d) { return resize_image(d, "aten.upsample_bilinear2d.vec"); }
Status nearest1d(Decomposition& d) { return resize(d, Filter::Nearest, 1); }
Status nearest3d(Decomposition& d) { return resize(d, Filter::Nearest, 3); }
Status exact1d(Decomposition& d) { return resize(d, Filter::NearestExact, 1); }
Status exact2d(Decomposition& d) { return resize(d, Filter::NearestExact, 2); }
Status exact3d(Decomposition& d) { return resize(d, Filter::NearestExact, 3); }
Status linear1d(Decomposition& d) { return resize(d, Filter::Linear, 1); }
Status trilinear3d(Decomposition& d) { return resize(d, Filter::Linear, 3); }
Status bicubic2d(Decomposition& d) { return resize(d, Filter::Cubic, 2); }
// The share that each of `from` elements has in each of `to`, which the model computes as `size`.
static V smooth_shares(Steps& s, int64_t from, Dim to, const Arg& size, DType t) {
  const V ones = s.d.op("aten.full.default", {{"size", Arg::List{size}}, {"fill_value", 1.0}, {"dtype", t}}, {t, {to}});
  const V scale = s.mul(s.unary("reciprocal", s.reduce("sum", ones, {0}, true)), static_cast<double>(from));
  const V upto = s.d.op("aten.cumsum.default", {{"self", ones}, {"dim", int64_t{0}}}, s.type(ones));
  const V centre = s.mul(s.sub(upto, 0.5), scale), place = s.add(s.cast(s.range(from), t), 0.5);
  const V distance = s.div(s.sub(s.unsqueeze(place, 0), s.unsqueeze(centre, 1)), s.clamp(scale, 1.0, Arg()));
  const V share = s.clamp(s.add(s.mul(s.unary("abs", distance), -1.0), 1.0), 0.0, Arg());
  return s.div(share, s.reduce("sum", share, {1}, true));
}

Status smooth_bilinear2d(Decomposition& d) {
  const TensorType type = d.result_type();
  if (type.is_static() || type.rank() != 4) return resize(d, Filter::SmoothLinear, 2);
  Steps s(d);
  const V x = d.tensor("input");
  const auto* sizes = d.arg("output_size").as<Arg::List>();
  if (d.boolean("align_corners") || !sizes || sizes->size() != 2 || s.rank(x) != 4 || !is_float(s.dtype(x)))
    return d.reject("a dynamic size must be given as such, without aligned corners");
  const int64_t height = s.number_of(x, 2), width = s.number_of(x, 3);
  const V wide = s.linear(x, smooth_shares(s, width, type.shape[3], (*sizes)[1], s.dtype(x)), {});
  const V turned = s.linear(s.transpose(wide, 2, 3), smooth_shares(s, height, type.shape[2], (*sizes)[0], s.dtype(x)), {});
  return s.give(s.transpose(turned, 2, 3));
}
Status smooth_bicubic2d(Decomposition& d) { return resize(d, Filter::SmoothCubic, 2); }

}  // namespace cortland::torch_ops::decompositions
