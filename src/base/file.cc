#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace cortland {
namespace {

Diagnostic system_error(std::string_view action, const std::filesystem::path& path) {
  const int code = errno;
  return diag(code == ENOENT ? DiagKind::FileNotFound : DiagKind::FileAccess,
              fmt::format("cannot {} '{}': {}", action, path.string(), std::strerror(code)));
}

std::filesystem::path sibling(const std::filesystem::path& destination) {
  static std::atomic<unsigned> counter{0};
  auto name = fmt::format(".{}.{}.{}.tmp", destination.filename().string(), getpid(), counter++);
  return destination.parent_path() / name;
}

constexpr size_t kStays = size_t{64} << 20;  // bytes of a file that may stay in memory whole

// "a/b.mlpackage/" names the same place as "a/b.mlpackage".
std::filesystem::path without_trailing_slash(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

// What marks a folder as a Core ML model, whole or compiled: only such a folder is replaced with all that is in it.
bool is_model_folder(const std::filesystem::path& path) {
  std::error_code error;
  const auto holds = [&](const char* name) { return std::filesystem::is_regular_file(path / name, error); };
  return holds("Manifest.json") || holds("coremldata.bin");
}

Status check_replaceable(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(std::filesystem::symlink_status(folder, error))) return {};
  if (!std::filesystem::is_directory(folder, error))
    return diag(DiagKind::BadOption, fmt::format("{} exists and is not a folder", folder.string()), "name a new folder");
  if (std::filesystem::is_empty(folder, error) || is_model_folder(folder)) return {};
  return diag(DiagKind::BadOption, fmt::format("{} exists and is not empty", folder.string()), "name a new folder");
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("open", path);
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return S_ISDIR(info.st_mode) ? diag(DiagKind::FileAccess, fmt::format("'{}' is a folder", path.string()), "name a file")
                                 : diag(DiagKind::FileAccess, fmt::format("'{}' is not a regular file", path.string()));
  }
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->name_ = path.string();
  if (info.st_size > 0) {
    void* data = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      auto error = system_error("map", path);
      ::close(fd);
      return error;
    }
    file->bytes_ = {static_cast<const std::byte*>(data), static_cast<size_t>(info.st_size)};
    file->mapped_ = true;
  }
  ::close(fd);
  return std::shared_ptr<const MappedFile>(std::move(file));
}

std::shared_ptr<const MappedFile> MappedFile::from_bytes(std::string bytes, std::string name) {
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->name_ = std::move(name);
  file->owned_ = std::move(bytes);
  file->bytes_ = as_bytes(file->owned_);
  return file;
}

std::shared_ptr<const MappedFile> MappedFile::from_memory(Bytes bytes, std::shared_ptr<const void> owner, std::string name) {
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->name_ = std::move(name);
  file->bytes_ = bytes;
  file->owner_ = std::move(owner);
  return file;
}

MappedFile::~MappedFile() {
  if (mapped_) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::forget(Bytes part) const {
  if (!mapped_ || bytes_.size() <= kStays) return;
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  // Whole pages inside the part only: its neighbours may be in use.
  const uintptr_t first = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(part.data()) + part.size()) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& destination) {
  // What is renamed over a device would take its place, and over a folder it fails, but only when all the work is done.
  std::error_code error;
  if (const auto now = std::filesystem::status(destination, error); std::filesystem::exists(now) && !std::filesystem::is_regular_file(now))
    return diag(DiagKind::FileAccess, fmt::format("'{}' exists and is not a regular file", destination.string()), "name a new file");
  OutputFile file;
  file.destination_ = destination;
  file.temporary_ = sibling(destination);
  file.fd_ = ::open(file.temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file.fd_ < 0) return system_error("create", destination);
  return file;
}

OutputFile OutputFile::in_memory(std::span<std::byte> memory) {
  OutputFile file;
  file.memory_ = memory;
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : destination_(std::move(other.destination_)),
      temporary_(std::move(other.temporary_)),
      memory_(other.memory_),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_) {}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status OutputFile::reserve(uint64_t size) {
  if (fd_ < 0 || size == 0) return {};
#ifdef __linux__
  while (fallocate(fd_, 0, 0, static_cast<off_t>(size)) != 0) {
    if (errno == EINTR) continue;
    if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT) return system_error("write", destination_);
    break;  // not every file system can
  }
#endif
  return {};
}

Status OutputFile::write_at(uint64_t offset, Bytes bytes) {
  if (fd_ < 0) {
    CHECK(offset <= memory_.size() && bytes.size() <= memory_.size() - offset, "a file in memory turned out larger than planned");
    if (!bytes.empty()) std::memcpy(memory_.data() + offset, bytes.data(), bytes.size());
    return {};
  }
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error("write", destination_);
    done += static_cast<size_t>(n);
  }
  return {};
}

Status OutputFile::append(Bytes bytes) {
  TRY_DO(write_at(size_, bytes));
  size_ += bytes.size();
  return {};
}

Status OutputFile::commit() {
  if (fd_ < 0) return {};
  const bool closed = ::close(std::exchange(fd_, -1)) == 0;
  if (!closed || ::rename(temporary_.c_str(), destination_.c_str()) != 0) {
    auto error = system_error("write", destination_);
    ::unlink(temporary_.c_str());
    return error;
  }
  return {};
}

Status write_file(const std::filesystem::path& path, Bytes bytes) {
  TRY(auto file, OutputFile::create(path));
  TRY_DO(file.append(bytes));
  return file.commit();
}

Result<OutputDirectory> OutputDirectory::create(const std::filesystem::path& destination) {
  OutputDirectory directory;
  directory.destination_ = without_trailing_slash(destination);
  TRY_DO(check_replaceable(directory.destination_));
  directory.temporary_ = sibling(directory.destination_);
  if (::mkdir(directory.temporary_.c_str(), 0777) != 0) {
    auto error = system_error("create", destination);
    directory.temporary_.clear();
    return error;
  }
  return directory;
}

OutputDirectory::OutputDirectory(OutputDirectory&& other) noexcept
    : destination_(std::move(other.destination_)), temporary_(std::exchange(other.temporary_, {})) {}

OutputDirectory::~OutputDirectory() {
  std::error_code ignored;
  if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
}

Status OutputDirectory::commit() {
  TRY_DO(check_replaceable(destination_));  // again: the work took a while
  // rename(2) does not replace a directory that has entries: the old one steps aside and comes back if the move fails.
  std::filesystem::path old;
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(destination_, error))) {
    old = sibling(destination_);
    if (::rename(destination_.c_str(), old.c_str()) != 0) return system_error("replace", destination_);
  }
  if (::rename(temporary_.c_str(), destination_.c_str()) != 0) {
    auto failure = system_error("write", destination_);
    if (!old.empty() && ::rename(old.c_str(), destination_.c_str()) != 0) return system_error("restore", destination_);
    return failure;
  }
  temporary_.clear();
  if (!old.empty()) std::filesystem::remove_all(old, error);
  return {};
}

}  // namespace cortland
