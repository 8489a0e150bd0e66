// fuse_conv_batchnorm, fuse_conv_scale, fuse_conv_bias and fuse_linear_bias: y * scale + shift, with one pair for each
// channel or one for all, disappears into the weights of what computes y. Reshapes and transposes in between are looked
// through, as long as the channels stay an axis. Weights are scaled as they are written, never here.
#include <algorithm>
#include <cmath>

#include "mil_passes/algebra.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

constexpr float kMaxFloat16 = 65504.0f;
// Scales further from 1 would push float16 weights out of range or below its resolution.
constexpr float kMostScale = 1024.0f;
constexpr int kEveryAxis = -1;
constexpr int64_t kMostChannels = int64_t{1} << 16;

// scale * x + shift, along `axis` of x, or for all elements when axis is kEveryAxis. Empty: 1 and 0.
struct Affine {
  Operand x;
  int axis = kEveryAxis;
  std::vector<float> scale, shift;
};

// --- what is folded

// The channel axis of a constant that meets a tensor: the only one that is not 1.
std::optional<int> channel_axis(const Shape& constant, const Shape& shape) {
  int axis = kEveryAxis;
  for (size_t i = 0; i < constant.size(); ++i) {
    if (constant[i] == Dim(1)) continue;
    const size_t at = shape.size() - constant.size() + i;
    if (axis != kEveryAxis || constant[i] != shape[at]) return std::nullopt;
    axis = static_cast<int>(at);
  }
  return axis;
}

// The numbers of one operand where the other is x; nothing when it is no per-channel constant.
std::optional<Affine> with_constant(const Rewriter& r, mil::OpId id, Operand x, Operand constant,
                                    std::vector<float> Affine::* numbers) {
  const Weight* w = r.weight(constant);
  if (!x.is_value() || !w || w->elements() > kMostChannels || r.type(x) != r.type(r.result(id)) || !is_float(w->dtype()))
    return std::nullopt;
  Affine a;
  a.x = x;
  // The stored numbers, not those already rounded.
  const auto axis = channel_axis(r.shape(constant), r.shape(x));
  if (!axis) return std::nullopt;
  a.axis = *axis;
  a.*numbers = w->uncast().to_floats();
  return a;
}

std::optional<Affine> scale_of(const Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x"), y = r.input(id, "y");
  if (auto a = with_constant(r, id, x, y, &Affine::scale)) return a;
  return with_constant(r, id, y, x, &Affine::scale);
}

std::optional<Affine> quotient_of(const Rewriter& r, mil::OpId id) {
  auto a = with_constant(r, id, r.input(id, "x"), r.input(id, "y"), &Affine::scale);
  if (!a) return a;
  for (float& s : a->scale) {
    if (s == 0) return std::nullopt;
    s = 1 / s;
  }
  return a;
}

std::optional<Affine> shift_of(const Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x"), y = r.input(id, "y");
  if (auto a = with_constant(r, id, x, y, &Affine::shift)) return a;
  return with_constant(r, id, y, x, &Affine::shift);
}

// x - c, and c - x.
std::optional<Affine> difference_of(const Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x"), y = r.input(id, "y");
  if (auto a = with_constant(r, id, x, y, &Affine::shift)) {
    for (float& s : a->shift) s = -s;
    return a;
  }
  auto a = with_constant(r, id, y, x, &Affine::shift);
  if (a) a->scale.assign(a->shift.size(), -1.0f);
  return a;
}

// gamma (x - mean) / sqrt(variance + epsilon) + beta
std::optional<Affine> norm_of(const Rewriter& r, mil::OpId id) {
  for (const auto& b : r.op(id).operands)
    if (r.op(id).def->inputs[b.slot].name != "x" && !b.operand.is_const()) return std::nullopt;
  const auto stored = [&](std::string_view name) {
    const Weight* w = r.weight(r.input(id, name));
    return w ? w->uncast().to_floats() : std::vector<float>();
  };
  const auto mean = stored("mean"), variance = stored("variance"), gamma = stored("gamma"), beta = stored("beta");
  const float epsilon = r.floats(r.input(id, "epsilon"))[0];
  Affine a{r.input(id, "x"), 1, {}, {}};
  for (size_t c = 0; c < mean.size(); ++c) {
    a.scale.push_back((gamma.empty() ? 1 : gamma[c]) / std::sqrt(variance[c] + epsilon));
    a.shift.push_back((beta.empty() ? 0 : beta[c]) - mean[c] * a.scale.back());
  }
  return a;
}

