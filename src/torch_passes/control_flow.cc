#include "torch_passes/control_flow.h"

#include <fmt/format.h>

#include <algorithm>

#include "torch_passes/subgraphs.h"
#include "torch_passes/views.h"

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::Graph;
using torch::GraphId;
using torch::GraphOutput;
using torch::Node;
using torch::NodeId;
using torch::Region;
using torch::ValueId;

// A loop of at most this many nodes in all is written out: Core ML runs loops on the CPU only.
constexpr int64_t kMostUnrolledNodes = 256;

class ControlFlow {
 public:
  explicit ControlFlow(Graph& graph) : graph_(graph) {}

  Status run() {
    for (const NodeId id : std::exchange(graph_.order, {})) {
      const Status status = visit(id);
      if (status.ok()) continue;
      const Node& node = graph_.nodes[id];
      Diagnostic d = status.error();
      d.op = node.target;
      d.node = node.name;
      d.source = node.source.str();
      return d;
    }
    drop_subgraphs();
    return {};
  }

 private:
  using Values = std::vector<ValueId>;

  // Their nodes are in this graph now.
  void drop_subgraphs() {
    bool needed = false;  // by an operator that is not known here
    for_each_node(graph_, graph_.order, [&](NodeId n) {
      for (const auto& a : graph_.nodes[n].args) needed = needed || a.arg.as<GraphId>();
    });
    if (!needed) graph_.subgraphs = {};
  }

  Status visit(NodeId id) {
    const std::string target = graph_.nodes[id].target;
    for (const auto& a : graph_.nodes[id].args)
      if (const auto* g = a.arg.as<GraphId>()) TRY_DO(check_pure(*graph_.subgraphs[*g]));
    if (target == "higher_order.map_impl") return repeat(id, 0);
    if (target == "higher_order.scan") return repeat(id, values(id, 1).size());
    if (target == "higher_order.cond") TRY_DO(bring_in_cond(id));
    if (target == "higher_order.while_loop") TRY_DO(bring_in_while_loop(id));
    graph_.order.push_back(id);
    return {};
  }

  static Status check_pure(const Graph& body) {
    for (const GraphOutput& output : body.outputs)
      if (output.kind != GraphOutput::Kind::UserOutput)
        return diag(DiagKind::UnsupportedOp,
                    fmt::format("writes to '{}', a tensor from outside of its subgraph", output.target),
                    "return the new value from the subgraph and write it outside");
    return {};
  }

  // ---- arguments: positional

  const Arg* argument(NodeId id, size_t i) const {
    const auto& args = graph_.nodes[id].args;
    return i < args.size() ? &args[i].arg : nullptr;
  }

  Values values(NodeId id, size_t i) const {
    Values out;
    if (const Arg* a = argument(id, i)) for_each_value(*a, [&](ValueId v) { out.push_back(v); });
    return out;
  }

  Result<Graph*> body(NodeId id, size_t i) {
    const Arg* a = argument(id, i);
    const auto* g = a ? a->as<GraphId>() : nullptr;
    if (!g) return diag(DiagKind::BadProgram, fmt::format("argument {} is not a subgraph", i));
    return graph_.subgraphs[*g].get();
  }

  // ---- regions

  Result<torch::RegionId> region(Graph& body, const std::string& prefix) {
    Region region;
    std::vector<Arg> inputs;
    for (const auto& input : body.inputs) {
      if (!input.value) return diag(DiagKind::UnsupportedOp, "passes a literal to its subgraph");
      torch::Value copy = body.values[input.value];
      copy.name = prefix + copy.name;
      region.inputs.push_back(graph_.add_value(std::move(copy)));
      inputs.emplace_back(region.inputs.back());
    }
    TRY(const auto outputs, copy_nodes(graph_, body, inputs, prefix, region.order));
    for (const Arg& output : outputs) {
      const auto* v = output.as<ValueId>();
      if (!v || !*v || graph_.values[*v].kind != torch::Value::Kind::Tensor)
        return diag(DiagKind::UnsupportedOp, "returns something that is not a tensor from a subgraph");
      region.outputs.push_back(*v);
    }
    return graph_.regions.add(std::move(region));
  }

