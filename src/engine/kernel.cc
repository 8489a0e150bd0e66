#include "engine/kernel.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/loops.h"

namespace cortland::engine {
namespace {

// Swaps the last two axes of [batch, rows, columns], `batch` being the first axis.
mil::Tensor swapped(const mil::Tensor& tensor, std::vector<int64_t> shape, int64_t rows) {
  const int64_t columns = rows == 1 ? 1 : tensor.elements() / tensor.dim(0) / rows;
  if (rows == 1 || columns == 1) return tensor.reshaped(std::move(shape));
  constexpr size_t kSwap[] = {0, 2, 1};
  const int64_t sizes[] = {tensor.dim(0), rows, columns};
  mil::Tensor out = mil::Tensor::make(tensor.dtype, std::move(shape));
  CHECK(kernels::transpose(tensor.data(), out.mutable_data(), sizes, kSwap, bit_width(tensor.dtype) / 8));
  return out;
}

mil::Tensor wide(mil::Tensor tensor) { return tensor.dtype == DType::F16 ? tensor.cast(DType::F32) : tensor; }

mil::Tensor with_post_ops(const mil::Tensor& x, const std::vector<PostOp>& post, std::span<const mil::RuntimeValue> addends) {
  mil::Tensor out = mil::Tensor::make(DType::F32, x.shape);
  size_t used = 0;
  const float* from = x.data<float>();
  float* to = out.mutable_data<float>();
  for (const PostOp& op : post) {
    const float* addend = op.kind == PostOp::Kind::Add ? addends[used++].tensor.data<float>() : nullptr;
    for (int64_t i = 0, n = out.elements(); i < n; ++i) to[i] = addend ? from[i] + addend[i] : op.of(from[i]);
    from = to;
  }
  return out;
}

}  // namespace

float PostOp::of(float x) const {
  const auto hard = [&] { return std::min(std::max(alpha * x + beta, 0.0f), 1.0f); };
  switch (kind) {
    case Kind::Add: break;
    case Kind::Relu: return x < 0 ? 0 : x;
    case Kind::Clip: return x < alpha ? alpha : x > beta ? beta : x;
    case Kind::LeakyRelu: return x < 0 ? alpha * x : x;
    case Kind::Elu: return x < 0 ? alpha * std::expm1(x) : x;
    case Kind::Sigmoid: return 1 / (1 + std::exp(-x));
    case Kind::SigmoidHard: return hard();
    case Kind::Silu: return x / (1 + std::exp(-x));
    case Kind::HardSwish: return x * hard();
    case Kind::Tanh: return std::tanh(x);
    case Kind::Gelu: return 0.5f * x * (1 + std::erf(x * 0.70710678f));
    case Kind::GeluTanh: return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
  }
  return x;
}

std::vector<int64_t> channels_last(std::vector<int64_t> shape) {
  if (shape.size() > 2) std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  return shape;
}

std::vector<int64_t> channels_first(std::vector<int64_t> shape) {
  if (shape.size() > 2) std::rotate(shape.begin() + 1, shape.end() - 1, shape.end());
  return shape;
}

mil::Tensor to_channels_last(const mil::Tensor& t) {
  if (t.elements() == 0) return t.reshaped(channels_last(t.shape));
  return swapped(t, channels_last(t.shape), t.rank() < 3 ? 1 : t.dim(1));
}

mil::Tensor to_channels_first(const mil::Tensor& t) {
  if (t.elements() == 0) return t.reshaped(channels_first(t.shape));
  return swapped(t, channels_first(t.shape), t.rank() < 3 ? 1 : t.elements() / t.dim(0) / t.dim(-1));
}

Status run_reference(KernelContext& context, const Manner& manner) {
  std::vector<std::vector<mil::RuntimeValue>> arguments(context.arguments.begin(), context.arguments.end());
  for (size_t slot = 0; slot < context.def.inputs.size(); ++slot)
    for (mil::RuntimeValue& value : arguments[slot]) {
      value.tensor = wide(std::move(value.tensor));
      if (manner.channels_last && context.def.inputs[slot].name == "x") value.tensor = to_channels_first(value.tensor);
    }
  std::vector<mil::Type> types(context.result_types.begin(), context.result_types.end());
  for (mil::Type& type : types)
    if (type.tensor.dtype == DType::F16) type.tensor.dtype = DType::F32;
  mil::EvalContext reference(context.def, arguments, types);
  TRY_DO(reference.check_operands());
  TRY_DO(context.def.eval(reference));
  auto results = reference.take_results();
  for (size_t i = 0; i < results.size(); ++i) {
    mil::Tensor& tensor = results[i].tensor;
    if (tensor.storage) tensor = wide(manner.channels_last ? to_channels_last(tensor) : std::move(tensor));
    if (i == 0 && !manner.post.empty()) tensor = with_post_ops(tensor, manner.post, context.addends);
    context.set_output(i, std::move(results[i]));
  }
  return {};
}

const mil::Tensor* Expression::tensor(std::string_view input) const {
  const int slot = op->slot(input);
  if (slot < 0 || arguments[static_cast<size_t>(slot)].empty()) return nullptr;
  return &arguments[static_cast<size_t>(slot)].front().tensor;
}

Result<std::vector<mil::RuntimeValue>> Expression::evaluate() const {
  mil::EvalContext context(*op, arguments, result_types);
  TRY_DO(context.check_operands());
  TRY_DO(op->eval(context));
  return context.take_results();
}

bool Site::boolean(std::string_view input) const {
  if (is_constant(input)) return tensor(input).ints()[0] != 0;
  return op.inputs[slot(input)].fallback.number != 0;
}

std::string Site::str(std::string_view input) const {
  if (is_constant(input)) return constants[slot(input)].front().strings.at(0);
  const char* text = op.inputs[slot(input)].fallback.text;
  return text ? text : "";
}

std::unique_ptr<Kernel> make_kernel(const Site& site) {
  const bool plain = !site.manner.channels_last && site.manner.post.empty();
  for (std::span<const KernelRow> table : kernel_tables())
    for (const KernelRow& row : table)
      if (row.op == site.op.name && (plain || row.any_manner))
        if (auto kernel = row.make(site)) return kernel;
  return nullptr;
}

}  // namespace cortland::engine
