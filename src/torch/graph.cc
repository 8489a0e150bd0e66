#include "torch/graph.h"

#include <fmt/format.h>

namespace cortland::torch {

std::string SourceLoc::str() const {
  if (file.empty()) return {};
  std::string out = line > 0 ? fmt::format("{}:{}", file, line) : file;
  if (!function.empty()) out += " in " + function;
  if (!code.empty()) out += ": " + code;
  return out;
}

}  // namespace cortland::torch