  // A condition of one element, whatever its shape, as a scalar.
  ValueId scalar(ValueId v, const torch::SourceLoc& source, std::vector<NodeId>& order) {
    if (graph_.type(v).rank() == 0) return v;
    return add_node(graph_, "aten.squeeze.default", {{"self", v}}, {graph_.type(v).dtype, {}}, source, order);
  }

  Status bring_in_cond(NodeId id) {
    for (const size_t i : {1, 2}) {
      TRY(Graph* const branch, body(id, i));
      TRY(const auto made, region(*branch, fmt::format("{}.{}.", graph_.nodes[id].name, i == 1 ? "true" : "false")));
      graph_.nodes[id].args[i].arg = made;
    }
    const Arg* pred = argument(id, 0);
    const auto* v = pred->as<ValueId>();
    if (v && *v && graph_.values[*v].kind == torch::Value::Kind::SymBool) {
      TRY(const ValueId tensor, truth(*v, graph_.nodes[id].source, 0));
      graph_.nodes[id].args[0].arg = tensor;
    } else if (v && *v && graph_.values[*v].kind == torch::Value::Kind::Tensor) {
      graph_.nodes[id].args[0].arg = scalar(*v, graph_.nodes[id].source, graph_.order);
    } else {
      return diag(DiagKind::BadProgram, "its condition is not a tensor");
    }
    return {};
  }

  Status bring_in_while_loop(NodeId id) {
    for (const size_t i : {0, 1}) {
      TRY(Graph* const part, body(id, i));
      TRY(const auto made, region(*part, fmt::format("{}.{}.", graph_.nodes[id].name, i == 0 ? "cond" : "body")));
      graph_.nodes[id].args[i].arg = made;
      if (i == 1) continue;
      Region& condition = graph_.regions[made];
      if (condition.outputs.size() != 1) return diag(DiagKind::BadProgram, "its condition does not return one value");
      condition.outputs[0] = scalar(condition.outputs[0], graph_.nodes[id].source, condition.order);
    }
    return {};
  }

  // A condition on sizes as a tensor.
  Result<ValueId> truth(ValueId v, const torch::SourceLoc& source, int nesting) {
    const auto refused = [&] {
      return diag(DiagKind::UnsupportedOp,
                  fmt::format("the condition '{}' on sizes is too complicated", graph_.values[v].name),
                  "compare tensors, or sizes with ==, !=, <, <=, >, >=");
    };
    constexpr int kMostNesting = 32;
    const NodeId producer = graph_.values[v].producer;
    if (!producer || nesting > kMostNesting) return refused();
    const Node node = graph_.nodes[producer];
    const TensorType scalar{DType::Bool, {}};
    static const std::pair<const char*, const char*> kCompare[] = {{"_operator.eq", "eq"}, {"_operator.ne", "ne"},
                                                                   {"_operator.lt", "lt"}, {"_operator.le", "le"},
                                                                   {"_operator.gt", "gt"}, {"_operator.ge", "ge"}};
    for (const auto& [target, name] : kCompare) {
      if (node.target != target || node.args.size() != 2) continue;
      Values sides;
      for (const auto& a : node.args)
        sides.push_back(add("aten.scalar_tensor.default", {{"s", a.arg}, {"dtype", DType::I64}}, {DType::I64, {}}, source));
      return add(fmt::format("aten.{}.Tensor", name), {{"self", sides[0]}, {"other", sides[1]}}, scalar, source);
    }
    static const std::pair<const char*, const char*> kLogic[] = {{"_operator.and_", "logical_and"},
                                                                 {"_operator.or_", "logical_or"},
                                                                 {"_operator.not_", "logical_not"},
                                                                 {"torch.sym_not", "logical_not"}};
    for (const auto& [target, name] : kLogic) {
      if (node.target != target || node.args.empty()) continue;
      std::vector<torch::NamedArg> args;
      for (const auto& a : node.args) {
        const auto* side = a.arg.as<ValueId>();
        if (!side || graph_.values[*side].kind != torch::Value::Kind::SymBool) return refused();
        TRY(const ValueId tensor, truth(*side, source, nesting + 1));
        args.push_back({args.empty() ? "self" : "other", tensor});
      }
      return add(fmt::format("aten.{}.default", name), std::move(args), scalar, source);
    }
    return refused();
  }