// --- where it goes

int64_t elements_behind(const Shape& shape, size_t axis) {
  int64_t n = 1;
  for (size_t i = axis + 1; i < shape.size(); ++i) n = shape[i].is_constant() && n >= 0 ? n * shape[i].constant() : -1;
  return n;
}

// A reshape, read backwards: the axis that `axis` is part of, and how its numbers repeat along that: each `inner` times in a
// row, all of them `outer` times.
struct Origin {
  int axis = 0;
  int64_t outer = 1, inner = 1;
};

std::optional<Origin> axis_before_reshape(const Shape& from, const Shape& to, int axis) {
  const auto at = static_cast<size_t>(axis);
  const int64_t behind = elements_behind(to, at);
  if (!to[at].is_constant() || behind <= 0) return std::nullopt;
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t rest = elements_behind(from, i);
    if (rest <= 0 || !from[i].is_constant() || behind % rest != 0) continue;
    const int64_t inner = behind / rest, part = inner * to[at].constant();
    if (part > 0 && from[i].constant() % part == 0) return Origin{static_cast<int>(i), from[i].constant() / part, inner};
  }
  return std::nullopt;
}

void repeat(std::vector<float>& v, const Origin& origin) {
  if (v.empty()) return;
  std::vector<float> out;
  for (int64_t o = 0; o < origin.outer; ++o)
    for (float x : v) out.insert(out.end(), static_cast<size_t>(origin.inner), x);
  v = std::move(out);
}

// What is done to one part of a split, as it is done to the whole: nothing to the other parts.
bool widen_to_whole(const Rewriter& r, Affine& a, mil::OpId split, Operand part) {
  const int rank = r.type(part).rank();
  const auto axis = static_cast<int>(axis_of(r.ints(r.input(split, "axis"))[0], rank));
  if (a.axis != kEveryAxis && a.axis != axis) return false;
  std::vector<float> scale, shift;
  for (mil::ValueId v : r.op(split).results) {
    const Dim size = r.shape(v)[static_cast<size_t>(axis)];
    if (!size.is_constant()) return false;
    const auto n = static_cast<size_t>(size.constant());
    const bool mine = Operand(v) == part;
    const auto add = [&](std::vector<float>& whole, const std::vector<float>& own, float neutral) {
      if (own.empty()) return;
      if (mine && own.size() != 1)
        whole.insert(whole.end(), own.begin(), own.end());
      else
        whole.insert(whole.end(), n, mine ? own[0] : neutral);
    };
    add(scale, a.scale, 1);
    add(shift, a.shift, 0);
  }
  a.axis = axis;
  a.scale = std::move(scale);
  a.shift = std::move(shift);
  return true;
}

// Climbs from a.x to the op whose weights can take `a`; a.axis follows.
mil::OpId find_sink(const Rewriter& r, Affine& a) {
  Operand x = a.x;
  for (int steps = 0; steps < 16; ++steps) {
    if (!r.has_one_use(x)) return {};
    const mil::OpId id = r.producer(x);
    if (!id) return {};
    const Operand source = r.input(id, "x");
    if (r.is(id, "reshape") || r.is(id, "expand_dims") || r.is(id, "squeeze")) {
      if (a.axis != kEveryAxis) {
        const auto origin = axis_before_reshape(r.shape(source), r.shape(x), a.axis);
        if (!origin) return {};
        a.axis = origin->axis;
        repeat(a.scale, *origin);
        repeat(a.shift, *origin);
      }
    } else if (r.is(id, "transpose")) {
      const auto perm = r.ints(r.input(id, "perm"));
      if (a.axis != kEveryAxis) a.axis = static_cast<int>(axis_of(perm[static_cast<size_t>(a.axis)], r.type(x).rank()));
    } else if (r.is(id, "split")) {
      if (!widen_to_whole(r, a, id, x)) return {};
    } else if (r.is(id, "matmul") && a.axis == kEveryAxis && a.shift.empty()) {
      // A product takes the scale of a factor.
    } else {
      return id;
    }
    x = source;
  }
  return {};
}

