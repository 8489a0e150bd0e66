#include <fmt/format.h>

#include <cmath>

#include "archive/printable.h"
#include "torch/graph.h"

namespace cortland::torch {
namespace {

using archive::printable;

// Element types as the PyTorch community abbreviates them.
std::string_view short_name(DType dtype) {
  switch (dtype) {
    case DType::Bool:
      return "bool";
    case DType::I8:
      return "i8";
    case DType::I16:
      return "i16";
    case DType::I32:
      return "i32";
    case DType::I64:
      return "i64";
    case DType::U8:
      return "u8";
    case DType::U16:
      return "u16";
    case DType::U32:
      return "u32";
    case DType::U64:
      return "u64";
    case DType::F16:
      return "f16";
    case DType::BF16:
      return "bf16";
    case DType::F32:
      return "f32";
    case DType::F64:
      return "f64";
    case DType::C32:
      return "c32";
    case DType::C64:
      return "c64";
    case DType::C128:
      return "c128";
    default:
      return torch_name(dtype);
  }
}

std::string_view input_kind(GraphInput::Kind kind) {
  switch (kind) {
    case GraphInput::Kind::Parameter:
      return "parameter";
    case GraphInput::Kind::Buffer:
      return "buffer";
    case GraphInput::Kind::TensorConstant:
      return "constant";
    case GraphInput::Kind::UserInput:
      return "user";
    case GraphInput::Kind::ConstantInput:
      return "literal";
    case GraphInput::Kind::CustomObject:
      return "object";
    case GraphInput::Kind::Token:
      return "token";
  }
  return "?";
}

std::string_view output_kind(GraphOutput::Kind kind) {
  switch (kind) {
    case GraphOutput::Kind::UserOutput:
      return "user";
    case GraphOutput::Kind::BufferMutation:
      return "buffer";
    case GraphOutput::Kind::UserInputMutation:
      return "user input";
    case GraphOutput::Kind::ParameterMutation:
      return "parameter";
    case GraphOutput::Kind::Token:
      return "token";
    case GraphOutput::Kind::Other:
      return "other";
  }
  return "?";
}

std::string_view memory_format(MemoryFormat format) {
  switch (format) {
    case MemoryFormat::Contiguous:
      return "contiguous";
    case MemoryFormat::ChannelsLast:
      return "channels_last";
    case MemoryFormat::ChannelsLast3d:
      return "channels_last_3d";
    case MemoryFormat::Preserve:
      return "preserve";
  }
  return "?";
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : printable(text)) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + '"';
}

class Printer {
 public:
  Printer(const Graph& graph, std::string indent) : graph_(graph), indent_(std::move(indent)) {}

  std::string run() {
    for (const GraphInput& input : graph_.inputs) print_input(input);
    for (const NodeId id : graph_.order) print_node(graph_.nodes[id]);
    for (const GraphOutput& output : graph_.outputs) print_output(output);
    return std::move(out_);
  }

 private:
  std::string name(ValueId id) const { return id ? "%" + printable(graph_.values[id].name) : "_"; }

  std::string type(ValueId id) const {
    const Value& value = graph_.values[id];
    switch (value.kind) {
      case Value::Kind::Tensor:
        break;
      case Value::Kind::SymInt:
        return value.has_sym ? fmt::format("int {}", graph_.dims->str(value.sym)) : "int";
      case Value::Kind::SymFloat:
        return "float";
      case Value::Kind::SymBool:
        return "bool";
      case Value::Kind::Other:
        return "object";
    }
    std::string sizes;
    for (const Dim dim : value.type.shape) sizes += (sizes.empty() ? "" : ", ") + graph_.dims->str(dim);
    return fmt::format("{}[{}]", short_name(value.type.dtype), sizes);
  }

