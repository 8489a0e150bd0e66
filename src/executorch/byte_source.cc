#include "executorch/byte_source.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>

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
  if (source.in_memory()) return std::string(as_text(source.memory));
  return collect([&](OutputFile& out) { return source.write_to(out, 0); });
}

Result<std::string> collect(const std::function<Status(OutputFile&)>& write) {
  static std::atomic<unsigned> counter{0};
  std::error_code error;
  const auto folder = std::filesystem::temp_directory_path(error);
  if (error) return diag(DiagKind::FileAccess, fmt::format("no folder for temporary files: {}", error.message()));
  const auto path = folder / fmt::format("cortland.{}.{}", getpid(), counter++);
  TRY(auto out, OutputFile::create(path));
  TRY_DO(write(out));
  TRY_DO(out.commit());
  auto file = MappedFile::open(path);
  std::filesystem::remove(path, error);
  if (!file.ok()) return std::move(file).error();
  return std::string(as_text((*file)->bytes()));
}

}  // namespace cortland::executorch
