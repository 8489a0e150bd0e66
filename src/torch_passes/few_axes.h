// Moves the elements of tensors that may have any number of axes with operators on at most five. A tensor is given as a
// value that holds its elements in order, whatever the shape of that value, and the shape it stands for. Appends nodes to a
// graph; lives as long as one node is rewritten.
#pragma once

#include <vector>

#include "torch/graph.h"

namespace cortland::torch_passes {

inline constexpr int kMostAxes = 5;

class FewAxes {
 public:
  using ValueId = torch::ValueId;

  // Nodes are appended to `order` and carry the source line.
  FewAxes(torch::Graph& graph, std::vector<torch::NodeId>& order, torch::SourceLoc source);

  Dim product(const Shape& shape, size_t first, size_t last);
  Dim product(const Shape& shape) { return product(shape, 0, shape.size()); }

  // The argument of a view: one size may be left open, further symbolic ones are values.
  torch::Arg::List sizes(const Shape& shape);

  ValueId reshape(ValueId elements, const Shape& shape);  // nothing if it has that shape
  // The elements in the order that `perm` gives the axes of `shape`.
  ValueId permute(ValueId elements, const Shape& shape, const std::vector<int64_t>& perm);
  // As many elements as `to` has; sizes that differ are 1 in `shape`.
  ValueId expand(ValueId elements, Shape shape, const Shape& to);
  // Each axis `times` as often, one after the other.
  ValueId repeat(ValueId elements, Shape shape, const std::vector<int64_t>& times);

 private:
  using Block = std::vector<int64_t>;  // axes that stay neighbours

  const Shape& shape_of(ValueId v) const { return graph_.type(v).shape; }
  torch::Arg size(Dim dim);
  ValueId transpose(ValueId v, const std::vector<int64_t>& perm);
  ValueId swap_blocks(ValueId elements, const Shape& shape, const std::vector<Block>& to);
  // [before, 1, after] becomes [before, times, after].
  ValueId copies(ValueId elements, Dim before, Dim times, Dim after);

  torch::Graph& graph_;
  std::vector<torch::NodeId>& order_;
  torch::SourceLoc source_;
};

}  // namespace cortland::torch_passes
