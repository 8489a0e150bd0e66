#include "mil/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "mil/names.h"

namespace cortland::mil {
namespace {

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string tensor_text(const TensorType& type, const DimTable& dims) {
  std::string out = fmt::format("tensor<{}, [", mil_name(type.dtype));
  for (size_t i = 0; i < type.shape.size(); ++i) out += fmt::format("{}{}", i ? ", " : "", dims.str(type.shape[i]));
  return out + "]>";
}

std::vector<std::string> element_texts(const Const& value) {
  std::vector<std::string> out;
  if (value.type.dtype() == DType::String) {
    for (const auto& s : value.strings) out.push_back(quote(s));
  } else if (value.type.dtype() == DType::Bool) {
    for (char c : value.data.bytes()) out.emplace_back(c ? "true" : "false");
  } else if (is_float(value.type.dtype())) {
    for (float v : value.data.to_floats()) out.push_back(fmt::format("{}", v));
  } else {
    for (int64_t v : value.data.to_ints()) out.push_back(fmt::format("{}", v));
  }
  return out;
}

// One pair of brackets a dimension: [[1, 2], [3, 4]].
std::string nested_text(const std::vector<std::string>& elements, const Shape& shape, size_t dim, size_t& next) {
  if (dim == shape.size()) return elements[next++];
  std::string out = "[";
  for (int64_t i = 0; i < shape[dim].constant(); ++i) out += (i ? ", " : "") + nested_text(elements, shape, dim + 1, next);
  return out + "]";
}

class Printer {
 public:
  Printer(const Program& program, const Function& function, const PrintOptions& options)
      : program_(program), function_(function), options_(options), names_(program, function) {}

  std::string run() {
    std::string version(target_name(program_.target));
    std::transform(version.begin(), version.end(), version.begin(),
                   [](char c) { return static_cast<char>(std::tolower(c)); });
    line(fmt::format("func {}<{}>({}){} {{", function_.name, version, declarations(function_.inputs), shapes()));
    ops(function_.body);
    line(fmt::format("}} -> ({});", outputs()));
    return std::move(out_);
  }

 private:
  void line(std::string_view text) { out_ += fmt::format("{:{}}{}\n", "", indent_, text); }

  std::string operand(Operand o) const {
    return o.is_value() ? names_.value(o.value()) : print(program_.consts[o.constant()], *program_.dims, options_);
  }
  std::string declaration(ValueId v) const {
    return fmt::format("{} {}", print(program_.type(v), *program_.dims), names_.value(v));
  }
  std::string declarations(const std::vector<ValueId>& values) const {
    std::string out;
    for (ValueId v : values) out += (out.empty() ? "" : ", ") + declaration(v);
    return out;
  }

  // " [s0 = 1..64, x = {[1, 4], [1, 8]}]", or nothing.
  std::string shapes() const {
    std::set<std::string> symbols;
    for (ValueId v : function_.inputs)
      for (Dim d : program_.type(v).shape())
        for (const auto& s : program_.dims->symbols(d)) symbols.insert(s);
    std::string out;
    for (const auto& s : symbols) {
      const DimRange range = program_.dims->symbol_range(s);
      out += fmt::format("{}{} = {}..", out.empty() ? "" : ", ", s, range.low);
      if (range.high != DimRange::kUnbounded) out += std::to_string(range.high);
    }
    for (const auto& [input, shapes] : function_.enumerated_shapes) {
      std::string list;
      for (const auto& shape : shapes) list += fmt::format("{}[{}]", list.empty() ? "" : ", ", fmt::join(shape, ", "));
      out += fmt::format("{}{} = {{{}}}", out.empty() ? "" : ", ", input, list);
    }
    return out.empty() ? out : fmt::format(" [{}]", out);
  }

  std::string arguments(const Op& op) const {
    std::string out;
    for (size_t i = 0; i < op.operands.size();) {
      const size_t slot = op.operands[i].slot;
      const Input& input = op.def->inputs[slot];
      std::string values;
      for (; i < op.operands.size() && op.operands[i].slot == slot; ++i)
        values += (values.empty() ? "" : ", ") + operand(op.operands[i].operand);
      out += fmt::format("{}{} = ", out.empty() ? "" : ", ", input.name);
      out += input.need == Need::Variadic ? "(" + values + ")" : values;
    }
    return out;
  }

  void ops(BlockId block) {
    indent_ += 2;
    for (OpId id : program_.blocks[block].ops) op(id);
    indent_ -= 2;
  }

  void op(OpId id) {
    const Op& op = program_.ops[id];
    std::string text = declarations(op.results);
    text += fmt::format("{}{}({})[name = string({})]", text.empty() ? "" : " = ", op.def->name, arguments(op),
                        quote(names_.op(id)));
    for (size_t b = 0; b < op.blocks.size(); ++b) {
      const Block& block = program_.blocks[op.blocks[b]];
      if (b > 0) text += ",";
      if (!block.inputs.empty()) text += fmt::format(" ({})", declarations(block.inputs));
      line(text + " {");
      ops(op.blocks[b]);
      std::string results;
      for (Operand o : block.outputs) results += (results.empty() ? "" : ", ") + operand(o);
      text = fmt::format("}} -> ({})", results);
    }
    line(text + ";");
  }

  std::string outputs() const {
    std::string out;
    for (size_t i = 0; i < function_.outputs.size(); ++i) {
      const Operand o = function_.outputs[i].operand;
      out += (out.empty() ? "" : ", ") + names_.output(i);
      if (o.is_const() || names_.needs_copy(i)) out += " = " + operand(o);
    }
    return out;
  }

  const Program& program_;
  const Function& function_;
  const PrintOptions& options_;
  Names names_;
  std::string out_;
  int indent_ = 2;
};

}  // namespace

std::string print(const Type& type, const DimTable& dims) {
  const std::string inner = type.rank() == 0 ? std::string(mil_name(type.dtype())) : tensor_text(type.tensor, dims);
  switch (type.kind) {
    case Type::Kind::Tensor:
      return inner;
    case Type::Kind::State:
      return fmt::format("state<{}>", inner);
    case Type::Kind::List:
      return fmt::format("list<{}, {}>", inner, dims.str(type.length));
    case Type::Kind::Dictionary:
      return fmt::format("dict<{}, fp64>", inner);
  }
  return inner;
}

std::string print(const Const& value, const DimTable& dims, const PrintOptions& options) {
  const std::string type = print(value.type, dims);
  const bool printable =
      value.type.dtype() == DType::String || (value.type.dtype() <= DType::F64) || value.type.dtype() >= DType::I4;
  const int64_t elements = value.type.tensor.elements().value_or(INT64_MAX);
  if (!printable || elements > options.max_elements) return fmt::format("{}(BLOBFILE({} elements))", type, elements);
  size_t next = 0;
  return fmt::format("{}({})", type, nested_text(element_texts(value), value.type.shape(), 0, next));
}

std::string print(const Program& program, const Function& function, const PrintOptions& options) {
  return Printer(program, function, options).run();
}

std::string print(const Program& program, const PrintOptions& options) {
  std::string out = program.target >= Target::iOS18 ? "program(1.3)\n" : "program(1.0)\n";
  std::string entries;
  for (const auto& [key, value] : program.metadata)
    entries += fmt::format("{}{{{}, {}}}", entries.empty() ? "" : ", ", quote(key), quote(value));
  if (!entries.empty()) out += fmt::format("[buildInfo = dict<string, string>({{{}}})]\n", entries);
  out += "{\n";
  for (const Function& function : program.functions) out += print(program, function, options);
  return out + "}\n";
}

}  // namespace cortland::mil
