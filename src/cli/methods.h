// The methods of a program as the command line names them.
#pragma once

#include <string>
#include <vector>

#include "driver/driver.h"

namespace cortland::cli {

// The programs of the .pt2 file `input`; or, when there are any, those of `named`: "decode=decode.pt2".
Result<std::vector<driver::Method>> methods_from(const std::string& input, const std::vector<std::string>& named,
                                                 const driver::LowerOptions& options);

// "get_max_seq_len=128": a number, true or false, numbers between commas, or else a text.
Result<edge::ConstantMethod> constant_method(const std::string& text);

}  // namespace cortland::cli
