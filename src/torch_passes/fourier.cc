#include "torch_passes/fourier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cortland::torch_passes {
namespace {

using V = Steps::V;

constexpr int64_t kLongest = 1024;               // a longer axis is split in two when it can be
constexpr int64_t kLongestPrime = 4 * kLongest;  // its table has the square of that many elements
constexpr int64_t kMostElements = int64_t{1} << 24;

V any_of(const Parts& x) { return x.re.as<V>() ? *x.re.as<V>() : *x.im.as<V>(); }

// The same for both parts.
template <class F>
Parts each(const Parts& x, F&& f) {
  const auto part = [&](const Part& p) { return p.as<V>() ? Part(f(*p.as<V>())) : p; };
  return {part(x.re), part(x.im)};
}

// cos and sin of 2 pi t k / n, one row for each k, times `scale`.
struct Tables {
  std::vector<float> cos, sin;
};

Tables tables(int64_t n, int64_t rows, int64_t columns, double scale) {
  Tables t;
  for (int64_t k = 0; k < rows; ++k) {
    for (int64_t i = 0; i < columns; ++i) {
      const int64_t turn = (i * k) % n;
      const double angle = 2 * std::numbers::pi * static_cast<double>(turn) / static_cast<double>(n);
      // Exact zeros: of a real signal the first and the last imaginary part are 0, and the angle hangs on it.
      const bool half = 2 * turn % n == 0, quarter = !half && 4 * turn % n == 0;
      t.cos.push_back(quarter ? 0.0f : static_cast<float>(std::cos(angle) * scale));
      t.sin.push_back(half ? 0.0f : static_cast<float>(std::sin(angle) * scale));
    }
  }
  return t;
}

// Along the last axis by one product with a table.
Parts by_table(Steps& s, const Parts& x, int64_t n, int64_t outputs, bool inverse, double scale) {
  const DType dtype = s.dtype(any_of(x));
  Tables t = tables(n, outputs, n, scale);
  if (!inverse)
    for (float& v : t.sin) v = 0.0f - v;  // no -0.0
  const V cos = s.floats({outputs, n}, t.cos, dtype), sin = s.floats({outputs, n}, t.sin, dtype);
  const auto product = [&](const Part& p, V table) { return p.as<V>() ? Part(s.linear(*p.as<V>(), table, {})) : Part(); };
  return {subtract(s, product(x.re, cos), product(x.im, sin)), add(s, product(x.re, sin), product(x.im, cos))};
}

int64_t divisor_near_root(int64_t n) {
  for (int64_t a = static_cast<int64_t>(std::sqrt(static_cast<double>(n))); a > 1; --a)
    if (n % a == 0) return a;
  return 1;
}

// How long an axis is left once n is split as far as that goes.
int64_t table_size(int64_t n) {
  const int64_t a = n > kLongest ? divisor_near_root(n) : 1;
  return a == 1 ? n : std::max(table_size(a), table_size(n / a));
}

// Cooley and Tukey: n = a b, t = t1 b + t2, k = k1 + k2 a. Transforms over t1, turns by exp(-2 pi i t2 k1 / n), transforms
// over t2.
Parts last_axis(Steps& s, const Parts& x, int64_t n, int64_t outputs, bool inverse, double scale) {
  const int64_t a = n > kLongest ? divisor_near_root(n) : 1, b = n / a;
  if (a == 1) return by_table(s, x, n, outputs, inverse, scale);
  const Shape shape = s.shape(any_of(x));
  const Dim batch = s.product(shape, 0, shape.size() - 1);
  Parts y = each(x, [&](V v) { return s.transpose(s.view(v, {batch, a, b}), 1, 2); });
  y = last_axis(s, y, a, a, inverse, scale);
  Tables turn = tables(n, b, a, 1);
  if (!inverse)
    for (float& v : turn.sin) v = 0.0f - v;
  const DType dtype = s.dtype(any_of(y));
  y = multiply(s, y, Parts{Part(s.floats({b, a}, turn.cos, dtype)), Part(s.floats({b, a}, turn.sin, dtype))});
  y = each(y, [&](V v) { return s.transpose(v, 1, 2); });
  y = last_axis(s, y, b, b, inverse, 1);
  Shape to = shape;
  to.back() = n;
  return each(y, [&](V v) {
    V flat = s.view(s.transpose(v, 1, 2), {batch, n});
    if (outputs < n) flat = s.slice(flat, 1, 0, outputs);
    to.back() = outputs;
    return s.view(flat, to);
  });
}

}  // namespace

