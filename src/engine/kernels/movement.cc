// Ops that move elements of any type without looking at them.
#include <optional>

#include "engine/kernels/kernels.h"
#include "engine/kernels/loops.h"
#include "mil_ops/slices.h"

namespace cortland::engine::kernels {
namespace {

using mil::Tensor;
using Shape = std::vector<int64_t>;

bool has_whole_bytes(DType t) { return bit_width(t) > 0 && bit_width(t) % 8 == 0 && bit_width(t) <= 64; }

class TransposeKernel final : public Kernel {
 public:
  explicit TransposeKernel(std::vector<size_t> perm) : perm_(std::move(perm)) {}

  Status run(KernelContext& c) override {
    const Tensor& x = c.tensor("x");
    if (x.shape.size() != perm_.size()) return run_reference(c, {});
    Shape shape;
    shape.reserve(perm_.size());
    for (size_t axis : perm_) shape.push_back(x.shape[axis]);
    Tensor out = Tensor::make(x.dtype, std::move(shape));
    if (!transpose(x.data(), out.mutable_data(), x.shape, perm_, byte_size(x.dtype, 1))) return run_reference(c, {});
    c.set_output(0, std::move(out));
    return {};
  }

 private:
  std::vector<size_t> perm_;
};

class ConcatKernel final : public Kernel {
 public:
  explicit ConcatKernel(size_t axis) : axis_(axis) {}

  Status run(KernelContext& c) override {
    const std::vector<Tensor> values = c.tensors("values");
    Shape shape = values[0].shape;
    if (shape.size() <= axis_) return run_reference(c, {});
    shape[axis_] = 0;
    for (const Tensor& v : values) {
      if (v.dtype != values[0].dtype || v.shape.size() != shape.size()) return run_reference(c, {});
      for (size_t i = 0; i < shape.size(); ++i)
        if (i != axis_ && v.shape[i] != shape[i]) return run_reference(c, {});
      shape[axis_] += v.shape[axis_];
    }
    Tensor out = Tensor::make(values[0].dtype, shape);
    const Split all = split_at(shape, axis_, axis_ + 1);
    const int64_t element = byte_size(out.dtype, 1), step = all.size * all.inner * element;
    std::byte* to = out.mutable_data();
    for (const Tensor& v : values) {
      const int64_t run = v.shape[axis_] * all.inner * element;
      copy_runs(v.data(), run, to, step, all.outer, run);
      to += run;
    }
    c.set_output(0, std::move(out));
    return {};
  }

 private:
  size_t axis_;
};

class SplitKernel final : public Kernel {
 public:
  // Equal parts when `sizes` is empty.
  SplitKernel(size_t axis, Shape sizes) : axis_(axis), sizes_(std::move(sizes)) {}

  Status run(KernelContext& c) override {
    const Tensor& x = c.tensor("x");
    const auto parts = static_cast<int64_t>(c.result_types.size());
    if (x.shape.size() <= axis_) return run_reference(c, {});
    int64_t sum = 0;
    for (int64_t s : sizes_) sum += s;
    if (sizes_.empty() ? x.shape[axis_] % parts != 0 : sum != x.shape[axis_]) return run_reference(c, {});
    const Split all = split_at(x.shape, axis_, axis_ + 1);
    const int64_t element = byte_size(x.dtype, 1), step = all.size * all.inner * element;
    const std::byte* from = x.data();
    for (size_t i = 0; i < c.result_types.size(); ++i) {
      Shape shape = x.shape;
      shape[axis_] = sizes_.empty() ? x.shape[axis_] / parts : sizes_[i];
      const int64_t run = shape[axis_] * all.inner * element;
      Tensor out = Tensor::make(x.dtype, std::move(shape));
      copy_runs(from, step, out.mutable_data(), run, all.outer, run);
      from += run;
      c.set_output(i, std::move(out));
    }
    return {};
  }

