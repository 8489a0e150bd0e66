// The program `cortland`: makes models, and becomes cortland-engine to run them.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "cli/heap.h"
#include "cli/program.h"

namespace cortland::cli {
namespace {

constexpr const char* kEngineProgram = "cortland-engine";
constexpr Command kRun{kRunName}, kBench{kBenchName}, kCheckPasses{kCheckPassesName};
constexpr const Command* kCommands[] = {&kLower,   &kConvert, &kRun,   &kBench,      &kInspect,
                                        &kExtract, &kOps,     &kRules, &kCheckPasses};

// Returns only when it cannot. How long OpenMP's threads wait for the next section before they sleep is read once, when a
// program starts: unless the environment says something about that, a tenth of a millisecond, which suits kernels that
// follow each other closely. The default is none here (wait_politely in engine/threads.cc) and milliseconds elsewhere.
int become_engine(char** argv) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / kEngineProgram;
  if (!std::getenv("OMP_WAIT_POLICY") && !std::getenv("GOMP_SPINCOUNT")) ::setenv("GOMP_SPINCOUNT", "10000", 1);
  ::execv(program.c_str(), argv);
  fmt::print(
      stderr, "{}",
      render(diag(DiagKind::RuntimeMissing, fmt::format("cannot start {}: {}", program.string(), std::strerror(errno)),
                  "keep it beside this program: `make build` makes both")));
  return 1;
}

}  // namespace
}  // namespace cortland::cli

int main(int argc, char** argv) {
  using namespace cortland::cli;
  const std::string_view word = argc > 1 ? argv[1] : "";
  for (const Command* command : kCommands)
    if (!command->add && word == command->name.name) return become_engine(argv);
  if (word == kLower.name.name || word == kConvert.name.name) prepare_heap();
  return run_program(kCommands, argc, argv);
}
