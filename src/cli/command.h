// A subcommand of the program: one file each, listed in main.cc. Adding one declares its options and gives what to run once
// they are parsed. Commands report by returning a Diagnostic; only main prints it.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

#include "base/result.h"

namespace cortland::cli {

struct Command {
  const char* name;
  const char* summary;
  std::function<Status()> (*add)(CLI::App& app);
};

extern const Command kLower, kConvert, kRun, kBench, kInspect, kExtract, kOps, kRules, kCheckPasses;

}  // namespace cortland::cli
