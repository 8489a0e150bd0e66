#include "coreml/model_reader.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>

#include "coreml/features.h"
#include "mil_ops/ops.h"

namespace cortland::coreml {
namespace {

using mil::Operand;

template <class Message>
using List = google::protobuf::RepeatedPtrField<Message>;

Diagnostic bad(std::string why) { return diag(DiagKind::BadPackage, std::move(why)); }

// What a name means here. A nested block sees the names around it; its own end with it.
class Scope {
 public:
  Result<Operand> find(const std::string& name) const {
    const auto it = names_.find(name);
    if (it == names_.end()) return bad(fmt::format("the program reads '{}', which nothing before defines", name));
    return it->second;
  }
  Status define(const std::string& name, Operand operand) {
    if (name.empty()) return bad("the program defines a value without a name");
    const auto [it, inserted] = names_.try_emplace(name, operand);
    if (!inserted && std::find(defined_.begin() + static_cast<ptrdiff_t>(begin_), defined_.end(), name) != defined_.end())
      return bad(fmt::format("the program defines '{}' twice", name));
    shadowed_.push_back(inserted ? Operand() : it->second);
    defined_.push_back(name);
    it->second = operand;
    return {};
  }
  size_t open() { return std::exchange(begin_, defined_.size()); }
  void close(size_t outer) {
    while (defined_.size() > begin_) {
      if (shadowed_.back())
        names_[defined_.back()] = shadowed_.back();
      else
        names_.erase(defined_.back());
      defined_.pop_back();
      shadowed_.pop_back();
    }
    begin_ = outer;
  }

 private:
  std::unordered_map<std::string, Operand> names_;
  std::vector<std::string> defined_;
  std::vector<Operand> shadowed_;  // what each of defined_ meant outside; None for nothing
  size_t begin_ = 0;               // where the innermost block's names begin
};

class FunctionReader {
 public:
  FunctionReader(mil::Program& program, const WeightFiles& files) : program_(program), files_(files) {}

  Result<mil::Function> read(const std::string& name, const milspec::Function& in,
                             const spec::FunctionDescription& description);

 private:
  Status read_inputs(const milspec::Function& in, const spec::FunctionDescription& description, mil::Function& function);
  Status flex_input(const spec::FeatureDescription& feature, const std::string& name, mil::Type& type,
                    mil::Function& function);
  Status read_outputs(const milspec::Block& in, const spec::FunctionDescription& description, mil::Function& function);
  Status read_ops(const milspec::Block& in, mil::BlockId block);
  Status read_op(const milspec::Operation& in, mil::BlockId block);
  Status read_const(const milspec::Operation& in);
  Result<mil::BlockId> read_nested(const milspec::Block& in);
  Result<const mil::MilOp*> find_op(const std::string& type) const;
  Result<std::vector<mil::Binding>> read_operands(const milspec::Operation& in, const mil::MilOp& def);
  Result<std::vector<mil::Type>> read_result_types(const milspec::Operation& in) const;
  // Sizes the file leaves open, from the op's own rule where it applies.
  void infer_open_sizes(const mil::MilOp& def, std::span<const mil::Binding> operands, std::span<const mil::BlockId> blocks,
                        std::vector<mil::Type>& types);

