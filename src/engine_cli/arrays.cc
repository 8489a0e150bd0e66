#include "engine_cli/arrays.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace cortland::engine_cli {

Result<const archive::Array*> find_array(const archive::NamedArrays& arrays, size_t index, const std::string& name, const std::string& file) {
  const std::string position = fmt::format("in{}", index);
  for (const std::string& wanted : {position, name})
    for (const auto& [key, array] : arrays)
      if (key == wanted) return &array;
  std::vector<std::string> keys;
  for (const auto& [key, array] : arrays) keys.push_back(fmt::format("'{}'", key));
  const std::string alias = name.empty() || name == position ? "" : fmt::format(" (or '{}')", name);
  return diag(DiagKind::BadInput, fmt::format("input '{}'{} is missing: {} holds {}", position, alias, file.empty() ? "no --inputs file" : file,
                                              keys.empty() ? "no arrays" : fmt::format("{}", fmt::join(keys, ", "))));
}

mil::Tensor to_tensor(const archive::Array& array) {
  mil::Tensor tensor = mil::Tensor::make(array.dtype, array.shape);
  CHECK(tensor.bytes() == array.data.size());
  std::memcpy(tensor.mutable_data(), array.data.data(), array.data.size());
  return tensor;
}

archive::Array to_array(const mil::Tensor& tensor) {
  return {tensor.dtype, tensor.shape, std::string(tensor.data<char>(), tensor.bytes())};
}

}  // namespace cortland::engine_cli
