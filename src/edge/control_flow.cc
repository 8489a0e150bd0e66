// cond:         jump to F unless pred     while_loop:     carried := first values
//               true branch                            C: condition
//               jump to E                                 jump to E unless it holds
//            F: false branch                              body; carried := its outputs
//            E:                                           jump to C
//                                                      E:
// Memory: instructions that stand later may run earlier only by a jump back, so a tensor from outside of a loop lives to the
// loop's end; all else is as without jumps.
#include "edge/control_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "edge/kernel_call.h"

namespace cortland::edge {
namespace {

using torch::Arg;
using torch::Region;
using torch::ValueId;

class ControlFlow {
 public:
  ControlFlow(PlanBuilder& plan, Sizes& sizes, torch::NodeId node, const std::function<Status(torch::NodeId)>& run)
      : plan_(plan), sizes_(sizes), graph_(plan.graph()), node_(graph_.nodes[node]), run_(run) {}

  Status cond() {
    if (node_.args.size() != 4) return malformed();
    TRY(const ValueIndex condition, tensor(node_.args[0].arg));
    const int32_t otherwise = plan_.jump_if_false(condition);
    TRY_DO(branch(1));
    const int32_t end = plan_.jump_if_false(plan_.boolean(false));
    plan_.land(otherwise);
    TRY_DO(branch(2));
    plan_.land(end);
    for (const ValueId v : node_.results) sizes_.add_tensor(v);
    return {};
  }

  Status while_loop() {
    if (node_.args.size() != 4) return malformed();
    TRY(const auto first, operands(2));
    TRY(const auto extra, operands(3));
    if (first.size() != node_.results.size()) return malformed();
    std::vector<ValueIndex> carried;
    for (size_t i = 0; i < first.size(); ++i) {
      const TensorType& type = graph_.type(first[i]);
      TRY(const ValueIndex from, plan_.tensor(first[i]));
      if (node_.results[i]) {
        TRY(carried.emplace_back(), plan_.tensor(node_.results[i]));
      } else {
        TRY(carried.emplace_back(), plan_.scratch(type, node_.name));
      }
      copy_tensor_to(plan_, from, type, carried.back(), type.dtype);
    }
    const int32_t start = plan_.position();
    const Sizes::Known before = sizes_.known();
    TRY(const Region* const condition, region(0));
    TRY_DO(enter(*condition, first, carried, extra));
    for (const torch::NodeId n : condition->order) TRY_DO(run_(n));
    if (condition->outputs.size() != 1) return malformed();
    TRY(const ValueIndex holds, plan_.tensor(condition->outputs[0]));
    const int32_t end = plan_.jump_if_false(holds);
    sizes_.restore(before);
    TRY_DO(body(first, carried, extra));
    plan_.jump_if_false(plan_.boolean(false), start);
    plan_.keep_from(start);
    plan_.land(end);
    sizes_.restore(before);
    for (const ValueId v : node_.results) sizes_.add_tensor(v);
    return {};
  }

 private:
  Diagnostic malformed() const { return diag(DiagKind::BadProgram, "is not put together as torch does it"); }

  Result<const Region*> region(size_t i) const {
    const auto* id = node_.args[i].arg.as<torch::RegionId>();
    if (!id) return malformed();
    return &graph_.regions[*id];
  }

  Result<std::vector<ValueId>> operands(size_t i) const {
    std::vector<ValueId> out;
    bool fits = node_.args[i].arg.as<Arg::List>() != nullptr;
    for_each_value(node_.args[i].arg, [&](ValueId v) {
      fits = fits && v.valid();
      out.push_back(v);
    });
    if (!fits) return malformed();
    return out;
  }

  Result<ValueIndex> tensor(const Arg& arg) {
    const auto* v = arg.as<ValueId>();
    if (!v || !*v) return malformed();
    return plan_.tensor(*v);
  }

  // Lets a region's input be what it is handed.
  Status hand(ValueId input, ValueId operand) {
    if (graph_.values[operand].kind == torch::Value::Kind::Tensor) {
      TRY(const ValueIndex slot, plan_.tensor(operand));
      plan_.bind(input, slot);
      sizes_.add_tensor(input);
      return {};
    }
    TRY(const ValueIndex number, sizes_.number(operand));
    sizes_.define(input, number);
    return {};
  }

  Status branch(size_t i) {
    TRY(const Region* const region, this->region(i));
    TRY(const auto given, operands(3));
    if (given.size() != region->inputs.size() || region->outputs.size() != node_.results.size()) return malformed();
    const Sizes::Known before = sizes_.known();
    for (size_t k = 0; k < given.size(); ++k) TRY_DO(hand(region->inputs[k], given[k]));
    std::vector<size_t> copies;
    for (size_t k = 0; k < region->outputs.size(); ++k) {
      const ValueId result = node_.results[k], inner = region->outputs[k];
      if (!result) continue;
      TRY(const ValueIndex slot, plan_.tensor(result));
      // What the branch computes is written where the result lies.
      const bool same = graph_.type(inner) == graph_.type(result) || !graph_.type(result).is_static();
      if (same && graph_.type(inner).dtype == graph_.type(result).dtype && made_in(*region, inner) && !plan_.is_bound(inner))
        plan_.bind(inner, slot);
      else
        copies.push_back(k);
    }
    for (const torch::NodeId n : region->order) TRY_DO(run_(n));
    for (const size_t k : copies) {
      TRY(const ValueIndex from, plan_.tensor(region->outputs[k]));
      TRY(const ValueIndex to, plan_.tensor(node_.results[k]));
      copy_tensor_to(plan_, from, graph_.type(region->outputs[k]), to, graph_.type(node_.results[k]).dtype);
    }
    sizes_.restore(before);
    return {};
  }

