// Runs a model in the engine between the passes over its MIL program, and compares what it computes: a pass that changes the
// numbers is caught where it does so. For tests and for those who write passes.
#pragma once

#include <functional>

#include "driver/driver.h"
#include "engine/engine.h"

namespace cortland::engine_cli {

struct PassCheck {
  std::string pass;       // empty: the program as it was lowered
  size_t ops = 0;         // after it
  double difference = 0;  // the largest, from the program as it was lowered, relative to the largest number of an output
};

// The inputs of a model, in its order.
using MakeInputs = std::function<Result<std::vector<mil::Tensor>>(const std::vector<engine::Feature>&)>;

// Converts the whole program as convert() does. Every program is verified. Passes that change nothing are left out.
Result<std::vector<PassCheck>> check_passes(const std::filesystem::path& pt2, const driver::LowerOptions& options,
                                            const MakeInputs& inputs);

}  // namespace cortland::engine_cli
