#include "engine/onednn/primitive.h"

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

mil::Tensor execute(const Primitive& p, const dnnl::memory& src, const Desc& src_desc, const dnnl::memory& weights,
                    const dnnl::memory& bias, std::vector<int64_t> shape, const Desc& dst_desc) {
  mil::Tensor out = mil::Tensor::make(DType::F32, std::move(shape));
  dnnl::memory from = src, to = view(out, dst_desc);
  if (p.src != src_desc) copy(src, from = dnnl::memory(p.src, cpu()));
  if (p.dst != dst_desc) to = dnnl::memory(p.dst, cpu());
  std::unordered_map<int, dnnl::memory> arguments = {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, to}};
  if (!is_empty(bias)) arguments.emplace(DNNL_ARG_BIAS, bias);
  p.primitive.execute(stream(), arguments);
  stream().wait();
  if (p.dst != dst_desc) copy(to, view(out, dst_desc));
  return out;
}

}  // namespace cortland::engine::onednn
