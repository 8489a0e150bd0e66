// Random numbers. A seed other than -1 gives the same numbers on every run and machine: the generator is the standard's
// mt19937_64 and the distributions are computed here, because the library's may differ.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "mil_ops/arguments.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

class Generator {
 public:
  explicit Generator(int64_t seed) : engine_(seed == -1 ? std::random_device{}() : static_cast<uint64_t>(seed)) {}
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }  // [0, 1)
  double normal() {                                                            // Box-Muller
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::mt19937_64 engine_;
};

constexpr int64_t kMostElements = int64_t{1} << 32;

template <class Context>
Status check_sizes(const Context& c, const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (int64_t d : shape) {
    if (d < 0 || (d > 0 && elements > kMostElements / d))
      return c.error(fmt::format("shape [{}] is not possible", fmt::join(shape, ", ")));
    elements *= d;
  }
  return {};
}

// The result has the shape that operand 'shape' holds and the type of `like`.
Types infer_shaped(InferContext& c, std::string_view like) {
  TRY_DO(expect_rank(c, "shape", 1, 1));
  const DType type = c.has(like) ? c.dtype(like) : DType::F32;
  if (!c.is_constant("shape")) {
    TRY(Shape shape, unknown_shape(c, "shape"));
    return one({type, std::move(shape)});
  }
  TRY_DO(check_sizes(c, c.ints("shape")));
  return one({type, shape_of(c.ints("shape"))});
}

Types infer_bernoulli(InferContext& c) { return infer_shaped(c, "prob"); }
Types infer_normal(InferContext& c) { return infer_shaped(c, "mean"); }
Types infer_uniform(InferContext& c) { return infer_shaped(c, "low"); }

template <class Draw>
Status fill_shaped(EvalContext& c, std::string_view like, const Draw& draw) {
  const auto shape = c.ints("shape");
  TRY_DO(check_sizes(c, shape));
  Generator generator(c.integer("seed"));
  Tensor out = Tensor::make(DType::F32, shape);
  for (int64_t i = 0, n = out.elements(); i < n; ++i) out.mutable_data<float>()[i] = static_cast<float>(draw(generator));
  c.set_output(0, out.cast(c.has(like) ? c.tensor(like).dtype : DType::F32));
  return {};
}

Status eval_bernoulli(EvalContext& c) {
  const double p = c.number("prob");
  return fill_shaped(c, "prob", [p](Generator& g) { return g.uniform() < p ? 1.0 : 0.0; });
}

Status eval_normal(EvalContext& c) {
  const double mean = c.number("mean"), deviation = c.number("stddev");
  return fill_shaped(c, "mean", [=](Generator& g) { return mean + deviation * g.normal(); });
}

// Half open: what rounds up to `high` is drawn again, a bounded number of times.
Status eval_uniform(EvalContext& c) {
  const double low = c.number("low"), high = c.number("high");
  const DType type = c.has("low") ? c.tensor("low").dtype : DType::F32;
  return fill_shaped(c, "low", [=](Generator& g) {
    for (int attempt = 0; attempt < 8; ++attempt) {
      const auto v = static_cast<float>(low + (high - low) * g.uniform());
      const float stored = type == DType::F16 ? f16_to_f32(f32_to_f16(v)) : v;
      if (!(low < high) || static_cast<double>(stored) < high) return static_cast<double>(v);
    }
    return low;
  });
}

template <class Context>
Status check_categorical(const Context& c) {
  TRY_DO(expect_rank(c, "x", 1, 5));
  if (c.str("mode") != "logits" && c.str("mode") != "probs")
    return c.error(fmt::format("mode '{}' is neither logits nor probs", c.str("mode")));
  if (c.integer("size") < 0 || c.integer("size") > kMostElements)
    return c.error(fmt::format("size is {}", c.integer("size")));
  return {};
}

Types infer_categorical(InferContext& c) {
  TRY_DO(check_categorical(c));
  Shape shape = c.shape("x");
  shape.back() = c.integer("size");
  return one({c.dtype("x"), std::move(shape)});
}

// Inverts the cumulative sum of the probabilities, which need not add up to 1.
Status eval_categorical(EvalContext& c) {
  TRY_DO(check_categorical(c));
  const Tensor x = c.tensor("x").cast(DType::F32);
  const int64_t classes = x.dim(-1), size = c.integer("size");
  if (classes == 0) return c.error("there is no class to draw");
  const bool logits = c.str("mode") == "logits";
  auto shape = x.shape;
  shape.back() = size;
  TRY_DO(check_sizes(c, shape));
  Generator generator(c.integer("seed"));
  Tensor out = Tensor::make(DType::F32, shape);
  float* to = out.mutable_data<float>();
  std::vector<double> sums(static_cast<size_t>(classes));
  for (int64_t row = 0; row < x.elements() / classes; ++row) {
    const float* from = x.data<float>() + row * classes;
    const double high = static_cast<double>(*std::max_element(from, from + classes));
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) {
      sum += logits ? std::exp(static_cast<double>(from[k]) - high) : static_cast<double>(from[k]);
      sums[static_cast<size_t>(k)] = sum;
    }
    for (int64_t i = 0; i < size; ++i) {
      const auto it = std::upper_bound(sums.begin(), sums.end(), generator.uniform() * sum);
      *to++ = static_cast<float>(std::min<int64_t>(it - sums.begin(), classes - 1));
    }
  }
  c.set_output(0, out.cast(c.tensor("x").dtype));
  return {};
}

constexpr Input kBernoulli[] = {value("shape", kInt32, 0), option("prob", kFloats, 0.5, 'T'), option("seed", kInt32, -1)};
constexpr Input kNormal[] = {value("shape", kInt32, 0), option("mean", kFloats, 0.0, 'T'),
                             option("stddev", kFloats, 1.0, 'T'), option("seed", kInt32, -1)};
constexpr Input kUniform[] = {value("shape", kInt32, 0), option("low", kFloats, 0.0, 'T'), option("high", kFloats, 1.0, 'T'),
                              option("seed", kInt32, -1)};
constexpr Input kCategorical[] = {value("x", kFloats), option("mode", kStrings, "logits"), option("size", kInt32, 1),
                                  option("seed", kInt32, -1)};

constexpr MilOp make(std::string_view name, std::span<const Input> inputs, Types (*infer)(InferContext&),
                     Status (*eval)(EvalContext&)) {
  return {.name = name, .inputs = inputs, .infer = infer, .eval = eval, .pure = false};
}

}  // namespace

const MilOp random_bernoulli = make("random_bernoulli", kBernoulli, infer_bernoulli, eval_bernoulli);
const MilOp random_categorical = make("random_categorical", kCategorical, infer_categorical, eval_categorical);
const MilOp random_normal = make("random_normal", kNormal, infer_normal, eval_normal);
const MilOp random_uniform = make("random_uniform", kUniform, infer_uniform, eval_uniform);

}  // namespace cortland::mil_ops
