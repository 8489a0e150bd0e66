// ZipReader: the directory of a zip archive that is mapped in memory. Opening checks every header, so an entry found later
// has a payload inside the file that overlaps no other. Keeps the file alive; movable, immutable, usable from many threads.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"

namespace cortland::archive {

struct ZipEntry {
  std::string name;
  uint64_t offset = 0;       // of the payload, from the start of the archive
  uint64_t packed_size = 0;  // bytes in the archive
  uint64_t size = 0;         // bytes once inflated; equal to packed_size when stored
  uint32_t crc = 0;
  bool deflated = false;
};

struct ZipOptions {
  // torch finds names without regard to case, so two that differ only in case would hide one another. numpy does not.
  bool refuse_names_equal_but_for_case = true;
};

class ZipReader {
 public:
  static Result<ZipReader> open(std::shared_ptr<const MappedFile> file, ZipOptions options = {});
  ZipReader(ZipReader&&) noexcept = default;
  ZipReader& operator=(ZipReader&&) noexcept = default;

  const std::string& name() const { return file_->name(); }
  std::span<const ZipEntry> entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;  // null when absent; case matters
  Result<const ZipEntry*> require(std::string_view name) const;

  // Payload of a stored entry, in place. Valid while this reader or its file lives. The CRC is not looked at.
  Result<Bytes> view(const ZipEntry& entry) const;
  // Any entry, copied or inflated, with its CRC verified.
  Result<std::string> read(const ZipEntry& entry, uint64_t max_size) const;
  // Any entry as a file of its own: a view that keeps the archive alive when stored, inflated as by read() otherwise.
  Result<std::shared_ptr<const MappedFile>> open_entry(const ZipEntry& entry, uint64_t max_size) const;
  // CRC of a stored payload, for those who read it through view().
  Status verify(const ZipEntry& entry) const;

  // "name/" when every entry starts with the same folder, as in a PT2 archive; else empty.
  std::string_view common_prefix() const;

 private:
  friend class ZipDirectory;
  explicit ZipReader(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {}
  Bytes payload(const ZipEntry& entry) const { return file_->bytes().subspan(entry.offset, entry.packed_size); }
  Diagnostic bad_entry(const ZipEntry& entry, std::string_view what) const;

  std::shared_ptr<const MappedFile> file_;
  std::vector<ZipEntry> entries_;                         // in the order of the directory
  std::unordered_map<std::string_view, uint32_t> index_;  // keys view entries_[i].name
};

}  // namespace cortland::archive
