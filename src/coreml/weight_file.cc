#include "coreml/weight_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "base/parallel.h"
#include "coreml/data_type.h"

namespace cortland::coreml {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kForgottenWhole = uint64_t{4} << 20;  // each time memory is let go of, all processors stop
constexpr uint64_t kRunBytes = uint64_t{1} << 19;  // stays in the second cache with what it is made of
constexpr uint32_t kVersion = 2, kSentinel = 0xDEADBEEF;

struct Header {
  uint32_t count = 0, version = kVersion;
  uint64_t reserved[7] = {};
};
static_assert(sizeof(Header) == kAlignment);

struct Record {
  uint32_t sentinel = kSentinel, dtype = 0;
  uint64_t bytes = 0, data_offset = 0, padding_bits = 0;
  uint64_t reserved[4] = {};
};
static_assert(sizeof(Record) == kAlignment);

// Memory that is neither cleared nor kept when it grows.
class Scratch {
 public:
  std::byte* of_at_least(uint64_t bytes) {
    if (bytes > size_) memory_ = std::make_unique_for_overwrite<std::byte[]>(size_ = bytes);
    return memory_.get();
  }

 private:
  std::unique_ptr<std::byte[]> memory_;
  uint64_t size_ = 0;
};

uint64_t aligned(uint64_t at) { return (at + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

uint64_t WeightPlan::add(const Weight& weight) {
  CHECK(data_type(weight.dtype()).blob != 0);
  const size_t i = weights_.add(weight);
  if (i < blobs_.size()) return blobs_[i].record;
  const uint64_t record = aligned(end_);
  blobs_.push_back({record, record - end_});
  end_ = record + sizeof(Record) + weight.byte_size();
  return record;
}

std::vector<WeightPlan::Tile> WeightPlan::tiles() const {
  std::vector<Tile> tiles;
  for (size_t i = 0; i < weights_.size(); ++i) {
    const int64_t step = tile_elements(weights_[i].dtype()), end = weights_[i].elements();
    for (int64_t first = 0; first == 0 || first < end; first += step) tiles.push_back({i, first, std::min(step, end - first)});
  }
  return tiles;
}

std::vector<WeightPlan::Run> WeightPlan::runs(const std::vector<Tile>& tiles) const {
  std::vector<Run> runs;
  for (size_t i = 0; i < tiles.size(); ++i) {
    const uint64_t end = i + 1 < tiles.size() ? begin_of(tiles[i + 1]) : end_;
    if (runs.empty() || end - runs.back().begin > kRunBytes) runs.push_back({i, i, begin_of(tiles[i]), end});
    runs.back().last = i + 1;
    runs.back().end = end;
  }
  return runs;
}

uint64_t WeightPlan::place_of(const Tile& tile) const {
  return blobs_[tile.blob].record + sizeof(Record) + static_cast<uint64_t>(byte_size(weights_[tile.blob].dtype(), tile.first));
}

uint64_t WeightPlan::begin_of(const Tile& tile) const {
  if (tile.first > 0) return place_of(tile);
  return tile.blob == 0 ? 0 : blobs_[tile.blob].record - blobs_[tile.blob].gap;
}

void WeightPlan::put_record(size_t blob, std::byte* before, std::byte* elements) const {
  const Weight& weight = weights_[blob];
  const uint64_t bits = static_cast<uint64_t>(weight.elements()) * static_cast<uint64_t>(bit_width(weight.dtype()));
  const Record record{.dtype = data_type(weight.dtype()).blob,
                      .bytes = weight.byte_size(),
                      .data_offset = blobs_[blob].record + sizeof(Record),
                      .padding_bits = (8 - bits % 8) % 8};
  std::memset(before, 0, static_cast<size_t>(elements - before));
  std::memcpy(elements - sizeof record, &record, sizeof record);
  const Header header{.count = static_cast<uint32_t>(blobs_.size())};
  if (blob == 0) std::memcpy(before, &header, sizeof header);
}

Status WeightPlan::for_each_run(ContentHash* hash, const RunWork& work) const {
  const std::vector<Tile> all = tiles();
  const std::vector<Run> parts = runs(all);
  std::vector<uint64_t> words(hash ? all.size() : 0);
  std::vector<std::atomic<int64_t>> left(weights_.size());  // elements of each weight
  for (size_t i = 0; i < left.size(); ++i) left[i] = weights_[i].elements();
  uint64_t longest = 0;
  for (const Run& run : parts) longest = std::max(longest, run.end - run.begin);
  TRY_DO(for_each_parallel(parts.size(), [&](size_t part) -> Status {
    thread_local Scratch scratch;
    const Run& run = parts[part];
    std::byte* const bytes = scratch.of_at_least(longest);
    for (size_t i = run.first; i < run.last; ++i) {
      const Tile& tile = all[i];
      std::byte* const elements = bytes + (place_of(tile) - run.begin);
      if (tile.first == 0) put_record(tile.blob, bytes + (begin_of(tile) - run.begin), elements);
      const Weight& weight = weights_[tile.blob];
      weight.read(tile.first, tile.count, elements);
      if (!hash) continue;
      ContentHash tile_hash;
      tile_hash.add(Bytes(elements, static_cast<size_t>(byte_size(weight.dtype(), tile.count))));
      words[i] = tile_hash.word();
    }
    TRY_DO(work(run.begin, Bytes(bytes, run.end - run.begin)));
    for (size_t i = run.first; i < run.last; ++i) {
      const Tile& tile = all[i];
      const Weight& weight = weights_[tile.blob];
      if (weight.byte_size() > kForgottenWhole) weight.forget(tile.first, tile.count);
      // What tiles bring in together, only the last of them can let go of.
      if ((left[tile.blob] -= tile.count) == 0) weight.forget(0, weight.elements());
    }
    return {};
  }));
  for (uint64_t word : words) hash->add(word);
  return {};
}

Status WeightPlan::write(OutputFile& out, uint64_t at, ContentHash* hash) const {
  return for_each_run(hash, [&](uint64_t begin, Bytes bytes) { return out.write_at(at + begin, bytes); });
}

Status WeightPlan::fingerprint(ContentHash& hash) const {
  return for_each_run(&hash, [](uint64_t, Bytes) { return Status(); });
}

Result<WeightFile> WeightFile::open(std::shared_ptr<const MappedFile> file) {
  const Bytes bytes = file->bytes();
  Header header;
  if (bytes.size() < sizeof header)
    return diag(DiagKind::BadPackage, fmt::format("'{}' is too short for a weight file", file->name()));
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.version != kVersion)
    return diag(DiagKind::BadPackage,
                fmt::format("'{}' is of weight file version {}; only {} is known", file->name(), header.version, kVersion));
  return WeightFile(std::move(file));
}

Result<Weight> WeightFile::blob(uint64_t offset, DType dtype, const std::vector<int64_t>& shape) const {
  auto bad = [&](std::string why) {
    return diag(DiagKind::BadPackage, fmt::format("'{}': the blob at {} {}", file_->name(), offset, why));
  };
  const Bytes bytes = file_->bytes();
  if (offset > bytes.size() || bytes.size() - offset < sizeof(Record)) return bad("lies outside the file");
  Record record;
  std::memcpy(&record, bytes.data() + offset, sizeof record);
  if (record.sentinel != kSentinel) return bad("does not begin with its mark");
  if (record.dtype == 0 || record.dtype != data_type(dtype).blob)
    return bad(fmt::format("has element type {}, but the program says {}", record.dtype, mil_name(dtype)));
  if (record.data_offset > bytes.size() || record.bytes > bytes.size() - record.data_offset)
    return bad("reaches past the end of the file");
  if (record.padding_bits > 7) return bad("has more than 7 padding bits");
  __int128 bits = bit_width(dtype);
  for (int64_t d : shape)
    if (bits *= d; bits > static_cast<__int128>(record.bytes) * 8) break;
  if (bits == 0 || bits != static_cast<__int128>(record.bytes) * 8 - static_cast<__int128>(record.padding_bits))
    return bad(
        fmt::format("has {} bytes, which is not a tensor {}[{}]", record.bytes, mil_name(dtype), fmt::join(shape, ", ")));
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  return Weight::view(file_, record.data_offset, record.bytes, dtype, shape, std::move(strides));
}

}  // namespace cortland::coreml
