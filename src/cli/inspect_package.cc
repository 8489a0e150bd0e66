#include "cli/inspect.h"
#include "coreml/package_reader.h"

namespace cortland::cli {
namespace {

void collect_ops(const mil::Program& program, mil::BlockId block, std::vector<std::string>& names) {
  for (mil::OpId id : program.blocks[block].ops) {
    const mil::Op& op = program.ops[id];
    names.emplace_back(op.def->name);
    for (mil::BlockId nested : op.blocks) collect_ops(program, nested, names);
  }
}

Json describe_function(const mil::Program& program, const mil::Function& function) {
  Json inputs = Json::array(), outputs = Json::array(), states = Json::array();
  for (mil::ValueId v : function.inputs) {
    const mil::Value& value = program.values[v];
    Json described = describe_tensor(value.name, value.type.tensor, *program.dims);
    if (const auto it = function.enumerated_shapes.find(value.name); it != function.enumerated_shapes.end()) described["allowed_shapes"] = it->second;
    (value.type.kind == mil::Type::Kind::State ? states : inputs).push_back(std::move(described));
  }
  for (const mil::Output& out : function.outputs) outputs.push_back(describe_tensor(out.name, program.type(out.operand).tensor, *program.dims));
  std::vector<std::string> ops;
  collect_ops(program, function.body, ops);
  return {{"name", function.name}, {"inputs", inputs}, {"outputs", outputs}, {"states", states}, {"ops", count_names(ops)}};
}

}  // namespace

Result<Json> inspect_package(const std::filesystem::path& path) {
  TRY(const auto program, coreml::read_package(path));
  Json functions = Json::array();
  for (const mil::Function& f : program.functions) functions.push_back(describe_function(program, f));
  uint64_t bytes = 0;
  for (const mil::Const& c : program.consts) bytes += c.data ? c.data.byte_size() : 0;
  return Json{{"kind", "mlpackage"},
              {"target", mil::target_name(program.target)},
              {"specification_version", mil::specification_version(program.target)},
              {"functions", std::move(functions)},
              {"constants", {{"count", program.consts.size()}, {"bytes", bytes}}},
              {"metadata", program.metadata}};
}

}  // namespace cortland::cli
