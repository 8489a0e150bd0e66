// fuse_layernorm_or_instancenorm, and the root-mean-square norm that MIL lacks. Models spell them out; as one op they are
// computed with the range and precision that the device has inside, where squares of float16 would overflow from 256 on.
#include <algorithm>
#include <cmath>

#include "mil_passes/algebra.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

// The least number added to a variance that float16 can tell from 0.
constexpr float kLeastEpsilon = 1.2e-7f;

// x / sqrt(mean(x^2) + epsilon), or the same of x - mean(x).
struct Norm {
  Operand x;
  std::vector<int64_t> axes;  // ascending
  float epsilon = 0;
  bool centred = false;
  mil::OpId root;  // the op whose result it is
};

std::vector<int64_t> axes_of_mean(const Rewriter& r, mil::OpId mean) {
  std::vector<int64_t> axes = r.ints(r.input(mean, "axes"));
  const int rank = r.type(r.input(mean, "x")).rank();
  for (int64_t& a : axes) a = static_cast<int64_t>(axis_of(a, rank));
  std::sort(axes.begin(), axes.end());
  return axes;
}

bool keeps_axes(const Rewriter& r, mil::OpId mean) {
  return r.flag(r.input(mean, "keep_dims")) && r.input(mean, "axes").is_const();
}

// The mean of the squares of one operand, plus epsilon.
std::optional<Norm> read_variance(const Rewriter& r, Operand variance) {
  const Sum s = sum_of(r, variance);
  if (s.terms.size() != 1 || s.terms[0].coefficient != 1 || s.offset < 0) return std::nullopt;
  const mil::OpId mean = r.producer(s.terms[0].value, "reduce_mean");
  if (!mean || !keeps_axes(r, mean)) return std::nullopt;
  const Product square = product_of(r, r.input(mean, "x"));
  if (square.factors.empty() || !square.is_power(square.factors[0], 2) || square.scale != 1) return std::nullopt;
  return Norm{square.factors[0], axes_of_mean(r, mean), s.offset, false, {}};
}

// x - mean(x): then the norm is of x, centred.
void read_centre(const Rewriter& r, Norm& n) {
  const mil::OpId difference = r.producer(n.x, "sub");
  const mil::OpId mean = difference ? r.producer(r.input(difference, "y"), "reduce_mean") : mil::OpId{};
  if (!mean || !keeps_axes(r, mean) || r.input(mean, "x") != r.input(difference, "x") || axes_of_mean(r, mean) != n.axes)
    return;
  n.x = r.input(difference, "x");
  n.centred = true;
}

// `id` is rsqrt or sqrt of the variance; the norm is what it scales.
std::optional<Norm> read_norm(const Rewriter& r, mil::OpId id) {
  auto n = read_variance(r, r.input(id, "x"));
  if (!n) return std::nullopt;
  if (const Operand epsilon = r.input(id, "epsilon")) n->epsilon += r.floats(epsilon)[0];
  const Operand deviation = r.result(id), scaled = n->x;
  for (mil::OpId user : r.users(deviation)) {
    const Operand x = r.input(user, "x"), y = r.input(user, "y");
    const bool product =
        r.is(id, "rsqrt") && r.is(user, "mul") && ((x == scaled && y == deviation) || (y == scaled && x == deviation));
    const bool quotient = r.is(id, "sqrt") && r.is(user, "real_div") && x == scaled && y == deviation;
    if (product || quotient) n->root = user;
  }
  if (!n->root) return std::nullopt;
  read_centre(r, *n);
  return n;
}

Operand epsilon_of(Rewriter& r, const Norm& n, bool may_be_float32) {
  const DType type = r.type(n.x).dtype();
  if (type == DType::F16 && n.epsilon < kLeastEpsilon && may_be_float32) return r.program.constant(n.epsilon, DType::F32);
  return r.program.constant(type == DType::F16 ? std::max(n.epsilon, kLeastEpsilon) : n.epsilon, type);
}

Result<bool> fuse_centred(Rewriter& r, const Norm& n) {
  const int rank = r.type(n.x).rank();
  std::vector<int64_t> spatial;
  for (int64_t i = 2; i < rank; ++i) spatial.push_back(i);
  Operand y;
  if (rank == 4 && n.axes == spatial && r.shape(n.x)[1].is_constant()) {
    TRY(y, r.emit(n.root, "instance_norm", {{"x", n.x}, {"epsilon", epsilon_of(r, n, false)}}));
  } else {
    const bool mixed = r.program.target >= mil::Target::iOS17;
    TRY(y, r.emit(n.root, "layer_norm", {{"x", n.x}, {"axes", r.constant(n.axes)}, {"epsilon", epsilon_of(r, n, mixed)}}));
  }
  return r.replace(n.root, y);
}