  ValueId add(std::string target, std::vector<torch::NamedArg> args, TensorType type, const torch::SourceLoc& source) {
    return add_node(graph_, std::move(target), std::move(args), std::move(type), source, graph_.order);
  }

  // ---- map and scan

  struct Repeated {
    NodeId id;
    Graph* body = nullptr;
    Values carried, rows, extra;
    Dim count;
    std::vector<TensorType> stacked;  // types of one row of each stacked result
    Values results;                   // of the node: carried, then stacked
    torch::SourceLoc source;
    std::string name;
  };

  // `carried` values go from turn to turn, the rows of `xs` come one a turn, what else the body returns is stacked.
  Status repeat(NodeId id, size_t carried) {
    const bool scan = graph_.nodes[id].target == "higher_order.scan";
    Repeated r;
    r.id = id;
    TRY(r.body, body(id, 0));
    if (scan) r.carried = values(id, 1);
    r.rows = values(id, scan ? 2 : 1);
    r.extra = values(id, scan ? 3 : 2);
    r.results = graph_.nodes[id].results;
    r.source = graph_.nodes[id].source;
    r.name = graph_.nodes[id].name;
    if (r.rows.empty() || graph_.type(r.rows[0]).rank() == 0)
      return diag(DiagKind::BadProgram, "there is nothing to go over");
    for (const ValueId x : r.rows)
      if (graph_.type(x).rank() == 0) return diag(DiagKind::BadProgram, "a scalar has no rows");
    r.count = graph_.type(r.rows[0]).shape[0];
    if (r.count == Dim(0)) return diag(DiagKind::UnsupportedShape, "goes over a tensor without rows");
    if (r.body->inputs.size() != carried + r.rows.size() + r.extra.size())
      return diag(DiagKind::BadProgram, "the subgraph does not take what it is given");
    for (const auto& output : r.body->outputs)
      for_each_value(output.value, [&](ValueId v) { r.stacked.push_back(r.body->type(v)); });
    if (r.stacked.size() != r.results.size() || r.stacked.size() < carried)
      return diag(DiagKind::BadProgram, "the subgraph does not return what is expected");
    r.stacked.erase(r.stacked.begin(), r.stacked.begin() + static_cast<std::ptrdiff_t>(carried));
    const auto nodes = std::max<int64_t>(static_cast<int64_t>(r.body->order.size()), 1);
    return r.count.is_constant() && r.count.constant() <= kMostUnrolledNodes / nodes ? unroll(r) : loop(r);
  }

  Shape row_shape(ValueId x) const {
    const Shape& shape = graph_.type(x).shape;
    return Shape(shape.begin() + 1, shape.end());
  }

