// What a flow that partitions by itself (ExecuTorch's own) asks: of each node of a program, as the file has it, whether Core
// ML can run it. The answer is what lowering the whole program gives, not a table of names.
#pragma once

#include "partition/partition.h"

namespace cortland::partition {

struct NodeVerdict {
  enum class Place : uint8_t {
    CoreMl,    // its lowering succeeds
    Cpu,       // it does not; `reason` says why
    Anywhere,  // no work is left of it: sizes, constants known now, what a pass made unnecessary
  };
  std::string name, target;
  Place place = Place::Anywhere;
  Diagnostic reason;
};

struct BufferVerdict {
  std::string target;         // a mutable buffer's fully qualified name
  std::string why_not_state;  // empty: Core ML can hold it
};

struct Survey {
  std::vector<NodeVerdict> nodes;  // in the order of the file
  std::vector<BufferVerdict> buffers;
};

// `graph` is as read. lower_full_graph has no effect here.
Result<Survey> survey(torch::Graph graph, const PartitionOptions& options);

// The whole graph, as read, as one delegate that is called with its user inputs and gives its user outputs, each by
// position. Every buffer it writes must become a state.
Result<PartitionedGraph> whole_delegate(torch::Graph graph, const PartitionOptions& options);

}  // namespace cortland::partition