struct Sink {
  mil::OpId op;
  std::string_view weight, bias;
  int64_t weight_axis = 0;  // the axis of the weight that makes the channels
  int axis = 1;             // that of the channels in the result
  int64_t channels = 0;
};

// The op's weights, when its channels are the axis that `a` goes along.
std::optional<Sink> sink_of(const Rewriter& r, mil::OpId id, const Affine& a) {
  const Shape& shape = r.shape(r.result(id));
  const auto rank = static_cast<int>(shape.size());
  Sink s{id, "weight", "bias"};
  if (r.is(id, "conv_transpose")) {
    s.weight_axis = 1;
    const bool grouped = r.ints(r.input(id, "groups")) != std::vector<int64_t>{1};
    if (grouped && a.scale.size() > 1) return std::nullopt;
  } else if (r.is(id, "linear")) {
    s.axis = rank - 1;
  } else if (r.is(id, "batch_norm") || r.is(id, "instance_norm")) {
    s.weight = "gamma", s.bias = "beta";
  } else if (r.is(id, "layer_norm")) {
    s.weight = "gamma", s.bias = "beta";
    const auto axes = r.ints(r.input(id, "axes"));
    if (axes.size() != 1) return std::nullopt;
    s.axis = static_cast<int>(axis_of(axes[0], rank));
  } else if (!r.is(id, "conv")) {
    return std::nullopt;
  }
  const Dim channels = shape[static_cast<size_t>(s.axis)];
  if ((a.axis != kEveryAxis && a.axis != s.axis) || !channels.is_constant()) return std::nullopt;
  s.channels = channels.constant();
  return s;
}

std::vector<float> spread(const std::vector<float>& v, int64_t channels, float fallback) {
  if (v.empty()) return std::vector<float>(static_cast<size_t>(channels), fallback);
  return v.size() == 1 ? std::vector<float>(static_cast<size_t>(channels), v[0]) : v;
}

bool fits(const std::vector<float>& v, DType type) {
  return std::all_of(v.begin(), v.end(),
                     [&](float x) { return std::isfinite(x) && (type == DType::F32 || std::abs(x) <= kMaxFloat16); });
}

// Scales that float16 weights can take. What is added to something larger may vanish, as it would in the sum.
bool scales_well(const Rewriter& r, mil::OpId id, const std::vector<float>& scale, DType type) {
  if (type == DType::F32 || r.is(id, "batch_norm")) return fits(scale, type);
  bool added = !r.users(r.result(id)).empty() && !r.program.is_output(r.result(id).value());
  for (mil::OpId user : r.users(r.result(id))) added = added && r.is(user, "add");
  return std::all_of(scale.begin(), scale.end(), [&](float s) {
    return std::abs(s) <= kMostScale && (s == 0 || added || std::abs(s) >= 1 / kMostScale);
  });
}

bool fold(Rewriter& r, mil::OpId id, const Affine& a, const Sink& sink) {
  const Operand weight = r.input(sink.op, sink.weight), bias = r.input(sink.op, sink.bias);
  const bool norm = sink.weight == "gamma";
  if ((weight && !weight.is_const()) || (!weight && !norm) || (bias && !bias.is_const())) return false;
  // The parameters of a norm share the type of its epsilon, which may be float32 beside a float16 x.
  const DType type = r.type(norm ? r.input(sink.op, "epsilon") : weight).dtype();
  if (!is_float(type)) return false;
  const auto scale = spread(a.scale, sink.channels, 1), shift = spread(a.shift, sink.channels, 0);
  if (static_cast<int64_t>(scale.size()) != sink.channels || static_cast<int64_t>(shift.size()) != sink.channels)
    return false;
  if (!scales_well(r, id, scale, type)) return false;
  std::vector<float> new_bias = bias ? r.weight(bias)->uncast().to_floats() : std::vector<float>(scale.size(), 0.0f);
  for (size_t c = 0; c < new_bias.size(); ++c) new_bias[c] = new_bias[c] * scale[c] + shift[c];
  if (!fits(new_bias, type)) return false;
  if (!a.scale.empty()) {
    // Scaling the stored weights, not those already rounded, keeps one rounding instead of two.
    const Weight one = Weight::floats(std::vector<float>(scale.size(), 1.0f));
    const Weight stored = weight ? r.weight(weight)->uncast() : one;
    const Weight scaled = a.scale.size() == 1 && stored.shape()[static_cast<size_t>(sink.weight_axis)] != sink.channels
                              ? stored.scale(0, spread(a.scale, stored.shape()[0], 1))  // groups share the axis
                              : stored.scale(sink.weight_axis, scale);
    r.set_input(sink.op, sink.weight, r.program.constant(scaled.cast(type)));
  } else if (!weight) {
    r.set_input(sink.op, sink.weight, r.program.constant(std::vector<float>(scale.size(), 1.0f), type));
  }
  const bool needs_bias = bias || norm || std::any_of(new_bias.begin(), new_bias.end(), [](float b) { return b != 0; });
  if (needs_bias) r.set_input(sink.op, sink.bias, r.program.constant(new_bias, type));
  return true;
}

