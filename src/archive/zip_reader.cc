#include "archive/zip_reader.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <numeric>

#include "archive/little_endian.h"
#include "archive/printable.h"

namespace cortland::archive {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr uint64_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr uint32_t kFull32 = 0xffffffff;
constexpr uint16_t kFull16 = 0xffff;
constexpr uint64_t kMaxComment = 0xffff;
constexpr uint64_t kMaxEntries = 1'000'000;
// Encrypted, patch data, strong encryption, masked headers.
constexpr uint16_t kRefusedFlags = 1 << 0 | 1 << 5 | 1 << 6 | 1 << 13;
// DEFLATE cannot do better than 1032:1. Text and weights stay below 200:1, except for runs of zeros, which may be short.
constexpr uint64_t kDeflateLimit = 1032, kMaxRatio = 200, kFreeSize = uint64_t{64} << 20;

bool fits(uint64_t offset, uint64_t count, uint64_t size) { return offset <= size && count <= size - offset; }

std::string fold_case(std::string_view name) {
  std::string folded(name);
  for (char& c : folded)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return folded;
}

uint32_t crc_of(Bytes bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace

// Reads and checks the directory once; ZipReader keeps the outcome.
class ZipDirectory {
 public:
  ZipDirectory(ZipReader& reader, ZipOptions options) : reader_(reader), bytes_(reader.file_->bytes()), options_(options) {}

  Status read() {
    TRY_DO(find_end());
    TRY_DO(read_end64());
    TRY_DO(check_extent());
    TRY_DO(read_entries());
    TRY_DO(check_overlap());
    return index_names();
  }

 private:
  Diagnostic bad(std::string_view what) const {
    return diag(DiagKind::BadArchive, fmt::format("'{}' is not a readable zip archive: {}", reader_.name(), what));
  }
  template <class T>
  T at(uint64_t offset) const {
    return load_le<T>(bytes_, offset);
  }

  // The end record is the one whose comment reaches exactly to the end of the file. Two of them would let two readers see
  // two different archives.
  Status find_end() {
    if (bytes_.size() < kEndSize) return bad("it is too short");
    const uint64_t last = bytes_.size() - kEndSize;
    const uint64_t first = last > kMaxComment ? last - kMaxComment : 0;
    int found = 0;
    for (uint64_t offset = last + 1; offset-- > first;) {
      if (at<uint32_t>(offset) != kEnd || at<uint16_t>(offset + 20) != last - offset) continue;
      end_ = offset;
      ++found;
    }
    if (found == 0) return bad("the end of the directory is missing, so the file may be truncated");
    if (found > 1) return bad("it has more than one end record");
    const auto disk = at<uint16_t>(end_ + 4), directory_disk = at<uint16_t>(end_ + 6);
    const auto count_here = at<uint16_t>(end_ + 8), count = at<uint16_t>(end_ + 10);
    if ((disk != 0 && disk != kFull16) || disk != directory_disk || count_here != count)
      return bad("it spans several disks");
    count_ = count;
    directory_size_ = at<uint32_t>(end_ + 12);
    directory_ = at<uint32_t>(end_ + 16);
    directory_end_ = end_;
    overflowed_ = disk == kFull16 || count == kFull16 || directory_size_ == kFull32 || directory_ == kFull32;
    return {};
  }

  Status read_end64() {
    if (end_ < kLocatorSize || at<uint32_t>(end_ - kLocatorSize) != kLocator64) {
      if (overflowed_ && at<uint16_t>(end_ + 4) == kFull16) return bad("it spans several disks");
      return {};  // 65535 entries fit a classic record; wrong sizes are caught by check_extent()
    }
    const uint64_t locator = end_ - kLocatorSize;
    const auto record = at<uint64_t>(locator + 8);
    if (at<uint32_t>(locator + 4) != 0 || at<uint32_t>(locator + 16) > 1) return bad("it spans several disks");
    if (!fits(record, kEnd64Size, locator) || at<uint32_t>(record) != kEnd64) return bad("its ZIP64 end record is damaged");
    if (at<uint64_t>(record + 4) != locator - record - 12) return bad("its ZIP64 end record has a wrong size");
    if (at<uint32_t>(record + 16) != 0 || at<uint32_t>(record + 20) != 0) return bad("it spans several disks");
    const auto count_here = at<uint64_t>(record + 24), count = at<uint64_t>(record + 32);
    const auto size = at<uint64_t>(record + 40), start = at<uint64_t>(record + 48);
    if (count_here != count) return bad("it spans several disks");
    // A classic field is either the same number or saturated.
    const bool agree = (count_ == kFull16 || count_ == count) && (directory_size_ == kFull32 || directory_size_ == size) &&
                       (directory_ == kFull32 || directory_ == start);
    if (!agree) return bad("its two end records disagree");
    count_ = count;
    directory_size_ = size;
    directory_ = start;
    directory_end_ = record;
    return {};
  }

  Status check_extent() {
    if (!fits(directory_, directory_size_, directory_end_) || directory_ + directory_size_ != directory_end_)
      return bad("the directory lies outside the file, or data was added around the archive");
    if (count_ > kMaxEntries) return bad(fmt::format("{} entries are more than the limit of {}", count_, kMaxEntries));
    if (count_ > directory_size_ / kCentralSize) return bad("the directory is too small for its number of entries");
    return {};
  }

  Status read_entries() {
    reader_.entries_.reserve(count_);
    starts_.reserve(count_);
    uint64_t position = directory_;
    for (uint64_t i = 0; i < count_; ++i) TRY_DO(read_entry(position));
    if (position != directory_end_) return bad("the directory holds more than its entries");
    return {};
  }

  Status read_entry(uint64_t& position) {
    if (!fits(position, kCentralSize, directory_end_) || at<uint32_t>(position) != kCentralHeader)
      return bad("a directory entry is damaged");
    const uint64_t name_size = at<uint16_t>(position + 28), extra_size = at<uint16_t>(position + 30);
    const uint64_t comment_size = at<uint16_t>(position + 32), variable = position + kCentralSize;
    if (!fits(variable, name_size + extra_size + comment_size, directory_end_)) return bad("a directory entry is cut off");
    ZipEntry entry;
    entry.name = as_text(bytes_.subspan(variable, name_size));
    if (entry.name.empty() || entry.name.find('\0') != std::string::npos)
      return bad(fmt::format("the entry name '{}' is not allowed", printable(entry.name)));
    const auto flags = at<uint16_t>(position + 8), method = at<uint16_t>(position + 10);
    if (flags & kRefusedFlags) return reader_.bad_entry(entry, "is encrypted or patched, which is not supported");
    if (method != 0 && method != Z_DEFLATED)
      return reader_.bad_entry(entry,
                               fmt::format("uses compression method {}; only stored and deflated are supported", method));
    entry.deflated = method == Z_DEFLATED;
    entry.crc = at<uint32_t>(position + 16);
    entry.packed_size = at<uint32_t>(position + 20);
    entry.size = at<uint32_t>(position + 24);
    uint64_t start = at<uint32_t>(position + 42);
    TRY_DO(read_extra64(bytes_.subspan(variable + name_size, extra_size), entry, start, at<uint16_t>(position + 34)));
    if (!entry.deflated && entry.size != entry.packed_size)
      return reader_.bad_entry(entry, "is stored with two different sizes");
    TRY_DO(read_local(entry, start, method));
    starts_.push_back(start);
    reader_.entries_.push_back(std::move(entry));
    position = variable + name_size + extra_size + comment_size;
    return {};
  }

  // The ZIP64 extra holds, in this order, only those fields that are saturated in the entry itself.
  Status read_extra64(Bytes extra, ZipEntry& entry, uint64_t& start, uint16_t disk) {
    Bytes fields;
    bool found = false;
    while (extra.size() >= 4) {
      const auto id = load_le<uint16_t>(extra);
      const uint64_t size = load_le<uint16_t>(extra, 2);
      if (size > extra.size() - 4) return reader_.bad_entry(entry, "has a damaged extra field");
      if (id == 1 && found) return reader_.bad_entry(entry, "has two ZIP64 fields");
      if (id == 1) fields = extra.subspan(4, size);
      found |= id == 1;
      extra = extra.subspan(4 + size);
    }
    for (uint64_t* value : {&entry.size, &entry.packed_size, &start}) {
      if (*value != kFull32) continue;
      if (fields.size() < 8) return reader_.bad_entry(entry, "lacks its ZIP64 sizes");
      *value = load_le<uint64_t>(fields);
      fields = fields.subspan(8);
    }
    if (disk != 0 && !(disk == kFull16 && fields.size() >= 4 && load_le<uint32_t>(fields) == 0))
      return reader_.bad_entry(entry, "is on another disk");
    return {};
  }

  // Sizes in a local header may be zero or postponed: only the directory's count.
  Status read_local(ZipEntry& entry, uint64_t start, uint16_t method) {
    if (!fits(start, kLocalSize, directory_) || at<uint32_t>(start) != kLocalHeader)
      return reader_.bad_entry(entry, "has no header where the directory says");
    const uint64_t name_size = at<uint16_t>(start + 26), extra_size = at<uint16_t>(start + 28);
    const uint64_t variable = start + kLocalSize;
    if (!fits(variable, name_size + extra_size, directory_)) return reader_.bad_entry(entry, "has a header that is cut off");
    if (at<uint16_t>(start + 8) != method || (at<uint16_t>(start + 6) & kRefusedFlags) != 0 ||
        as_text(bytes_.subspan(variable, name_size)) != entry.name)
      return reader_.bad_entry(entry, "has a header that disagrees with the directory");
    entry.offset = variable + name_size + extra_size;
    if (!fits(entry.offset, entry.packed_size, directory_))
      return reader_.bad_entry(entry, "reaches past the end of the data");
    return {};
  }

  Status check_overlap() {
    const auto& entries = reader_.entries_;
    std::vector<uint32_t> order(entries.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return starts_[a] < starts_[b]; });
    for (size_t i = 1; i < order.size(); ++i) {
      const auto& before = entries[order[i - 1]];
      if (before.offset + before.packed_size > starts_[order[i]])
        return reader_.bad_entry(entries[order[i]], fmt::format("overlaps '{}'", printable(before.name)));
    }
    return {};
  }

  Status index_names() {
    auto& entries = reader_.entries_;
    reader_.index_.reserve(entries.size());
    for (uint32_t i = 0; i < entries.size(); ++i)
      if (!reader_.index_.emplace(entries[i].name, i).second) return reader_.bad_entry(entries[i], "is there twice");
    if (!options_.refuse_names_equal_but_for_case) return {};
    std::unordered_map<std::string, uint32_t> folded;
    folded.reserve(entries.size());
    for (uint32_t i = 0; i < entries.size(); ++i)
      if (const auto [it, fresh] = folded.emplace(fold_case(entries[i].name), i); !fresh)
        return reader_.bad_entry(entries[i],
                                 fmt::format("differs from '{}' only in case", printable(entries[it->second].name)));
    return {};
  }

  ZipReader& reader_;
  Bytes bytes_;
  ZipOptions options_;
  uint64_t end_ = 0;  // of the classic end record
  uint64_t directory_ = 0, directory_size_ = 0, directory_end_ = 0, count_ = 0;
  bool overflowed_ = false;
  std::vector<uint64_t> starts_;  // of the local headers, by entry
};

Result<ZipReader> ZipReader::open(std::shared_ptr<const MappedFile> file, ZipOptions options) {
  ZipReader reader(std::move(file));
  TRY_DO(ZipDirectory(reader, options).read());
  return reader;
}

Diagnostic ZipReader::bad_entry(const ZipEntry& entry, std::string_view what) const {
  return diag(DiagKind::BadArchive, fmt::format("'{}': the entry '{}' {}", name(), printable(entry.name), what));
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &entries_[it->second];
}

Result<const ZipEntry*> ZipReader::require(std::string_view entry_name) const {
  const ZipEntry* entry = find(entry_name);
  if (!entry) return diag(DiagKind::BadArchive, fmt::format("'{}' has no entry '{}'", name(), printable(entry_name)));
  return entry;
}

Result<Bytes> ZipReader::view(const ZipEntry& entry) const {
  if (entry.deflated) return bad_entry(entry, "is compressed, so it cannot be used in place");
  return payload(entry);
}

Status ZipReader::verify(const ZipEntry& entry) const {
  TRY(const Bytes bytes, view(entry));
  if (crc_of(bytes) != entry.crc) return bad_entry(entry, "has a wrong checksum");
  return {};
}

namespace {

// Exactly `size` bytes out of all of `packed`, or false.
bool inflate_all(Bytes packed, std::string& out, uint64_t size) {
  constexpr uint64_t kStep = uint64_t{1} << 30;  // zlib counts in 32 bits
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  out.resize(size + 1);  // room for one byte too many, so that a longer stream is noticed
  uint64_t taken = 0, made = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    const auto in = static_cast<uInt>(std::min<uint64_t>(packed.size() - taken, kStep));
    const auto room = static_cast<uInt>(std::min<uint64_t>(out.size() - made, kStep));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + taken));
    stream.avail_in = in;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + made);
    stream.avail_out = room;
    state = inflate(&stream, Z_NO_FLUSH);
    taken += in - stream.avail_in;
    made += room - stream.avail_out;
  }
  inflateEnd(&stream);
  out.resize(size);
  return state == Z_STREAM_END && made == size && taken == packed.size();
}

}  // namespace

