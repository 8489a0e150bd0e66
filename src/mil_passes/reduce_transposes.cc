// reduce_transposes: for each permutation p that the program transposes by, every op that works in any layout may be held as
// it is or transposed by p. A transpose is needed wherever the layout changes; where it changes at a transpose that is there
// already, that one goes. The choice with the fewest transposes is a minimal cut.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "mil_passes/layouts.h"
#include "mil_passes/min_cut.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

Permutation inverse(const Permutation& perm) {
  Permutation out(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) out[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  return out;
}

std::optional<Permutation> permutation_of(const Rewriter& r, mil::OpId id) {
  if (!r.is(id, "transpose") || !r.input(id, "perm").is_const()) return std::nullopt;
  Permutation perm = r.ints(r.input(id, "perm"));
  for (int64_t& p : perm) p = static_cast<int64_t>(axis_of(p, static_cast<int>(perm.size())));
  return perm;
}

// One block and one permutation.
class Relayout {
 public:
  Relayout(Rewriter& r, mil::BlockId block, Permutation perm)
      : r_(r), block_(block), perm_(std::move(perm)), inverse_(inverse(perm_)) {}

  // A permutation that is its own inverse may lead into the transposed layout or out of it. The first pass guesses which
  // from what comes before a transpose, the second from what comes after.
  enum class Guess { FromOperands, FromReaders };

  // Whether fewer transposes are left.
  Result<bool> run(Guess guess) {
    find_roles(guess);
    find_free_ops();
    if (free_.empty()) return false;
    int64_t now = 0;
    for (mil::ValueId v : values_) now += weigh(v);
    if (cut_.solve() >= now) return false;
    TRY_DO(apply());
    return true;
  }

 private:
  // A transpose by the inverse of p enters the transposed layout: what it reads is its result transposed by p. One by p
  // leaves it.
  enum class Role : uint8_t { None, Enters, Leaves };
  // Who gives a value, or reads it, in which layout: with the source of the cut means transposed.
  static constexpr int kAbsorbs = -1;  // reads either

  Role role(mil::OpId id) const {
    const auto it = roles_.find(id);
    return it == roles_.end() ? Role::None : it->second;
  }

  void find_roles(Guess guess) {
    std::vector<mil::OpId> ops = r_.program.blocks[block_].ops;
    if (guess == Guess::FromReaders) std::reverse(ops.begin(), ops.end());
    std::set<mil::OpId> inside;  // free ops, and transposes on whose near side the layout is the transposed one
    for (mil::OpId id : ops) {
      const auto perm = permutation_of(r_, id);
      const bool either = perm == perm_ && perm == inverse_;
      if (perm == perm_ && !either) roles_[id] = Role::Leaves;
      if (perm == inverse_ && !either) roles_[id] = Role::Enters;
      const bool free = !perm && works_in_any_layout(r_, id, perm_.size());
      if (!free && !either) continue;
      bool beside = false;
      if (guess == Guess::FromOperands) {
        for (const mil::Binding& b : r_.op(id).operands) beside = beside || inside.count(r_.producer(b.operand));
      } else {
        for (mil::ValueId v : r_.op(id).results)
          for (const mil::Use& use : r_.program.values[v].uses) beside = beside || inside.count(use.op);
      }
      if (free && beside) inside.insert(id);
      if (!either) continue;
      // Coming from one side, a transpose changes to the other.
      if (!beside) inside.insert(id);
      roles_[id] = beside == (guess == Guess::FromOperands) ? Role::Leaves : Role::Enters;
    }
  }

  void find_free_ops() {
    std::set<mil::ValueId> seen;
    const auto note = [&](mil::ValueId v) {
      if (seen.insert(v).second) values_.push_back(v);
    };
    for (mil::OpId id : r_.program.blocks[block_].ops) {
      const bool free = works_in_any_layout(r_, id, perm_.size());
      if (free) free_[id] = cut_.add_node();
      if (!free && role(id) == Role::None) continue;
      for (const mil::Binding& b : r_.op(id).operands)
        if (b.operand.is_value()) note(b.operand.value());
      for (mil::ValueId v : r_.op(id).results) note(v);
    }
  }

  int giver(mil::ValueId v) const {
    const mil::OpId id = r_.program.values[v].producer;
    if (!id || r_.op(id).parent != block_) return MinCut::kSink;
    if (const auto it = free_.find(id); it != free_.end()) return it->second;
    return role(id) == Role::Enters ? MinCut::kSource : MinCut::kSink;
  }

  int reader(mil::OpId id) const {
    if (r_.op(id).parent != block_) return MinCut::kSink;
    if (const auto it = free_.find(id); it != free_.end()) return it->second;
    if (role(id) == Role::Leaves) return MinCut::kSource;
    return absorbs_layout(r_, id, perm_) ? kAbsorbs : MinCut::kSink;
  }

  // Adds what it costs when readers want another layout than is given, and says what it costs now.
  int64_t weigh(mil::ValueId v) {
    const int from = giver(v);
    std::set<int> readers;
    for (const mil::Use& use : r_.program.values[v].uses) readers.insert(reader(use.op));
    readers.erase(kAbsorbs);
    if (r_.program.is_output(v)) readers.insert(MinCut::kSink);
    readers.erase(from);
    if (readers.empty()) return 0;
    const int back = cut_.add_node(), forth = cut_.add_node();
    cut_.add_edge(from, back, 1);
    cut_.add_edge(forth, from, 1);
    for (int to : readers) {
      cut_.add_edge(back, to, MinCut::kInfinite);
      cut_.add_edge(to, forth, MinCut::kInfinite);
    }
    // Now all free ops are with the sink.
    const bool given_transposed = from == MinCut::kSource, wanted_transposed = readers.count(MinCut::kSource) != 0;
    const bool wanted_plain = readers.size() > (wanted_transposed ? 1u : 0u);
    return given_transposed ? wanted_plain : wanted_transposed;
  }

  bool transposed(mil::OpId id) const {
    const auto it = free_.find(id);
    return it != free_.end() && cut_.with_source(it->second);
  }

  Result<Operand> transpose(Operand x, const Permutation& perm, mil::OpId after) {
    const auto& ops = r_.program.blocks[block_].ops;
    const auto at = after ? std::find(ops.begin(), ops.end(), after) - ops.begin() + 1 : 0;
    const mil::MilOp* def = r_.op(transpose_).def;
    TRY(const mil::OpId made,
        r_.program.add_op(block_, *def, {{"x", x}, {"perm", r_.constant(perm)}}, {}, {}, static_cast<int>(at)));
    if (after) r_.program.ops[made].origin = r_.op(after).origin;
    return Operand(r_.result(made));
  }

  // The value in the transposed layout.
  Result<Operand> transposed_value(mil::ValueId v) {
    if (const auto it = moved_.find(v); it != moved_.end()) return it->second;
    const mil::OpId id = r_.program.values[v].producer;
    const bool here = id && r_.op(id).parent == block_;
    if (here && transposed(id)) return moved_[v] = v;
    if (here && role(id) == Role::Enters && !transposed(r_.producer(r_.input(id, "x"))))
      return moved_[v] = r_.input(id, "x");
    TRY(moved_[v], transpose(v, perm_, here ? id : mil::OpId{}));
    return moved_[v];
  }

  Status apply() {
    const std::vector<mil::OpId> ops = r_.program.blocks[block_].ops;
    for (mil::OpId id : ops)
      if (permutation_of(r_, id)) transpose_ = id;
    // Operands first, while results still are what others take them for.
    std::vector<std::pair<mil::OpId, std::vector<Operand>>> wanted;
    for (mil::OpId id : ops) {
      if (!transposed(id)) continue;
      wanted.emplace_back(id, std::vector<Operand>());
      for (const mil::Binding& b : std::vector<mil::Binding>(r_.op(id).operands)) {
        Operand operand = b.operand;
        if (operand.is_value()) {
          TRY(operand, transposed_value(operand.value()));
        }
        wanted.back().second.push_back(operand);
      }
    }
    for (const auto& [id, operands] : wanted) {
      for (uint32_t i = 0; i < operands.size(); ++i) r_.program.set_operand(id, i, operands[i]);
      change_layout(r_, id, perm_);
    }
    for (const auto& [id, operands] : wanted)
      for (mil::ValueId v : std::vector<mil::ValueId>(r_.op(id).results)) TRY_DO(serve_others(id, v));
    // What nobody reads any more must not count in the next round.
    for (const auto& [id, role] : roles_)
      if (r_.op(id).def) r_.erase_unused(id);
    return {};
  }

  // Readers of a value that is transposed now: those who wanted that need no transpose any more, the others get it back.
  Status serve_others(mil::OpId id, mil::ValueId v) {
    Operand back;
    const auto restored = [&]() -> Status {
      if (!back) {
        TRY(back, transpose(v, inverse_, id));
      }
      return {};
    };
    const bool output = r_.program.is_output(v);
    const std::vector<mil::Use> uses = r_.program.values[v].uses;
    if (output) {
      TRY_DO(restored());
      rebind_outputs(v, back);
    }
    for (const mil::Use& use : uses) {
      const mil::OpId user = use.op;
      if (transposed(user) || !r_.op(user).def) continue;
      if (r_.op(user).parent == block_ && role(user) == Role::Leaves) {
        const mil::ValueId gone = r_.result(user).value();
        if (!r_.program.is_output(gone) || !r_.program.is_output(v)) {
          r_.program.replace_uses(gone, v);
          r_.erase_unused(user);
          continue;
        }
      }
      if (r_.op(user).parent == block_ && absorbs_layout(r_, user, perm_)) {
        absorb_layout(r_, user, perm_);
        continue;
      }
      TRY_DO(restored());
      r_.program.set_operand(user, use.binding, back);
    }
    return {};
  }

  void rebind_outputs(mil::ValueId from, Operand to) {
    for (mil::Function& f : r_.program.functions)
      for (mil::Output& o : f.outputs)
        if (o.operand == Operand(from)) o.operand = to;
    for (mil::Block& b : r_.program.blocks)
      for (Operand& o : b.outputs)
        if (o == Operand(from)) o = to;
  }

  Rewriter& r_;
  mil::BlockId block_;
  Permutation perm_, inverse_;
  std::unordered_map<mil::OpId, Role> roles_;
  std::unordered_map<mil::OpId, int> free_;  // ops that work in any layout, as nodes of the cut
  std::vector<mil::ValueId> values_;         // that one of them or a transpose touches
  MinCut cut_;
  mil::OpId transpose_;  // any
  std::unordered_map<mil::ValueId, Operand> moved_;
};

}  // namespace

Status reduce_transposes(mil::Program& program) {
  Rewriter r(program);
  for (const mil::Function& f : program.functions) {
    for (mil::BlockId block : blocks_of(program, f)) {
      std::set<Permutation> perms;
      for (mil::OpId id : program.blocks[block].ops)
        if (const auto perm = permutation_of(r, id)) perms.insert(*perm);
      for (const Permutation& perm : perms) {
        TRY_DO(Relayout(r, block, perm).run(Relayout::Guess::FromOperands));
        if (perm == inverse(perm)) TRY_DO(Relayout(r, block, perm).run(Relayout::Guess::FromReaders));
      }
    }
  }
  return merge_consecutive_transposes(program);
}

}  // namespace cortland::mil_passes
