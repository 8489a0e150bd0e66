#include "coreml/model_writer.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "coreml/features.h"
#include "coreml/proto_values.h"
#include "mil/names.h"

namespace cortland::coreml {
namespace {

using mil::Binding;
using mil::Op;
using mil::Operand;

// Parameters whose values Core ML wants in place, not by the name of a `const` op.
enum class Place { ByName, InPlace, InPlaceList, Attribute };

Place place_of(const mil::MilOp& def, std::string_view input, mil::Target target) {
  if (def.constexpr_op) return target >= mil::Target::iOS18 ? Place::InPlace : Place::Attribute;
  if (def.name == "classify" && input == "classes") return Place::InPlaceList;
  if (def.name == "reshape_like" && (input == "begins" || input == "ends" || input == "end_masks")) return Place::InPlace;
  return Place::ByName;
}

class FunctionWriter {
 public:
  FunctionWriter(const PackageFunction& from, WeightPlan& weights)
      : name_(from.name), program_(*from.program), function_(*from.function), names_(program_, function_), weights_(weights) {}

  Status write(milspec::Function* out);
  Status describe(spec::FunctionDescription* out);
  FunctionInterface interface() const;

 private:
  Status write_ops(mil::BlockId block, milspec::Block* out);
  Status write_outputs(milspec::Block* out);
  void write_unused_inputs(milspec::Block* out);
  void write_copy(Operand from, const std::string& name, milspec::Block* out);
  Status write_op(mil::OpId id, milspec::Operation* out);
  Status write_nested(mil::BlockId id, milspec::Block* out);
  Status bind(const Op& op, const Binding& binding, milspec::Operation* out);
  Status write_const(mil::ConstId id, std::string name, milspec::Block* out);
  // Writes `const` ops for what `op` and its blocks read by name, unless they are there already.
  Status write_constants_of(mil::OpId id, milspec::Block* out);
  Status need_constant(mil::ConstId id, const std::string& wanted, milspec::Block* out);
  std::string const_name(mil::OpId id, size_t binding) const;
  std::string name_of(Operand operand) const;
  Diagnostic in_op(Diagnostic error, const Op& op) const;

