// The torch IR: an ExportedProgram as read from a .pt2 file. A Graph owns its nodes, values and subgraphs and moves; weights
// stay in the mapped file. Arguments keep the names the file gives them; torch_ops binds them to schemas. Not synchronised.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/id.h"
#include "tensor/weight.h"

namespace cortland::torch {

using ValueId = Id<struct TorchValueTag>;
using NodeId = Id<struct TorchNodeTag>;
using GraphId = Id<struct TorchGraphTag>;    // a subgraph of a higher-order op, as read
using RegionId = Id<struct TorchRegionTag>;  // the same once its nodes stand in the graph around it

struct Value {
  enum class Kind : uint8_t { Tensor, SymInt, SymFloat, SymBool, Other } kind = Kind::Tensor;
  std::string name;
  TensorType type;             // Tensor: as PyTorch recorded it
  Shape strides;               // Tensor: eager strides in elements, as recorded; empty when unknown
  Dim sym;                     // SymInt: its expression (a constant when specialised)
  bool has_sym = false;        // false for a SymInt whose expression is not of sums, products and floor divisions
  NodeId producer;             // invalid for graph inputs
};

enum class MemoryFormat : uint8_t { Contiguous = 1, ChannelsLast = 2, ChannelsLast3d = 3, Preserve = 4 };
struct Layout { int32_t code = 7; friend bool operator==(Layout, Layout) = default; };
struct Device { std::string type; friend bool operator==(const Device&, const Device&) = default; };
struct Complex { double real = 0, imag = 0; friend bool operator==(Complex, Complex) = default; };

// One argument: absent, a value, a literal, or a list of arguments (ints, tensors, optional tensors, ...).
struct Arg {
  using List = std::vector<Arg>;
  std::variant<std::monostate, ValueId, int64_t, double, bool, std::string, Complex, DType, MemoryFormat, Layout, Device, GraphId, RegionId, List> v;

  Arg() = default;
  template <class T>
    requires std::is_constructible_v<decltype(v), T&&>
  Arg(T&& t) : v(std::forward<T>(t)) {}  // NOLINT
  bool is_none() const { return std::holds_alternative<std::monostate>(v); }
  template <class T>
  const T* as() const { return std::get_if<T>(&v); }
  template <class T>
  T* as() { return std::get_if<T>(&v); }
};

struct NamedArg {
  std::string name;  // empty: positional (higher-order ops, edge dialect)
  Arg arg;
};

struct SourceLoc {
  std::string file, function, code;  // innermost frame of the user's model
  int line = 0;
  std::string str() const;           // "model.py:41 in forward: x = F.gelu(x)"; empty when unknown
};

struct Node {
  std::string target;            // "aten.gelu.default", "_operator.add", "higher_order.cond", "torchao.dequantize_affine.default"
  std::string name;
  std::vector<NamedArg> args;
  std::vector<ValueId> results;  // flattened; invalid where a result was not computed
  bool returns_list = false;     // the results are one Tensor[] (split, unbind)
  SourceLoc source;

  const Arg* find(std::string_view arg) const {
    for (const auto& a : args)
      if (a.name == arg) return &a.arg;
    return nullptr;
  }
};

struct GraphInput {
  enum class Kind : uint8_t { Parameter, Buffer, TensorConstant, UserInput, ConstantInput, CustomObject, Token } kind = Kind::UserInput;
  ValueId value;           // invalid for ConstantInput
  std::string target;      // fully qualified name of a parameter, buffer or constant
  bool persistent = true;  // Buffer
  Weight data;             // Parameter, Buffer, TensorConstant; empty when the file has none
  Arg constant;            // ConstantInput
  std::string name;
};

struct GraphOutput {
  enum class Kind : uint8_t { UserOutput, BufferMutation, UserInputMutation, ParameterMutation, Token, Other } kind = Kind::UserOutput;
  Arg value;
  std::string target;  // buffer or parameter name, or the mutated user input's value name
};

// A subgraph of a higher-order op whose nodes and values are in the stores of the graph around it (torch_passes/regions.h), so
// that it is lowered, taken apart and planned like the rest. It reads its inputs, what it computes, and constants of the graph.
struct Region {
  std::vector<ValueId> inputs;  // the operands of the op, in order
  std::vector<NodeId> order;
  std::vector<ValueId> outputs;
};

struct Graph {
  std::shared_ptr<DimTable> dims = std::make_shared<DimTable>();
  std::map<std::string, int64_t> hints;  // sizes of the traced example, by symbol
  std::vector<GraphInput> inputs;
  std::vector<GraphOutput> outputs;
  std::vector<NodeId> order;
  Store<NodeId, Node> nodes;
  Store<ValueId, Value> values;
  Store<GraphId, std::unique_ptr<Graph>> subgraphs;
  Store<RegionId, Region> regions;
  bool functional = false;   // verifier ATEN or EDGE: no in-place operators left
  std::string in_spec, out_spec;  // pytree texts
  std::string dialect;       // "TRAINING", "ATEN", "EDGE"
  std::string torch_version;

  ValueId add_value(Value value) { return values.add(std::move(value)); }
  const TensorType& type(ValueId v) const { return values[v].type; }
};

// Calls f(ValueId) for each value an argument mentions, lists included.
template <class F>
void for_each_value(const Arg& arg, F&& f) {
  if (const auto* v = arg.as<ValueId>()) f(*v);
  if (const auto* list = arg.as<Arg::List>())
    for (const Arg& a : *list) for_each_value(a, f);
}
template <class F>
void for_each_value(Arg& arg, F&& f) {
  if (auto* v = arg.as<ValueId>()) f(*v);
  if (auto* list = arg.as<Arg::List>())
    for (Arg& a : *list) for_each_value(a, f);
}

// Calls f(RegionId) for each region of a node, in order of the arguments.
template <class F>
void for_each_region(const Node& node, F&& f) {
  for (const NamedArg& a : node.args)
    if (const auto* region = a.arg.as<RegionId>()) f(*region);
}
// Calls f(NodeId) for each node of `order`, each followed by the nodes of its regions.
template <class F>
void for_each_node(const Graph& graph, const std::vector<NodeId>& order, F&& f) {
  for (const NodeId n : order) {
    f(n);
    for_each_region(graph.nodes[n], [&](RegionId r) { for_each_node(graph, graph.regions[r].order, f); });
  }
}

// Reads the program `model_name` (or the only one) of a .pt2 archive; weights are views of the mapped file.
Result<Graph> read_pt2(const std::string& path, const std::string& model_name = {});
Result<Graph> read_pt2(std::shared_ptr<const MappedFile> file, const std::string& model_name = {});
// Structure: definitions before uses, unique names, specs that match. Readers call it; passes call it in tests.
Status verify(const Graph& graph);
// Text form, one node a line, for people and golden tests.
std::string print(const Graph& graph);

}  // namespace cortland::torch
