// Operator schemas as PyTorch writes them: "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor".
#pragma once

#include <string>
#include <vector>

#include "torch/graph.h"

namespace cortland::torch {

struct SchemaArg {
  enum class Type : uint8_t {
    Tensor,
    Int,
    Float,
    Bool,
    Scalar,
    String,
    DType,
    Layout,
    Device,
    MemoryFormat,
    Generator,
    Other
  } type = Type::Other;
  std::string name;
  bool optional = false;        // "?" on the whole argument
  bool list = false;            // "[]"
  bool optional_items = false;  // "Tensor?[]"
  int list_size = 0;            // "int[2]": a single int stands for this many
  bool mutated = false;         // "Tensor(a!)"
  std::string alias;            // "a" of "Tensor(a)" and "Tensor(a!)"
  bool keyword_only = false;
  bool has_default = false;
  Arg fallback;  // the default, None included
};

struct Schema {
  std::string ns, name, overload;  // "aten", "add", "Tensor"; overload "default" when unnamed
  std::vector<SchemaArg> args;
  std::vector<SchemaArg> returns;

  std::string target() const { return ns + "." + name + "." + overload; }
  const SchemaArg* find(std::string_view arg) const;
};

Result<Schema> parse_schema(std::string_view text);

}  // namespace cortland::torch
