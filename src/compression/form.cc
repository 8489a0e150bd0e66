#include "compression/form.h"

#include <fmt/format.h>

#include <algorithm>

#include "compression/balance.h"
#include "compression/linear.h"
#include "compression/palette.h"
#include "compression/pruning.h"
#include "mil_ops/ops.h"
#include "tensor/weight.h"

namespace cortland::compression {
namespace {

constexpr const char* kAxesDiffer = "its readers take different axes for the channels";
constexpr const char* kNotFinite = "it holds infinity or NaN";

using Groups = std::variant<std::vector<int64_t>, Skip>;

// Into how many blocks each axis is cut.
Groups groups_of(const std::vector<int64_t>& shape, const OpLinearQuantizerConfig& c, ChannelAxes axes) {
  std::vector<int64_t> sizes(shape.size(), 0);  // of the blocks; 0: the whole axis
  if (c.granularity == Granularity::PerBlock && c.block_size_is_list) {
    if (c.block_size.size() != shape.size())
      return Skip{fmt::format("'block_size' has {} numbers, and its rank is {}", c.block_size.size(), shape.size())};
    sizes = c.block_size;
  } else if (c.granularity != Granularity::PerTensor) {
    if (!axes.input || !axes.output) return Skip{kAxesDiffer};
    if (c.granularity == Granularity::PerBlock) sizes[*axes.input] = c.block_size[0];
    sizes[*axes.output] = 1;
  }
  std::vector<int64_t> groups;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (sizes[i] > 0 && shape[i] % sizes[i] != 0)
      return Skip{fmt::format("blocks of {} do not divide its axis {} of {}", sizes[i], i, shape[i])};
    groups.push_back(sizes[i] == 0 ? 1 : shape[i] / sizes[i]);
  }
  return groups;
}

// Core ML's CPU kernels compute wrongly with 4-bit integers whose scale belongs to one input channel.
bool has_scale_for_each_input(const std::vector<int64_t>& shape, const std::vector<int64_t>& groups, ChannelAxes axes) {
  bool each = axes.output.has_value();
  for (size_t i = 0; each && i < shape.size(); ++i) each = i == *axes.output || groups[i] == shape[i];
  return each;
}

bool keeps_sums(ChannelAxes axes) { return axes.output && axes.positive_inputs; }

// The weight with what the pruner drops at 0, or why it does not apply.
std::variant<Weight, Skip> pruned(const Weight& weight, const Plan& plan) {
  if (const auto* c = std::get_if<OpMagnitudePrunerConfig>(&*plan.prune)) {
    const auto pruning = choose_pruning(weight, *c);
    if (!pruning) return Skip{"the blocks to prune are longer than half its axis"};
    const Weight kept = weight.prune(*pruning);
    if (kept.select(kept.nonzero()).elements() == 0) return Skip{"nothing of it would be left"};
    return kept;
  }
  const auto& c = std::get<OpThresholdPrunerConfig>(*plan.prune);
  const Weight kept = weight.prune(choose_pruning(weight, c));
  const int64_t all = weight.elements(), left = kept.select(kept.nonzero()).elements();
  const double sparsity = static_cast<double>(all - left) / static_cast<double>(all);
  if (sparsity < c.minimum_sparsity_percentile)
    return Skip{fmt::format("only {:.3g} % of it are below the threshold", 100 * sparsity)};
  if (left == 0) return Skip{"nothing of it would be left"};
  return kept;
}

std::optional<Skip> palettize(const Weight& weight, const Plan& plan, ChannelAxes axes, mil::Target target, Form& form) {
  const OpPalettizerConfig& c = *plan.palettize;
  PaletteOptions options{.mode = c.mode, .bits = c.nbits};
  options.three_bits = target >= mil::Target::iOS18;
  options.without_zeros = bool(form.mask);
  if (c.granularity == Granularity::PerGroupedChannel) {
    const auto rank = static_cast<int64_t>(weight.shape().size());
    if (c.channel_axis && (*c.channel_axis < -rank || *c.channel_axis >= rank))
      return Skip{fmt::format("it has no axis {}", *c.channel_axis)};
    if (!c.channel_axis && !axes.output) return Skip{kAxesDiffer};
    options.axis = c.channel_axis ? (*c.channel_axis + rank) % rank : static_cast<int64_t>(*axes.output);
    const int64_t length = weight.shape()[static_cast<size_t>(options.axis)], size = c.group_size ? c.group_size : length;
    if (length % size != 0)
      return Skip{fmt::format("groups of {} channels do not divide its axis {} of {}", size, options.axis, length)};
    options.groups = length / size;
  }
  form.table = choose_tables(weight, options);
  if (!form.table) return Skip{c.mode == OpPalettizerConfig::Mode::Unique ? "it has more than 256 values" : kNotFinite};
  if (!plan.quantize || form.table->entries.size() < 10) return std::nullopt;  // as few entries are not worth it
  // The tables get one scale. Indices are then chosen among the entries as they come back.
  const std::vector<int64_t> shape = {static_cast<int64_t>(form.table->entries.size())};
  const Weight entries = Weight::of<float>(DType::F32, shape, form.table->entries).cast(form.type);
  form.table_code = choose_linear_code(entries, {1}, *plan.quantize, form.type);
  TableCode stored = *form.table;
  const std::vector<int64_t> codes = entries.quantize(form.table_code).to_ints();
  for (size_t i = 0; i < codes.size(); ++i) {
    const float x = form.table_code->scale[0] * (static_cast<float>(codes[i]) - form.table_code->zero[0]);
    stored.entries[i] = form.type == DType::F16 ? f16_to_f32(f32_to_f16(x)) : x;
  }
  form.table = std::make_shared<const TableCode>(std::move(stored));
  return std::nullopt;
}

std::optional<Skip> quantize(const Weight& weight, const Plan& plan, ChannelAxes axes, Form& form) {
  const Groups groups = groups_of(weight.shape(), *plan.quantize, axes);
  if (const auto* skip = std::get_if<Skip>(&groups)) return *skip;
  const auto& g = std::get<std::vector<int64_t>>(groups);
  if (bit_width(plan.quantize->dtype) == 4 && plan.quantize->granularity == Granularity::PerBlock &&
      has_scale_for_each_input(weight.shape(), g, axes))
    return Skip{"Core ML computes wrongly with 4-bit blocks of one input channel"};
  form.linear = choose_linear_code(weight, g, *plan.quantize, form.type);
  if (!form.linear) return Skip{kNotFinite};
  return std::nullopt;
}

// Numbers of a code's own type, as zero points are stored.
Weight integers(const LinearCode& code, std::vector<int64_t> shape) {
  // Quantising whole numbers with the scale 1 packs them.
  LinearCode plain = code;
  plain.low = code.low < 0 ? -(1 << (bit_width(code.type) - 1)) : 0;
  plain.high = plain.low + (1 << bit_width(code.type)) - 1;
  plain.groups.assign(shape.size(), 1);
  plain.scale = {1.0f};
  plain.zero = {0.0f};
  plain.shift = {};
  return Weight::of<float>(DType::F32, std::move(shape), code.zero)
      .quantize(std::make_shared<const LinearCode>(std::move(plain)));
}

bool has_offset(const LinearCode& code) {
  return std::any_of(code.zero.begin(), code.zero.end(), [](float z) { return z != 0; });
}

Weight floats(DType type, std::vector<int64_t> shape, const std::vector<float>& values) {
  return Weight::of<float>(DType::F32, std::move(shape), values).cast(type);
}

class Emitter {
 public:
  Emitter(mil::Program& program, mil::BlockId block, int position, const Form& form, const std::string& name)
      : program_(program),
        block_(block),
        position_(position),
        form_(form),
        name_(name),
        newest_(program.target >= mil::Target::iOS18) {}