  const std::string& name_;
  const mil::Program& program_;
  const mil::Function& function_;
  mil::Names names_;
  WeightPlan& weights_;
  std::unordered_map<mil::ConstId, std::string> const_names_;
};

std::string FunctionWriter::name_of(Operand operand) const {
  if (operand.is_const()) return const_names_.at(operand.constant());
  CHECK(names_.defines(operand.value()), "an op reads a value that is not in its function");
  return names_.value(operand.value());
}

Diagnostic FunctionWriter::in_op(Diagnostic error, const Op& op) const {
  error.op = op.def->name;
  error.node = op.name;
  return error;
}

// "conv_0_weight"; with a number for the values of a variadic parameter.
std::string FunctionWriter::const_name(mil::OpId id, size_t binding) const {
  const Op& op = program_.ops[id];
  const size_t slot = op.operands[binding].slot;
  const mil::Input& input = op.def->inputs[slot];
  size_t first = binding;
  while (first > 0 && op.operands[first - 1].slot == slot) --first;
  const std::string name = fmt::format("{}_{}", names_.op(id), input.name);
  return input.need == mil::Need::Variadic ? fmt::format("{}_{}", name, binding - first) : name;
}

Status FunctionWriter::write_const(mil::ConstId id, std::string name, milspec::Block* out) {
  milspec::Operation* op = out->add_operations();
  op->set_type("const");
  encode_text(names_.fresh_op(name), &(*op->mutable_attributes())["name"]);
  TRY_DO(encode_value(program_.consts[id], program_.target, weights_, &(*op->mutable_attributes())["val"]));
  auto* result = op->add_outputs();
  encode_type(program_.consts[id].type, result->mutable_type());
  result->set_name(std::move(name));
  return {};
}

Status FunctionWriter::need_constant(mil::ConstId id, const std::string& wanted, milspec::Block* out) {
  if (const_names_.count(id)) return {};
  std::string name = names_.fresh_value(wanted);
  const_names_[id] = name;
  return write_const(id, std::move(name), out);
}

Status FunctionWriter::write_constants_of(mil::OpId id, milspec::Block* out) {
  const Op& op = program_.ops[id];
  for (size_t i = 0; i < op.operands.size(); ++i) {
    const auto [slot, operand] = op.operands[i];
    if (!operand.is_const() || place_of(*op.def, op.def->inputs[slot].name, program_.target) != Place::ByName) continue;
    if (Status status = need_constant(operand.constant(), const_name(id, i), out); !status.ok())
      return in_op(std::move(status).error(), op);
  }
  for (mil::BlockId nested : op.blocks) {
    for (mil::OpId inner : program_.blocks[nested].ops) TRY_DO(write_constants_of(inner, out));
    for (Operand o : program_.blocks[nested].outputs)
      if (o.is_const()) TRY_DO(need_constant(o.constant(), names_.op(id) + "_output", out));
  }
  return {};
}

Status FunctionWriter::bind(const Op& op, const Binding& binding, milspec::Operation* out) {
  const mil::Input& input = op.def->inputs[binding.slot];
  const std::string name(input.name);
  const Place place = place_of(*op.def, input.name, program_.target);
  if (place == Place::Attribute) {
    if (!binding.operand.is_const())
      return diag(DiagKind::UnsupportedTarget, fmt::format("'{}' must be a constant before iOS18", name),
                  "raise the minimum deployment target to iOS18");
    return encode_value(program_.consts[binding.operand.constant()], program_.target, weights_,
                        &(*out->mutable_attributes())[name]);
  }
  auto* argument = (*out->mutable_inputs())[name].add_arguments();
  if (binding.operand.is_value() || place == Place::ByName) {
    argument->set_name(name_of(binding.operand));
    return {};
  }
  const mil::Const& value = program_.consts[binding.operand.constant()];
  if (place == Place::InPlaceList) return encode_list(value, argument->mutable_value());
  return encode_value(value, program_.target, weights_, argument->mutable_value());
}

Status FunctionWriter::write_op(mil::OpId id, milspec::Operation* out) {
  const Op& op = program_.ops[id];
  out->set_type(std::string(op.def->name));
  encode_text(names_.op(id), &(*out->mutable_attributes())["name"]);
  for (const Binding& binding : op.operands)
    if (Status status = bind(op, binding, out); !status.ok()) return in_op(std::move(status).error(), op);
  for (mil::BlockId nested : op.blocks) TRY_DO(write_nested(nested, out->add_blocks()));
  for (mil::ValueId v : op.results) {
    auto* result = out->add_outputs();
    result->set_name(names_.value(v));
    encode_type(program_.type(v), result->mutable_type());
  }
  return {};
}

Status FunctionWriter::write_nested(mil::BlockId id, milspec::Block* out) {
  const mil::Block& block = program_.blocks[id];
  for (mil::ValueId v : block.inputs) {
    auto* input = out->add_inputs();
    input->set_name(names_.value(v));
    encode_type(program_.type(v), input->mutable_type());
  }
  for (mil::OpId op : block.ops) TRY_DO(write_op(op, out->add_operations()));
  for (Operand o : block.outputs) out->add_outputs(name_of(o));
  return {};
}

// Constants stand in the function's own block, before the op that first needs them, so every nested block sees them.
Status FunctionWriter::write_ops(mil::BlockId block, milspec::Block* out) {
  for (mil::OpId id : program_.blocks[block].ops) {
    TRY_DO(write_constants_of(id, out));
    TRY_DO(write_op(id, out->add_operations()));
  }
  return {};
}

void FunctionWriter::write_copy(Operand from, const std::string& name, milspec::Block* out) {
  milspec::Operation* copy = out->add_operations();
  copy->set_type("identity");
  encode_text(names_.fresh_op(name), &(*copy->mutable_attributes())["name"]);
  (*copy->mutable_inputs())["x"].add_arguments()->set_name(name_of(from));
  copy->add_outputs()->set_name(name);
  encode_type(program_.type(from), copy->mutable_outputs(0)->mutable_type());
}

// Core ML wants every input read by some op.
void FunctionWriter::write_unused_inputs(milspec::Block* out) {
  for (mil::ValueId v : function_.inputs) {
    const mil::Value& value = program_.values[v];
    if (value.type.kind == mil::Type::Kind::Tensor && value.uses.empty() && !program_.is_output(v))
      write_copy(v, names_.fresh_value(names_.value(v) + "_tmp"), out);
  }
}

// Copies come before constants, where they also are when the file is read and written again.
Status FunctionWriter::write_outputs(milspec::Block* out) {
  for (size_t i = 0; i < function_.outputs.size(); ++i) {
    out->add_outputs(names_.output(i));
    if (names_.needs_copy(i)) write_copy(function_.outputs[i].operand, names_.output(i), out);
  }
  for (size_t i = 0; i < function_.outputs.size(); ++i)
    if (const Operand o = function_.outputs[i].operand; o.is_const())
      TRY_DO(write_const(o.constant(), names_.output(i), out));
  return {};
}

Status FunctionWriter::write(milspec::Function* out) {
  for (mil::ValueId v : function_.inputs) {
    auto* input = out->add_inputs();
    input->set_name(names_.value(v));
    encode_type(program_.type(v), input->mutable_type());
  }
  const std::string opset(mil::opset_name(program_.target));
  out->set_opset(opset);
  milspec::Block* body = &(*out->mutable_block_specializations())[opset];
  TRY_DO(write_ops(function_.body, body));
  write_unused_inputs(body);
  return write_outputs(body);
}

Status FunctionWriter::describe(spec::FunctionDescription* out) {
  out->set_name(name_);
  for (mil::ValueId v : function_.inputs) {
    const mil::Value& value = program_.values[v];
    if (value.type.kind == mil::Type::Kind::State) {
      if (program_.target < mil::Target::iOS18)
        return diag(DiagKind::UnsupportedTarget, fmt::format("the state '{}' needs iOS18, but the target is {}", value.name,
                                                             mil::target_name(program_.target)));
      TRY_DO(encode_state(names_.value(v), value.type, out->add_state()));
      continue;
    }
    const auto shapes = function_.enumerated_shapes.find(value.name);
    const ShapeList* enumerated = shapes == function_.enumerated_shapes.end() ? nullptr : &shapes->second;
    TRY_DO(encode_input(names_.value(v), value.type, enumerated, *program_.dims, program_.target, out->add_input()));
  }
  for (size_t i = 0; i < function_.outputs.size(); ++i) {
    const Operand operand = function_.outputs[i].operand;
    TRY_DO(encode_output(names_.output(i), program_.type(operand), program_.target, out->add_output()));
    // What `classify` returns is also announced by role.
    const mil::OpId producer = operand.is_value() ? program_.values[operand.value()].producer : mil::OpId{};
    if (!producer || program_.ops[producer].def->name != "classify") continue;
    if (program_.type(operand).kind == mil::Type::Kind::Dictionary)
      out->set_predictedprobabilitiesname(names_.output(i));
    else
      out->set_predictedfeaturename(names_.output(i));
  }
  return {};
}

FunctionInterface FunctionWriter::interface() const {
  FunctionInterface out{name_, {}, {}, {}};
  for (mil::ValueId v : function_.inputs)
    (program_.type(v).kind == mil::Type::Kind::State ? out.states : out.inputs).push_back(names_.value(v));
  for (size_t i = 0; i < function_.outputs.size(); ++i) out.outputs.push_back(names_.output(i));
  return out;
}

void describe_model(std::span<const PackageFunction> functions, const WriteOptions& options, spec::ModelDescription* out) {
  spec::Metadata* metadata = out->mutable_metadata();
  metadata->set_author(options.author);
  metadata->set_license(options.license);
  metadata->set_shortdescription(options.short_description);
  metadata->set_versionstring(options.version);
  for (const PackageFunction& function : functions)
    for (const auto& [key, value] : function.program->metadata) (*metadata->mutable_userdefined())[key] = value;
}

// A single function `main` is the model; anything else is a list of functions with a default.
Status place_descriptions(std::vector<spec::FunctionDescription> functions, mil::Target target,
                          spec::ModelDescription* out) {
  if (functions.size() == 1 && functions[0].name() == "main") {
    spec::FunctionDescription& f = functions[0];
    out->mutable_input()->Swap(f.mutable_input());
    out->mutable_output()->Swap(f.mutable_output());
    out->mutable_state()->Swap(f.mutable_state());
    out->set_predictedfeaturename(f.predictedfeaturename());
    out->set_predictedprobabilitiesname(f.predictedprobabilitiesname());
    return {};
  }
  if (target < mil::Target::iOS18)
    return diag(DiagKind::UnsupportedTarget,
                fmt::format("a model with several functions, or one not named 'main', needs iOS18; the target is {}",
                            mil::target_name(target)));
  out->set_defaultfunctionname(functions[0].name());
  for (auto& f : functions) *out->add_functions() = std::move(f);
  return {};
}

Result<std::string> serialize(const spec::Model& model) {
  if (model.ByteSizeLong() > INT32_MAX)
    return diag(DiagKind::UnsupportedShape,
                "the program without its weights is larger than 2 GiB, which Core ML cannot read",
                "target iOS18, which keeps integer tables in the weight file");
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // maps in the order of their keys
    model.SerializeWithCachedSizes(&coded);
  }
  return bytes;
}

}  // namespace

