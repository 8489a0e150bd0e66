// numpy's .npy files (format 1, 2 and 3) and .npz archives. Arrays are plain values, always in C order and little-endian,
// whatever the file says.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "tensor/dtype.h"

namespace cortland::archive {

struct Array {
  DType dtype = DType::Unknown;
  std::vector<int64_t> shape;
  std::string data;  // elements, C order, little-endian
};

using NamedArrays = std::vector<std::pair<std::string, Array>>;

// `name` is what errors call the data.
Result<Array> parse_npy(Bytes bytes, std::string_view name);
Result<Array> read_npy(const std::filesystem::path& path);
Status write_npy(const std::filesystem::path& path, const Array& array);
// Everything that precedes the elements in a .npy file of `array`; an error when numpy has no such element type.
Result<std::string> npy_header(const Array& array);

// Names come without their ".npy", in the order of the archive.
Result<NamedArrays> read_npz(const std::filesystem::path& path);
Result<NamedArrays> read_npz(std::shared_ptr<const MappedFile> file);
Status write_npz(const std::filesystem::path& path, const NamedArrays& arrays);

}  // namespace cortland::archive
