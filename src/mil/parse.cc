#include "mil/parse.h"

#include <fmt/format.h>

#include <unordered_map>

#include "mil/scanner.h"

namespace cortland::mil {
namespace {

constexpr int kMostNestedBlocks = 64;

class Parser {
 public:
  Parser(std::string_view text, FindOp find) : in_(text), find_(find) {}

  Result<Program> run() {
    TRY_DO(header());
    TRY_DO(in_.expect("{"));
    while (!in_.take("}")) TRY_DO(function());
    if (!in_.at_end()) return in_.error("there is more text behind the program");
    return std::move(program_);
  }

 private:
  using Names = std::unordered_map<std::string, ValueId>;

  // program(1.3) [buildInfo = dict<string, string>({{"key", "value"}})]
  Status header() {
    TRY_DO(in_.expect("program"));
    for (const char* part : {"(", "1", "."}) TRY_DO(in_.expect(part));
    TRY(std::ignore, in_.integer());
    TRY_DO(in_.expect(")"));
    if (!in_.take("[")) return {};
    for (const char* part : {"buildInfo", "=", "dict", "<", "string", ",", "string", ">", "(", "{"}) TRY_DO(in_.expect(part));
    while (!in_.take("}")) {
      if (!program_.metadata.empty()) TRY_DO(in_.expect(","));
      TRY_DO(in_.expect("{"));
      TRY(const std::string key, in_.quoted());
      TRY_DO(in_.expect(","));
      TRY(program_.metadata[key], in_.quoted());
      TRY_DO(in_.expect("}"));
    }
    TRY_DO(in_.expect(")"));
    return in_.expect("]");
  }

  Status function() {
    Function f;
    values_.clear();
    TRY_DO(in_.expect("func"));
    TRY(f.name, in_.name());
    TRY_DO(in_.expect("<"));
    TRY(const std::string target, in_.name());
    const auto known = target_from_name(target);
    if (!known || (!program_.functions.empty() && *known != program_.target)) return in_.error("no such target, or not that of the program");
    program_.target = *known;
    TRY_DO(in_.expect(">"));
    TRY(f.inputs, declarations());
    if (in_.take("[")) TRY_DO(shapes(f));
    f.body = program_.add_block();
    TRY_DO(in_.expect("{"));
    while (!in_.take("}")) TRY_DO(op(f.body));
    TRY_DO(in_.expect("->"));
    TRY_DO(outputs(f));
    program_.functions.push_back(std::move(f));
    return in_.expect(";");
  }

  // "(type name, ...)"
  Result<std::vector<ValueId>> declarations() {
    std::vector<ValueId> all;
    TRY_DO(in_.expect("("));
    while (!in_.take(")")) {
      if (!all.empty()) TRY_DO(in_.expect(","));
      TRY(auto declared, declaration());
      TRY(all.emplace_back(), define(std::move(declared)));
    }
    return all;
  }

  struct Declared {
    Type type;
    std::string name;
  };
  Result<Declared> declaration() {
    Declared d;
    TRY(d.type, in_.type(*program_.dims));
    TRY(d.name, in_.name());
    return d;
  }
  Result<ValueId> define(Declared d) {
    const ValueId v = program_.add_value(d.name, std::move(d.type));
    if (!values_.emplace(d.name, v).second) return in_.error(fmt::format("'{}' is declared twice", d.name));
    return v;
  }

  // "s0 = 1..64, x = {[1, 4], [1, 8]}]"
  Status shapes(Function& f) {
    for (bool first = true; !in_.take("]"); first = false) {
      if (!first) TRY_DO(in_.expect(","));
      TRY(const std::string name, in_.name());
      TRY_DO(in_.expect("="));
      if (in_.take("{")) {
        TRY(f.enumerated_shapes[name], shape_list());
        continue;
      }
      DimRange range;
      TRY(range.low, in_.integer());
      TRY_DO(in_.expect(".."));
      if (!in_.next_is(",") && !in_.next_is("]")) {
        TRY(range.high, in_.integer());
      }
      program_.dims->symbol(name, range);
    }
    return {};
  }

  Result<std::vector<std::vector<int64_t>>> shape_list() {
    std::vector<std::vector<int64_t>> all;
    while (!in_.take("}")) {
      if (!all.empty()) TRY_DO(in_.expect(","));
      TRY_DO(in_.expect("["));
      auto& shape = all.emplace_back();
      while (!in_.take("]")) {
        if (!shape.empty()) TRY_DO(in_.expect(","));
        TRY(shape.emplace_back(), in_.integer());
      }
    }
    return all;
  }

