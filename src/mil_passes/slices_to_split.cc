// Slices of one tensor that lie side by side and cover it are the parts of a split.
#include <algorithm>
#include <map>

#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

struct Range {
  size_t axis = 0;
  int64_t begin = 0, end = 0;
};

// The range of a slice that cuts along one axis only, forwards and without gaps.
std::optional<Range> range_of(const Rewriter& r, mil::OpId id) {
  if (!r.is(id, "slice_by_index")) return std::nullopt;
  for (const mil::Binding& b : r.op(id).operands)
    if (r.op(id).def->inputs[b.slot].name != "x" && !b.operand.is_const()) return std::nullopt;
  const Shape& shape = r.shape(r.input(id, "x"));
  const auto vector = [&](std::string_view name, int64_t absent) {
    const Operand o = r.input(id, name);
    return o ? r.ints(o) : std::vector<int64_t>(shape.size(), absent);
  };
  const auto begin = vector("begin", 0), end = vector("end", 0), stride = vector("stride", 1),
             squeeze = vector("squeeze_mask", 0);
  const auto begin_mask = vector("begin_mask", 0), end_mask = vector("end_mask", 0);
  std::optional<Range> found;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (stride[i] != 1 || squeeze[i]) return std::nullopt;
    if (begin_mask[i] && end_mask[i]) continue;
    if (!shape[i].is_constant()) return std::nullopt;
    const int64_t n = shape[i].constant();
    Range range{i, begin_mask[i] ? 0 : begin[i], end_mask[i] ? n : end[i]};
    if (range.begin < 0) range.begin += n;
    if (range.end < 0) range.end += n;
    if (range.begin == 0 && range.end == n) continue;
    if (found || range.begin < 0 || range.end > n || range.begin >= range.end) return std::nullopt;
    found = range;
  }
  return found;
}

Result<bool> split_instead(Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x");
  const auto own = range_of(r, id);
  if (!own || !x.is_value()) return false;
  std::map<int64_t, std::pair<int64_t, std::vector<mil::OpId>>> parts;  // by begin: end, and who takes it
  for (mil::OpId user : r.users(x)) {
    const auto range = range_of(r, user);
    if (!range || range->axis != own->axis || r.op(user).parent != r.op(id).parent) continue;
    auto& [end, ops] = parts[range->begin];
    if (!ops.empty() && end != range->end) return false;
    end = range->end;
    ops.push_back(user);
  }
  std::vector<int64_t> sizes;
  int64_t at = 0;
  for (const auto& [begin, part] : parts) {
    if (begin != at) return false;
    sizes.push_back(part.first - begin);
    at = part.first;
  }
  if (parts.size() < 2 || r.shape(x)[own->axis] != Dim(at)) return false;
  // Ops are visited in order, so this is the first of the slices.
  TRY(const mil::OpId split,
      r.emit_op(
          id, "split",
          {{"x", x}, {"split_sizes", r.constant(sizes)}, {"axis", r.program.constant(static_cast<int32_t>(own->axis))}}));
  size_t i = 0;
  for (const auto& [begin, part] : parts) {
    for (mil::OpId op : part.second) (void)r.replace(op, r.op(split).results[i]);
    ++i;
  }
  return true;
}

constexpr Rule kRules[] = {{"slice_by_index", split_instead}};

}  // namespace

Status slices_to_split(mil::Program& program) { return rewrite(program, kRules); }

}  // namespace cortland::mil_passes
