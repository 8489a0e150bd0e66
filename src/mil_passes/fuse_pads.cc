// merge_consecutive_paddings and fuse_pad_conv: one pad for two, and none before a convolution, which pads by itself.
#include <algorithm>

#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

// Two amounts for each axis of x; MIL names the last axes only.
std::optional<std::vector<int64_t>> amounts(const Rewriter& r, mil::OpId pad) {
  if (!r.input(pad, "pad").is_const()) return std::nullopt;
  auto given = r.ints(r.input(pad, "pad"));
  const size_t all = 2 * static_cast<size_t>(r.type(r.result(pad)).rank());
  given.insert(given.begin(), all - given.size(), 0);
  return given;
}

Result<bool> merge_pads(Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x");
  const mil::OpId first = r.producer(x, "pad");
  if (!first || !r.has_one_use(x) || r.text(r.input(first, "mode")) != r.text(r.input(id, "mode"))) return false;
  const auto a = amounts(r, first), b = amounts(r, id);
  if (!a || !b) return false;
  const bool constant = r.text(r.input(id, "mode")) == "constant";
  const auto value = [&](mil::OpId pad) {
    return r.input(pad, "constant_val") ? r.splat(r.input(pad, "constant_val")) : 0.0f;
  };
  if (constant && (!value(id) || value(id) != value(first))) return false;
  std::vector<int64_t> sum;
  for (size_t i = 0; i < a->size(); ++i) sum.push_back((*a)[i] + (*b)[i]);
  // A reflection of a reflection is another thing; along different axes they do not meet.
  for (size_t i = 0; !constant && i < sum.size(); i += 2)
    if (((*a)[i] || (*a)[i + 1]) && ((*b)[i] || (*b)[i + 1])) return false;
  while (sum.size() > 2 && sum[0] == 0 && sum[1] == 0) sum.erase(sum.begin(), sum.begin() + 2);
  if (!constant && sum.size() > 4) return false;  // MIL reflects along the last two axes only
  r.set_input(id, "x", r.input(first, "x"));
  r.set_input(id, "pad", r.constant(sum));
  r.erase_unused(first);
  return true;
}

Result<bool> fuse_pad_conv(Rewriter& r, mil::OpId id) {
  const Operand x = r.input(id, "x");
  const mil::OpId pad = r.producer(x, "pad");
  if (!pad || !r.has_one_use(x) || r.text(r.input(pad, "mode")) != "constant") return false;
  if (const Operand value = r.input(pad, "constant_val"); value && r.splat(value) != 0.0f) return false;
  auto total = amounts(r, pad);
  const std::string& type = r.text(r.input(id, "pad_type"));
  if (!total || (type != "valid" && type != "custom")) return false;
  const bool spatial = std::all_of(total->begin(), total->begin() + 4, [](int64_t n) { return n == 0; });
  const bool grows = std::all_of(total->begin(), total->end(), [](int64_t n) { return n >= 0; });
  if (!spatial || !grows) return false;
  total->erase(total->begin(), total->begin() + 4);
  if (type == "custom") {
    const auto own = r.ints(r.input(id, "pad"));
    for (size_t i = 0; i < total->size() && i < own.size(); ++i) (*total)[i] += own[i];
  }
  r.set_input(id, "x", r.input(pad, "x"));
  r.set_input(id, "pad_type", r.program.constant(std::string("custom")));
  r.set_input(id, "pad", r.constant(*total));
  r.erase_unused(pad);
  return true;
}

constexpr Rule kPads[] = {{"pad", merge_pads}};
constexpr Rule kConvs[] = {{"conv", fuse_pad_conv}};

}  // namespace

Status merge_consecutive_paddings(mil::Program& program) { return rewrite(program, kPads); }
Status fuse_pad_conv(mil::Program& program) { return rewrite(program, kConvs); }

}  // namespace cortland::mil_passes
