#include "mil/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace cortland::mil {
namespace {

constexpr std::string_view kReserved[] = {"any",   "bool",  "program", "func",  "tensor", "list",   "dict",   "tuple",
                                          "true",  "false", "string",  "bf16",  "fp16",   "fp32",   "fp64",   "int8",
                                          "int16", "int32", "int64",   "uint8", "uint16", "uint32", "uint64", "state"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::string sanitize(std::string_view name, std::string_view prefix) {
  std::string out(name);
  for (char& c : out)
    if (!is_letter(c) && !is_digit(c)) c = '_';
  if (out.empty() || !is_letter(out[0])) out.insert(0, prefix);
  if (std::find(std::begin(kReserved), std::end(kReserved), out) != std::end(kReserved)) out += "_workaround";
  return out;
}

Names::Names(const Program& program, const Function& function) {
  name_interface(program, function);
  name_block(program, function.body);
}

const std::string& Names::value(ValueId v) const {
  static const std::string kUndefined = "undefined";
  const auto it = values_.find(v);
  return it == values_.end() ? kUndefined : it->second;
}

std::string Names::Taken::unique(std::string wanted) {
  if (names.insert(wanted).second) return wanted;
  for (int& n = last_suffix[wanted];;) {
    std::string candidate = fmt::format("{}_{}", wanted, ++n);
    if (names.insert(candidate).second) return candidate;
  }
}

// Interface names come first, so nothing inside the function can take them.
void Names::name_interface(const Program& program, const Function& function) {
  for (ValueId v : function.inputs) name_value(program, v);
  for (const Output& output : function.outputs) {
    const ValueId v = output.operand.value();
    const auto known = v ? values_.find(v) : values_.end();
    std::string wanted = sanitize(output.name);
    if (known != values_.end() && known->second == wanted) {
      const bool repeated = std::find(outputs_.begin(), outputs_.end(), wanted) != outputs_.end();
      outputs_.push_back(repeated ? value_names_.unique(wanted) : wanted);
      copied_.push_back(repeated);
      continue;
    }
    outputs_.push_back(value_names_.unique(std::move(wanted)));
    const OpId producer = v ? program.values[v].producer : OpId{};
    const bool constexpr_result = producer && program.ops[producer].def->constexpr_op;
    copied_.push_back(v && (known != values_.end() || constexpr_result));
    if (v && !copied_.back()) values_[v] = outputs_.back();
  }
}

void Names::name_value(const Program& program, ValueId v) {
  if (values_.count(v) == 0) values_[v] = value_names_.unique(sanitize(program.values[v].name));
}

void Names::name_op(const Program& program, const Op& op, OpId id) {
  std::string_view name = op.name;
  if (name.empty() && !op.results.empty()) name = program.values[op.results[0]].name;
  if (name.empty()) name = op.def->name;
  ops_[id] = op_names_.unique(sanitize(name, "op_"));
}

void Names::name_block(const Program& program, BlockId id) {
  const Block& block = program.blocks[id];
  for (ValueId v : block.inputs) name_value(program, v);
  for (OpId op_id : block.ops) {
    const Op& op = program.ops[op_id];
    name_op(program, op, op_id);
    // The blocks of a while_loop receive the same values, under the same names.
    for (size_t b = 0; b < op.blocks.size(); ++b) {
      const auto& first = program.blocks[op.blocks[0]].inputs;
      const auto& inputs = program.blocks[op.blocks[b]].inputs;
      for (size_t i = 0; b > 0 && i < inputs.size() && i < first.size(); ++i) values_[inputs[i]] = values_.at(first[i]);
      name_block(program, op.blocks[b]);
    }
    for (ValueId v : op.results) name_value(program, v);
  }
}

}  // namespace cortland::mil