  Status unroll(Repeated& r) {
    std::vector<Arg> carried(r.carried.begin(), r.carried.end());
    std::vector<Arg::List> stacks(r.stacked.size());
    for (int64_t turn = 0; turn < r.count.constant(); ++turn) {
      std::vector<Arg> operands = carried;
      for (const ValueId x : r.rows)
        operands.emplace_back(add("aten.select.int", {{"self", x}, {"dim", int64_t{0}}, {"index", turn}},
                                  {graph_.type(x).dtype, row_shape(x)}, r.source));
      operands.insert(operands.end(), r.extra.begin(), r.extra.end());
      TRY(const auto outputs, copy_nodes(graph_, *r.body, operands, fmt::format("{}.{}.", r.name, turn), graph_.order));
      std::copy_n(outputs.begin(), carried.size(), carried.begin());
      for (size_t i = 0; i < stacks.size(); ++i) stacks[i].push_back(outputs[carried.size() + i]);
    }
    for (size_t i = 0; i < carried.size(); ++i)
      if (r.results[i]) add_alias(graph_, r.results[i], carried[i], r.source, graph_.order);
    for (size_t i = 0; i < stacks.size(); ++i) {
      const ValueId result = r.results[carried.size() + i];
      if (!result) continue;
      const ValueId stack =
          add("aten.stack.default", {{"tensors", std::move(stacks[i])}, {"dim", int64_t{0}}}, graph_.type(result), r.source);
      add_alias(graph_, result, stack, r.source, graph_.order);
    }
    return {};
  }

  // The turn is a vector of one element, as gathering and scattering want it.
  Status loop(Repeated& r) {
    const TensorType turn{DType::I64, {1}};
    const ValueId first =
        add("aten.full.default", {{"size", Arg::List{int64_t{1}}}, {"fill_value", int64_t{0}}, {"dtype", DType::I64}}, turn,
            r.source);
    TRY(const Arg count, size(r.count, r.rows[0], r.source));
    const ValueId last =
        add("aten.scalar_tensor.default", {{"s", count}, {"dtype", DType::I64}}, {DType::I64, {}}, r.source);
    Values carried = {first};
    carried.insert(carried.end(), r.carried.begin(), r.carried.end());
    for (const TensorType& row : r.stacked) {
      TensorType type = row;
      type.shape.insert(type.shape.begin(), r.count);
      TRY(const Arg::List sizes, size_list(type.shape, r));
      const Arg zero = row.dtype == DType::Bool ? Arg(false) : is_float(row.dtype) ? Arg(0.0) : Arg(int64_t{0});
      carried.push_back(
          add("aten.full.default", {{"size", sizes}, {"fill_value", zero}, {"dtype", row.dtype}}, type, r.source));
    }
    Values extra = r.rows;
    extra.insert(extra.end(), r.extra.begin(), r.extra.end());
    extra.push_back(last);
    Region condition = empty_region(carried, extra, r.name + ".cond."),
           body = empty_region(carried, extra, r.name + ".body.");
    fill_condition(condition, r.source);
    TRY_DO(fill_body(body, r));
    Node node = graph_.nodes[r.id];
    node.target = "higher_order.while_loop";
    node.args = {{"", graph_.regions.add(std::move(condition))},
                 {"", graph_.regions.add(std::move(body))},
                 {"", Arg::List(carried.begin(), carried.end())},
                 {"", Arg::List(extra.begin(), extra.end())}};
    node.results.insert(node.results.begin(), ValueId{});  // nobody asks for the turn
    graph_.nodes[r.id] = std::move(node);
    graph_.order.push_back(r.id);
    return {};
  }

  Result<Arg> size(Dim dim, ValueId tensor, const torch::SourceLoc& source) {
    if (dim.is_constant()) return Arg(dim.constant());
    const Shape& shape = graph_.type(tensor).shape;
    const auto at = std::find(shape.begin(), shape.end(), dim);
    if (at == shape.end())
      return diag(DiagKind::UnsupportedShape,
                  fmt::format("stacks rows whose size {} is not one of what it goes over", graph_.dims->str(dim)));
    torch::Value value;
    value.kind = torch::Value::Kind::SymInt;
    value.name = fmt::format("size_{}", graph_.values.size());
    value.sym = dim;
    value.has_sym = true;
    const NodeId id{graph_.nodes.size()};
    value.producer = id;
    Node node;
    node.target = "aten.sym_size.int";
    node.name = value.name;
    node.args = {{"self", tensor}, {"dim", static_cast<int64_t>(at - shape.begin())}};
    node.results = {graph_.add_value(std::move(value))};
    node.source = source;
    graph_.nodes.add(node);
    graph_.order.push_back(id);
    return Arg(node.results[0]);
  }

