// The program `cortland`. Exit code 0, or 1 with one error on standard error, or 2 when the command line is wrong.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <span>
#include <string_view>

#include "cli/command.h"
#include "cli/heap.h"
#include "engine/threads.h"

namespace cortland::cli {
namespace {

constexpr const Command* kCommands[] = {&kLower, &kConvert, &kRun, &kBench, &kInspect, &kExtract, &kOps, &kRules, &kCheckPasses};

int fail(const Diagnostic& error, int code) {
  fmt::print(stderr, "{}", render(error));
  return code;
}

int run_command(const std::function<Status()>& command) {
  const Status status = command();
  return status.ok() ? 0 : fail(status.error(), 1);
}

// Ends the process without taking apart what commands left in memory.
[[noreturn]] void leave(int code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

// Options cost time to declare: only those of the command that is named, where one is.
std::span<const Command* const> named(const char* word) {
  const auto it = std::ranges::find(kCommands, std::string_view(word), &Command::name);
  return it == std::end(kCommands) ? std::span(kCommands) : std::span(it, 1);
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("Lowers PyTorch programs to Core ML delegates for ExecuTorch, and runs them on this machine", "cortland");
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, std::function<Status()>>> added;
  for (const Command* command : named(argc > 1 ? argv[1] : "")) {
    CLI::App* sub = app.add_subcommand(command->name, command->summary);
    added.emplace_back(sub, command->add(*sub));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help
    return fail(diag(DiagKind::BadOption, e.what()), 2);
  }
  for (const auto& [sub, command] : added)
    if (sub->parsed()) leave(run_command(command));
  return 2;
}

}  // namespace
}  // namespace cortland::cli

int main(int argc, char** argv) {
  using cortland::DiagKind;
  using cortland::diag;
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "bench" || command == "run") cortland::engine::restart_with_patience(argv);
  if (command == "lower" || command == "convert") cortland::cli::prepare_heap();
  try {
    return cortland::cli::parse_and_run(argc, argv);
  } catch (const cortland::InternalError& e) {
    return cortland::cli::fail(diag(DiagKind::InternalFault, fmt::format("this is a mistake of ours, not yours: {}", e.what())), 1);
  } catch (const std::bad_alloc&) {
    return cortland::cli::fail(diag(DiagKind::OutOfMemory, "there is not enough memory"), 1);
  } catch (const std::exception& e) {
    return cortland::cli::fail(diag(DiagKind::InternalFault, e.what()), 1);
  }
}
