// The one difference between oneDNN 2 and 3 that matters here: version 2 describes a primitive in two steps.
#pragma once

#include "engine/onednn/primitive.h"

namespace cortland::engine::onednn {

struct ConvolutionSizes {
  Dims strides, dilations, before, after;  // dilations as oneDNN counts them, from 0
};

template <class Description>
Primitive finish(const Description& description, bool has_bias) {
  using Forward = std::conditional_t<std::is_same_v<Description, dnnl::convolution_forward::primitive_desc>, dnnl::convolution_forward,
                                     std::conditional_t<std::is_same_v<Description, dnnl::matmul::primitive_desc>, dnnl::matmul,
                                                        dnnl::deconvolution_forward>>;
  return {Forward(description), description.src_desc(), description.weights_desc(), has_bias ? description.bias_desc() : Desc(),
          description.dst_desc(), description.scratchpad_desc()};
}

// Forward is convolution_forward or deconvolution_forward.
template <class Forward>
Primitive convolution_primitive(dnnl::algorithm algorithm, const Desc& src, const Desc& weights, const std::optional<Desc>& bias,
                                const Desc& dst, const ConvolutionSizes& s, const dnnl::primitive_attr& attributes = {}) {
  const auto kind = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  using Description = typename Forward::primitive_desc;
  return finish(bias ? Description(cpu(), kind, algorithm, src, weights, *bias, dst, s.strides, s.dilations, s.before, s.after, attributes)
                     : Description(cpu(), kind, algorithm, src, weights, dst, s.strides, s.dilations, s.before, s.after, attributes),
                bias.has_value());
#else
  using First = typename Forward::desc;
  const First first = bias ? First(kind, algorithm, src, weights, *bias, dst, s.strides, s.dilations, s.before, s.after)
                           : First(kind, algorithm, src, weights, dst, s.strides, s.dilations, s.before, s.after);
  return finish(typename Forward::primitive_desc(first, attributes, cpu()), bias.has_value());
#endif
}

inline Primitive matmul_primitive(const Desc& src, const Desc& weights, const std::optional<Desc>& bias, const Desc& dst,
                                  const dnnl::primitive_attr& attributes = {}) {
#if DNNL_VERSION_MAJOR >= 3
  return finish(bias ? dnnl::matmul::primitive_desc(cpu(), src, weights, *bias, dst, attributes)
                     : dnnl::matmul::primitive_desc(cpu(), src, weights, dst, attributes),
                bias.has_value());
#else
  const auto first = bias ? dnnl::matmul::desc(src, weights, *bias, dst) : dnnl::matmul::desc(src, weights, dst);
  return finish(dnnl::matmul::primitive_desc(first, attributes, cpu()), bias.has_value());
#endif
}

inline Primitive pooling_primitive(dnnl::algorithm algorithm, const Desc& src, const Desc& dst, const Dims& kernel,
                                   const ConvolutionSizes& s, const dnnl::primitive_attr& attributes) {
  const auto kind = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::pooling_forward::primitive_desc d(cpu(), kind, algorithm, src, dst, s.strides, kernel, s.dilations, s.before, s.after, attributes);
#else
  const dnnl::pooling_forward::primitive_desc d({kind, algorithm, src, dst, s.strides, kernel, s.before, s.after}, attributes, cpu());
#endif
  return {dnnl::pooling_forward(d), d.src_desc(), Desc(), Desc(), d.dst_desc(), Desc()};
}

}  // namespace cortland::engine::onednn
