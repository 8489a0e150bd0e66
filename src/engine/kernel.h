// Fast kernels: one table row for an op, in place of the reference kernel where it accepts the place it is asked for.
// A Kernel belongs to one op of one Engine, so it may keep what it derived from constants (weights laid out anew).
// Floating-point operands come as float32 (constants in their own type), results leave as float32; the engine rounds.
// Each row is tested against the op's `eval`.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "mil/runtime.h"

namespace cortland::engine {

// A constexpr_* op whose result, a constant, is not computed until somebody needs it.
struct Expression {
  const mil::MilOp* op;
  std::vector<std::vector<mil::RuntimeValue>> arguments;  // by slot
  std::vector<mil::Type> result_types;

  const mil::Tensor* tensor(std::string_view input) const;  // null when it is absent
  Result<std::vector<mil::RuntimeValue>> evaluate() const;
};

// An element-wise op that a kernel applies to what it computed before it writes it, in place of a step of its own.
struct PostOp {
  enum class Kind : uint8_t { Add, Relu, Clip, LeakyRelu, Elu, Sigmoid, SigmoidHard, Silu, HardSwish, Tanh, Gelu, GeluTanh } kind;
  float alpha = 0, beta = 0;  // as the MIL op of that name has them; HardSwish is x * SigmoidHard(x)
};

// Applies them in order to `count` elements of a result, from element `offset` on. Addends are laid out like the result.
void apply_post_ops(std::span<const PostOp> post, std::span<const mil::RuntimeValue> addends, int64_t offset, float* values,
                    int64_t count);

// How a kernel is to run beside what its op says.
struct Manner {
  // Tensors of rank 3 and more have axis 1 behind all others.
  bool channels_last = false;
  std::vector<PostOp> post;  // in order, on the first result; the k-th Add takes the k-th addend
};

// One op of a program as it is known before the first run.
struct Site {
  const mil::MilOp& op;
  std::span<const std::vector<mil::RuntimeValue>> constants;  // by slot; empty where the operand is absent or computed
  std::span<const std::vector<mil::Type>> types;              // of the operands, by slot; empty where absent
  std::span<const mil::Type> result_types;
  Manner manner = {};
  // By slot, or empty: what computes the constant, for kernels that hold its compressed form; see Kernel::reads.
  std::span<const std::shared_ptr<const Expression>> expressions = {};
  std::function<void(size_t)> expand = {};  // computes the constant of a slot

  bool has(std::string_view input) const { return !types[slot(input)].empty(); }
  bool is_constant(std::string_view input) const { return !constants[slot(input)].empty(); }
  const mil::Type& type(std::string_view input) const { return types[slot(input)].front(); }
  // Constant operands; absent ones yield the descriptor's default.
  const mil::Tensor& tensor(std::string_view input) const {
    if (expression(input)) expand(slot(input));
    return constants[slot(input)].front().tensor;
  }
  const Expression* expression(std::string_view input) const { return expressions.empty() ? nullptr : expressions[slot(input)].get(); }
  std::vector<int64_t> ints(std::string_view input) const { return tensor(input).ints(); }
  bool boolean(std::string_view input) const;
  std::string str(std::string_view input) const;

 private:
  size_t slot(std::string_view input) const { return static_cast<size_t>(op.slot(input)); }
};

// What a kernel is given for one run.
struct KernelContext : mil::EvalContext {
  KernelContext(const mil::MilOp& def, std::span<const std::vector<mil::RuntimeValue>> inputs, std::span<const mil::Type> result_types,
                std::span<const mil::RuntimeValue> addends)
      : EvalContext(def, inputs, result_types), arguments(inputs), addends(addends) {}

  // Whether nobody else holds the operand's elements and nobody reads them later: a result of its size may take their place.
  bool may_overwrite(std::string_view input) const {
    const mil::Tensor& t = tensor(input);
    return t.dtype == DType::F32 && t.storage.use_count() == (updates_state && input == "data" ? 2 : 1);
  }

  std::span<const std::vector<mil::RuntimeValue>> arguments;  // by slot of the op
  std::span<const mil::RuntimeValue> addends;                 // of PostOp::Add, shaped and laid out like the result
  bool updates_state = false;  // 'data' is a state's value, and the result will replace it before anybody reads it again
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual Status run(KernelContext& context) = 0;
  // False for a constant that the kernel holds in a form of its own: if it is an expression, it may have no elements at run time.
  virtual bool reads(std::string_view) const { return true; }
};

// The reference kernel, on float32 and with the manner's additions: for what a fast kernel cannot do at run time.
Status run_reference(KernelContext& context, const Manner& manner);

struct KernelRow {
  std::string_view op;
  std::unique_ptr<Kernel> (*make)(const Site& site);  // null when it does not accept the site
  bool any_manner = false;  // looks at Site::manner; the others are asked for the plain one only
};

// The tables of this build, in order of preference.
std::vector<std::span<const KernelRow>> kernel_tables();
// The first that accepts, or null: then the reference kernel runs.
std::unique_ptr<Kernel> make_kernel(const Site& site);

// What a register holds of a float16 value or type: float32. Others stay as they are.
mil::Tensor wide(mil::Tensor tensor);
mil::Type wide(mil::Type type);

// The shape, of numbers or dimensions, with axis 1 behind all others, and back. Ranks below 3 stay as they are.
template <class Sizes>
Sizes channels_last(Sizes shape) {
  if (shape.size() > 2) std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  return shape;
}
std::vector<int64_t> channels_first(std::vector<int64_t> shape);
// Where axis `axis` of a tensor of that rank lies with channels last.
int64_t axis_channels_last(int64_t axis, int64_t rank);
// A copy with its elements moved accordingly; shares the elements when only axes of size 1 change places.
mil::Tensor to_channels_last(const mil::Tensor& tensor);
mil::Tensor to_channels_first(const mil::Tensor& tensor);

}  // namespace cortland::engine
