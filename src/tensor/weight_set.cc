#include "tensor/weight_set.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace cortland {
namespace {

constexpr int64_t kStartElements = 256, kTileBytes = int64_t{1} << 18;

bool same_contents(const Weight& a, const Weight& b) {
  const auto done = [&](bool same) {
    a.forget(0, a.elements());
    b.forget(0, b.elements());
    return same;
  };
  std::string buffer_a, buffer_b;
  const int64_t step = tile_elements(a.dtype());
  for (int64_t first = 0; first < a.elements(); first += step) {
    const int64_t count = std::min(step, a.elements() - first);
    const bool same = as_text(element_bytes(a, first, count, buffer_a)) == as_text(element_bytes(b, first, count, buffer_b));
    a.forget(first, count);
    b.forget(first, count);
    if (!same) return done(false);
  }
  return done(true);
}

}  // namespace

int64_t tile_elements(DType dtype) { return kTileBytes * 8 / bit_width(dtype) / 8 * 8; }

Bytes element_bytes(const Weight& weight, int64_t first, int64_t count, std::string& buffer) {
  const auto size = static_cast<size_t>(byte_size(weight.dtype(), count));
  const Bytes direct = weight.dense_bytes();
  if (!direct.empty()) return direct.subspan(static_cast<size_t>(byte_size(weight.dtype(), first)), size);
  buffer.resize(size);
  weight.read(first, count, reinterpret_cast<std::byte*>(buffer.data()));
  return as_bytes(buffer);
}

size_t WeightSet::add(const Weight& weight) {
  const auto [known, inserted] = known_.try_emplace(weight.key(), Known{weights_.size(), weight});
  if (!inserted) return known->second.index;
  std::string buffer;
  std::string start(as_text(element_bytes(weight, 0, std::min(weight.elements(), kStartElements), buffer)));
  weight.forget(0, weight.elements());  // of a turned weight, its first elements lie all over it
  start += fmt::format("{}[{}]", static_cast<int>(weight.dtype()), fmt::join(weight.shape(), ","));
  std::vector<size_t>& alike = by_start_[start];
  const auto same = std::ranges::find_if(alike, [&](size_t i) { return same_contents(weights_[i], weight); });
  if (same != alike.end()) return known->second.index = *same;
  alike.push_back(weights_.size());
  weights_.push_back(weight);
  return known->second.index;
}

}  // namespace cortland