template <std::optional<Affine> (*read)(const Rewriter&, mil::OpId)>
Result<bool> fold_into_producer(Rewriter& r, mil::OpId id) {
  auto a = read(r, id);
  if (!a || !a->x.is_value()) return false;
  // Its place must be free before anything changes.
  const Operand x = a->x;
  if (r.program.is_output(r.result(id).value()) && (!r.producer(x) || r.program.is_output(x.value()))) return false;
  const mil::OpId found = find_sink(r, *a);
  const auto sink = found ? sink_of(r, found, *a) : std::nullopt;
  return sink && fold(r, id, *a, *sink) && r.replace(id, x);
}

// (x * a) * b is x * ab, and nothing at all where that is 1.
Result<bool> merge_scales(Rewriter& r, mil::OpId id) {
  const Product p = product_of(r, r.result(id));
  if (p.factors.size() != 1 || p.factors[0] == r.result(id)) return false;  // no product with numbers
  if (!p.factors[0].is_value() || r.type(p.factors[0]) != r.type(r.result(id))) return false;
  const DType type = r.type(p.factors[0]).dtype();
  if (!is_float(type) || r.input(id, "x") == p.factors[0] || r.input(id, "y") == p.factors[0])
    return false;  // one factor already
  if (std::abs(p.scale - 1) < (type == DType::F16 ? 0x1p-12f : 0x1p-22f) && r.replace(id, p.factors[0])) return true;
  if (!fits({p.scale}, type)) return false;
  TRY(const Operand scaled, r.emit(id, "mul", {{"x", p.factors[0]}, {"y", r.program.constant(p.scale, type)}}));
  return r.replace(id, scaled);
}

// (x . y) * c with a small c is (x * c) . y: the scores of an attention may leave float16 before they are scaled.
Result<bool> scale_before_product(Rewriter& r, mil::OpId id) {
  auto a = r.is(id, "mul") ? scale_of(r, id) : quotient_of(r, id);
  if (!a || a->axis != kEveryAxis || !r.has_one_use(a->x) || std::abs(a->scale[0]) >= 1) return false;
  const mil::OpId product = r.producer(a->x, "matmul");
  if (!product || r.program.is_output(r.result(id).value())) return false;
  const Operand x = r.input(product, "x");
  const DType type = r.type(x).dtype();
  if (type != DType::F16 || !x.is_value() || !scales_well(r, id, a->scale, type)) return false;
  TRY(const Operand scaled, r.emit(product, "mul", {{"x", x}, {"y", r.program.constant(a->scale[0], type)}}));
  r.set_input(product, "x", scaled);
  return r.replace(id, a->x);
}

constexpr Rule kBatchNorm[] = {{"batch_norm", fold_into_producer<norm_of>}};
constexpr Rule kScale[] = {
    {"mul", merge_scales},
    {"real_div", merge_scales},
    {"mul", fold_into_producer<scale_of>},
    {"real_div", fold_into_producer<quotient_of>},
    {"mul", scale_before_product},
    {"real_div", scale_before_product},
};
constexpr Rule kShift[] = {{"add", fold_into_producer<shift_of>}, {"sub", fold_into_producer<difference_of>}};

}  // namespace

Status fuse_batchnorm(mil::Program& program) { return rewrite(program, kBatchNorm); }
Status fuse_scale(mil::Program& program) { return rewrite(program, kScale); }
Status fuse_bias(mil::Program& program) { return rewrite(program, kShift); }

}  // namespace cortland::mil_passes