  Result<mil::ValueId> run() {
    if (form_.table) return table();
    if (form_.linear) return linear();
    return sparse(constant(form_.codes), newest_ ? constant(form_.mask) : mil::Operand());
  }

 private:
  mil::Operand constant(const Weight& w) { return program_.constant(w); }
  mil::Operand shape() {
    std::vector<uint32_t> sizes(form_.shape.begin(), form_.shape.end());
    return constant(Weight::of<uint32_t>(DType::U32, {static_cast<int64_t>(sizes.size())}, sizes));
  }

  Result<std::vector<mil::ValueId>> add(const mil::MilOp& def, std::vector<mil::NamedOperand> inputs, const char* suffix) {
    TRY(const auto id, program_.add_op(block_, def, std::move(inputs), name_ + suffix, {}, position_++));
    return program_.ops[id].results;
  }

  Result<mil::ValueId> one(const mil::MilOp& def, std::vector<mil::NamedOperand> inputs, const char* suffix) {
    TRY(const auto results, add(def, std::move(inputs), suffix));
    return results[0];
  }

  Result<mil::ValueId> sparse(mil::Operand values, mil::Operand mask) {
    if (newest_)
      return one(mil_ops::constexpr_sparse_to_dense_ios18, {{"nonzero_data", values}, {"mask", mask}}, "_sparsified");
    return one(mil_ops::constexpr_sparse_to_dense,
               {{"nonzero_data", values}, {"mask", constant(form_.mask.packed_bytes())}, {"shape", shape()}}, "_sparsified");
  }

  std::vector<mil::NamedOperand> shift_scale(const LinearCode& code, const std::vector<int64_t>& groups) {
    return {{"scale", constant(floats(form_.type, groups, code.scale))},
            {"offset", has_offset(code) ? constant(integers(code, groups)) : mil::Operand()}};
  }

  Result<mil::ValueId> linear() {
    const LinearCode& code = *form_.linear;
    if (!newest_) return affine(code);
    auto inputs = shift_scale(code, code.groups);
    if (!form_.mask) {
      inputs.emplace_back("data", constant(form_.codes));
      return one(mil_ops::constexpr_blockwise_shift_scale, std::move(inputs), "_quantized");
    }
    inputs.emplace_back("data_mask", constant(form_.mask));
    inputs.emplace_back("nonzero_data", constant(form_.codes));
    TRY(const auto results, add(mil_ops::constexpr_sparse_blockwise_shift_scale, std::move(inputs), "_quantized"));
    return sparse(results[1], results[0]);
  }