  Result<Arg::List> size_list(const Shape& shape, const Repeated& r) {
    Arg::List list;
    for (const Dim d : shape) {
      ValueId source = r.rows[0];
      for (const Values* some : {&r.rows, &r.carried, &r.extra})
        for (const ValueId v : *some) {
          const Shape& own = graph_.type(v).shape;
          if (std::find(own.begin(), own.end(), d) != own.end()) source = v;
        }
      TRY(list.emplace_back(), size(d, source, r.source));
    }
    return list;
  }

  Region empty_region(const Values& carried, const Values& extra, const std::string& prefix) {
    Region region;
    for (const Values* some : {&carried, &extra})
      for (const ValueId v : *some) {
        torch::Value input = graph_.values[v];
        input.name = prefix + input.name;
        input.producer = {};
        region.inputs.push_back(graph_.add_value(std::move(input)));
      }
    return region;
  }

  void fill_condition(Region& region, const torch::SourceLoc& source) {
    const ValueId turn =
        add_node(graph_, "aten.squeeze.default", {{"self", region.inputs.front()}}, {DType::I64, {}}, source, region.order);
    region.outputs = {add_node(graph_, "aten.lt.Tensor", {{"self", turn}, {"other", region.inputs.back()}},
                               {DType::Bool, {}}, source, region.order)};
  }

  Status fill_body(Region& region, Repeated& r) {
    const auto emit = [&](std::string target, std::vector<torch::NamedArg> args, TensorType type) {
      return add_node(graph_, std::move(target), std::move(args), std::move(type), r.source, region.order);
    };
    const auto unit = [](Shape shape) {
      shape.insert(shape.begin(), Dim(1));
      return shape;
    };
    const size_t carried = r.carried.size(), stacks = r.stacked.size();
    const ValueId turn = region.inputs[0];
    const ValueId* input = region.inputs.data() + 1;
    std::vector<Arg> operands(input, input + carried);
    const ValueId* rows = input + carried + stacks;
    for (size_t i = 0; i < r.rows.size(); ++i) {
      const DType dtype = graph_.type(rows[i]).dtype;
      const Shape shape = row_shape(rows[i]);
      const ValueId row =
          emit("aten.index_select.default", {{"self", rows[i]}, {"dim", int64_t{0}}, {"index", turn}}, {dtype, unit(shape)});
      operands.emplace_back(emit("aten.squeeze.dim", {{"self", row}, {"dim", int64_t{0}}}, {dtype, shape}));
    }
    operands.insert(operands.end(), rows + r.rows.size(), rows + r.rows.size() + r.extra.size());
    TRY(const auto outputs, copy_nodes(graph_, *r.body, operands, r.name + ".body.", region.order));
    region.outputs = {emit("aten.add.Tensor", {{"self", turn}, {"other", int64_t{1}}}, {DType::I64, {1}})};
    for (size_t i = 0; i < outputs.size(); ++i) {
      const auto* v = outputs[i].as<ValueId>();
      if (!v || !*v) return diag(DiagKind::UnsupportedOp, "returns something that is not a tensor from a subgraph");
      if (i < carried) {
        region.outputs.push_back(*v);
        continue;
      }
      const ValueId stack = input[i];
      const ValueId row = emit("aten.unsqueeze.default", {{"self", *v}, {"dim", int64_t{0}}},
                               {graph_.type(*v).dtype, unit(graph_.type(*v).shape)});
      region.outputs.push_back(emit("aten.index_put.default",
                                    {{"self", stack}, {"indices", Arg::List{turn}}, {"values", row}}, graph_.type(stack)));
    }
    return {};
  }

  Graph& graph_;
};

}  // namespace

Status bring_in_subgraphs(Graph& graph) { return ControlFlow(graph).run(); }

}  // namespace cortland::torch_passes