  mil::Program& program_;
  const WeightFiles& files_;
  Scope scope_;
};

const spec::FeatureDescription* find_feature(const List<spec::FeatureDescription>& features, const std::string& name) {
  for (const auto& feature : features)
    if (feature.name() == name) return &feature;
  return nullptr;
}

Diagnostic in_op(Diagnostic error, const milspec::Operation& op) {
  if (!error.op.empty()) return error;
  error.op = op.type();
  if (const auto name = op.attributes().find("name"); name != op.attributes().end())
    for (const std::string& text : name->second.immediatevalue().tensor().strings().values()) error.node = text;
  return error;
}

bool is_open(const mil::Type& type) {
  const auto& shape = type.shape();
  return std::find(shape.begin(), shape.end(), open_dim()) != shape.end();
}

Result<const mil::MilOp*> FunctionReader::find_op(const std::string& type) const {
  if (const mil::MilOp* def = mil_ops::find(type, program_.target)) return def;
  if (!mil_ops::exists(type))
    return diag(DiagKind::UnknownOp, fmt::format("the program uses '{}', which is not a known MIL operation", type),
                "custom layers and operations newer than this version cannot be read");
  return diag(DiagKind::UnsupportedTarget,
              fmt::format("the program uses '{}', which needs {}, but it was written for {}", type,
                          mil::target_name(mil_ops::introduced(type)), mil::target_name(program_.target)));
}

Result<std::vector<mil::Binding>> FunctionReader::read_operands(const milspec::Operation& in, const mil::MilOp& def) {
  std::vector<mil::Binding> operands;
  int known = 0;
  for (size_t slot = 0; slot < def.inputs.size(); ++slot) {
    const mil::Input& input = def.inputs[slot];
    const std::string name(input.name);
    const auto argument = in.inputs().find(name);
    const auto attribute = def.constexpr_op ? in.attributes().find(name) : in.attributes().end();
    if (argument != in.inputs().end() && attribute != in.attributes().end())
      return bad(fmt::format("'{}' is given twice", name));
    if (attribute != in.attributes().end()) {
      TRY(mil::ConstId value, decode_value(attribute->second, program_, files_));
      operands.push_back({static_cast<uint8_t>(slot), value});
    }
    if (argument != in.inputs().end()) {
      ++known;
      for (const auto& binding : argument->second.arguments()) {
        if (binding.has_value()) {
          TRY(mil::ConstId value, decode_value(binding.value(), program_, files_));
          operands.push_back({static_cast<uint8_t>(slot), value});
        } else {
          TRY(Operand operand, scope_.find(binding.name()));
          operands.push_back({static_cast<uint8_t>(slot), operand});
        }
      }
      const int count = argument->second.arguments_size();
      if (count == 0 || (count > 1 && input.need != mil::Need::Variadic))
        return bad(fmt::format("'{}' has {} values", name, count));
    }
    const bool given = !operands.empty() && operands.back().slot == slot;
    if (!given && input.need != mil::Need::Optional) return bad(fmt::format("'{}' is missing", name));
  }
  if (known == static_cast<int>(in.inputs().size())) return operands;
  for (const auto& [name, argument] : in.inputs())
    if (def.slot(name) < 0) return bad(fmt::format("'{}' is not a parameter of {}", name, def.name));
  return operands;
}

Result<std::vector<mil::Type>> FunctionReader::read_result_types(const milspec::Operation& in) const {
  std::vector<mil::Type> types;
  for (const auto& output : in.outputs()) {
    TRY(mil::Type type, decode_type(output.type()));
    types.push_back(std::move(type));
  }
  return types;
}

void FunctionReader::infer_open_sizes(const mil::MilOp& def, std::span<const mil::Binding> operands,
                                      std::span<const mil::BlockId> blocks, std::vector<mil::Type>& types) {
  bool applies = def.infer && std::any_of(types.begin(), types.end(), is_open);
  for (const mil::Binding& b : operands)
    if (const mil::Type& type = program_.type(b.operand);
        type.kind == mil::Type::Kind::Tensor && !def.inputs[b.slot].types.has(type.dtype()))
      applies = false;
  if (applies) {
    mil::InferContext context(def, operands, program_, blocks);
    const auto inferred = def.infer(context);
    const bool fits = inferred.ok() && inferred->size() == types.size();
    for (size_t i = 0; fits && i < types.size(); ++i) {
      const mil::Type& from = (*inferred)[i];
      if (from.kind != types[i].kind || from.rank() != types[i].rank()) continue;
      for (size_t d = 0; d < from.shape().size(); ++d)
        if (types[i].tensor.shape[d] == open_dim()) types[i].tensor.shape[d] = from.shape()[d];
    }
  }
  for (mil::Type& type : types) close_dims(type, *program_.dims);
}

Status FunctionReader::read_const(const milspec::Operation& in) {
  const auto value = in.attributes().find("val");
  if (value == in.attributes().end()) return bad("a constant has no value");
  if (in.outputs_size() != 1 || in.blocks_size() != 0 || !in.inputs().empty())
    return bad("a constant must have one result and nothing else");
  TRY(mil::ConstId id, decode_value(value->second, program_, files_));
  return scope_.define(in.outputs(0).name(), id);
}

Result<mil::BlockId> FunctionReader::read_nested(const milspec::Block& in) {
  const mil::BlockId block = program_.add_block();
  const size_t outer = scope_.open();
  for (const auto& input : in.inputs()) {
    TRY(mil::Type type, decode_type(input.type()));
    close_dims(type, *program_.dims);
    const mil::ValueId v = program_.add_value(input.name(), std::move(type));
    program_.blocks[block].inputs.push_back(v);
    TRY_DO(scope_.define(input.name(), v));
  }
  TRY_DO(read_ops(in, block));
  for (const std::string& name : in.outputs()) {
    TRY(Operand operand, scope_.find(name));
    program_.blocks[block].outputs.push_back(operand);
  }
  scope_.close(outer);
  return block;
}

Status FunctionReader::read_op(const milspec::Operation& in, mil::BlockId block) {
  if (in.type() == "const") return read_const(in);
  TRY(const mil::MilOp* def, find_op(in.type()));
  TRY(std::vector<mil::Binding> operands, read_operands(in, *def));
  std::vector<mil::BlockId> nested;
  for (const auto& inner : in.blocks()) {
    TRY(mil::BlockId id, read_nested(inner));
    nested.push_back(id);
  }
  TRY(std::vector<mil::Type> types, read_result_types(in));
  infer_open_sizes(*def, operands, nested, types);
  std::string name;
  if (const auto attribute = in.attributes().find("name"); attribute != in.attributes().end())
    for (const std::string& text : attribute->second.immediatevalue().tensor().strings().values()) name = text;
  if (name.empty() && in.outputs_size() > 0) name = in.outputs(0).name();
  const mil::OpId id =
      program_.add_typed_op(block, *def, std::move(operands), std::move(types), std::move(name), std::move(nested));
  for (int i = 0; i < in.outputs_size(); ++i) {
    const mil::ValueId v = program_.ops[id].results[static_cast<size_t>(i)];
    program_.values[v].name = in.outputs(i).name();
    TRY_DO(scope_.define(in.outputs(i).name(), v));
  }
  return {};
}

Status FunctionReader::read_ops(const milspec::Block& in, mil::BlockId block) {
  for (const auto& op : in.operations())
    if (Status status = read_op(op, block); !status.ok()) return in_op(std::move(status).error(), op);
  return {};
}

Status FunctionReader::flex_input(const spec::FeatureDescription& feature, const std::string& name, mil::Type& type,
                                  mil::Function& function) {
  TRY(FlexibleShape flexible, decode_shape(feature, type.tensor));
  if (!flexible.enumerated.empty()) function.enumerated_shapes[name] = flexible.enumerated;
  for (size_t i = 0; i < flexible.ranges.size(); ++i) {
    Dim& d = type.tensor.shape[i];
    const DimRange range = flexible.ranges[i];
    if (d == open_dim()) {
      d = program_.dims->unknown(range);
    } else if (range.low > d.constant() || range.high < d.constant()) {
      return bad(fmt::format("the description lets dimension {} of '{}' be {} to {}, but the program fixes it to {}", i,
                             name, range.low, range.high, d.constant()));
    }
  }
  return {};
}

Status FunctionReader::read_inputs(const milspec::Function& in, const spec::FunctionDescription& description,
                                   mil::Function& function) {
  for (const auto& input : in.inputs()) {
    TRY(mil::Type type, decode_type(input.type()));
    if (type.kind == mil::Type::Kind::Tensor) {
      const auto* feature = find_feature(description.input(), input.name());
      if (!feature) return bad(fmt::format("the program takes '{}', which the description does not list", input.name()));
      TRY_DO(flex_input(*feature, input.name(), type, function));
    } else if (type.kind != mil::Type::Kind::State) {
      return bad(fmt::format("the input '{}' is neither a tensor nor a state", input.name()));
    }
    close_dims(type, *program_.dims);
    const mil::ValueId v = program_.add_value(input.name(), std::move(type));
    function.inputs.push_back(v);
    TRY_DO(scope_.define(input.name(), v));
  }
  return {};
}

Status FunctionReader::read_outputs(const milspec::Block& in, const spec::FunctionDescription& description,
                                    mil::Function& function) {
  for (const std::string& name : in.outputs()) {
    TRY(Operand operand, scope_.find(name));
    if (!find_feature(description.output(), name))
      return bad(fmt::format("the program returns '{}', which the description does not list", name));
    function.outputs.push_back({name, operand});
  }
  if (in.outputs_size() != description.output_size())
    return bad(fmt::format("the program returns {} values, but the description lists {}", in.outputs_size(),
                           description.output_size()));
  return {};
}

Result<mil::Function> FunctionReader::read(const std::string& name, const milspec::Function& in,
                                           const spec::FunctionDescription& description) {
  mil::Function function;
  function.name = name;
  const auto body = in.block_specializations().find(in.opset());
  if (body == in.block_specializations().end())
    return bad(fmt::format("the function '{}' has no block for its op set '{}'", name, in.opset()));
  TRY_DO(read_inputs(in, description, function));
  function.body = program_.add_block();
  TRY_DO(read_ops(body->second, function.body));
  TRY_DO(read_outputs(body->second, description, function));
  return function;
}

// The top-level lists describe the only function; with several functions each has its own.
Result<std::vector<spec::FunctionDescription>> function_descriptions(const spec::Model& model) {
  const spec::ModelDescription& description = model.description();
  std::vector<spec::FunctionDescription> out;
  if (description.functions_size() == 0) {
    if (model.mlprogram().functions().size() != 1)
      return bad(
          fmt::format("the model has {} functions, but its description names none", model.mlprogram().functions().size()));
    spec::FunctionDescription& only = out.emplace_back();
    only.set_name(model.mlprogram().functions().begin()->first);
    *only.mutable_input() = description.input();
    *only.mutable_output() = description.output();
    return out;
  }
  for (const auto& function : description.functions()) {
    const bool is_default = function.name() == description.defaultfunctionname();
    out.insert(is_default ? out.begin() : out.end(), function);
  }
  return out;
}

// The op set decides what ops mean; all functions share one.
Result<mil::Target> target_of(const milspec::Program& program) {
  std::string opset;
  for (const auto& [name, function] : program.functions()) {
    if (!opset.empty() && opset != function.opset())
      return bad(fmt::format("its functions use the op sets '{}' and '{}'", opset, function.opset()));
    opset = function.opset();
  }
  if (const auto target = mil::target_from_opset(opset)) return *target;
  return diag(DiagKind::UnsupportedTarget, fmt::format("the program uses the op set '{}', which is not known", opset),
              "op sets CoreML5 to CoreML9 can be read");
}

Status parse(Bytes bytes, spec::Model& model) {
  if (bytes.size() > INT32_MAX) return bad("it is larger than 2 GiB");
  const google::protobuf::LogSilencer quiet;  // it would print about text that is not UTF-8
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage()) return bad("it is truncated or damaged");
  if (!model.has_mlprogram()) {
    return diag(DiagKind::BadPackage, model.has_pipeline() ? "it is a pipeline of models" : "it holds no ML Program",
                "only ML Programs can be read; convert the model for iOS15 or newer");
  }
  if (model.mlprogram().version() != 1) return bad(fmt::format("it is of program version {}", model.mlprogram().version()));
  if (model.mlprogram().functions().empty()) return bad("it has no function");
  return {};
}

Result<mil::Program> read_program(const spec::Model& model, const WeightFiles& files) {
  TRY(mil::Target target, target_of(model.mlprogram()));
  TRY(const auto descriptions, function_descriptions(model));
  mil::Program program(target);
  for (const auto& [key, value] : model.description().metadata().userdefined()) program.metadata[key] = value;
  if (descriptions.size() != model.mlprogram().functions().size())
    return bad(fmt::format("it has {} functions, but its description lists {}", model.mlprogram().functions().size(),
                           descriptions.size()));
  for (const auto& description : descriptions) {
    const auto function = model.mlprogram().functions().find(description.name());
    if (function == model.mlprogram().functions().end())
      return bad(fmt::format("the description lists a function '{}' that the program lacks", description.name()));
    FunctionReader reader(program, files);
    TRY(mil::Function read, reader.read(description.name(), function->second, description));
    program.functions.push_back(std::move(read));
  }
  return program;
}

}  // namespace

Result<mil::Program> read_model(Bytes bytes, const std::string& name, const WeightFiles& files) {
  auto in_file = [&](Diagnostic error) {
    error.what = fmt::format("'{}': {}", name, error.what);
    return error;
  };
  spec::Model model;
  if (Status status = parse(bytes, model); !status.ok()) return in_file(std::move(status).error());
  auto program = read_program(model, files);
  if (!program.ok()) return in_file(std::move(program).error());
  return program;
}

}  // namespace cortland::coreml
