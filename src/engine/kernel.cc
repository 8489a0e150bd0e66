#include "engine/kernel.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/loops.h"
#include "engine/simd/functions.h"

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

mil::Tensor with_post_ops(const mil::Tensor& x, const std::vector<PostOp>& post, std::span<const mil::RuntimeValue> addends) {
  mil::Tensor out = mil::Tensor::make(DType::F32, x.shape);
  std::memcpy(out.mutable_data(), x.data(), x.bytes());
  apply_post_ops(post, addends, 0, out.mutable_data<float>(), out.elements());
  return out;
}

simd::Unary loop_of(PostOp::Kind kind) {
  using Kind = PostOp::Kind;
  switch (kind) {
    case Kind::Add: break;
    case Kind::Relu: return simd::Unary::Relu;
    case Kind::Clip: return simd::Unary::Clip;
    case Kind::LeakyRelu: return simd::Unary::LeakyRelu;
    case Kind::Elu: return simd::Unary::Elu;
    case Kind::Sigmoid: return simd::Unary::Sigmoid;
    case Kind::SigmoidHard: return simd::Unary::HardSigmoid;
    case Kind::Silu: return simd::Unary::Silu;
    case Kind::HardSwish: return simd::Unary::HardSwish;
    case Kind::Tanh: return simd::Unary::Tanh;
    case Kind::Gelu: return simd::Unary::Gelu;
    case Kind::GeluTanh: return simd::Unary::GeluTanh;
  }
  CHECK(false, "an addition takes two operands");
}

}  // namespace

void apply_post_ops(std::span<const PostOp> post, std::span<const mil::RuntimeValue> addends, int64_t offset, float* values,
                    int64_t count) {
  const simd::Functions& f = simd::functions();
  size_t used = 0;
  for (const PostOp& op : post) {
    if (op.kind == PostOp::Kind::Add)
      f.binary[static_cast<size_t>(simd::Binary::Add)].each(values, addends[used++].tensor.data<float>() + offset, values, count);
    else
      f.unary[static_cast<size_t>(loop_of(op.kind))](values, values, count, op.alpha, op.beta);
  }
}

mil::Tensor wide(mil::Tensor tensor) { return tensor.dtype == DType::F16 ? tensor.cast(DType::F32) : tensor; }

mil::Type wide(mil::Type type) {
  if (type.tensor.dtype == DType::F16) type.tensor.dtype = DType::F32;
  return type;
}

std::vector<int64_t> channels_first(std::vector<int64_t> shape) {
  if (shape.size() > 2) std::rotate(shape.begin() + 1, shape.end() - 1, shape.end());
  return shape;
}

int64_t axis_channels_last(int64_t axis, int64_t rank) {
  if (axis < 0) axis += rank;
  return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
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
  std::vector<mil::Type> types;
  for (const mil::Type& type : context.result_types) types.push_back(wide(type));
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
