// What the oneDNN kernels share: one primitive for each shape that was seen, operands widened to float32 and laid out as the
// primitive likes them, weights laid out once. The library throws; nothing thrown leaves run_or_fall_back(). Not synchronised.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/kernel.h"

namespace cortland::engine::onednn {

using Dims = dnnl::memory::dims;
using Desc = dnnl::memory::desc;

// The processor; lives as long as the process.
dnnl::engine& cpu();

// float32, row by row, with channels (the second of dims) behind all others, or with the strides given.
Desc plain(const Dims& dims);
Desc channels_last(const Dims& dims);
Desc strided(const Dims& dims, const Dims& strides);
// float32 in whatever layout the primitive prefers.
Desc any_layout(const Dims& dims);

// A primitive with the layouts it chose. `bias` is empty when there is none.
struct Primitive {
  dnnl::primitive primitive;
  Desc src, weights, bias, dst;
  Desc scratchpad;  // empty unless the attributes leave it to the user
};

// A constant operand. Keeps one copy for each layout that primitives asked for.
class PackedWeights {
 public:
  // `desc` says how the tensor's elements lie.
  PackedWeights(mil::Tensor tensor, Desc desc) : tensor_(std::move(tensor)), desc_(std::move(desc)) {}
  dnnl::memory in_layout(const Desc& wanted);
  int64_t elements() const { return tensor_.elements(); }

 private:
  mil::Tensor tensor_;
  Desc desc_;
  std::vector<std::pair<Desc, dnnl::memory>> packed_;
};

// What was made for a shape; all go when there are too many.
template <class Entry>
class ShapeCache {
 public:
  template <class Make>
  Entry& get(const std::vector<int64_t>& shape, const Make& make) {
    if (const auto it = entries_.find(shape); it != entries_.end()) return it->second;
    if (entries_.size() >= kMost) entries_.clear();
    return entries_.emplace(shape, make()).first->second;
  }

 private:
  static constexpr size_t kMost = 32;
  std::map<std::vector<int64_t>, Entry> entries_;
};

// A view of a float32 tensor, which must outlive it.
dnnl::memory view(const mil::Tensor& tensor, const Desc& desc);

// How many of them, from the first on, oneDNN can do on the way out; and whether it can do all.
size_t accepted(const std::vector<PostOp>& post);
inline bool accepts(const std::vector<PostOp>& post) { return accepted(post) == post.size(); }
// `dst` is how the addends lie. Accepted post-ops only.
dnnl::primitive_attr attributes(const std::vector<PostOp>& post, const Desc& dst);

// A tensor and how it is to be read.
struct Operand {
  const mil::Tensor& tensor;
  const Desc& desc;
};

// What a primitive works on: those it does not have are empty. The addends of its post-ops are read from element `offset` on, and
// lie as `dst` does.
struct Operands {
  dnnl::memory src, weights, bias, dst, scratchpad = {};
};
void execute(const Primitive& primitive, const Operands& operands, std::span<const mil::RuntimeValue> addends, int64_t offset,
             const std::vector<PostOp>& post);

// Runs `primitive` into a new float32 tensor of `shape`, reordering at its borders where it wants another layout. Empty `weights`
// and `bias` are left out.
mil::Tensor execute(const Primitive& primitive, Operand src, const dnnl::memory& weights, const dnnl::memory& bias,
                    std::span<const mil::RuntimeValue> addends, const std::vector<PostOp>& post, std::vector<int64_t> shape,
                    const Desc& dst_desc);

// What oneDNN cannot do is left to the reference kernel, whose errors are the op's errors.
template <class Body>
Status run_or_fall_back(KernelContext& context, const Manner& manner, const Body& body) {
  try {
    std::optional<mil::Tensor> result = body();
    if (result) {
      context.set_output(0, result->cast(context.result_types[0].dtype()));
      return {};
    }
  } catch (const dnnl::error&) {
    // An unsupported shape; the reference kernel takes it.
  }
  return run_reference(context, manner);
}

}  // namespace cortland::engine::onednn
