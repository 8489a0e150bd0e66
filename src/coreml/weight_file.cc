#include "coreml/weight_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "coreml/data_type.h"

namespace cortland::coreml {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint32_t kVersion = 2, kSentinel = 0xDEADBEEF;
constexpr int64_t kTileBytes = int64_t{1} << 20;
constexpr int64_t kStartElements = 256;

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

uint64_t aligned(uint64_t at) { return (at + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
Bytes bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

// Bytes of a run of elements: in place where they lie dense, else produced into `buffer`.
Bytes tile_bytes(const Weight& weight, int64_t first, int64_t count, std::string& buffer) {
  const auto size = static_cast<size_t>(byte_size(weight.dtype(), count));
  const Bytes direct = weight.dense_bytes();
  if (!direct.empty()) return direct.subspan(static_cast<size_t>(byte_size(weight.dtype(), first)), size);
  buffer.resize(size);
  weight.read(first, count, reinterpret_cast<std::byte*>(buffer.data()));
  return as_bytes(buffer);
}

}  // namespace

uint64_t WeightPlan::add(const Weight& weight) {
  CHECK(data_type(weight.dtype()).blob != 0);
  const auto [known, inserted] = known_.try_emplace(weight.key(), Known{0, weight});
  if (!inserted) return known->second.record;
  std::string start, buffer;
  start = as_text(tile_bytes(weight, 0, std::min(weight.elements(), kStartElements), buffer));
  start += fmt::format("{}[{}]", static_cast<int>(weight.dtype()), fmt::join(weight.shape(), ","));
  std::vector<size_t>& alike = by_start_[start];
  for (size_t i : alike)
    if (same_contents(blobs_[i].weight, weight)) return known->second.record = blobs_[i].record;
  const uint64_t record = aligned(end_);
  alike.push_back(blobs_.size());
  blobs_.push_back({weight, record, record - end_});
  end_ = record + sizeof(Record) + weight.byte_size();
  return known->second.record = record;
}

std::vector<WeightPlan::Tile> WeightPlan::tiles_of(const Weight& weight, size_t blob) {
  std::vector<Tile> tiles;
  const int64_t step = kTileBytes * 8 / bit_width(weight.dtype()) / 8 * 8;  // packed types start tiles at whole bytes
  for (int64_t first = 0; first < weight.elements(); first += step)
    tiles.push_back({blob, first, std::min(step, weight.elements() - first)});
  return tiles;
}

bool WeightPlan::same_contents(const Weight& a, const Weight& b) {
  std::string buffer_a, buffer_b;
  for (const Tile& tile : tiles_of(a, 0)) {
    const Bytes x = tile_bytes(a, tile.first, tile.count, buffer_a), y = tile_bytes(b, tile.first, tile.count, buffer_b);
    if (as_text(x) != as_text(y)) return false;
  }
  return true;
}

std::vector<WeightPlan::Tile> WeightPlan::tiles() const {
  std::vector<Tile> tiles;
  for (size_t i = 0; i < blobs_.size(); ++i)
    for (const Tile& tile : tiles_of(blobs_[i].weight, i)) tiles.push_back(tile);
  return tiles;
}

Status WeightPlan::write_records(OutputFile& out, uint64_t at) const {
  TRY_DO(out.write_at(at, bytes_of(Header{.count = static_cast<uint32_t>(blobs_.size())})));
  for (const Blob& blob : blobs_) {
    const uint64_t bits =
        static_cast<uint64_t>(blob.weight.elements()) * static_cast<uint64_t>(bit_width(blob.weight.dtype()));
    const Record record{.dtype = data_type(blob.weight.dtype()).blob,
                        .bytes = blob.weight.byte_size(),
                        .data_offset = blob.record + sizeof(Record),
                        .padding_bits = (8 - bits % 8) % 8};
    std::byte bytes[2 * kAlignment] = {};
    std::memcpy(bytes + blob.gap, &record, sizeof record);
    TRY_DO(out.write_at(at + blob.record - blob.gap, Bytes(bytes, blob.gap + sizeof record)));
  }
  return {};
}

Status WeightPlan::write(OutputFile& out, uint64_t at) const {
  if (blobs_.empty()) return {};
  TRY_DO(write_records(out, at));
  const std::vector<Tile> work = tiles();
  return for_each_parallel(work.size(), [&](size_t i) -> Status {
    const Tile& tile = work[i];
    const Blob& blob = blobs_[tile.blob];
    std::string buffer;
    const Bytes bytes = tile_bytes(blob.weight, tile.first, tile.count, buffer);
    const auto skipped = static_cast<uint64_t>(byte_size(blob.weight.dtype(), tile.first));
    TRY_DO(out.write_at(at + blob.record + sizeof(Record) + skipped, bytes));
    blob.weight.forget(tile.first, tile.count);
    return {};
  });
}

Status WeightPlan::fingerprint(ContentHash& hash) const {
  const std::vector<Tile> work = tiles();
  std::vector<uint64_t> words(work.size());
  TRY_DO(for_each_parallel(work.size(), [&](size_t i) -> Status {
    std::string buffer;
    ContentHash tile_hash;
    tile_hash.add(tile_bytes(blobs_[work[i].blob].weight, work[i].first, work[i].count, buffer));
    words[i] = tile_hash.word();
    blobs_[work[i].blob].weight.forget(work[i].first, work[i].count);
    return {};
  }));
  for (uint64_t word : words) hash.add(word);
  return {};
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