Parts fourier(Steps& s, const Parts& x, int dim, int64_t outputs, bool inverse, double scale) {
  const V shaped = any_of(x);
  const int last = s.rank(shaped) - 1;
  const int64_t n = s.number_of(shaped, dim);
  const auto swap = [&](V v) { return s.transpose(v, dim, last); };
  return each(last_axis(s, each(x, swap), n, outputs, inverse, scale), swap);
}

V real_fourier(Steps& s, const Parts& x, int dim, int64_t n, double scale) {
  const V shaped = any_of(x);
  const int last = s.rank(shaped) - 1;
  const auto swap = [&](V v) { return s.transpose(v, dim, last); };
  const Parts half = each(x, swap);
  const int64_t m = n / 2 + 1;
  if (n > kLongest && divisor_near_root(n) > 1) {
    // The other half is the first one backwards, conjugate.
    const auto mirror = [&](const Part& p, double sign) -> Part {
      if (!p.as<V>()) return {};
      const V tail = s.flip(s.slice(*p.as<V>(), last, 1, n - m + 1), last);
      return s.cat({*p.as<V>(), s.mul(tail, sign)}, last);
    };
    const Parts whole = last_axis(s, {mirror(half.re, 1), mirror(half.im, -1)}, n, n, true, scale);
    return swap(tensor_of(s, whole.re, s.type(any_of(whole))));
  }
  // Values that stand for two count twice.
  Tables t = tables(n, n, m, scale);
  for (size_t i = 0; i < t.cos.size(); ++i) {
    const int64_t k = static_cast<int64_t>(i) % m;
    const float weight = k == 0 || 2 * k == n ? 1.0f : 2.0f;
    t.cos[i] *= weight;
    t.sin[i] *= -weight;
  }
  const DType dtype = s.dtype(shaped);
  const auto product = [&](const Part& p, const std::vector<float>& table) {
    return p.as<V>() ? Part(s.linear(*p.as<V>(), s.floats({n, m}, table, dtype), {})) : Part();
  };
  const Part sum = add(s, product(half.re, t.cos), product(half.im, t.sin));
  return swap(*sum.as<V>());
}