 private:
  size_t axis_;
  Shape sizes_;
};

// Slices with constant bounds: what they come to is worked out once for each shape.
class SliceKernel final : public Kernel {
 public:
  using Read = Result<mil_ops::Sliced> (*)(const mil::EvalContext&, const Tensor&);
  explicit SliceKernel(Read read) : read_(read) {}

  Status run(KernelContext& c) override {
    const Tensor& x = c.tensor("x");
    if (!known_ || x.shape != shape_) {
      known_ = false;
      TRY(slice_, read_(c, x));
      dense_ = {0, mil_ops::dense_strides(slice_.shape)};
      shape_ = x.shape;
      known_ = true;
    }
    Tensor out = Tensor::make(x.dtype, slice_.squeezed);
    mil_ops::copy_strided(slice_.shape, byte_size(x.dtype, 1), x.data(), slice_.view, out.mutable_data(), dense_);
    c.set_output(0, std::move(out));
    return {};
  }

 private:
  Read read_;
  bool known_ = false;
  Shape shape_;
  mil_ops::Sliced slice_;
  mil_ops::View dense_;
};

std::unique_ptr<Kernel> make_slice(const Site& site, SliceKernel::Read read) {
  if (!has_whole_bytes(site.type("x").dtype())) return nullptr;
  for (const mil::Input& input : site.op.inputs)
    if (input.name != "x" && site.has(input.name) && !site.is_constant(input.name)) return nullptr;
  return std::make_unique<SliceKernel>(read);
}

std::unique_ptr<Kernel> make_slice_by_index(const Site& site) { return make_slice(site, mil_ops::slice_by_index_view); }
std::unique_ptr<Kernel> make_slice_by_size(const Site& site) { return make_slice(site, mil_ops::slice_by_size_view); }

std::unique_ptr<Kernel> make_transpose(const Site& site) {
  const int64_t rank = site.type("x").rank();
  if (!site.is_constant("perm") || !has_whole_bytes(site.type("x").dtype())) return nullptr;
  std::vector<size_t> perm;
  std::vector<bool> seen(static_cast<size_t>(rank), false);
  for (int64_t p : site.ints("perm")) {
    if (p < -rank || p >= rank) return nullptr;
    perm.push_back(static_cast<size_t>(p < 0 ? p + rank : p));
    if (seen[perm.back()]) return nullptr;
    seen[perm.back()] = true;
  }
  if (perm.size() != static_cast<size_t>(rank)) return nullptr;
  return std::make_unique<TransposeKernel>(std::move(perm));
}

std::unique_ptr<Kernel> make_concat(const Site& site) {
  const auto at = axis(site, "axis", site.type("values").rank());
  const auto interleave = number(site, "interleave");
  if (!at || !interleave || *interleave != 0 || !has_whole_bytes(site.type("values").dtype())) return nullptr;
  return std::make_unique<ConcatKernel>(*at);
}

std::unique_ptr<Kernel> make_split(const Site& site) {
  const auto at = axis(site, "axis", site.type("x").rank());
  if (!at || !has_whole_bytes(site.type("x").dtype())) return nullptr;
  if (!site.has("split_sizes")) return std::make_unique<SplitKernel>(*at, Shape());
  if (!site.is_constant("split_sizes")) return nullptr;
  Shape sizes = site.ints("split_sizes");
  for (int64_t s : sizes)
    if (s < 0) return nullptr;
  if (sizes.size() != site.result_types.size()) return nullptr;
  return std::make_unique<SplitKernel>(*at, std::move(sizes));
}

constexpr KernelRow kRows[] = {
    {"concat", make_concat}, {"slice_by_index", make_slice_by_index}, {"slice_by_size", make_slice_by_size},
    {"split", make_split},   {"transpose", make_transpose},
};

}  // namespace

constinit const std::span<const KernelRow> kMovement = kRows;

}  // namespace cortland::engine::kernels
