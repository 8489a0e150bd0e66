// Compression of the weights of a finished MIL program: constants that its ops read become constexpr ops over what is stored
// in their place. Parameters (scales, tables, masks' sizes) are computed now, by reading the weights a tile at a time,
// several weights at once; the codes themselves are made when the package is written. Free function; any thread.
#pragma once

#include "compression/config.h"
#include "mil/program.h"

namespace cortland::compression {

struct Report {
  size_t weights = 0;  // compressed
  uint64_t bytes_before = 0, bytes_after = 0;
  std::vector<std::string> warnings;  // what stays as it is although the configuration asks for it, and why
};

struct Options {
  bool neural_engine = true;  // whether the model may run there: some forms do not
};

// Fails when the configuration contradicts itself, or asks for what the program's target does not have.
Result<Report> compress(mil::Program& program, const Config& config, const Options& options = {});

// The same report for several programs.
void merge(Report& into, Report&& from);

}  // namespace cortland::compression
