// A subcommand of the command line: one file each, listed in the main.cc of the program that has it. Adding one declares its options and
// gives what to run once they are parsed. Commands report by returning a Diagnostic; only run_program() prints it.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>

#include "base/result.h"

namespace cortland::cli {

struct CommandName {
  const char* name;
  const char* summary;
};

struct Command {
  CommandName name;
  std::function<Status()> (*add)(CLI::App& app);  // null: another program has it
};

extern const Command kLower, kConvert, kInspect, kExtract, kOps, kRules;

// Those that run models are in a program of their own, cortland-engine, which `cortland` becomes for them: the engine's libraries take
// longer to load than a small model to be read.
inline constexpr CommandName kRunName = {"run", "run a .pte in the ExecuTorch runtime, or an .mlpackage in the engine"};
inline constexpr CommandName kBenchName = {"bench", "measure the time and memory of a .pte or .mlpackage"};
inline constexpr CommandName kCheckPassesName = {"check-passes", "run a program in the engine after each pass and compare the numbers"};

}  // namespace cortland::cli
