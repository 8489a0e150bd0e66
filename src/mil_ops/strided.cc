#include "mil_ops/strided.h"

#include <cstring>

#include "base/result.h"

namespace cortland::mil_ops {

Sizes dense_strides(const Sizes& shape) {
  Sizes strides(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

Sizes broadcast_strides(const Sizes& shape, const Sizes& out) {
  CHECK(shape.size() <= out.size());
  const Sizes dense = dense_strides(shape);
  const size_t lead = out.size() - shape.size();
  Sizes strides(out.size(), 0);
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1) strides[lead + i] = dense[i];
  return strides;
}

StridedWalk::StridedWalk(const Sizes& shape, const std::vector<Sizes>& strides)
    : offsets_(strides.size(), 0), strides_(strides.size()) {
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 0) done_ = true;
    if (shape[axis] == 1) continue;
    bool merge = !shape_.empty();
    for (size_t k = 0; k < strides.size() && merge; ++k) merge = strides_[k].back() == strides[k][axis] * shape[axis];
    if (merge)
      shape_.back() *= shape[axis];
    else
      shape_.push_back(shape[axis]);
    for (size_t k = 0; k < strides.size(); ++k) {
      if (merge)
        strides_[k].back() = strides[k][axis];
      else
        strides_[k].push_back(strides[k][axis]);
    }
  }
  if (shape_.empty()) {
    shape_ = {1};
    for (auto& s : strides_) s = {1};
  }
  index_.assign(shape_.size(), 0);
}

void StridedWalk::next() {
  for (size_t axis = shape_.size() - 1; axis-- > 0;) {
    for (size_t k = 0; k < offsets_.size(); ++k) offsets_[k] += strides_[k][axis];
    if (++index_[axis] < shape_[axis]) return;
    for (size_t k = 0; k < offsets_.size(); ++k) offsets_[k] -= strides_[k][axis] * shape_[axis];
    index_[axis] = 0;
  }
  done_ = true;
}

namespace {

template <class T>
void copy_rows(StridedWalk& walk, const T* from, T* to) {
  for (; !walk.done(); walk.next()) {
    const T* source = from + walk.at(0);
    T* target = to + walk.at(1);
    const int64_t n = walk.length(), read = walk.step(0), write = walk.step(1);
    if (read == 1 && write == 1) {
      std::memcpy(target, source, static_cast<size_t>(n) * sizeof(T));
    } else {
      for (int64_t i = 0; i < n; ++i) target[i * write] = source[i * read];
    }
  }
}

}  // namespace

void copy_strided(const Sizes& shape, int64_t element_bytes, const std::byte* from, const View& source, std::byte* to,
                  const View& target) {
  StridedWalk walk(shape, {source.strides, target.strides});
  if (walk.done()) return;
  from += source.offset * element_bytes;
  to += target.offset * element_bytes;
  switch (element_bytes) {
    case 1:
      return copy_rows(walk, reinterpret_cast<const uint8_t*>(from), reinterpret_cast<uint8_t*>(to));
    case 2:
      return copy_rows(walk, reinterpret_cast<const uint16_t*>(from), reinterpret_cast<uint16_t*>(to));
    case 4:
      return copy_rows(walk, reinterpret_cast<const uint32_t*>(from), reinterpret_cast<uint32_t*>(to));
    case 8:
      return copy_rows(walk, reinterpret_cast<const uint64_t*>(from), reinterpret_cast<uint64_t*>(to));
    default:
      CHECK(false, "elements of whole bytes only");
  }
}

}  // namespace cortland::mil_ops
