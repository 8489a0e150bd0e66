#include "torch_passes/few_axes.h"

#include <algorithm>

#include "torch_ops/decompose.h"
#include "torch_passes/views.h"

namespace cortland::torch_passes {

using torch::Arg;
using torch::ValueId;

FewAxes::FewAxes(torch::Graph& graph, std::vector<torch::NodeId>& order, torch::SourceLoc source)
    : graph_(graph), order_(order), source_(std::move(source)) {}

Dim FewAxes::product(const Shape& shape, size_t first, size_t last) {
  Dim total = 1;
  for (size_t i = first; i < last; ++i) total = graph_.dims->mul(total, shape[i]);
  return total;
}

Arg FewAxes::size(Dim dim) { return torch_ops::size_argument(graph_, dim, "size"); }

Arg::List FewAxes::sizes(const Shape& shape) {
  Arg::List list;
  bool open = false;
  for (const Dim d : shape) {
    const bool leave_open = !open && !d.is_constant();
    list.push_back(leave_open ? Arg(int64_t{-1}) : size(d));
    open = open || leave_open;
  }
  return list;
}

ValueId FewAxes::reshape(ValueId elements, const Shape& shape) {
  if (shape_of(elements) == shape) return elements;
  return add_node(graph_, "aten.view.default", {{"self", elements}, {"size", sizes(shape)}},
                  {graph_.type(elements).dtype, shape}, source_, order_);
}

ValueId FewAxes::transpose(ValueId v, const std::vector<int64_t>& perm) {
  Shape shape;
  Arg::List dims;
  for (const int64_t p : perm) {
    shape.push_back(shape_of(v)[static_cast<size_t>(p)]);
    dims.push_back(p);
  }
  return add_node(graph_, "aten.permute.default", {{"self", v}, {"dims", std::move(dims)}},
                  {graph_.type(v).dtype, std::move(shape)}, source_, order_);
}

ValueId FewAxes::permute(ValueId elements, const Shape& shape, const std::vector<int64_t>& perm) {
  // Axes that stay neighbours are one block; axes of one element may go anywhere.
  std::vector<Block> blocks;
  int64_t last = -2;
  for (const int64_t p : perm) {
    if (shape[static_cast<size_t>(p)] == Dim(1)) continue;
    bool follows = last >= 0;
    for (int64_t k = last + 1; k < p; ++k) follows = follows && shape[static_cast<size_t>(k)] == Dim(1);
    if (follows && p > last)
      blocks.back().push_back(p);
    else
      blocks.push_back({p});
    last = p;
  }
  std::vector<Block> current = blocks;
  std::sort(current.begin(), current.end());
  if (current == blocks) return elements;
  if (blocks.size() > kMostAxes) return swap_blocks(elements, shape, blocks);
  Shape merged;
  std::vector<int64_t> order;
  for (const Block& b : current)
    merged.push_back(product(shape, static_cast<size_t>(b.front()), static_cast<size_t>(b.back()) + 1));
  for (const Block& b : blocks) order.push_back(std::find(current.begin(), current.end(), b) - current.begin());
  return transpose(reshape(elements, merged), order);
}

// Every permutation is a sequence of swaps of neighbouring blocks, which need four axes.
ValueId FewAxes::swap_blocks(ValueId elements, const Shape& shape, const std::vector<Block>& to) {
  std::vector<Block> current = to;
  std::sort(current.begin(), current.end());
  const auto extent = [&](auto first, auto end) {
    Dim total = 1;
    for (auto it = first; it != end; ++it)
      for (const int64_t axis : *it) total = graph_.dims->mul(total, shape[static_cast<size_t>(axis)]);
    return total;
  };
  for (size_t i = 0; i < to.size(); ++i) {
    const auto begin = current.begin() + static_cast<std::ptrdiff_t>(i);
    const auto found = std::find(begin, current.end(), to[i]);
    if (found == begin) continue;
    auto end = found + 1;
    for (size_t k = i + 1; end != current.end() && k < to.size() && *end == to[k]; ++k) ++end;
    elements = reshape(
        elements, {extent(current.begin(), begin), extent(begin, found), extent(found, end), extent(end, current.end())});
    elements = transpose(elements, {0, 2, 1, 3});
    std::rotate(begin, found, end);
  }
  return elements;
}

ValueId FewAxes::copies(ValueId elements, Dim before, Dim times, Dim after) {
  const Arg::List to = {int64_t{-1}, size(times), int64_t{-1}};
  const ValueId one = reshape(elements, {before, 1, after});
  return add_node(graph_, "aten.expand.default", {{"self", one}, {"size", to}},
                  {graph_.type(elements).dtype, {before, times, after}}, source_, order_);
}

ValueId FewAxes::expand(ValueId elements, Shape shape, const Shape& to) {
  shape.insert(shape.begin(), to.size() - shape.size(), Dim(1));
  for (size_t i = 0; i < to.size(); ++i) {
    if (shape[i] == to[i]) continue;
    elements = copies(elements, product(shape, 0, i), to[i], product(shape, i + 1, shape.size()));
    shape[i] = to[i];
  }
  return elements;
}

ValueId FewAxes::repeat(ValueId elements, Shape shape, const std::vector<int64_t>& times) {
  shape.insert(shape.begin(), times.size() - shape.size(), Dim(1));
  for (size_t i = 0; i < times.size(); ++i) {
    if (times[i] == 1) continue;
    elements = copies(elements, product(shape, 0, i), times[i], product(shape, i, shape.size()));
    shape[i] = graph_.dims->mul(shape[i], Dim(times[i]));
  }
  return elements;
}

}  // namespace cortland::torch_passes