Result<std::string> write_model(std::span<const PackageFunction> functions, const WriteOptions& options, WeightPlan& weights,
                                std::vector<FunctionInterface>& interfaces) {
  if (functions.empty()) return diag(DiagKind::BadMil, "the program has no function");
  const mil::Target target = functions[0].program->target;
  // Thousands of small messages, gone at once.
  google::protobuf::ArenaOptions blocks;
  blocks.start_block_size = blocks.max_block_size = size_t{1} << 16;
  google::protobuf::Arena arena(blocks);
  spec::Model& model = *google::protobuf::Arena::CreateMessage<spec::Model>(&arena);
  model.set_specificationversion(mil::specification_version(target));
  describe_model(functions, options, model.mutable_description());
  milspec::Program* out = model.mutable_mlprogram();
  out->set_version(1);
  if (!options.build_info.empty()) encode_text_map(options.build_info, &(*out->mutable_attributes())["buildInfo"]);
  std::vector<spec::FunctionDescription> descriptions;
  for (const PackageFunction& function : functions) {
    if (function.program->target != target)
      return diag(DiagKind::BadOption, fmt::format("the functions '{}' and '{}' are for {} and {}", functions[0].name, function.name,
                                                   mil::target_name(target), mil::target_name(function.program->target)),
                  "lower all functions of a package for one deployment target");
    if (out->functions().contains(function.name))
      return diag(DiagKind::BadMil, fmt::format("two functions are named '{}'", function.name));
    FunctionWriter writer(function, weights);
    TRY_DO(writer.describe(&descriptions.emplace_back()));
    TRY_DO(writer.write(&(*out->mutable_functions())[function.name]));
    interfaces.push_back(writer.interface());
  }
  TRY_DO(place_descriptions(std::move(descriptions), target, model.mutable_description()));
  return serialize(model);
}

}  // namespace cortland::coreml
