#include "executorch/pte_layout.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "base/result.h"

namespace cortland::executorch {
namespace {

constexpr uint64_t kSegmentAlignment = 128, kConstantAlignment = 16;

// Remembers the place of data that carries a key.
class Places {
 public:
  // The earlier place of the same bytes, or null; then note() follows.
  const uint64_t* find(const Data& data) const {
    const auto it = data.key.empty() ? places_.end() : places_.find(data.key);
    if (it == places_.end()) return nullptr;
    CHECK(it->second.size == data.bytes.size, "two sizes under the key " + data.key);
    return &it->second.place;
  }
  void note(const Data& data, uint64_t place) {
    if (!data.key.empty()) places_[data.key] = {place, data.bytes.size};
  }

 private:
  struct Entry {
    uint64_t place, size;
  };
  std::unordered_map<std::string_view, Entry> places_;
};

uint32_t add_segment(PteLayout& layout, uint64_t alignment) {
  layout.segments.push_back({layout.data_size, 0, std::max(alignment, kSegmentAlignment)});
  return static_cast<uint32_t>(layout.segments.size()) - 1;
}

// Puts `bytes` at the end of the last segment. Empty ones may not lie behind its end, so they are not aligned.
uint64_t add_piece(PteLayout& layout, const ByteSource& bytes, uint64_t alignment) {
  auto& segment = layout.segments.back();
  if (bytes.size == 0) return segment.size;
  if (segment.size == 0) {
    segment.offset = round_up(layout.data_size, segment.alignment);
    layout.alignment = std::max(layout.alignment, segment.alignment);
  }
  const uint64_t at = round_up(segment.size, alignment);
  layout.pieces.push_back({segment.offset + at, &bytes});
  segment.size = at + bytes.size;
  layout.data_size = segment.offset + segment.size;
  return at;
}

void add_buffers(PteLayout& layout, PteBuffers& buffers, const std::vector<Data>& stored, uint64_t alignment) {
  buffers.segment = add_segment(layout, 1);
  Places places;
  for (const auto& data : stored) {
    const auto* earlier = places.find(data);
    if (!earlier) {
      buffers.offsets.push_back(add_piece(layout, data.bytes, alignment));
      places.note(data, buffers.offsets.size() - 1);
    }
    buffers.number.push_back(static_cast<uint32_t>(earlier ? *earlier : buffers.offsets.size() - 1));
  }
}

uint32_t add_whole_segment(PteLayout& layout, Places& places, const Data& data) {
  if (const auto* earlier = places.find(data)) return static_cast<uint32_t>(*earlier);
  const uint32_t segment = add_segment(layout, data.alignment);
  add_piece(layout, data.bytes, 1);
  places.note(data, segment);
  return segment;
}

// The runtime takes a constant segment without bytes for a missing one, even when all constants are empty.
void avoid_empty_constant_segment(PteLayout& layout) {
  static constexpr std::array<std::byte, kConstantAlignment> kZeros{};
  static const ByteSource padding = viewed_bytes(kZeros);
  if (layout.constants.offsets.size() > 1 && layout.segments.back().size == 0) add_piece(layout, padding, 1);
}

}  // namespace

PteLayout lay_out(const PteProgram& program) {
  PteLayout layout;
  add_buffers(layout, layout.constants, program.constants, kConstantAlignment);
  avoid_empty_constant_segment(layout);
  if (!program.initial_values.empty()) add_buffers(layout, layout.initial_values, program.initial_values, 1);

  Places blobs, named;
  for (const auto& blob : program.blobs)
    layout.blob_segments.push_back(blob.bytes.size == 0 ? -1 : int64_t{add_whole_segment(layout, blobs, blob)});
  for (const auto& [name, data] : program.named_data)
    layout.named_segments.push_back(add_whole_segment(layout, named, data));
  return layout;
}

}  // namespace cortland::executorch
