#include "torch_passes/axes.h"

#include <algorithm>
#include <numeric>

#include "torch/schema.h"
#include "torch_ops/op.h"

namespace cortland::torch_passes {

using torch::Arg;
using torch::Node;

namespace {

std::vector<int64_t> from_front(std::vector<int64_t> dims, int64_t rank) {
  for (int64_t& d : dims) d += d < 0 ? rank : 0;
  return dims;
}

bool is_permutation_of(std::vector<int64_t> perm, int64_t rank) {
  std::sort(perm.begin(), perm.end());
  for (size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != static_cast<int64_t>(i)) return false;
  return static_cast<int64_t>(perm.size()) == rank;
}

// movedim: the named axes go where they are told, the others keep their order.
std::vector<int64_t> moved(const std::vector<int64_t>& from, const std::vector<int64_t>& to, int64_t rank) {
  if (from.size() != to.size()) return {};
  std::vector<int64_t> perm(static_cast<size_t>(rank), -1);
  for (size_t i = 0; i < from.size(); ++i) {
    if (to[i] < 0 || to[i] >= rank) return {};
    perm[static_cast<size_t>(to[i])] = from[i];
  }
  int64_t next = 0;
  for (int64_t& p : perm) {
    if (p >= 0) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    p = next++;
  }
  return perm;
}

std::vector<int64_t> swapped(const std::vector<int64_t>& first, const std::vector<int64_t>& second, int64_t rank) {
  if (first.size() != 1 || second.size() != 1) return {};
  if (std::min(first[0], second[0]) < 0 || std::max(first[0], second[0]) >= rank) return {};
  std::vector<int64_t> perm(static_cast<size_t>(rank));
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[static_cast<size_t>(first[0])], perm[static_cast<size_t>(second[0])]);
  return perm;
}

}  // namespace

const Arg* argument(const Node& node, std::string_view name) {
  if (const Arg* a = node.find(name)) return a;
  const torch::Schema* schema = torch_ops::find_schema(node.target);
  if (!schema) return nullptr;
  for (size_t i = 0; i < schema->args.size(); ++i) {
    if (schema->args[i].name != name) continue;
    if (i < node.args.size() && node.args[i].name.empty()) return &node.args[i].arg;
    return schema->args[i].has_default ? &schema->args[i].fallback : nullptr;
  }
  return nullptr;
}

void set_argument(Node& node, std::string_view name, Arg value) {
  const Arg* given = argument(node, name);
  for (auto& a : node.args)
    if (&a.arg == given) {
      a.arg = std::move(value);
      return;
    }
  node.args.push_back({std::string(name), std::move(value)});
}

std::vector<int64_t> integers(const Arg* a) {
  std::vector<int64_t> out;
  if (!a) return out;
  if (const auto* i = a->as<int64_t>()) out.push_back(*i);
  if (const auto* list = a->as<Arg::List>())
    for (const Arg& e : *list)
      if (const auto* i = e.as<int64_t>()) out.push_back(*i);
  return out;
}

std::vector<int64_t> permutation(const Node& node, int64_t rank) {
  const auto named = [&](std::string_view name) { return from_front(integers(argument(node, name)), rank); };
  const bool axes = node.target.find("swapaxes") != std::string::npos;
  std::vector<int64_t> perm;
  if (node.target.find("permute") != std::string::npos)
    perm = named("dims");
  else if (node.target.find("move") != std::string::npos)
    perm = moved(named("source"), named("destination"), rank);
  else
    perm = swapped(named(axes ? "axis0" : "dim0"), named(axes ? "axis1" : "dim1"), rank);
  return is_permutation_of(perm, rank) ? perm : std::vector<int64_t>{};
}

}  // namespace cortland::torch_passes
