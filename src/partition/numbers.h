// Numbers that the data gives: `item` of a tensor of one integer. Core ML programs hand on tensors only, so a part of the program that
// needs such a number, as a place to cut at or as a size, reads the tensor itself.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "torch/graph.h"

namespace cortland::partition {

// By symbol: the tensor that holds it.
using Numbers = std::map<std::string, torch::ValueId>;

bool is_item(const torch::Node& node);

// The symbol that `node` reads from a tensor of one integer, and the tensor; nothing for other nodes.
std::optional<Numbers::value_type> number_read(const torch::Graph& graph, const torch::Node& node);

// Those of the nodes in graph.order that are not refused.
Numbers numbers_read(const torch::Graph& graph, const std::unordered_map<torch::NodeId, Diagnostic>& refused);

// The symbols in what a node takes and in the sizes of what it gives, the nodes of its regions included.
std::set<std::string> symbols_of(const torch::Graph& graph, torch::NodeId node);

// Calls f(ValueId) for each tensor that holds a number the node needs.
template <class F>
void for_each_number(const torch::Graph& graph, const Numbers& numbers, torch::NodeId node, F&& f) {
  if (numbers.empty()) return;
  for (const std::string& symbol : symbols_of(graph, node))
    if (const auto it = numbers.find(symbol); it != numbers.end()) f(it->second);
}

}  // namespace cortland::partition
