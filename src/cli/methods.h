// The methods of a program as the command line names them.
#pragma once

#include <string>
#include <vector>

#include "cortland/cortland.h"
#include "edge/constant_method.h"

namespace cortland::cli {

// The programs of the .pt2 file `input`; or, when there are any, those of `named`: "decode=decode.pt2". All are lowered as
// `partitioner` says. Shapes of "decode:tokens" are those of the input `tokens` in `decode`; without a method they are for all.
Result<std::vector<Method>> methods_from(const std::string& input, const std::vector<std::string>& named,
                                         const CoreMLPartitioner& partitioner, const EnumeratedShapes& shapes);

// "get_max_seq_len=128": a number, true or false, numbers between commas, or else a text.
Result<edge::ConstantMethod> constant_method(const std::string& text);

}  // namespace cortland::cli
