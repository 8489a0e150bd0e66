// ByteSource: bytes whose size is known now and whose content is produced when the file is written, so a weight file of
// several gigabytes is never held in memory. A plain value; copies share what they view. Writing from two threads is as
// safe as the `write` function it holds.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/file.h"

namespace cortland::executorch {

struct ByteSource {
  uint64_t size = 0;
  Bytes memory;                       // the content, when it is already in memory; then `write` is empty
  std::shared_ptr<const void> owner;  // keeps `memory` alive; may be empty when someone else does
  std::function<Status(OutputFile& out, uint64_t offset)> write;  // puts exactly `size` bytes at `offset`

  bool in_memory() const { return !write; }
  Status write_to(OutputFile& out, uint64_t offset) const;
};

ByteSource owned_bytes(std::string bytes);
ByteSource viewed_bytes(Bytes bytes, std::shared_ptr<const void> owner = {});
ByteSource streamed_bytes(uint64_t size, std::function<Status(OutputFile&, uint64_t)> write);

// A source as one string.
Result<std::string> read_all(const ByteSource& source);

inline constexpr uint64_t round_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace cortland::executorch
