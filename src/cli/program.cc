#include "cli/program.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

#include "base/spelling.h"

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

constexpr size_t kSlips = 2;  // that a word may differ in from what was meant

std::vector<std::string_view> names_of(std::span<const Command* const> commands) {
  std::vector<std::string_view> names;
  for (const Command* command : commands) names.emplace_back(command->name.name);
  return names;
}

Diagnostic unknown_command(std::span<const Command* const> commands, const std::string& word) {
  const auto names = names_of(commands);
  const std::string meant = did_you_mean(word, names, kSlips);
  return diag(DiagKind::BadOption, fmt::format("there is no command '{}'", word),
              meant.empty() ? fmt::format("the commands are {}", fmt::join(names, ", ")) : meant);
}

// What is left over says more than what is missing because of it: the parser would name the latter.
Diagnostic wrong_command_line(std::span<const Command* const> commands, const CLI::App& app, const CLI::ParseError& error) {
  const std::string command = app.get_parent() ? "cortland " + app.get_name() : "cortland";
  for (const std::string& left : app.remaining()) {
    if (left.size() < 2 || left[0] != '-') continue;
    std::vector<std::string> options;
    for (const CLI::Option* option : app.get_options())
      for (const auto& name : option->get_lnames()) options.push_back("--" + name);
    const std::string word = left.substr(0, left.find('='));
    const std::string meant = did_you_mean(word, {options.begin(), options.end()}, kSlips);
    return diag(DiagKind::BadOption, fmt::format("`{}` has no option '{}'", command, word),
                meant.empty() ? fmt::format("see `{} --help`", command) : meant);
  }
  if (!app.get_parent())
    return diag(DiagKind::BadOption, "no command is given", fmt::format("the commands are {}", fmt::join(names_of(commands), ", ")));
  return diag(DiagKind::BadOption, error.what(), fmt::format("see `{} --help`", command));
}

int parse_and_run(std::span<const Command* const> commands, int argc, char** argv) {
  if (argc > 1 && argv[1][0] != '-' && named(commands, argv[1]).size() > 1) return fail(unknown_command(commands, argv[1]), 2);
  CLI::App app("Lowers PyTorch programs to Core ML delegates for ExecuTorch, and runs them on this machine", "cortland");
  app.require_subcommand(1);
  app.set_version_flag("--version", "cortland " CORTLAND_VERSION);
  std::vector<std::pair<CLI::App*, std::function<Status()>>> added;
  for (const Command* command : named(commands, argc > 1 ? argv[1] : "")) {
    CLI::App* sub = app.add_subcommand(command->name.name, command->name.summary);
    if (command->add) added.emplace_back(sub, command->add(*sub));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    return fail(wrong_command_line(commands, added.size() == 1 ? *added[0].first : app, e), 2);
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
