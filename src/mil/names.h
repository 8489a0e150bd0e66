// The identifiers of one function as a file or a listing shows them: legal MIL identifiers, each used once. The IR itself
// allows any text and any repetition. A snapshot: it does not follow later changes to the program.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "mil/program.h"

namespace cortland::mil {

// Letters, digits and '_' only, a letter or '_' first (else `prefix` comes before it), no reserved word.
std::string sanitize(std::string_view name, std::string_view prefix = "var_");

class Names {
 public:
  Names(const Program& program, const Function& function);

  // "undefined" for a value that nothing in the function defines. A value that is an output bears the output's name, where
  // it can; see needs_copy() for the others.
  const std::string& value(ValueId v) const;
  bool defines(ValueId v) const { return values_.count(v) != 0; }
  const std::string& op(OpId op) const { return ops_.at(op); }
  const std::string& output(size_t i) const { return outputs_[i]; }
  // Whether output `i` must be an identity op's result: a constant is named by its `const` op, but a value that already
  // bears another interface name, or comes from a constexpr op, cannot be renamed.
  bool needs_copy(size_t i) const { return copied_[i]; }

  // A new identifier near `wanted`, for what only the writer makes.
  std::string fresh_value(std::string_view wanted) { return value_names_.unique(sanitize(wanted)); }
  std::string fresh_op(std::string_view wanted) { return op_names_.unique(sanitize(wanted, "op_")); }

 private:
  struct Taken {
    std::unordered_set<std::string> names;
    std::unordered_map<std::string, int> last_suffix;
    std::string unique(std::string wanted);
  };
  void name_interface(const Program& program, const Function& function);
  void name_block(const Program& program, BlockId block);
  void name_value(const Program& program, ValueId v);
  void name_op(const Program& program, const Op& op, OpId id);

  std::unordered_map<ValueId, std::string> values_;
  std::unordered_map<OpId, std::string> ops_;
  std::vector<std::string> outputs_;
  std::vector<bool> copied_;
  Taken value_names_, op_names_;
};

}  // namespace cortland::mil
