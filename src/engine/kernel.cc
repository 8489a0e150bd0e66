#include "engine/kernel.h"

#include <algorithm>
#include <cmath>

#include "engine/threads.h"

namespace cortland::engine {
namespace {

// [outer, rows, columns] -> [outer, columns, rows], in blocks that fit a few cache lines.
template <class T>
void swap_axes(const T* from, T* to, int64_t outer, int64_t rows, int64_t columns) {
  constexpr int64_t kBlock = 16;
  const int64_t blocks = (columns + kBlock - 1) / kBlock;
  parallel_for(outer * blocks, std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(1, rows * kBlock)), [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      const T* source = from + b / blocks * rows * columns;
      T* target = to + b / blocks * rows * columns;
      const int64_t begin = b % blocks * kBlock, end = std::min(columns, begin + kBlock);
      for (int64_t r0 = 0; r0 < rows; r0 += kBlock)
        for (int64_t c = begin; c < end; ++c)
          for (int64_t r = r0; r < std::min(rows, r0 + kBlock); ++r) target[c * rows + r] = source[r * columns + c];
    }
  });
}

mil::Tensor swapped(const mil::Tensor& tensor, std::vector<int64_t> shape, int64_t rows, int64_t columns) {
  if (rows == 1 || columns == 1) return tensor.reshaped(std::move(shape));
  mil::Tensor out = mil::Tensor::make(tensor.dtype, std::move(shape));
  const int64_t outer = tensor.dim(0);
  switch (bit_width(tensor.dtype)) {
    case 8: swap_axes(tensor.data<uint8_t>(), out.mutable_data<uint8_t>(), outer, rows, columns); break;
    case 16: swap_axes(tensor.data<uint16_t>(), out.mutable_data<uint16_t>(), outer, rows, columns); break;
    case 32: swap_axes(tensor.data<uint32_t>(), out.mutable_data<uint32_t>(), outer, rows, columns); break;
    default: CHECK(false, "an element type that no op computes with");
  }
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
  if (t.rank() < 3 || t.elements() == 0) return t.reshaped(channels_last(t.shape));
  return swapped(t, channels_last(t.shape), t.dim(1), t.elements() / t.dim(0) / t.dim(1));
}

mil::Tensor to_channels_first(const mil::Tensor& t) {
  if (t.rank() < 3 || t.elements() == 0) return t.reshaped(channels_first(t.shape));
  return swapped(t, channels_first(t.shape), t.elements() / t.dim(0) / t.dim(-1), t.dim(-1));
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