  // "type y = op(x = x, axis = int32(1))[name = string("y")] blocks;"
  Status op(BlockId block) {
    std::vector<Declared> results;
    while (in_.next_is_type()) {
      TRY(results.emplace_back(), declaration());
      if (!in_.take(",")) break;
    }
    if (!results.empty()) TRY_DO(in_.expect("="));
    TRY(const std::string type, in_.name());
    const MilOp* def = find_(type, program_.target);
    if (!def) return in_.error(fmt::format("there is no op '{}' at {}", type, target_name(program_.target)));
    TRY(auto operands, arguments(*def));
    for (const char* part : {"[", "name", "=", "string", "("}) TRY_DO(in_.expect(part));
    TRY(std::string name, in_.quoted());
    for (const char* part : {")", "]"}) TRY_DO(in_.expect(part));
    std::vector<BlockId> blocks;
    while (!in_.take(";")) {
      if (!blocks.empty()) TRY_DO(in_.expect(","));
      TRY(blocks.emplace_back(), nested());
    }
    std::vector<Type> types;
    for (const Declared& d : results) types.push_back(d.type);
    const OpId made = program_.add_typed_op(block, *def, std::move(operands), std::move(types), std::move(name), std::move(blocks));
    for (size_t i = 0; i < results.size(); ++i) {
      const ValueId v = program_.ops[made].results[i];
      program_.values[v].name = results[i].name;
      if (!values_.emplace(results[i].name, v).second) return in_.error(fmt::format("'{}' is declared twice", results[i].name));
    }
    return {};
  }

  // "(x = x, values = (a, b))", in the order of the descriptor
  Result<std::vector<Binding>> arguments(const MilOp& def) {
    std::vector<Binding> bound;
    TRY_DO(in_.expect("("));
    for (bool first = true; !in_.take(")"); first = false) {
      if (!first) TRY_DO(in_.expect(","));
      TRY(const std::string input, in_.name());
      TRY_DO(in_.expect("="));
      const int slot = def.slot(input);
      if (slot < 0) return in_.error(fmt::format("{} has no input '{}'", def.name, input));
      if (!bound.empty() && bound.back().slot >= slot) return in_.error("the inputs are not in the order of the op's definition");
      const auto bind = [&](Operand o) { bound.push_back({static_cast<uint8_t>(slot), o}); };
      if (!in_.take("(")) {
        TRY(const Operand o, operand());
        bind(o);
        continue;
      }
      for (bool head = true; !in_.take(")"); head = false) {
        if (!head) TRY_DO(in_.expect(","));
        TRY(const Operand o, operand());
        bind(o);
      }
    }
    return bound;
  }

  Result<Operand> operand() {
    if (in_.next_is_type()) {
      TRY(const Type type, in_.type(*program_.dims));
      TRY(const ConstId id, in_.constant(program_, type));
      return Operand(id);
    }
    TRY(const std::string name, in_.name());
    const auto it = values_.find(name);
    if (it == values_.end()) return in_.error(fmt::format("'{}' is not defined here", name));
    return Operand(it->second);
  }

  // "(type i) { ops } -> (results)"; what it defines is not seen outside.
  Result<BlockId> nested() {
    if (++depth_ > kMostNestedBlocks) return in_.error("blocks are nested too deeply");
    const Names outer = values_;
    const BlockId id = program_.add_block();
    if (in_.next_is("(")) {
      TRY(program_.blocks[id].inputs, declarations());
    }
    TRY_DO(in_.expect("{"));
    while (!in_.take("}")) TRY_DO(op(id));
    TRY_DO(in_.expect("->"));
    TRY_DO(in_.expect("("));
    std::vector<Operand> results;
    while (!in_.take(")")) {
      if (!results.empty()) TRY_DO(in_.expect(","));
      TRY(results.emplace_back(), operand());
    }
    program_.blocks[id].outputs = std::move(results);
    values_ = outer;
    --depth_;
    return id;
  }

  // "(y, again = y, c = fp32(1))"
  Status outputs(Function& f) {
    TRY_DO(in_.expect("("));
    while (!in_.take(")")) {
      if (!f.outputs.empty()) TRY_DO(in_.expect(","));
      Output out;
      TRY(out.name, in_.name());
      if (in_.take("=")) {
        TRY(out.operand, operand());
      } else {
        const auto it = values_.find(out.name);
        if (it == values_.end()) return in_.error(fmt::format("the output '{}' is not computed", out.name));
        out.operand = it->second;
      }
      f.outputs.push_back(std::move(out));
    }
    return {};
  }

  Scanner in_;
  const FindOp find_;
  Program program_;
  Names values_;
  int depth_ = 0;
};

}  // namespace

Result<Program> parse(std::string_view text, FindOp find) { return Parser(text, find).run(); }

}  // namespace cortland::mil
