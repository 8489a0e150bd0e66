// detect_concat_interleave: the channel shuffle that follows a concatenation is a way of concatenating.
#include <algorithm>

#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

// [N, k, C, H, W] -> [N, C, k, H, W] between reshapes from and to [N, kC, H, W].
Result<bool> interleave(Rewriter& r, mil::OpId id) {
  const mil::OpId swap = r.producer(r.input(id, "x"), "transpose");
  const mil::OpId apart = swap ? r.producer(r.input(swap, "x"), "reshape") : mil::OpId{};
  const mil::OpId joined = apart ? r.producer(r.input(apart, "x"), "concat") : mil::OpId{};
  if (!joined || r.ints(r.input(joined, "axis")) != std::vector<int64_t>{1} || r.flag(r.input(joined, "interleave")))
    return false;
  if (!r.has_one_use(r.result(joined)) || r.type(r.result(joined)) != r.type(r.result(id))) return false;
  const auto values = r.program.operands(r.op(joined), "values");
  const bool alike = std::all_of(values.begin(), values.end(), [&](Operand v) { return r.type(v) == r.type(values[0]); });
  const Shape &whole = r.shape(r.result(joined)), &groups = r.shape(r.result(apart));
  if (!alike || whole.size() + 1 != groups.size() || groups[1] != Dim(static_cast<int64_t>(values.size()))) return false;
  Shape expected = {whole[0], groups[1], r.shape(values[0])[1]};
  expected.insert(expected.end(), whole.begin() + 2, whole.end());
  auto perm = r.ints(r.input(swap, "perm"));
  for (int64_t& p : perm) p = static_cast<int64_t>(axis_of(p, static_cast<int>(groups.size())));
  std::vector<int64_t> swapped = {0, 2, 1};
  for (int64_t i = 3; i < static_cast<int64_t>(groups.size()); ++i) swapped.push_back(i);
  if (groups != expected || perm != swapped) return false;
  r.set_input(joined, "interleave", r.program.constant(true));
  return r.replace(id, r.result(joined));
}

constexpr Rule kRules[] = {{"reshape", interleave}};

}  // namespace

Status detect_concat_interleave(mil::Program& program) { return rewrite(program, kRules); }

}  // namespace cortland::mil_passes
