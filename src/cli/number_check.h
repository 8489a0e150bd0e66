// Checks of numbers on the command line, whose messages say which numbers are meant.
#pragma once

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <string>

namespace cortland::cli {

inline CLI::Validator at_least(int least) {
  return CLI::Validator(
      [least](std::string& text) {
        int value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= least) return std::string();
        return fmt::format("'{}' is not a whole number from {} on", text, least);
      },
      "");
}

}  // namespace cortland::cli
