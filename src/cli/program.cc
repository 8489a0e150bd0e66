#include "cli/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

namespace cortland::cli {
namespace {

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
std::span<const Command* const> named(std::span<const Command* const> commands, std::string_view word) {
  const auto it = std::ranges::find_if(commands, [&](const Command* c) { return c->name.name == word; });
  return it == commands.end() ? commands : std::span(it, 1);
}

int parse_and_run(std::span<const Command* const> commands, int argc, char** argv) {
  CLI::App app("Lowers PyTorch programs to Core ML delegates for ExecuTorch, and runs them on this machine", "cortland");
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, std::function<Status()>>> added;
  for (const Command* command : named(commands, argc > 1 ? argv[1] : "")) {
    CLI::App* sub = app.add_subcommand(command->name.name, command->name.summary);
    if (command->add) added.emplace_back(sub, command->add(*sub));
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

int run_program(std::span<const Command* const> commands, int argc, char** argv) {
  try {
    return parse_and_run(commands, argc, argv);
  } catch (const InternalError& e) {
    return fail(diag(DiagKind::InternalFault, fmt::format("this is a mistake of ours, not yours: {}", e.what())), 1);
  } catch (const std::bad_alloc&) {
    return fail(diag(DiagKind::OutOfMemory, "there is not enough memory"), 1);
  } catch (const std::exception& e) {
    return fail(diag(DiagKind::InternalFault, e.what()), 1);
  }
}

}  // namespace cortland::cli
