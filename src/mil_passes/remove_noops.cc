// noop_elimination: ops whose result is their operand.
#include <algorithm>

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

constexpr Rule kRules[] = {
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
