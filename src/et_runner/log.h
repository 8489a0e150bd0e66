// What the ExecuTorch runtime logs while we call it, kept instead of printed: a failed call explains itself with it.
#pragma once

#include <string>
#include <vector>

namespace cortland::et_runner {

// Messages of level Error and Fatal since the last call, on any thread.
std::vector<std::string> take_logged_errors();

// From now on messages are kept. Fatal ones, after which the runtime aborts, are printed too.
void capture_log();

}  // namespace cortland::et_runner
