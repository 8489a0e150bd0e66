#include "torch/pt2_signature.h"

#include <fmt/format.h>

#include <set>

#include "archive/printable.h"

namespace cortland::torch {

using archive::Json;
using archive::printable;

namespace {

struct InputSpec {
  std::string_view tag;
  GraphInput::Kind kind;
  std::string_view target;  // field with the fully qualified name; empty: none
};
constexpr InputSpec kInputSpecs[] = {
    {"user_input", GraphInput::Kind::UserInput, {}},
    {"parameter", GraphInput::Kind::Parameter, "parameter_name"},
    {"buffer", GraphInput::Kind::Buffer, "buffer_name"},
    {"tensor_constant", GraphInput::Kind::TensorConstant, "tensor_constant_name"},
    {"constant_input", GraphInput::Kind::ConstantInput, {}},
    {"custom_obj", GraphInput::Kind::CustomObject, "custom_obj_name"},
    {"token", GraphInput::Kind::Token, {}},
};

struct OutputSpec {
  std::string_view tag;
  GraphOutput::Kind kind;
  std::string_view target;
};
constexpr OutputSpec kOutputSpecs[] = {
    {"user_output", GraphOutput::Kind::UserOutput, {}},
    {"buffer_mutation", GraphOutput::Kind::BufferMutation, "buffer_name"},
    {"parameter_mutation", GraphOutput::Kind::ParameterMutation, "parameter_name"},
    {"user_input_mutation", GraphOutput::Kind::UserInputMutation, "user_input_name"},
    {"token", GraphOutput::Kind::Token, {}},
    {"loss_output", GraphOutput::Kind::Other, {}},
    {"gradient_to_parameter", GraphOutput::Kind::Other, "parameter_name"},
    {"gradient_to_user_input", GraphOutput::Kind::Other, "user_input_name"},
};

template <class Spec, size_t N>
const Spec* find_spec(const Spec (&specs)[N], std::string_view tag) {
  for (const Spec& spec : specs)
    if (spec.tag == tag) return &spec;
  return nullptr;
}

Result<std::string> text_field(const Json& json, std::string_view key) {
  TRY(const Json field, json.field(key));
  TRY(const auto text, field.as_string());
  return std::string(text);
}

bool is_stored(GraphInput::Kind kind) {
  return kind == GraphInput::Kind::Parameter || kind == GraphInput::Kind::Buffer || kind == GraphInput::Kind::TensorConstant;
}

// Reads one input; `names` holds the fully qualified names seen so far.
class InputReader {
 public:
  InputReader(GraphReader& reader, Pt2Weights& weights, Graph& graph, Subclasses& subclasses)
      : reader_(reader), weights_(weights), graph_(graph), subclasses_(subclasses) {}

  Status read(const Json& argument, const Json& spec_json) {
    TRY(const auto only, spec_json.only_field());
    const auto& [tag, fields] = only;
    const InputSpec* spec = find_spec(kInputSpecs, tag);
    if (!spec) return spec_json.error(fmt::format("'{}' is no known kind of input", printable(tag)));
    TRY(GraphInput input, reader_.read_input(argument));
    const bool literal = input.kind == GraphInput::Kind::ConstantInput;
    if (literal != (spec->kind == GraphInput::Kind::ConstantInput) && spec->kind != GraphInput::Kind::UserInput)
      return spec_json.error("the signature and the graph disagree about an input");
    if (spec->kind == GraphInput::Kind::ConstantInput) {
      TRY(input.name, text_field(fields, "name"));
    } else if (spec->kind != GraphInput::Kind::UserInput) {
      TRY_DO(bind(*spec, fields, input));
    }
    graph_.inputs.push_back(std::move(input));
    return {};
  }

