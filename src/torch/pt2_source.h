// A program to read: a .pt2 archive, and tensors that lie in memory instead of in it. A plain value; the memory stays as it
// is for as long as anything made of the program lives.
#pragma once

#include <functional>

#include "torch/graph.h"

namespace cortland::torch {

struct Pt2Source {
  std::shared_ptr<const MappedFile> archive;
  // By fully qualified name, in place of what the archive has under that name. "linear.weight.qdata" is the attribute
  // `qdata` of the tensor subclass "linear.weight".
  std::map<std::string, Weight> tensors;

  Pt2Source() = default;
  Pt2Source(std::shared_ptr<const MappedFile> file) : archive(std::move(file)) {}  // NOLINT
};

// `inputs_known` is called when the graph has its inputs with their data, and no nodes yet: a thread of its own could begin with them.
Result<Graph> read_pt2(const Pt2Source& source, const std::string& model_name = {},
                       const std::function<void(const Graph&)>& inputs_known = {});

}  // namespace cortland::torch