// A weight that multiplies the norm along its axis.
struct Gain {
  mil::OpId op;
  Weight weight;
};

std::optional<Gain> gain_of(const Rewriter& r, const Norm& n) {
  const Operand y = r.result(n.root);
  if (!r.has_one_use(y)) return std::nullopt;
  const mil::OpId user = r.users(y)[0];
  if (!r.is(user, "mul")) return std::nullopt;
  const Operand w = r.input(user, "x") == y ? r.input(user, "y") : r.input(user, "x");
  const Weight* weight = r.weight(w);
  if (!weight || weight->shape().size() != 1 || n.axes[0] != r.type(n.x).rank() - 1 ||
      weight->shape()[0] != r.shape(n.x).back().constant())
    return std::nullopt;
  return Gain{user, *weight};
}

// The mean of x and -x is 0 and their variance the mean of x^2: the layer norm of [x, -x] has the norm in its first half.
Result<bool> fuse_root_mean_square(Rewriter& r, const Norm& n) {
  const Shape shape = r.shape(n.x);
  if (r.type(n.x).dtype() != DType::F16 || n.axes.size() != 1) return false;
  const auto axis = static_cast<size_t>(n.axes[0]);
  if (!shape[axis].is_constant()) return false;
  const int64_t size = shape[axis].constant();
  const mil::OpId at = n.root;
  const auto gain = gain_of(r, n);
  TRY(const Operand negative, r.emit(at, "mul", {{"x", n.x}, {"y", r.program.constant(-1.0f, DType::F16)}}));
  TRY(const Operand both, r.emit(at, "concat",
                                 {{"values", std::vector<Operand>{n.x, negative}},
                                  {"axis", r.program.constant(static_cast<int32_t>(axis))},
                                  {"interleave", r.program.constant(false)}}));
  Operand gamma;
  if (gain) {
    const Weight twice = Weight::concat({gain->weight.uncast(), gain->weight.uncast()}, 0);
    gamma = r.program.constant(twice.cast(DType::F16));
  }
  std::vector<mil::NamedOperand> inputs = {{"x", both}, {"axes", r.constant(n.axes)}};
  if (gamma) inputs.emplace_back("gamma", gamma);
  // An epsilon in float32 needs its gamma in float32; float16 does for what RMS norms use.
  inputs.emplace_back("epsilon", epsilon_of(r, n, !gamma && r.program.target >= mil::Target::iOS17));
  TRY(const Operand normal, r.emit(at, "layer_norm", std::move(inputs)));
  const size_t rank = shape.size();
  std::vector<int64_t> begin(rank, 0), end(rank, 0);
  end[axis] = size;
  std::string masks(rank, '\1');
  masks[axis] = '\0';
  const auto all = [&](const std::string& bits) {
    return Operand(r.program.constant(Weight::dense(DType::Bool, {static_cast<int64_t>(rank)}, bits)));
  };
  TRY(const Operand half, r.emit(at, "slice_by_index",
                                 {{"x", normal},
                                  {"begin", r.constant(begin)},
                                  {"end", r.constant(end)},
                                  {"stride", r.constant(std::vector<int64_t>(rank, 1))},
                                  {"begin_mask", all(std::string(rank, '\1'))},
                                  {"end_mask", all(masks)}}));
  const bool done = r.replace(at, half);
  return done && (!gain || r.replace(gain->op, half));
}

Result<bool> fuse_norm(Rewriter& r, mil::OpId id) {
  const auto n = read_norm(r, id);
  return n && n->centred ? fuse_centred(r, *n) : Result<bool>(false);
}

Result<bool> fuse_rms(Rewriter& r, mil::OpId id) {
  const auto n = read_norm(r, id);
  return n && !n->centred ? fuse_root_mean_square(r, *n) : Result<bool>(false);
}

constexpr Rule kNorms[] = {{"rsqrt", fuse_norm}, {"sqrt", fuse_norm}};
constexpr Rule kRms[] = {{"rsqrt", fuse_rms}, {"sqrt", fuse_rms}};

}  // namespace

Status fuse_layernorm_or_instancenorm(mil::Program& program) { return rewrite(program, kNorms); }
Status fuse_rms_norm(mil::Program& program) { return rewrite(program, kRms); }

}  // namespace cortland::mil_passes
