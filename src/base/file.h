// Reading and writing files. MappedFile is immutable and shared by all who view its bytes; OutputFile writes beside its
// destination and appears there only on commit(), so a failed command leaves nothing behind. It can also stand for a file
// that is memory of the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cortland {

using Bytes = std::span<const std::byte>;

inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

class MappedFile {
 public:
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);
  // A buffer that looks like a file (tests, archives inside archives).
  static std::shared_ptr<const MappedFile> from_bytes(std::string bytes, std::string name);
  // Memory owned by someone else, kept alive by `owner` (a torch storage, for instance).
  static std::shared_ptr<const MappedFile> from_memory(Bytes bytes, std::shared_ptr<const void> owner, std::string name);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Bytes bytes() const { return bytes_; }
  const std::string& name() const { return name_; }
  // Says that these bytes are not needed soon, so that they need not stay in memory. They can still be read. Of a file that is not large
  // they stay: to bring them back would cost more than the memory.
  void forget(Bytes part) const;

 private:
  MappedFile() = default;
  Bytes bytes_;
  std::string name_, owned_;
  std::shared_ptr<const void> owner_;
  bool mapped_ = false;
};

// A file under construction. Random-access writes are allowed from several threads at disjoint offsets.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::filesystem::path& destination);
  // Fills `memory`, which outlives the result; nothing can be written past its end. Bytes that nobody writes stay as they are.
  static OutputFile in_memory(std::span<std::byte> memory);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  // removes the temporary unless committed

  // Asks for the room of `size` bytes at once, which makes writing them faster, and fails before the work where there is not that much.
  Status reserve(uint64_t size);
  Status write_at(uint64_t offset, Bytes bytes);
  Status append(Bytes bytes);  // at size()
  uint64_t size() const { return size_; }
  Status commit();  // atomic rename over the destination

 private:
  OutputFile() = default;
  std::filesystem::path destination_, temporary_;
  std::span<std::byte> memory_;
  int fd_ = -1;  // none: in memory
  uint64_t size_ = 0;
};

Status write_file(const std::filesystem::path& path, Bytes bytes);

// A directory under construction (an .mlpackage): filled under path(), put in place of `destination` on commit().
class OutputDirectory {
 public:
  static Result<OutputDirectory> create(const std::filesystem::path& destination);
  OutputDirectory(OutputDirectory&& other) noexcept;
  OutputDirectory& operator=(OutputDirectory&&) = delete;
  ~OutputDirectory();

  const std::filesystem::path& path() const { return temporary_; }
  Status commit();

 private:
  OutputDirectory() = default;
  std::filesystem::path destination_, temporary_;
};

}  // namespace cortland
