#include "executorch/byte_source.h"

namespace cortland::executorch {

Status ByteSource::write_to(OutputFile& out, uint64_t offset) const {
  if (write) return write(out, offset);
  return out.write_at(offset, memory);
}

ByteSource owned_bytes(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  return viewed_bytes(as_bytes(*owner), owner);
}

ByteSource viewed_bytes(Bytes bytes, std::shared_ptr<const void> owner) {
  return ByteSource{bytes.size(), bytes, std::move(owner), {}};
}

ByteSource streamed_bytes(uint64_t size, std::function<Status(OutputFile&, uint64_t)> write) {
  return ByteSource{size, {}, {}, std::move(write)};
}

Result<std::string> read_all(const ByteSource& source) {
  std::string bytes(source.size, '\0');
  auto memory = OutputFile::in_memory(std::as_writable_bytes(std::span(bytes)));
  TRY_DO(source.write_to(memory, 0));
  return bytes;
}

}  // namespace cortland::executorch
