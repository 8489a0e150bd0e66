// fuse_transpose_matmul: a transpose that swaps the last two axes of a factor is a flag of the product.
#include <algorithm>

#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

Result<bool> fuse_factor(Rewriter& r, mil::OpId id, std::string_view factor, std::string_view flag) {
  const Operand x = r.input(id, factor);
  const mil::OpId transpose = r.producer(x, "transpose");
  if (!transpose || !r.input(transpose, "perm").is_const() || r.type(x).rank() < 2) return false;
  std::vector<int64_t> perm = r.ints(r.input(transpose, "perm"));
  for (int64_t& p : perm) p = static_cast<int64_t>(axis_of(p, r.type(x).rank()));
  // What is left of the permutation once the swap is gone must be nothing, or nobody else may need the whole.
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  const bool nothing_left = std::is_sorted(perm.begin(), perm.end());
  if (!nothing_left && (perm.back() != r.type(x).rank() - 1 || !r.has_one_use(x))) return false;
  Operand plain = r.input(transpose, "x");
  if (!nothing_left) {
    TRY(plain, r.emit(transpose, "transpose", {{"x", plain}, {"perm", r.constant(perm)}}));
  }
  r.set_input(id, factor, plain);
  r.set_input(id, flag, r.program.constant(!r.flag(r.input(id, flag))));
  r.erase_unused(transpose);
  return true;
}

Result<bool> fuse_transposes(Rewriter& r, mil::OpId id) {
  TRY(const bool x, fuse_factor(r, id, "x", "transpose_x"));
  TRY(const bool y, fuse_factor(r, id, "y", "transpose_y"));
  return x || y;
}

constexpr Rule kRules[] = {{"matmul", fuse_transposes}};

}  // namespace

Status fuse_transpose_matmul(mil::Program& program) { return rewrite(program, kRules); }

}  // namespace cortland::mil_passes
