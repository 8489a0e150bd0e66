// What ExecuTorch's own lowering flow asks of its Core ML partitioner and backend: a verdict for each node, then the bytes
// of all delegates. Free functions; what they return keeps the memory of their sources alive.
#pragma once

#include "driver/delegates.h"
#include "driver/driver.h"
#include "partition/survey.h"

namespace cortland::driver {

struct TargetedSurvey {
  partition::Survey survey;
  mil::Target target;  // that of the options, or the lowest that delegates as much as the newest
};

// `outside`: nodes that are not to be delegated, by their position in the file.
Result<TargetedSurvey> survey(const torch::Pt2Source& pt2, const LowerOptions& options, const std::vector<size_t>& outside);

// The parts of one method that its partitioner chose. Each is a whole program, which a delegate runs: it is called with the
// program's user inputs, then outputs, each by position.
struct EdgeMethod {
  std::string name;
  std::vector<torch::Pt2Source> parts;
  LowerOptions options;
};

// Delegates before their bytes are written. Holds what they are made of.
struct EdgeDelegates {
  std::vector<std::unique_ptr<const partition::PartitionedGraph>> graphs;
  std::vector<std::vector<partition::Delegate>> delegates;
  ProgramDelegates bytes;  // as many as parts; models are shared as in lower()
};

Result<EdgeDelegates> lower_delegates(const std::vector<EdgeMethod>& methods);

}  // namespace cortland::driver
