// Which kind of model a path names, by its contents where they tell.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace cortland::cli {

enum class ModelKind { Pt2, Pte, Package };

Result<ModelKind> model_kind(const std::filesystem::path& path);

}  // namespace cortland::cli
