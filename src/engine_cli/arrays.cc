#include "engine_cli/arrays.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace cortland::engine_cli {

Result<const archive::Array*> find_array(const archive::NamedArrays& arrays, size_t index, const std::string& name, const std::string& file) {
  const std::string position = fmt::format("in{}", index);
  for (const std::string& wanted : {position, name})
    for (const auto& [key, array] : arrays)
      if (key == wanted) return &array;
  std::vector<std::string> keys;
  for (const auto& [key, array] : arrays) keys.push_back(fmt::format("'{}'", key));
  const std::string alias = name.empty() || name == position ? "" : fmt::format(" (or '{}')", name);
  if (file.empty())
    return diag(DiagKind::BadInput, fmt::format("input '{}'{} is missing: there is no --inputs file", position, alias),
                fmt::format("pass --inputs in.npz, written by numpy.savez('in.npz', {}=...)", position));
  return diag(DiagKind::BadInput, fmt::format("input '{}'{} is missing: {} holds {}", position, alias, file,
                                              keys.empty() ? "no arrays" : fmt::format("{}", fmt::join(keys, ", "))));
}

namespace {

bool is_output(std::string_view name) {
  return name.size() > 3 && name.starts_with("out") && name.find_first_not_of("0123456789", 3) == std::string_view::npos;
}

}  // namespace

Status refuse_surplus(const archive::NamedArrays& arrays, const std::vector<std::string>& names, const std::string& file) {
  std::set<std::string> used;
  std::vector<std::string> wanted;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string position = fmt::format("in{}", i);
    wanted.push_back(names[i].empty() || names[i] == position ? fmt::format("'{}'", position) : fmt::format("'{}' (or '{}')", position, names[i]));
    const bool by_position = std::ranges::any_of(arrays, [&](const auto& array) { return array.first == position; });
    used.insert(by_position ? position : names[i]);
  }
  for (const auto& [key, array] : arrays)
    if (!used.count(key) && !is_output(key))
      return diag(DiagKind::BadInput, fmt::format("{} holds '{}', which would not be used: the model takes {}", file, key,
                                                  wanted.empty() ? "no inputs" : fmt::format("{}", fmt::join(wanted, ", "))),
                  "leave the array out, or name it like the input that it is for");
  return {};
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