  bool made_in(const Region& region, ValueId v) const {
    const torch::NodeId producer = graph_.values[v].producer;
    return producer && std::find(region.order.begin(), region.order.end(), producer) != region.order.end();
  }

  Status enter(const Region& region, const std::vector<ValueId>& first, const std::vector<ValueIndex>& carried,
               const std::vector<ValueId>& extra) {
    if (region.inputs.size() != first.size() + extra.size()) return malformed();
    for (size_t i = 0; i < carried.size(); ++i) {
      plan_.bind(region.inputs[i], carried[i]);
      sizes_.add_tensor(region.inputs[i]);
    }
    for (size_t i = 0; i < extra.size(); ++i) TRY_DO(hand(region.inputs[first.size() + i], extra[i]));
    return {};
  }

  Status body(const std::vector<ValueId>& first, const std::vector<ValueIndex>& carried, const std::vector<ValueId>& extra) {
    TRY(const Region* const body, region(1));
    TRY_DO(enter(*body, first, carried, extra));
    if (body->outputs.size() != carried.size()) return malformed();
    std::unordered_set<torch::NodeId> in_place;
    for (size_t i = 0; i < carried.size(); ++i) {
      if (!writes_rows(*body, i)) continue;
      plan_.bind(body->outputs[i], carried[i]);
      in_place.insert(graph_.values[body->outputs[i]].producer);
    }
    for (const torch::NodeId n : body->order) {
      if (in_place.count(n))
        TRY_DO(write_rows(graph_.nodes[n]));
      else
        TRY_DO(run_(n));
    }
    // All new values are there before an old one goes: what shows the memory of an old one is saved first.
    const std::unordered_set<ValueIndex> old(carried.begin(), carried.end());
    std::vector<ValueIndex> next;
    for (size_t i = 0; i < carried.size(); ++i) {
      TRY(ValueIndex slot, plan_.tensor(body->outputs[i]));
      if (plan_.root(slot) == carried[i]) slot = carried[i];  // handed on as it is
      const TensorType& type = graph_.type(body->outputs[i]);
      if (slot != carried[i] && old.count(plan_.root(slot))) {
        TRY(slot, copy_tensor(plan_, slot, type, type.dtype, node_.name));
      }
      next.push_back(slot);
    }
    for (size_t i = 0; i < carried.size(); ++i)
      if (next[i] != carried[i])
        copy_tensor_to(plan_, next[i], graph_.type(body->outputs[i]), carried[i], graph_.type(first[i]).dtype);
    return {};
  }

  // Whether output i is input i with rows written to it, and nobody else reads either: map and scan collect their results
  // so.
  bool writes_rows(const Region& body, size_t i) const {
    const ValueId before = body.inputs[i], after = body.outputs[i];
    const torch::NodeId producer = graph_.values[after].producer;
    if (!made_in(body, after) || graph_.nodes[producer].target != "aten.index_put.default") return false;
    const auto& args = graph_.nodes[producer].args;
    if (args.size() != 3 || !args[0].arg.as<ValueId>() || *args[0].arg.as<ValueId>() != before) return false;
    int reads = 0, written = 0;
    for_each_node(graph_, body.order, [&](torch::NodeId n) {
      for (const auto& a : graph_.nodes[n].args)
        for_each_value(a.arg, [&](ValueId v) {
          reads += v == before;
          written += v == after;
        });
    });
    for (const ValueId v : body.outputs) {
      reads += v == before;
      written += v == after;
    }
    return reads == 1 && written == 1;
  }

  Status write_rows(const torch::Node& put) {
    executorch::OptionalTensorList indices;
    const auto* list = put.args[1].arg.as<Arg::List>();
    if (!list) return malformed();
    for (const Arg& index : *list) {
      TRY(indices.items.emplace_back(), tensor(index));
    }
    TRY(const ValueIndex rows, tensor(put.args[0].arg));
    TRY(const ValueIndex values, tensor(put.args[2].arg));
    plan_.call("aten::index_put_", "", {rows, plan_.add(std::move(indices)), values, plan_.boolean(false), rows});
    return {};
  }

  PlanBuilder& plan_;
  Sizes& sizes_;
  const torch::Graph& graph_;
  const torch::Node& node_;
  const std::function<Status(torch::NodeId)>& run_;
};

}  // namespace

bool is_control_flow(const torch::Node& node) {
  bool regions = false;
  for_each_region(node, [&](torch::RegionId) { regions = true; });
  return regions && (node.target == "higher_order.cond" || node.target == "higher_order.while_loop");
}

Status run_control_flow(PlanBuilder& plan, Sizes& sizes, torch::NodeId id, const std::function<Status(torch::NodeId)>& run) {
  ControlFlow flow(plan, sizes, id, run);
  return plan.graph().nodes[id].target == "higher_order.cond" ? flow.cond() : flow.while_loop();
}

}  // namespace cortland::edge
