// What `cortland inspect` says of a model, as JSON; the text form is printed from it.
#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "tensor/type.h"

namespace cortland::cli {

using Json = nlohmann::ordered_json;

Result<Json> inspect_pt2(const std::filesystem::path& path);
Result<Json> inspect_pte(const std::filesystem::path& path);
// The MIL programs of its Core ML delegates, each under a comment with the delegate's name; a shared model once.
Result<std::string> pte_mil(const std::filesystem::path& path);
Result<Json> inspect_package(const std::filesystem::path& path);

// {"name", "dtype", "shape"}; a size that varies is {"min", "max"} or a text that says how it depends on others.
Json describe_tensor(const std::string& name, const TensorType& type, const DimTable& dims);
// {"op": count}, sorted by name.
Json count_names(const std::vector<std::string>& names);

std::string inspection_text(const Json& inspection);

}  // namespace cortland::cli