namespace {

// ---- operators

enum class Kind { Complex, FromReal, ToReal };

struct Transform {
  Kind kind = Kind::Complex;
  bool inverse = false;
  int many = 1;  // dimensions unless "dim" says otherwise: 1, 2, or 0 for all
};

// "fft_irfft2" -> inverse, to real, two dimensions.
std::optional<Transform> parse(std::string_view target) {
  constexpr std::string_view kPrefix = "aten.fft_", kEnd = ".default";
  if (!target.starts_with(kPrefix) || !target.ends_with(kEnd)) return std::nullopt;
  std::string_view name = target.substr(kPrefix.size(), target.size() - kPrefix.size() - kEnd.size());
  Transform t;
  if (name.starts_with("i")) {
    t.inverse = true;
    name.remove_prefix(1);
  }
  if (name.starts_with("r")) {
    t.kind = t.inverse ? Kind::ToReal : Kind::FromReal;
    name.remove_prefix(1);
  }
  if (!name.starts_with("fft")) return std::nullopt;
  name.remove_prefix(3);
  if (name == "2")
    t.many = 2;
  else if (name == "n")
    t.many = 0;
  else if (!name.empty())
    return std::nullopt;
  return t;
}

Diagnostic refused(Steps& s, std::string why) { return s.d.reject(std::move(why)); }

// What one transformed axis of n elements contributes to the scale.
Result<double> scale_of(Steps& s, const torch::Arg& norm, bool inverse, int64_t n) {
  const auto* name = norm.as<std::string>();
  const double count = static_cast<double>(std::max<int64_t>(n, 1));
  if (!name || *name == "backward") return inverse ? 1 / count : 1.0;
  if (*name == "ortho") return 1 / std::sqrt(count);
  if (*name == "forward") return inverse ? 1.0 : 1 / count;
  return refused(s, fmt::format("there is no norm '{}'", *name));
}

// The axis cut, or filled up with zeros, to n elements.
Parts resized(Steps& s, const Parts& x, int dim, int64_t n) {
  const int64_t have = s.number_of(any_of(x), dim);
  if (have == n) return x;
  return each(x, [&](V v) {
    if (n < have) return s.slice(v, dim, 0, n);
    std::vector<int64_t> amounts(static_cast<size_t>(2 * (s.rank(v) - dim)), 0);
    amounts.back() = n - have;
    return s.pad(v, amounts, 0.0);
  });
}

struct Axes {
  std::vector<int> dims;
  std::vector<int64_t> sizes;  // -1: as the input has it
};

Result<Axes> axes_of(Steps& s, const Transform& t, int rank) {
  Axes axes;
  std::vector<int64_t> dims, sizes;
  const char* size_name = t.many == 1 ? "n" : "s";
  if (const auto given = s.d.ints(size_name))
    sizes = *given;
  else if (s.d.has(size_name))
    return refused(s, "its size is not a number");
  if (const auto given = s.d.ints("dim")) {
    dims = *given;
  } else {
    const auto count = t.many == 1      ? int64_t{1}
                       : !sizes.empty() ? static_cast<int64_t>(sizes.size())
                       : t.many == 2    ? int64_t{2}
                                        : int64_t{rank};
    for (int64_t i = -count; i < 0; ++i) dims.push_back(i);
  }
  for (const int64_t d : dims) {
    const auto axis = rank > 0 ? s.axis(d, rank) : std::nullopt;
    if (!axis) return refused(s, "a dimension is out of range");
    axes.dims.push_back(*axis);
  }
  sizes.resize(axes.dims.size(), -1);
  axes.sizes = sizes;
  if (axes.dims.empty()) return refused(s, "there is no dimension to transform");
  return axes;
}

Status check_size(Steps& s, int64_t n) {
  if (n < 1) return refused(s, "a Fourier transform of no elements");
  if (n > kMostElements || table_size(n) > kLongestPrime)
    return refused(s, fmt::format("a Fourier transform over {} elements would need a table that is too large", n));
  return {};
}

Status check_static(Steps& s, V v, const std::vector<int>& dims) {
  for (const int d : dims) {
    const Dim size = s.size_of(v, d);
    if (!size.is_constant())
      return refused(s, fmt::format("dimension {} has the dynamic size {}; a Fourier transform needs to know it", d,
                                    s.d.dims().str(size)));
    TRY_DO(check_size(s, size.constant()));
  }
  return {};
}

Result<Parts> named_transform(Steps& s, Parts x, const Transform& t) {
  const V shaped = any_of(x);
  TRY(Axes axes, axes_of(s, t, s.rank(shaped)));
  TRY_DO(check_static(s, shaped, axes.dims));
  const int last = axes.dims.back();
  int64_t last_size = axes.sizes.back();
  for (size_t i = 0; i < axes.dims.size(); ++i) {
    const int64_t have = s.number_of(any_of(x), axes.dims[i]);
    int64_t want = axes.sizes[i] < 0 ? have : axes.sizes[i];
    if (t.kind == Kind::ToReal && i + 1 == axes.dims.size()) {
      if (last_size < 0) last_size = 2 * (have - 1);
      want = last_size / 2 + 1;
    }
    TRY_DO(check_size(s, want));
    if (t.kind == Kind::ToReal && i + 1 == axes.dims.size()) TRY_DO(check_size(s, last_size));
    x = resized(s, x, axes.dims[i], want);
  }
  const size_t plain = axes.dims.size() - (t.kind == Kind::Complex ? 0 : 1);
  const auto one = [&](int dim, int64_t outputs) -> Status {
    const int64_t n = s.number_of(any_of(x), dim);
    TRY(const double scale, scale_of(s, s.d.arg("norm"), t.inverse, n));
    x = fourier(s, x, dim, outputs < 0 ? n : outputs, t.inverse, scale);
    return {};
  };
  if (t.kind == Kind::FromReal) TRY_DO(one(last, s.number_of(any_of(x), last) / 2 + 1));
  for (size_t i = 0; i < plain; ++i) TRY_DO(one(axes.dims[i], -1));
  if (t.kind != Kind::ToReal) return x;
  TRY(const double scale, scale_of(s, s.d.arg("norm"), true, last_size));
  return Parts{Part(real_fourier(s, x, last, last_size, scale)), {}};
}

// _fft_c2c, _fft_r2c, _fft_c2r: what the others are made of. Normalization: 0 none, 1 by the root of the size, 2 by the
// size.
Result<Parts> plain_transform(Steps& s, Parts x, std::string_view target) {
  const auto dims = s.d.ints("dim");
  const auto normalization = s.d.integer("normalization");
  if (!dims || dims->empty() || !normalization) return refused(s, "its dimensions are not numbers");
  std::vector<int> axes;
  for (const int64_t d : *dims) {
    const auto axis = s.axis(d, s.rank(any_of(x)));
    if (!axis) return refused(s, "a dimension is out of range");
    axes.push_back(*axis);
  }
  TRY_DO(check_static(s, any_of(x), axes));
  const auto scale = [&](int64_t n) {
    return *normalization == 0   ? 1.0
           : *normalization == 1 ? 1 / std::sqrt(static_cast<double>(n))
                                 : 1 / static_cast<double>(n);
  };
  const bool to_real = target == "aten._fft_c2r.default", from_real = target == "aten._fft_r2c.default";
  const bool inverse = to_real || (!from_real && !s.d.boolean("forward"));
  for (size_t i = axes.size(); i-- > 0;) {
    const bool last = i + 1 == axes.size();
    if (to_real && last) continue;
    const int64_t n = s.number_of(any_of(x), axes[i]);
    const bool half = from_real && last && s.d.boolean("onesided");
    x = fourier(s, x, axes[i], half ? n / 2 + 1 : n, inverse, scale(n));
  }
  if (!to_real) return x;
  const auto n = s.d.integer("last_dim_size");
  if (!n) return refused(s, "its size is not a number");
  TRY_DO(check_size(s, *n));
  x = resized(s, x, axes.back(), *n / 2 + 1);
  return Parts{Part(real_fourier(s, x, axes.back(), *n, scale(*n))), {}};
}

// ---- short-time transforms

// Whether a value comes from what the program itself holds.
bool is_known(Steps& s, V v) {
  const torch::Graph& graph = s.d.graph();
  if (const torch::NodeId producer = graph.values[v].producer) {
    bool known = true;
    for (const auto& given : graph.nodes[producer].args)
      torch::for_each_value(given.arg, [&](V from) { known = known && is_known(s, from); });
    return known;
  }
  const auto input = std::ranges::find(graph.inputs, v, &torch::GraphInput::value);
  return input != graph.inputs.end() && input->data;
}

struct Frames {
  int64_t n = 0, hop = 0;
  V window;           // n values
  bool known = true;  // whether they are constants
  bool onesided = true;
  double scale = 1;
};

Result<Frames> frames_of(Steps& s, DType dtype, bool complex_input) {
  Frames f;
  const auto n = s.d.integer("n_fft");
  if (!n || *n < 1 || *n > kLongestPrime) return refused(s, "n_fft is not a number, or too large");
  f.n = *n;
  const auto number = [&](const char* name, int64_t fallback) {
    return s.d.has(name) ? s.d.integer(name).value_or(-1) : fallback;
  };
  f.hop = number("hop_length", f.n / 4);
  const int64_t width = number("win_length", f.n);
  if (f.hop < 1 || width < 1 || width > f.n) return refused(s, "hop_length or win_length is out of range");
  f.window = s.d.tensor("window");
  f.known = !f.window || is_known(s, f.window);
  if (!f.window) f.window = s.full({width}, 1.0, dtype);
  f.window = s.cast(f.window, dtype);
  if (s.rank(f.window) != 1 || s.shape(f.window)[0] != Dim(width))
    return refused(s, "the window does not have win_length elements");
  const int64_t before = (f.n - width) / 2;
  f.window = s.pad(f.window, {before, f.n - width - before}, 0.0);
  f.onesided = s.d.has("onesided") ? s.d.boolean("onesided") : !complex_input;
  if (s.d.boolean("normalized")) f.scale = 1 / std::sqrt(static_cast<double>(f.n));
  return f;
}

// Frames, window and transform in one: a convolution whose kernels are the rows of the table under the window.
Parts by_convolution(Steps& s, const Parts& x, const Frames& f, Dim count) {
  const V shaped = any_of(x);
  const DType dtype = s.dtype(shaped);
  const int64_t outputs = f.onesided ? f.n / 2 + 1 : f.n;
  Tables t = tables(f.n, outputs, f.n, f.scale);
  for (float& v : t.sin) v = -v;
  const auto kernel = [&](const std::vector<float>& table) { return s.mul(s.floats({outputs, 1, f.n}, table, dtype), f.window); };
  const V cos = kernel(t.cos), sin = kernel(t.sin);
  const int axis = s.rank(shaped) - 1;
  Shape to = s.shape(shaped);
  to.back() = outputs;
  to.push_back(count);
  const auto product = [&](const Part& p, V weight) -> Part {
    if (!p.as<V>()) return {};
    return s.d.op("aten.conv1d.default",
                  {{"input", s.unsqueeze(*p.as<V>(), axis)}, {"weight", weight}, {"stride", Steps::Arg::List{f.hop}}}, {dtype, to});
  };
  return {subtract(s, product(x.re, cos), product(x.im, sin)), add(s, product(x.re, sin), product(x.im, cos))};
}

// The same for long frames, whose transform is cheaper in two steps, and for windows that are computed.
Parts by_frames(Steps& s, Parts x, const Frames& f, Dim count) {
  const int axis = s.rank(any_of(x)) - 1;
  x = each(x, [&](V v) {
    Shape to = s.shape(v);
    to.back() = count;
    to.push_back(f.n);
    const V cut = s.d.op("aten.unfold.default", {{"self", v}, {"dimension", int64_t{axis}}, {"size", f.n}, {"step", f.hop}},
                         {s.dtype(v), to});
    return s.mul(cut, f.window);
  });
  x = fourier(s, x, axis + 1, f.onesided ? f.n / 2 + 1 : f.n, false, f.scale);
  return each(x, [&](V v) { return s.transpose(v, axis, axis + 1); });
}

// [batch, time] -> [batch, frequency, frame]
Result<Parts> short_time(Steps& s, Parts x) {
  if (const int rank = s.rank(any_of(x)); rank != 2 && rank != 1) return refused(s, "the signal must have one or two dimensions");
  // A window of float32 makes a signal of float16 one of float32.
  if (const V window = s.d.tensor("window"); window && s.dtype(window) == DType::F32) {
    x = each(x, [&](V v) { return s.cast(v, DType::F32); });
  }
  const V shaped = any_of(x);
  TRY(const Frames f, frames_of(s, s.dtype(shaped), !x.im.is_none()));
  if (s.d.has("align_to_window") && s.d.boolean("align_to_window")) return refused(s, "align_to_window is not supported");
  const Dim time = s.size_of(shaped, -1);
  if (s.d.dims().range(time).high < f.n) return refused(s, "there are fewer samples than a window has");
  const Dim count = s.d.dims().add(s.d.dims().floordiv(s.d.dims().sub(time, f.n), f.hop), 1);
  const bool in_one_step = f.n <= kLongest || divisor_near_root(f.n) == 1;
  return in_one_step && f.known ? by_convolution(s, x, f, count) : by_frames(s, x, f, count);
}

// Sums of frames [batch, frame, n] that start `hop` apart: a transposed convolution that puts each where it belongs.
V overlap_add(Steps& s, V frames, const Frames& f) {
  std::vector<float> unit(static_cast<size_t>(f.n * f.n), 0);
  for (int64_t i = 0; i < f.n; ++i) unit[static_cast<size_t>(i * f.n + i)] = 1;
  DimTable& dims = s.d.dims();
  const Dim length = dims.add(dims.mul(dims.sub(s.size_of(frames, 1), 1), f.hop), f.n);
  const V kernel = s.floats({f.n, 1, f.n}, unit, s.dtype(frames));
  const V sum = s.d.op("aten.conv_transpose1d.default",
                       {{"input", s.transpose(frames, 1, 2)}, {"weight", kernel}, {"stride", Steps::Arg::List{f.hop}}},
                       {s.dtype(frames), {s.size_of(frames, 0), 1, length}});
  return s.squeeze(sum, 1);
}

// [batch, frame, frequency] -> [batch, frame, n], under the window
V inverse_frames(Steps& s, const Parts& x, const Frames& f) {
  const double scale = s.d.boolean("normalized") ? 1 / std::sqrt(static_cast<double>(f.n)) : 1 / static_cast<double>(f.n);
  if (f.onesided) return s.mul(real_fourier(s, x, 2, f.n, scale), f.window);
  const Parts whole = fourier(s, x, 2, f.n, true, scale);
  return s.mul(tensor_of(s, whole.re, s.type(any_of(whole))), f.window);
}

// Of [batch, time].
V samples(Steps& s, V v, int64_t begin, Dim length) {
  if (begin == 0 && length == s.size_of(v, 1)) return v;
  return s.d.op("aten.slice.Tensor",
                {{"self", v}, {"dim", int64_t{1}}, {"start", begin}, {"end", s.size(s.d.dims().add(length, begin))}},
                {s.dtype(v), {s.size_of(v, 0), length}});
}

// [batch, frequency, frame] -> [batch, time]
Result<Parts> inverse_short_time(Steps& s, Parts x) {
  const bool batched = s.rank(any_of(x)) == 3;
  if (!batched && s.rank(any_of(x)) != 2) return refused(s, "the spectrogram must have two or three dimensions");
  if (!batched) x = each(x, [&](V v) { return s.unsqueeze(v, 0); });
  TRY(Frames f, frames_of(s, s.dtype(any_of(x)), false));
  if (s.d.boolean("return_complex")) return refused(s, "return_complex is not supported");
  if (!s.size_of(any_of(x), 1).is_constant()) return refused(s, "the number of frequencies must be known");
  const int64_t frequencies = s.number_of(any_of(x), 1);
  if (!s.d.has("onesided")) f.onesided = frequencies != f.n;
  if (frequencies != (f.onesided ? f.n / 2 + 1 : f.n)) return refused(s, "there are not as many frequencies as n_fft says");
  x = each(x, [&](V v) { return s.transpose(v, 1, 2); });
  const V frames = inverse_frames(s, x, f);
  const V signal = overlap_add(s, frames, f);
  const V square = s.expand(s.view(s.mul(f.window, f.window), {1, 1, f.n}), {1, s.size_of(frames, 1), f.n});
  const V weight = overlap_add(s, square, f);

  DimTable& dims = s.d.dims();
  const int64_t begin = !s.d.has("center") || s.d.boolean("center") ? f.n / 2 : 0;
  const Dim whole = s.size_of(signal, 1), rest = dims.sub(whole, begin), wanted = s.d.result_type().shape.back();
  if (dims.range(rest).high < 1) return refused(s, "nothing is left of the signal");
  // By how much `length` exceeds the signal: zeros. Of dynamic sizes only a bound is known; a length that belongs to the signal needs
  // less than a frame.
  const DimRange missing = dims.range(dims.sub(wanted, rest));
  const int64_t tail = missing.high <= 0 ? 0 : missing.low == missing.high ? missing.high : f.n;
  const Dim kept = tail == 0 ? wanted : rest;
  V y = s.div(samples(s, signal, begin, kept), samples(s, weight, begin, kept));
  if (tail > 0) y = samples(s, s.pad(y, {0, tail}, 0.0), 0, wanted);
  return Parts{Part(batched ? y : s.squeeze(y, 0)), {}};
}

}  // namespace

bool is_fourier(std::string_view target) {
  return parse(target) || target == "aten._fft_c2c.default" || target == "aten._fft_r2c.default" ||
         target == "aten._fft_c2r.default" || target == "aten.stft.default" || target == "aten.istft.default";
}

Result<Parts> transform(Steps& s, const Parts& given) {
  Parts x = given;
  const std::string& target = s.d.node().target;
  // Integers are transformed as floats.
  if (const auto* v = x.re.as<V>(); v && !is_float(s.dtype(*v))) x.re = s.cast(*v, DType::F32);
  if (const auto t = parse(target)) return named_transform(s, x, *t);
  if (target == "aten.stft.default") return short_time(s, x);
  if (target == "aten.istft.default") return inverse_short_time(s, x);
  return plain_transform(s, x, target);
}

}  // namespace cortland::torch_passes
