#include "cli/inspect.h"
#include "torch/graph.h"
#include "torch/pt2_archive.h"

namespace cortland::cli {
namespace {

using namespace torch;

Json describe_value(const Graph& graph, ValueId id, const std::string& name) {
  if (!id) return {{"name", name}, {"kind", "constant"}};
  const Value& value = graph.values[id];
  if (value.kind != Value::Kind::Tensor) return {{"name", name}, {"kind", "number"}};
  return describe_tensor(name, value.type, *graph.dims);
}

Json describe_weight(const GraphInput& input) {
  DimTable dims;
  if (!input.data) return {{"name", input.target}, {"kind", "missing"}};
  return describe_tensor(input.target, input.data.type(), dims);
}

// One program of the file.
Json describe_program(const Graph& graph) {
  Json inputs = Json::array(), outputs = Json::array(), parameters = Json::array(), buffers = Json::array();
  uint64_t bytes = 0;
  for (const GraphInput& in : graph.inputs) {
    if (in.kind == GraphInput::Kind::UserInput || in.kind == GraphInput::Kind::ConstantInput) inputs.push_back(describe_value(graph, in.value, in.name));
    if (in.kind == GraphInput::Kind::Parameter) parameters.push_back(describe_weight(in));
    if (in.kind == GraphInput::Kind::Buffer || in.kind == GraphInput::Kind::TensorConstant) buffers.push_back(describe_weight(in));
    bytes += in.data ? in.data.byte_size() : 0;
  }
  for (const GraphOutput& out : graph.outputs) {
    const auto* value = out.value.as<ValueId>();
    Json described = describe_value(graph, value ? *value : ValueId{}, value && *value ? graph.values[*value].name : "constant");
    if (out.kind != GraphOutput::Kind::UserOutput) described["writes"] = out.target;
    outputs.push_back(std::move(described));
  }
  std::vector<std::string> ops;
  for (NodeId id : graph.order) ops.push_back(graph.nodes[id].target);
  return Json{{"torch_version", graph.torch_version},
              {"dialect", graph.dialect},
              {"inputs", std::move(inputs)},
              {"outputs", std::move(outputs)},
              {"ops", count_names(ops)},
              {"parameters", std::move(parameters)},
              {"buffers", std::move(buffers)},
              {"weight_bytes", bytes}};
}

}  // namespace

Result<Json> inspect_pt2(const std::filesystem::path& path) {
  TRY(auto file, MappedFile::open(path));
  TRY(const auto names, program_names(file));
  Json inspected{{"kind", "pt2"}};
  Json programs = Json::array();
  for (const std::string& name : names) {
    TRY(const Graph graph, read_pt2(file, name));
    Json described = describe_program(graph);
    if (names.size() == 1) {
      inspected.update(described);
      return inspected;
    }
    Json named{{"name", name}};
    named.update(described);
    programs.push_back(std::move(named));
  }
  inspected["programs"] = std::move(programs);
  return inspected;
}

}  // namespace cortland::cli
