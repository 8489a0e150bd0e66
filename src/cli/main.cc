// The program `cortland`. Exit code 0, or 1 with one error on standard error, or 2 when the command line is wrong.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <span>
#include <string_view>

#include "base/spelling.h"
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

// Options cost time to declare: only those of the command that is named, where one is.
std::span<const Command* const> named(const char* word) {
  const auto it = std::ranges::find(kCommands, std::string_view(word), &Command::name);
  return it == std::end(kCommands) ? std::span(kCommands) : std::span(it, 1);
}

std::string command_names() {
  std::vector<std::string_view> names;
  for (const Command* command : kCommands) names.emplace_back(command->name);
  return fmt::format("{}", fmt::join(names, ", "));
}

constexpr size_t kSlips = 2;  // that a word may differ in from what was meant

Diagnostic unknown_command(const std::string& word) {
  std::vector<std::string_view> names;
  for (const Command* command : kCommands) names.emplace_back(command->name);
  const std::string meant = did_you_mean(word, names, kSlips);
  return diag(DiagKind::BadOption, fmt::format("there is no command '{}'", word),
              meant.empty() ? fmt::format("the commands are {}", command_names()) : meant);
}

// What is left over says more than what is missing because of it: the parser would name the latter.
Diagnostic wrong_command_line(const CLI::App& app, const CLI::ParseError& error) {
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
  if (!app.get_parent()) return diag(DiagKind::BadOption, "no command is given", fmt::format("the commands are {}", command_names()));
  return diag(DiagKind::BadOption, error.what(), fmt::format("see `{} --help`", command));
}

int parse_and_run(int argc, char** argv) {
  if (argc > 1 && argv[1][0] != '-' && named(argv[1]).size() > 1) return fail(unknown_command(argv[1]), 2);
  CLI::App app("Lowers PyTorch programs to Core ML delegates for ExecuTorch, and runs them on this machine", "cortland");
  app.require_subcommand(1);
  app.set_version_flag("--version", "cortland " CORTLAND_VERSION);
  std::vector<std::pair<CLI::App*, std::function<Status()>>> added;
  for (const Command* command : named(argc > 1 ? argv[1] : "")) {
    CLI::App* sub = app.add_subcommand(command->name, command->summary);
    added.emplace_back(sub, command->add(*sub));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    return fail(wrong_command_line(added.size() == 1 ? *added[0].first : app, e), 2);
  }
  for (const auto& [sub, command] : added)
    if (sub->parsed()) return run_command(command);
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
