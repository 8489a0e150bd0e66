// .npz: a zip of .npy files.
#include <fmt/format.h>

#include "archive/npy.h"
#include "archive/zip_reader.h"
#include "archive/zip_writer.h"

namespace cortland::archive {
namespace {

constexpr uint64_t kMaxArray = uint64_t{16} << 30;
constexpr std::string_view kSuffix = ".npy";

}  // namespace

Result<NamedArrays> read_npz(std::shared_ptr<const MappedFile> file) {
  if (as_text(file->bytes()).starts_with("\x93NUMPY"))
    return diag(DiagKind::BadInput, fmt::format("'{}' is one array, an .npy file; an .npz holds them by name", file->name()),
                "write it with numpy.savez(path, in0=array)");
  auto opened = ZipReader::open(std::move(file), {.refuse_names_equal_but_for_case = false});
  if (!opened.ok() && opened.error().kind == DiagKind::BadArchive) opened.error().help = "write it again with numpy.savez";
  TRY(const auto zip, std::move(opened));
  NamedArrays arrays;
  for (const ZipEntry& entry : zip.entries()) {
    TRY(const auto part, zip.open_entry(entry, kMaxArray));
    if (!entry.deflated) TRY_DO(zip.verify(entry));
    TRY(auto array, parse_npy(part->bytes(), part->name()));
    std::string name = entry.name;
    if (name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
    arrays.emplace_back(std::move(name), std::move(array));
  }
  return arrays;
}

Result<NamedArrays> read_npz(const std::filesystem::path& path) {
  TRY(auto file, MappedFile::open(path));
  return read_npz(std::move(file));
}

Status write_npz(const std::filesystem::path& path, const NamedArrays& arrays) {
  TRY(auto zip, ZipWriter::create(path));
  for (const auto& [name, array] : arrays) {
    TRY(const auto header, npy_header(array));
    TRY_DO(zip.begin(name + std::string(kSuffix), header.size() + array.data.size()));
    TRY_DO(zip.write(as_bytes(header)));
    TRY_DO(zip.write(as_bytes(array.data)));
    TRY_DO(zip.end());
  }
  return zip.finish();
}

}  // namespace cortland::archive