 private:
  Status bind(const InputSpec& spec, const Json& fields, GraphInput& input) {
    input.kind = spec.kind;
    TRY(const Json argument, fields.field("arg"));
    TRY(const auto name, text_field(argument, "name"));
    if (name != input.name)
      return argument.error(
          fmt::format("the signature says '{}' where the graph has '{}'", printable(name), printable(input.name)));
    if (spec.target.empty()) return {};
    TRY(input.target, text_field(fields, spec.target));
    if (!is_stored(spec.kind)) return {};
    if (!names_.insert(input.target).second)
      return fields.error(fmt::format("'{}' is given twice", printable(input.target)));
    if (graph_.values[input.value].kind != Value::Kind::Tensor) return fields.error("the input is no tensor");
    if (spec.kind == GraphInput::Kind::Buffer) {
      TRY(const auto persistent, fields.optional_field("persistent"));
      if (persistent) {
        TRY(input.persistent, persistent->as_bool());
      }
    }
    return attach_weight(input);
  }

  Status attach_weight(GraphInput& input) {
    const bool constant = input.kind == GraphInput::Kind::TensorConstant || !input.persistent;
    TRY(auto stored, weights_.find(constant ? TensorSection::Constants : TensorSection::Weights, input.target));
    if (stored.subclass) {
      subclasses_.emplace(input.value, std::move(stored));
      return {};
    }
    if (stored.data.type() != graph_.type(input.value))
      return diag(DiagKind::BadProgram,
                  fmt::format("the stored tensor '{}' is {}, but the graph expects {}", printable(input.target),
                              str(stored.data.type(), *graph_.dims), str(graph_.type(input.value), *graph_.dims)));
    input.data = std::move(stored.data);
    return {};
  }

  GraphReader& reader_;
  Pt2Weights& weights_;
  Graph& graph_;
  Subclasses& subclasses_;
  std::set<std::string> names_;
};

}  // namespace

Status read_inputs(const Json& graph, const Json& signature, GraphReader& reader, Pt2Weights& weights, Graph& out,
                   Subclasses& subclasses) {
  TRY(const Json inputs, graph.field("inputs"));
  TRY(const auto arguments, inputs.items());
  TRY(const Json specs_json, signature.field("input_specs"));
  TRY(const auto specs, specs_json.items());
  InputReader input(reader, weights, out, subclasses);
  auto argument = arguments.begin();
  for (const Json spec : specs) {
    if (!(argument != arguments.end())) return specs_json.error("there are more input specs than graph inputs");
    TRY_DO(input.read(*argument, spec));
    ++argument;
  }
  if (argument != arguments.end()) return specs_json.error("there are fewer input specs than graph inputs");
  return {};
}

Status read_outputs(const Json& graph, const Json& signature, GraphReader& reader, Graph& out) {
  TRY(const Json outputs, graph.field("outputs"));
  TRY(const auto arguments, outputs.items());
  TRY(const Json specs_json, signature.field("output_specs"));
  TRY(const auto specs, specs_json.items());
  auto argument = arguments.begin();
  for (const Json spec_json : specs) {
    TRY(const auto only, spec_json.only_field());
    const auto& [tag, fields] = only;
    const OutputSpec* spec = find_spec(kOutputSpecs, tag);
    if (!spec) return spec_json.error(fmt::format("'{}' is no known kind of output", printable(tag)));
    if (!(argument != arguments.end())) return specs_json.error("there are more output specs than graph outputs");
    GraphOutput output;
    output.kind = spec->kind;
    TRY(output.value, reader.read_arg(*argument));
    if (!spec->target.empty()) {
      TRY(output.target, text_field(fields, spec->target));
    }
    TRY(const Json named, fields.field("arg"));
    // The spec repeats the name, for user outputs inside an argument.
    if (const auto* value = output.value.as<ValueId>(); value && spec->kind != GraphOutput::Kind::UserOutput) {
      TRY(const auto name, text_field(named, "name"));
      if (name != out.values[*value].name) return named.error("the signature and the graph disagree about an output");
    }
    out.outputs.push_back(std::move(output));
    ++argument;
  }
  if (argument != arguments.end()) return specs_json.error("there are fewer output specs than graph outputs");
  return {};
}

}  // namespace cortland::torch