Result<std::string> ZipReader::read(const ZipEntry& entry, uint64_t max_size) const {
  if (entry.size > max_size)
    return bad_entry(entry, fmt::format("has {} bytes, more than the limit of {}", entry.size, max_size));
  std::string out;
  if (!entry.deflated) {
    out = as_text(payload(entry));
  } else {
    const bool possible = entry.size / kDeflateLimit <= entry.packed_size;
    const bool plausible = entry.size <= kFreeSize || entry.size / kMaxRatio <= entry.packed_size;
    if (!possible || !plausible)
      return bad_entry(entry, fmt::format("claims to unpack {} bytes into {}", entry.packed_size, entry.size));
    if (!inflate_all(payload(entry), out, entry.size)) return bad_entry(entry, "has damaged compressed data");
  }
  if (crc_of(as_bytes(out)) != entry.crc) return bad_entry(entry, "has a wrong checksum");
  return out;
}

Result<std::shared_ptr<const MappedFile>> ZipReader::open_entry(const ZipEntry& entry, uint64_t max_size) const {
  auto entry_name = fmt::format("{}:{}", name(), printable(entry.name));
  if (!entry.deflated) return MappedFile::from_memory(payload(entry), file_, std::move(entry_name));
  TRY(auto inflated, read(entry, max_size));
  return MappedFile::from_bytes(std::move(inflated), std::move(entry_name));
}

std::string_view ZipReader::common_prefix() const {
  if (entries_.empty()) return {};
  const std::string_view first = entries_[0].name;
  const size_t slash = first.find('/');
  if (slash == std::string_view::npos) return {};
  const auto prefix = first.substr(0, slash + 1);
  const bool shared =
      std::all_of(entries_.begin(), entries_.end(), [&](const ZipEntry& e) { return e.name.starts_with(prefix); });
  return shared ? prefix : std::string_view();
}

}  // namespace cortland::archive
