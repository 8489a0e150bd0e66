// The program `cortland-engine`: the commands that run models, for `cortland`.
#include "cli/program.h"
#include "engine_cli/commands.h"

int main(int argc, char** argv) {
  using namespace cortland::engine_cli;
  constexpr const cortland::cli::Command* kCommands[] = {&kRun, &kBench, &kCheckPasses};
  return cortland::cli::run_program(kCommands, argc, argv);
}
