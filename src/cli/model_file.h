// Which kind of model a path names, by its contents where they tell.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace cortland::cli {

enum class ModelKind { Pt2, Pte, Package };

Result<ModelKind> model_kind(const std::filesystem::path& path);

// An error when the path names a model of another kind. What is of no kind is left to the reader, who says what is wrong with it.
Status expect_kind(const std::filesystem::path& path, ModelKind wanted);

}  // namespace cortland::cli
