#include <cmath>

#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

using mil::Operand;

std::vector<float> floats_of(const mil::Program& program, Operand o) { return program.consts[o.constant()].data.to_floats(); }

// y = gamma (x - mean) / sqrt(variance + epsilon) + beta, as y = scale x + shift.
struct Affine {
  std::vector<float> scale, shift;
};

Affine affine_of(const mil::Program& program, const mil::Op& norm) {
  const auto mean = floats_of(program, program.operand(norm, "mean")), variance = floats_of(program, program.operand(norm, "variance"));
  const float epsilon = floats_of(program, program.operand(norm, "epsilon"))[0];
  const Operand gamma = program.operand(norm, "gamma"), beta = program.operand(norm, "beta");
  Affine a;
  for (size_t c = 0; c < mean.size(); ++c) {
    const float g = gamma ? floats_of(program, gamma)[c] : 1.0f, b = beta ? floats_of(program, beta)[c] : 0.0f;
    a.scale.push_back(g / std::sqrt(variance[c] + epsilon));
    a.shift.push_back(b - mean[c] * a.scale.back());
  }
  return a;
}

bool set_input(mil::Program& program, mil::OpId id, std::string_view input, Operand operand) {
  const mil::Op& op = program.ops[id];
  for (uint32_t b = 0; b < op.operands.size(); ++b) {
    if (op.def->inputs[op.operands[b].slot].name != input) continue;
    program.set_operand(id, b, operand);
    return true;
  }
  return false;
}

}  // namespace

Status fuse_conv_batchnorm(mil::Program& program) {
  for (const mil::Function& f : program.functions) {
    for (mil::OpId id : std::vector<mil::OpId>(program.blocks[f.body].ops)) {
      const mil::Op& norm = program.ops[id];
      if (norm.def->name != "batch_norm") continue;
      const Operand x = program.operand(norm, "x");
      const mil::OpId conv = x.is_value() ? program.values[x.value()].producer : mil::OpId{};
      if (!conv || program.ops[conv].def->name != "conv") continue;
      if (program.values[x.value()].uses.size() != 1 || program.is_output(x.value())) continue;
      const Operand weight = program.operand(program.ops[conv], "weight"), bias = program.operand(program.ops[conv], "bias");
      if (!weight.is_const() || (bias && !bias.is_const())) continue;
      Affine a = affine_of(program, norm);
      const Weight& kernel = program.consts[weight.constant()].data;
      const DType type = kernel.dtype();
      if (bias) {
        const auto old = floats_of(program, bias);
        for (size_t c = 0; c < old.size(); ++c) a.shift[c] += old[c] * a.scale[c];
      }
      // A bias that float16 cannot hold stays a batch norm.
      bool fits = true;
      for (float s : a.shift) fits = fits && (type == DType::F32 || std::abs(s) <= 65504.0f);
      if (!fits) continue;
      // Scaling the stored weights, not those already rounded, keeps one rounding instead of two.
      const Weight scaled = kernel.uncast().scale(0, a.scale).cast(type);
      const Operand new_bias = program.constant(a.shift, type);
      set_input(program, conv, "weight", program.constant(scaled));
      if (!set_input(program, conv, "bias", new_bias)) program.add_operand(conv, "bias", new_bias);
      program.replace_uses(norm.results[0], x);
      program.erase_op(id);
    }
  }
  return {};
}

}  // namespace cortland::mil_passes