  // iOS16 scales whole tensors, or slices along one axis.
  Result<mil::ValueId> affine(const LinearCode& code) {
    int32_t axis = 0;
    std::vector<int64_t> shape;
    for (size_t i = 0; i < code.groups.size(); ++i) {
      if (code.groups[i] == 1) continue;
      axis = static_cast<int32_t>(i);
      shape = {code.groups[i]};
    }
    return one(mil_ops::constexpr_affine_dequantize,
               {{"quantized_data", constant(form_.codes)},
                {"zero_point", constant(integers(code, shape))},
                {"scale", constant(floats(form_.type, shape, code.scale))},
                {"axis", program_.constant(axis)}},
               "_quantized");
  }

  Result<mil::ValueId> table() {
    const TableCode& code = *form_.table;
    const int64_t entries = int64_t{1} << bit_width(code.type);
    if (!newest_)
      return one(mil_ops::constexpr_lut_to_dense,
                 {{"indices", constant(form_.codes.packed_bytes())},
                  {"lut", constant(floats(form_.type, {entries}, code.entries))},
                  {"shape", shape()}},
                 "_palettized");
    std::vector<int64_t> lut_shape = code.groups;
    lut_shape.insert(lut_shape.end(), {entries, 1});
    const Weight stored = floats(form_.type, lut_shape, code.entries);
    mil::Operand lut;
    if (form_.table_code) {
      const std::vector<int64_t> whole(lut_shape.size(), 1);
      auto inputs = shift_scale(*form_.table_code, whole);
      LinearCode of_table = *form_.table_code;
      of_table.groups = whole;
      inputs.emplace_back("data", constant(stored.quantize(std::make_shared<const LinearCode>(std::move(of_table)))));
      TRY(lut, one(mil_ops::constexpr_blockwise_shift_scale, std::move(inputs), "_lut"));
    } else {
      lut = constant(stored);
    }
    if (!form_.mask)
      return one(mil_ops::constexpr_lut_to_dense_ios18, {{"indices", constant(form_.codes)}, {"lut", lut}}, "_palettized");
    TRY(const auto results,
        add(mil_ops::constexpr_lut_to_sparse,
            {{"indices_mask", constant(form_.mask)}, {"indices_nonzero_data", constant(form_.codes)}, {"lut", lut}},
            "_palettized"));
    return sparse(results[1], results[0]);
  }

  mil::Program& program_;
  mil::BlockId block_;
  int position_;
  const Form& form_;
  const std::string& name_;
  bool newest_;
};

}  // namespace

uint64_t Form::bytes() const {
  const auto stored = [&](const LinearCode& c) {
    return c.scale.size() * static_cast<uint64_t>(bit_width(type)) / 8 +
           (has_offset(c) ? static_cast<uint64_t>(byte_size(c.type, static_cast<int64_t>(c.zero.size()))) : 0);
  };
  uint64_t total = codes.byte_size() + (mask ? mask.byte_size() : 0);
  if (linear) total += stored(*linear);
  if (table)
    total +=
        static_cast<uint64_t>(byte_size(table_code ? table_code->type : type, static_cast<int64_t>(table->entries.size())));
  if (table_code) total += stored(*table_code);
  return total;
}

std::variant<Form, Skip> make_form(const Weight& weight, const Plan& plan, ChannelAxes axes, mil::Target target) {
  Form form;
  form.shape = weight.shape();
  form.type = weight.dtype();
  Weight data = weight;
  if (plan.prune) {
    auto kept = pruned(weight, plan);
    if (auto* skip = std::get_if<Skip>(&kept)) {
      if (!plan.is_joint()) return std::move(*skip);
      form.not_pruned = std::move(skip->reason);
    } else {
      data = std::get<Weight>(kept);
      form.mask = data.nonzero();
    }
  }
  form.codes = data;
  if (plan.palettize) {
    if (auto skip = palettize(data, plan, axes, target, form)) return std::move(*skip);
    if (keeps_sums(axes) && plan.palettize->mode != OpPalettizerConfig::Mode::Unique)
      form.table = balanced(data, *axes.output, bool(form.mask), *form.table);
    form.codes = data.palettize(form.table);
  } else if (plan.quantize) {
    if (auto skip = quantize(data, plan, axes, form)) return std::move(*skip);
    if (keeps_sums(axes)) form.linear = balanced(data, *axes.output, bool(form.mask), *form.linear);
    form.codes = data.quantize(form.linear);
  }
  if (form.mask) form.codes = form.codes.select(form.mask);
  return form;
}

Result<mil::ValueId> emit_form(mil::Program& program, mil::BlockId block, int position, const Form& form,
                               const std::string& name) {
  return Emitter(program, block, position, form, name).run();
}

}  // namespace cortland::compression
