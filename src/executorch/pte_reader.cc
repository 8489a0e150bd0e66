#include "executorch/pte_reader.h"

#include <fmt/format.h>

#include <cstring>

#include "executorch/pte_decode.h"

namespace cortland::executorch {
namespace {

constexpr size_t kHeaderOffset = 8, kShortestHeader = 24, kFullHeader = 32;

Diagnostic bad(std::string what) { return diag(DiagKind::BadPte, std::move(what)); }

uint64_t number(Bytes bytes, size_t at, size_t size) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, size);
  return value;
}

// Splits the file into the program table and what the segments' offsets count from.
Result<PteParts> split(Bytes file, const std::string& name) {
  if (file.size() < kHeaderOffset || as_text(file.subspan(4, 4)) != "ET12")
    return bad(fmt::format("'{}' is not an ExecuTorch program: the identifier ET12 is missing", name));
  if (file.size() < kHeaderOffset + 8 || as_text(file.subspan(kHeaderOffset, 4)) != "eh00") return PteParts{file, {}};
  const uint64_t length = number(file, kHeaderOffset + 4, 4);
  if (length < kShortestHeader || length > file.size() - kHeaderOffset)
    return bad(fmt::format("'{}' has an extended header of {} bytes", name, length));
  const uint64_t program_size = number(file, 16, 8), base = number(file, 24, 8);
  if (program_size > file.size())
    return bad(fmt::format("'{}' is truncated: {} of {} program bytes", name, file.size(), program_size));
  if (base > file.size() || (base != 0 && base < program_size))
    return bad(
        fmt::format("'{}' places its segments at {}, outside the {} bytes after the program", name, base, file.size()));
  auto segments = base == 0 ? Bytes{} : file.subspan(base);
  if (length >= kFullHeader) {
    const uint64_t data_size = number(file, 32, 8);
    if (data_size > segments.size())
      return bad(fmt::format("'{}' is truncated: {} of {} segment bytes", name, segments.size(), data_size));
    if (data_size > 0) segments = segments.first(data_size);
  }
  return PteParts{file.first(program_size), segments};
}

}  // namespace

Result<PteProgram> read_pte(std::shared_ptr<const MappedFile> file) {
  TRY(const auto parts, split(file->bytes(), file->name()));
  TRY(auto program, decode_program(parts, file));
  TRY_DO(validate(program));
  return program;
}

}  // namespace cortland::executorch
