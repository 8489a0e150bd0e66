// ZipWriter: an archive of stored entries, written to its destination in one pass. The same entries give the same bytes:
// no timestamps. Not synchronised. Nothing appears at the destination before finish().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace cortland::archive {

class ZipWriter {
 public:
  static Result<ZipWriter> create(const std::filesystem::path& destination);

  // One entry: begin() with its exact size, write() until that many bytes are there, end().
  Status begin(std::string_view name, uint64_t size);
  Status write(Bytes bytes);
  Status end();
  // The three at once.
  Status add(std::string_view name, Bytes bytes);
  Status finish();  // writes the directory and commits the file

 private:
  struct Entry {
    std::string name;
    uint64_t offset = 0, size = 0, written = 0;
    uint32_t crc = 0;
  };

  ZipWriter(OutputFile file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  OutputFile file_;
  std::string name_;
  std::vector<Entry> entries_;
  bool open_ = false;  // the last entry still takes bytes
};

}  // namespace cortland::archive
