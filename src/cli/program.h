// What the programs of the command line have in common: a list of commands, of which the arguments name one.
#pragma once

#include <span>

#include "cli/command.h"

namespace cortland::cli {

// Exit code 0, or 1 with one error on standard error, or 2 when the command line is wrong. A command that ran ends the process.
int run_program(std::span<const Command* const> commands, int argc, char** argv);

}  // namespace cortland::cli
