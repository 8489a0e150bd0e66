#include "archive/zip_writer.h"

#include <fmt/format.h>
#include <zlib.h>

#include "archive/little_endian.h"
#include "archive/printable.h"

namespace cortland::archive {
namespace {

constexpr uint32_t kFull32 = 0xffffffff;
constexpr uint16_t kFull16 = 0xffff;
constexpr uint16_t kPlainVersion = 20, kZip64Version = 45, kUtf8Names = 1 << 11;
constexpr uint16_t kFirstDate = 1 << 5 | 1;  // 1 January 1980
constexpr uint64_t kLocalCrcOffset = 14;

uint32_t saturate(uint64_t value) { return value < kFull32 ? static_cast<uint32_t>(value) : kFull32; }

// What the local header and the directory have in common: from "version needed" to the length of the name.
void append_common(std::string& out, uint16_t version, uint32_t crc, uint64_t size, size_t name_size) {
  append_le<uint16_t>(out, version);
  append_le<uint16_t>(out, kUtf8Names);
  append_le<uint16_t>(out, 0);  // stored
  append_le<uint16_t>(out, 0);
  append_le<uint16_t>(out, kFirstDate);
  append_le<uint32_t>(out, crc);
  append_le<uint32_t>(out, saturate(size));
  append_le<uint32_t>(out, saturate(size));
  append_le<uint16_t>(out, static_cast<uint16_t>(name_size));
}

void append_extra64(std::string& out, std::initializer_list<uint64_t> values) {
  append_le<uint16_t>(out, 1);
  append_le<uint16_t>(out, static_cast<uint16_t>(values.size() * 8));
  for (const uint64_t value : values) append_le<uint64_t>(out, value);
}

}  // namespace

Result<ZipWriter> ZipWriter::create(const std::filesystem::path& destination) {
  TRY(auto file, OutputFile::create(destination));
  return ZipWriter(std::move(file), destination.string());
}

Status ZipWriter::begin(std::string_view name, uint64_t size) {
  CHECK(!open_, "the last entry is not ended");
  if (name.empty() || name.size() > kFull16)
    return diag(DiagKind::BadArchive, fmt::format("'{}': '{}' cannot name an entry", name_, printable(name)));
  Entry entry{.name = std::string(name), .offset = file_.size(), .size = size};
  const bool zip64 = size >= kFull32;
  std::string header;
  append_le<uint32_t>(header, 0x04034b50);
  append_common(header, zip64 ? kZip64Version : kPlainVersion, 0, size, name.size());
  append_le<uint16_t>(header, zip64 ? 20 : 0);
  header += name;
  if (zip64) append_extra64(header, {size, size});
  TRY_DO(file_.append(as_bytes(header)));
  entries_.push_back(std::move(entry));
  open_ = true;
  return {};
}

Status ZipWriter::write(Bytes bytes) {
  CHECK(open_, "no entry is begun");
  Entry& entry = entries_.back();
  CHECK(bytes.size() <= entry.size - entry.written, "more bytes than begin() announced");
  entry.crc = static_cast<uint32_t>(crc32_z(entry.crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  entry.written += bytes.size();
  return file_.append(bytes);
}

Status ZipWriter::end() {
  CHECK(open_ && entries_.back().written == entries_.back().size, "fewer bytes than begin() announced");
  open_ = false;
  std::string crc;
  append_le<uint32_t>(crc, entries_.back().crc);
  return file_.write_at(entries_.back().offset + kLocalCrcOffset, as_bytes(crc));
}

Status ZipWriter::add(std::string_view name, Bytes bytes) {
  TRY_DO(begin(name, bytes.size()));
  TRY_DO(write(bytes));
  return end();
}

Status ZipWriter::finish() {
  CHECK(!open_, "the last entry is not ended");
  std::string tail;
  const uint64_t start = file_.size();
  for (const Entry& entry : entries_) {
    const bool large = entry.size >= kFull32, far = entry.offset >= kFull32;
    const uint16_t version = large || far ? kZip64Version : kPlainVersion;
    append_le<uint32_t>(tail, 0x02014b50);
    append_le<uint16_t>(tail, version);
    append_common(tail, version, entry.crc, entry.size, entry.name.size());
    append_le<uint16_t>(tail, static_cast<uint16_t>(large || far ? 4 + 16 * large + 8 * far : 0));
    append_le<uint16_t>(tail, 0);  // comment
    append_le<uint16_t>(tail, 0);  // disk
    append_le<uint16_t>(tail, 0);  // internal attributes
    append_le<uint32_t>(tail, 0);  // external attributes
    append_le<uint32_t>(tail, saturate(entry.offset));
    tail += entry.name;
    if (large && far)
      append_extra64(tail, {entry.size, entry.size, entry.offset});
    else if (large)
      append_extra64(tail, {entry.size, entry.size});
    else if (far)
      append_extra64(tail, {entry.offset});
  }
  const uint64_t size = tail.size(), count = entries_.size();
  if (count >= kFull16 || start >= kFull32 || size >= kFull32) {
    append_le<uint32_t>(tail, 0x06064b50);
    append_le<uint64_t>(tail, 44);  // what follows in this record
    append_le<uint16_t>(tail, kZip64Version);
    append_le<uint16_t>(tail, kZip64Version);
    append_le<uint64_t>(tail, 0);  // disks
    for (const uint64_t value : {count, count, size, start}) append_le<uint64_t>(tail, value);
    append_le<uint32_t>(tail, 0x07064b50);
    append_le<uint32_t>(tail, 0);
    append_le<uint64_t>(tail, start + size);
    append_le<uint32_t>(tail, 1);
  }
  const auto short_count = static_cast<uint16_t>(count < kFull16 ? count : kFull16);
  append_le<uint32_t>(tail, 0x06054b50);
  append_le<uint32_t>(tail, 0);  // disks
  append_le<uint16_t>(tail, short_count);
  append_le<uint16_t>(tail, short_count);
  append_le<uint32_t>(tail, saturate(size));
  append_le<uint32_t>(tail, saturate(start));
  append_le<uint16_t>(tail, 0);  // comment
  TRY_DO(file_.append(as_bytes(tail)));
  return file_.commit();
}

}  // namespace cortland::archive
