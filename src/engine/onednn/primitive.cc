#include "engine/onednn/primitive.h"

#include <algorithm>
#include <cmath>

#include "engine/threads.h"

namespace cortland::engine::onednn {
namespace {

dnnl::stream& stream() {
  thread_local dnnl::stream stream(cpu());
  return stream;
}

void copy(dnnl::memory from, dnnl::memory to) {
  dnnl::reorder(from, to).execute(stream(), from, to);
  stream().wait();
}

bool is_empty(const dnnl::memory& memory) { return !memory.get(true); }

}  // namespace

dnnl::engine& cpu() {
  static auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

Desc plain(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strided(dims, strides);
}

Desc channels_last(const Dims& dims) {
  Dims strides(dims.size(), 1);
  int64_t stride = dims[1];
  for (size_t i = dims.size(); i-- > 2; stride *= dims[i]) strides[i] = stride;
  strides[0] = stride;
  return strided(dims, strides);
}

Desc strided(const Dims& dims, const Dims& strides) { return Desc(dims, dnnl::memory::data_type::f32, strides); }

Desc any_layout(const Dims& dims) { return Desc(dims, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any); }

dnnl::memory view(const mil::Tensor& tensor, const Desc& desc) {
  CHECK(tensor.dtype == DType::F32);
  return dnnl::memory(desc, cpu(), const_cast<float*>(tensor.data<float>()));
}

dnnl::memory PackedWeights::in_layout(const Desc& wanted) {
  for (const auto& [desc, memory] : packed_)
    if (desc == wanted) return memory;
  const mil::Tensor wide = tensor_.cast(DType::F32);
  dnnl::memory packed(wanted, cpu());
  copy(view(wide, desc_), packed);
  packed_.emplace_back(wanted, packed);
  return packed;
}

namespace {

struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha = 0, beta = 0;
};

std::optional<Eltwise> eltwise(const PostOp& op) {
  using Kind = PostOp::Kind;
  using dnnl::algorithm;
  switch (op.kind) {
    case Kind::Relu: return Eltwise{algorithm::eltwise_relu};
    case Kind::Clip: return Eltwise{algorithm::eltwise_clip, op.alpha, op.beta};
    case Kind::LeakyRelu: return Eltwise{algorithm::eltwise_relu, op.alpha};
    case Kind::HardSwish:
      // Version 2 knows only the usual slope and offset.
      if (std::abs(op.alpha - 1.0f / 6) < 1e-6f && op.beta == 0.5f) return Eltwise{algorithm::eltwise_hardswish, op.alpha, op.beta};
      return std::nullopt;
    // What takes an exponential runs faster in our own loops (simd/).
    default: break;
  }
  return std::nullopt;
}

}  // namespace

size_t accepted(const std::vector<PostOp>& post) {
  const auto refused =
      std::find_if(post.begin(), post.end(), [](const PostOp& op) { return op.kind != PostOp::Kind::Add && !eltwise(op); });
  return static_cast<size_t>(refused - post.begin());
}

dnnl::primitive_attr attributes(const std::vector<PostOp>& post, const Desc& dst) {
  dnnl::primitive_attr attributes;
  dnnl::post_ops ops;
  for (const PostOp& op : post) {
    if (op.kind == PostOp::Kind::Add) {
      ops.append_binary(dnnl::algorithm::binary_add, dst);
      continue;
    }
    const Eltwise e = *eltwise(op);
#if DNNL_VERSION_MAJOR >= 3
    ops.append_eltwise(e.algorithm, e.alpha, e.beta);
#else
    ops.append_eltwise(1, e.algorithm, e.alpha, e.beta);
#endif
  }
  attributes.set_post_ops(ops);
  return attributes;
}

void execute(const Primitive& p, const Operands& operands, std::span<const mil::RuntimeValue> addends, int64_t offset,
             const std::vector<PostOp>& post) {
  std::unordered_map<int, dnnl::memory> arguments = {{DNNL_ARG_SRC, operands.src}, {DNNL_ARG_DST, operands.dst}};
  if (!is_empty(operands.weights)) arguments.emplace(DNNL_ARG_WEIGHTS, operands.weights);
  if (!is_empty(operands.bias)) arguments.emplace(DNNL_ARG_BIAS, operands.bias);
  if (!is_empty(operands.scratchpad)) arguments.emplace(DNNL_ARG_SCRATCHPAD, operands.scratchpad);
  size_t used = 0;
  for (size_t i = 0; i < post.size(); ++i) {
    if (post[i].kind != PostOp::Kind::Add) continue;
    auto* addend = const_cast<float*>(addends[used++].tensor.data<float>()) + offset;
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(static_cast<int>(i)) | DNNL_ARG_SRC_1,
                      dnnl::memory(operands.dst.get_desc(), cpu(), addend));
  }
  p.primitive.execute(stream(), arguments);
  stream().wait();
}

mil::Tensor execute(const Primitive& p, Operand src, const dnnl::memory& weights, const dnnl::memory& bias,
                    std::span<const mil::RuntimeValue> addends, const std::vector<PostOp>& post, std::vector<int64_t> shape,
                    const Desc& dst_desc) {
  mil::Tensor out = mil::Tensor::make(DType::F32, std::move(shape));
  dnnl::memory from = view(src.tensor, src.desc), to = view(out, dst_desc);
  if (p.src != src.desc) {
    dnnl::memory reordered(p.src, cpu());
    copy(from, reordered);
    from = reordered;
  }
  if (p.dst != dst_desc) to = dnnl::memory(p.dst, cpu());
  execute(p, {from, weights, bias, to}, addends, 0, post);
  openmp_was_used();
  if (p.dst != dst_desc) copy(to, view(out, dst_desc));
  return out;
}

}  // namespace cortland::engine::onednn
