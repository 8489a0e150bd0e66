// noop_elimination: ops whose result is their operand.
#include <algorithm>
#include <set>

#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

bool all_equal(const std::vector<int64_t>& v, int64_t want) {
  return std::all_of(v.begin(), v.end(), [want](int64_t x) { return x == want; });
}

Result<bool> drop(Rewriter& r, mil::OpId id) { return r.replace(id, r.input(id, "x")); }

// Where the type says it: a reshape to the shape that is there, a cast to the type that is there. Symbolic sizes that are
// equal are equal.
Result<bool> drop_when_type_stays(Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x");
  return r.type(x) == r.type(r.result(id)) && r.replace(id, x);
}

Result<bool> drop_transpose(Rewriter& r, mil::OpId id) {
  auto perm = r.ints(r.input(id, "perm"));
  const int rank = r.type(r.result(id)).rank();
  for (int64_t& p : perm) p = static_cast<int64_t>(axis_of(p, rank));
  return std::is_sorted(perm.begin(), perm.end()) && drop(r, id);
}

// A slice that keeps every element: the size of each axis stays, and it is not read backwards.
Result<bool> drop_slice(Rewriter& r, mil::OpId id) {
  const Operand stride = r.input(id, "stride");
  if (stride && !(stride.is_const() && all_equal(r.ints(stride), 1))) return false;
  if (!r.type(r.result(id)).tensor.is_static()) return false;
  return drop_when_type_stays(r, id);
}

Result<bool> drop_pad(Rewriter& r, mil::OpId id) {
  const Operand pad = r.input(id, "pad");
  return pad.is_const() && all_equal(r.ints(pad), 0) && r.replace(id, r.input(id, "x"));
}

Result<bool> drop_tile(Rewriter& r, mil::OpId id) {
  const Operand reps = r.input(id, "reps");
  return reps.is_const() && all_equal(r.ints(reps), 1) && r.replace(id, r.input(id, "x"));
}

Result<bool> drop_single_concat(Rewriter& r, mil::OpId id) {
  const auto values = r.program.operands(r.op(id), "values");
  return values.size() == 1 && values[0].is_value() && r.replace(id, values[0]);
}

// x + 0, x * 1 and their kin, where the constant does not blow x up.
bool is_neutral(Rewriter& r, mil::OpId id, Operand constant, Operand x, float neutral) {
  return x.is_value() && r.splat(constant) == neutral && r.type(x) == r.type(r.result(id));
}

template <int neutral, bool commutative>
Result<bool> drop_neutral(Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x"), y = r.input(id, "y");
  if (is_neutral(r, id, y, x, neutral)) return r.replace(id, x);
  return commutative && is_neutral(r, id, x, y, neutral) && r.replace(id, y);
}

// Resizing to the size that is there, by a mode that maps corners or pixel centres onto each other.
Result<bool> drop_resize(Rewriter& r, mil::OpId id) {
  const std::string& mode = r.text(r.input(id, "sampling_mode"));
  if (mode != "STRICT_ALIGN_CORNERS" && mode != "ALIGN_CORNERS" && mode != "UNALIGN_CORNERS") return false;
  return r.type(r.result(id)).tensor.is_static() && drop_when_type_stays(r, id);
}

// select(i < 0, i + n, i), which wraps negative indices, where i cannot be negative.
Result<bool> drop_wrapping(Rewriter& r, mil::OpId id) {
  const Operand index = r.input(id, "b");
  const mil::OpId less = r.producer(r.input(id, "cond"), "less");
  if (!less || r.input(less, "x") != index || r.splat(r.input(less, "y")) != 0.0f) return false;
  for (const char* name : {"reduce_argmax", "reduce_argmin", "shape"})
    if (r.producer(index, name) && r.type(index) == r.type(r.result(id))) return r.replace(id, index);
  return false;
}

bool asks_for_zero(const Rewriter& r, mil::OpId id) {
  return r.is(id, "not_equal") && r.splat(r.input(id, "y")) == 0.0f;
}

// Ops that move the elements of x.
bool moves(const Rewriter& r, mil::OpId id) {
  static const std::set<std::string_view> kMoves = {"reshape", "expand_dims", "squeeze",       "transpose",    "gather",
                                                    "gather_nd", "tile",        "slice_by_index", "slice_by_size"};
  return id && r.op(id).def && kMoves.count(r.op(id).def->name);
}

// Whether all who read `o`, moved about or not, only ask whether it is 0.
bool only_asked_for_zero(const Rewriter& r, Operand o) {
  std::vector<Operand> pending = {o};
  while (!pending.empty()) {
    const Operand value = pending.back();
    pending.pop_back();
    if (r.program.is_output(value.value())) return false;
    for (mil::OpId user : r.users(value)) {
      if (r.input(user, "x") != value) return false;
      if (asks_for_zero(r, user)) continue;
      const auto& operands = r.op(user).operands;
      const auto reads = std::count_if(operands.begin(), operands.end(), [&](const auto& b) { return b.operand == value; });
      if (!moves(r, user) || reads != 1) return false;
      pending.push_back(r.result(user));
    }
  }
  return true;
}

// n != 0 as 0 and 1, moved about and asked again whether it is 0: n itself says it as well. Masks are indexed like this, since
// there is no gather of bools.
Result<bool> drop_truth_between(Rewriter& r, mil::OpId id) {
  if (r.text(r.input(id, "dtype")) != "int32" || r.type(r.input(id, "x")).dtype() != DType::Bool) return false;
  std::vector<mil::OpId> chain;
  mil::OpId question = r.producer(r.input(id, "x"));
  for (; moves(r, question); question = r.producer(r.input(question, "x"))) chain.push_back(question);
  if (!asks_for_zero(r, question) || !only_asked_for_zero(r, r.result(id))) return false;
  const Operand n = r.input(question, "x");
  if (!n.is_value() || r.type(n).dtype() != DType::I32) return false;
  for (mil::OpId move : chain)
    if (!r.has_one_use(r.result(move))) return false;
  if (chain.empty()) return r.replace(id, n);
  r.set_input(chain.back(), "x", n);
  for (mil::OpId move : chain) r.program.values[r.result(move).value()].type.tensor.dtype = DType::I32;
  r.erase_unused(question);
  return r.replace(id, r.input(id, "x"));
}

constexpr Rule kRules[] = {
    {"cast", drop_truth_between},
    {"resize_bilinear", drop_resize},
    {"select", drop_wrapping},
    {"identity", drop},
    {"cast", drop_when_type_stays},
    {"reshape", drop_when_type_stays},
    {"squeeze", drop_when_type_stays},
    {"transpose", drop_transpose},
    {"slice_by_index", drop_slice},
    {"slice_by_size", drop_when_type_stays},
    {"pad", drop_pad},
    {"tile", drop_tile},
    {"concat", drop_single_concat},
    {"add", drop_neutral<0, true>},
    {"sub", drop_neutral<0, false>},
    {"mul", drop_neutral<1, true>},
    {"real_div", drop_neutral<1, false>},
    {"pow", drop_neutral<1, false>},
};

}  // namespace

Status remove_noops(mil::Program& program) { return rewrite(program, kRules); }

}  // namespace cortland::mil_passes