  std::string literal(const Arg& arg) {
    struct Visitor {
      Printer& printer;
      std::string operator()(std::monostate) const { return "None"; }
      std::string operator()(ValueId id) const { return printer.name(id); }
      std::string operator()(int64_t number) const { return fmt::format("{}", number); }
      std::string operator()(double number) const {
        auto text = fmt::format("{}", number);
        const bool integral = std::isfinite(number) && text.find_first_of(".e") == std::string::npos;
        return integral ? text + ".0" : text;
      }
      std::string operator()(bool flag) const { return flag ? "True" : "False"; }
      std::string operator()(const std::string& text) const { return in_quotes(text); }
      std::string operator()(Complex number) const { return fmt::format("({}{:+}j)", number.real, number.imag); }
      std::string operator()(DType dtype) const { return std::string(short_name(dtype)); }
      std::string operator()(MemoryFormat format) const { return std::string(memory_format(format)); }
      std::string operator()(Layout layout) const {
        return layout.code == 7 ? "strided" : fmt::format("layout{}", layout.code);
      }
      std::string operator()(const Device& device) const { return fmt::format("device({})", in_quotes(device.type)); }
      std::string operator()(GraphId id) const {
        printer.subgraphs_.push_back(id);
        return fmt::format("@{}", id.index);
      }
      std::string operator()(RegionId id) const {
        printer.regions_.push_back(id);
        return fmt::format("@{}", id.index);
      }
      std::string operator()(const Arg::List& list) const {
        std::string items;
        for (const Arg& item : list) items += (items.empty() ? "" : ", ") + printer.literal(item);
        return "[" + items + "]";
      }
    };
    return std::visit(Visitor{*this}, arg.v);
  }

  void print_input(const GraphInput& input) {
    const std::string what = input.value ? fmt::format("{}: {}", name(input.value), type(input.value))
                                         : fmt::format("{} = {}", printable(input.name), literal(input.constant));
    const std::string target = input.target.empty() ? "" : " " + printable(input.target);
    const bool temporary = input.kind == GraphInput::Kind::Buffer && !input.persistent;
    out_ += fmt::format("{}input {}  # {}{}{}\n", indent_, what, input_kind(input.kind), target,
                        temporary ? ", not persistent" : "");
  }

  void print_node(const Node& node) {
    std::string results, args, types;
    for (const ValueId id : node.results) {
      results += (results.empty() ? "" : ", ") + name(id);
      if (id) types += (types.empty() ? "" : ", ") + type(id);
    }
    if (node.returns_list) results = "[" + results + "]";
    for (const NamedArg& named : node.args) {
      const std::string key = named.name.empty() ? "" : printable(named.name) + "=";
      args += (args.empty() ? "" : ", ") + key + literal(named.arg);
    }
    out_ += fmt::format("{}{}{}{}({})", indent_, results, results.empty() ? "" : " = ", printable(node.target), args);
    if (!types.empty()) out_ += "  # " + types;
    if (!node.source.file.empty())
      out_ += fmt::format("{}{}:{}", types.empty() ? "  # " : "  ", node.source.file, node.source.line);
    out_ += '\n';
    for (const GraphId id : std::exchange(subgraphs_, {}))
      out_ += fmt::format("{}  @{}:\n{}", indent_, id.index, Printer(*graph_.subgraphs[id], indent_ + "    ").run());
    for (const RegionId id : std::exchange(regions_, {})) print_region(id);
  }

  void print_region(RegionId id) {
    const Region& region = graph_.regions[id];
    std::string inputs, outputs;
    for (const ValueId v : region.inputs) inputs += fmt::format("{}{}: {}", inputs.empty() ? "" : ", ", name(v), type(v));
    for (const ValueId v : region.outputs) outputs += (outputs.empty() ? "" : ", ") + name(v);
    out_ += fmt::format("{}  @{} ({}) -> ({}):\n", indent_, id.index, inputs, outputs);
    const std::string outer = std::exchange(indent_, indent_ + "    ");
    for (const NodeId n : region.order) print_node(graph_.nodes[n]);
    indent_ = outer;
  }

  void print_output(const GraphOutput& output) {
    const std::string target = output.target.empty() ? "" : " " + printable(output.target);
    out_ += fmt::format("{}output {}  # {}{}\n", indent_, literal(output.value), output_kind(output.kind), target);
  }

  const Graph& graph_;
  std::string indent_, out_;
  std::vector<GraphId> subgraphs_;  // mentioned by the line being printed
  std::vector<RegionId> regions_;
};

}  // namespace

std::string print(const Graph& graph) { return Printer(graph, "").run(); }

}  // namespace cortland::torch
