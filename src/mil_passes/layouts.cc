#include "mil_passes/layouts.h"

#include <algorithm>
#include <unordered_set>

namespace cortland::mil_passes {
namespace {

using Names = std::unordered_set<std::string_view>;

// Element by element, operands broadcast.
const Names kElementwise = {"abs",         "add",
                            "cast",        "ceil",
                            "clip",        "cos",
                            "elu",         "equal",
                            "erf",         "exp",
                            "exp2",        "floor",
                            "floor_div",   "gelu",
                            "greater",     "greater_equal",
                            "identity",    "inverse",
                            "leaky_relu",  "less",
                            "less_equal",  "linear_activation",
                            "log",         "logical_and",
                            "logical_not", "logical_or",
                            "logical_xor", "maximum",
                            "minimum",     "mod",
                            "mul",         "not_equal",
                            "pow",         "real_div",
                            "relu",        "relu6",
                            "round",       "rsqrt",
                            "scaled_tanh", "select",
                            "sigmoid",     "sigmoid_hard",
                            "sign",        "silu",
                            "sin",         "softplus",
                            "softsign",    "sqrt",
                            "square",      "sub",
                            "tan",         "tanh",
                            "threshold",   "thresholded_relu"};
const Names kReductions = {"reduce_argmax",  "reduce_argmin",      "reduce_l1_norm", "reduce_l2_norm",
                           "reduce_log_sum", "reduce_log_sum_exp", "reduce_max",     "reduce_mean",
                           "reduce_min",     "reduce_prod",        "reduce_sum",     "reduce_sum_square"};
// One axis in `axis`.
const Names kAlongAxis = {"softmax", "concat", "split", "cumsum", "reduce_argmax", "reduce_argmin"};
// A vector with an entry for each axis.
constexpr std::string_view kPerAxis[] = {"begin", "end", "stride", "begin_mask", "end_mask", "reps", "size"};

size_t inverse_of(const Permutation& perm, size_t axis) {
  return static_cast<size_t>(std::find(perm.begin(), perm.end(), static_cast<int64_t>(axis)) - perm.begin());
}

bool is_elementwise(const Rewriter& r, mil::OpId id) { return kElementwise.count(r.op(id).def->name) != 0; }

// Operands that are tensors to work on rather than parameters.
bool is_data(const Rewriter& r, mil::OpId id, const mil::Binding& b) {
  const std::string_view input = r.op(id).def->inputs[b.slot].name;
  if (is_elementwise(r, id)) return input == "x" || input == "y" || input == "cond" || input == "a" || input == "b";
  return input == "x" || input == "values";
}

// [C] for rank 4 is [1, 1, 1, C] before it is transposed. A number needs nothing.
Operand transposed_constant(Rewriter& r, Operand o, const Permutation& perm) {
  const Weight* w = r.weight(o);
  if (!w || w->shape().empty()) return o;
  std::vector<int64_t> shape = w->shape();
  if (shape.size() > perm.size()) return o;
  shape.insert(shape.begin(), perm.size() - shape.size(), 1);
  return r.program.constant(w->reshape(shape).permute(perm));
}

// entries[i] belongs to axis i.
Operand reordered(Rewriter& r, Operand o, const Permutation& perm) {
  const Weight* w = r.weight(o);
  if (w->dtype() == DType::Bool) {
    const std::string bytes = w->bytes();
    std::string out;
    for (int64_t p : perm) out += bytes[static_cast<size_t>(p)];
    return r.program.constant(Weight::dense(DType::Bool, w->shape(), out));
  }
  const auto entries = w->to_ints();
  std::vector<int64_t> out;
  for (int64_t p : perm) out.push_back(entries[static_cast<size_t>(p)]);
  return r.constant(out);
}

// Two entries for each of the last axes; here for all of them.
bool pads_every_axis(const Rewriter& r, mil::OpId id, size_t rank) {
  return r.input(id, "pad").is_const() && r.ints(r.input(id, "pad")).size() == 2 * rank &&
         r.text(r.input(id, "mode")) == "constant";
}

std::vector<int64_t> renamed_axes(const Rewriter& r, mil::OpId id, const Permutation& perm) {
  std::vector<int64_t> axes;
  for (int64_t a : r.ints(r.input(id, "axes")))
    axes.push_back(static_cast<int64_t>(inverse_of(perm, axis_of(a, static_cast<int>(perm.size())))));
  std::sort(axes.begin(), axes.end());
  return axes;
}

}  // namespace

bool works_in_any_layout(const Rewriter& r, mil::OpId id, size_t rank) {
  const mil::Op& op = r.op(id);
  const std::string_view name = op.def->name;
  if (!op.def->pure || !op.blocks.empty()) return false;
  const bool reduction = kReductions.count(name) && r.flag(r.input(id, "keep_dims"));
  const bool slice = name == "slice_by_index" && !r.input(id, "squeeze_mask");
  const bool known = is_elementwise(r, id) || reduction || name == "softmax" || name == "concat" || name == "split" ||
                     name == "cumsum" || slice || name == "tile" || (name == "pad" && pads_every_axis(r, id, rank));
  if (!known) return false;
  if (reduction && !kAlongAxis.count(name) && !r.input(id, "axes").is_const()) return false;
  bool any = false;
  for (const mil::Binding& b : op.operands) {
    const bool parameter = !is_data(r, id, b);
    if (parameter && b.operand.is_value()) return false;  // computed begins and ends
    if (parameter) continue;
    if (b.operand.is_value() && r.type(b.operand).rank() != static_cast<int>(rank)) return false;
    any = any || b.operand.is_value();
  }
  for (mil::ValueId v : op.results)
    if (r.type(v).rank() != static_cast<int>(rank) || r.type(v).kind != mil::Type::Kind::Tensor) return false;
  return any;
}

void change_layout(Rewriter& r, mil::OpId id, const Permutation& perm) {
  const std::string_view name = r.op(id).def->name;
  for (uint32_t i = 0; i < r.op(id).operands.size(); ++i) {
    const mil::Binding b = r.op(id).operands[i];
    if (!b.operand.is_const()) continue;
    const std::string_view input = r.op(id).def->inputs[b.slot].name;
    Operand changed = b.operand;
    if (is_data(r, id, b)) {
      changed = transposed_constant(r, b.operand, perm);
    } else if (kAlongAxis.count(name) && input == "axis") {
      const size_t axis = axis_of(r.ints(b.operand)[0], static_cast<int>(perm.size()));
      changed = r.program.constant(static_cast<int32_t>(inverse_of(perm, axis)));
    } else if (kReductions.count(name) && input == "axes") {
      changed = r.constant(renamed_axes(r, id, perm));
    } else if (name == "pad" && input == "pad") {
      const auto pad = r.ints(b.operand);
      std::vector<int64_t> out;
      for (int64_t p : perm) out.insert(out.end(), {pad[2 * static_cast<size_t>(p)], pad[2 * static_cast<size_t>(p) + 1]});
      changed = r.constant(out);
    } else if (!is_elementwise(r, id) && std::find(std::begin(kPerAxis), std::end(kPerAxis), input) != std::end(kPerAxis)) {
      changed = reordered(r, b.operand, perm);
    }
    r.program.set_operand(id, i, changed);
  }
  for (mil::ValueId v : r.op(id).results) {
    Shape& shape = r.program.values[v].type.tensor.shape;
    const Shape old = shape;
    for (size_t i = 0; i < perm.size(); ++i) shape[i] = old[static_cast<size_t>(perm[i])];
  }
}

bool absorbs_layout(const Rewriter& r, mil::OpId id, const Permutation& perm) {
  const std::string_view name = r.op(id).def->name;
  if (!kReductions.count(name) || kAlongAxis.count(name) || r.flag(r.input(id, "keep_dims")) ||
      !r.input(id, "axes").is_const())
    return false;
  if (r.type(r.input(id, "x")).rank() != static_cast<int>(perm.size())) return false;
  std::vector<bool> gone(perm.size(), false);
  for (int64_t a : r.ints(r.input(id, "axes"))) gone[axis_of(a, static_cast<int>(perm.size()))] = true;
  Permutation left;
  for (int64_t p : perm)
    if (!gone[static_cast<size_t>(p)]) left.push_back(p);
  return std::is_sorted(left.begin(), left.end());
}

void absorb_layout(Rewriter& r, mil::OpId id, const Permutation& perm) {
  r.set_input(id, "axes", r.constant(renamed_axes(r, id, perm)));
}

}  // namespace cortland::mil_passes
