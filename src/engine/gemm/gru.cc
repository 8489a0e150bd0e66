// gru: the input's share of every gate is one product over the whole sequence; each step adds the state's. Gates in the
// order reset, output, update; mil_ops/gru_rnn.cc has the formulas.
#include <algorithm>
#include <array>

#include "engine/gemm/kernels.h"
#include "engine/gemm/recurrent.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

struct Weights {
  PackedMatrix input;                     // [inputs, 3 * hidden]
  std::array<PackedMatrix, 3> recurrent;  // [hidden, hidden] for each gate
  std::vector<float> bias, inner_bias;  // [3 * hidden] of the input's share; [hidden], of R h where the reset comes after it
};

class GruKernel final : public Kernel {
 public:
  GruKernel(Weights weights, Activation gate, Activation output, bool reset_after, bool reversed, bool every_step)
      : w_(std::move(weights)),
        gate_(gate),
        output_(output),
        after_(reset_after),
        reversed_(reversed),
        every_step_(every_step) {}

  Status run(KernelContext& c) override {
    const Tensor x = c.tensor("x").cast(DType::F32), initial = c.tensor("initial_h").cast(DType::F32);
    const int64_t hidden = w_.recurrent[0].k(), row = 3 * hidden;
    if (x.rank() != 3 || x.elements() == 0 || x.dim(2) != w_.input.k()) return run_reference(c, {});
    const int64_t steps = x.dim(0), batch = x.dim(1);
    if (initial.shape != std::vector<int64_t>{batch, hidden}) return run_reference(c, {});
    Tensor sequence = Tensor::make(DType::F32, {every_step_ ? steps : 1, batch, hidden}),
           h = Tensor::make(DType::F32, initial.shape);
    std::copy_n(initial.data<float>(), initial.elements(), h.mutable_data<float>());
    std::vector<float> gates(static_cast<size_t>(steps * batch * row)), scratch(static_cast<size_t>(batch * hidden));
    w_.input.multiply({x.data<float>(), x.dim(2), steps * batch}, {gates.data(), row, w_.bias.data()});
    for (int64_t k = 0; k < steps; ++k) {
      advance(batch, hidden, gates.data() + (reversed_ ? steps - 1 - k : k) * batch * row, h.mutable_data<float>(),
              scratch.data());
      if (every_step_) std::copy_n(h.data<float>(), batch * hidden, sequence.mutable_data<float>() + k * batch * hidden);
    }
    if (!every_step_) std::copy_n(h.data<float>(), batch * hidden, sequence.mutable_data<float>());
    c.set_output(0, sequence.cast(c.result_types[0].dtype()));
    c.set_output(1, h.cast(c.result_types[1].dtype()));
    return {};
  }

 private:
  // One step; `scratch` is [batch, hidden].
  void advance(int64_t batch, int64_t hidden, float* gates, float* h, float* scratch) const {
    const int64_t row = 3 * hidden;
    const Rows state{h, hidden, batch};
    w_.recurrent[0].multiply(state, {gates, row, nullptr, true});
    w_.recurrent[2].multiply(state, {gates + 2 * hidden, row, nullptr, true});
    for (int64_t b = 0; b < batch; ++b) {
      float* g = gates + b * row;
      apply(gate_, g, hidden);
      apply(gate_, g + 2 * hidden, hidden);
      for (int64_t j = 0; !after_ && j < hidden; ++j) scratch[b * hidden + j] = g[j] * h[b * hidden + j];
    }
    if (after_)
      w_.recurrent[1].multiply(state, {scratch, hidden, w_.inner_bias.empty() ? nullptr : w_.inner_bias.data()});
    else
      w_.recurrent[1].multiply({scratch, hidden, batch}, {gates + hidden, row, nullptr, true});
    for (int64_t b = 0; b < batch; ++b) {
      float *g = gates + b * row, *out = g + hidden, *to = h + b * hidden;
      const float* z = g + 2 * hidden;
      for (int64_t j = 0; after_ && j < hidden; ++j) out[j] += g[j] * scratch[b * hidden + j];
      apply(output_, out, hidden);
      for (int64_t j = 0; j < hidden; ++j) to[j] = (1 - z[j]) * out[j] + z[j] * to[j];
    }
  }

  Weights w_;
  Activation gate_, output_;
  bool after_, reversed_, every_step_;
};

}  // namespace

std::unique_ptr<Kernel> make_gru(const Site& site) {
  if (!has_constant_weights(site)) return nullptr;
  const auto gate = activation(site, "recurrent_activation"), output = activation(site, "activation");
  const std::string direction = site.str("direction");
  if (!gate || !output || (direction != "forward" && direction != "reverse")) return nullptr;
  const int64_t hidden = site.tensor("weight_hh").dim(1);
  const auto width = static_cast<size_t>(3 * hidden);
  if (site.tensor("weight_ih").dim(0) != 3 * hidden || site.tensor("weight_hh").dim(0) != 3 * hidden) return nullptr;
  const bool after = site.op.slot("reset_after") >= 0 && site.has("reset_after") && site.boolean("reset_after");
  auto bias = vector(site, "bias"), input_bias = vector(site, "input_bias");
  for (const auto* values : {&bias, &input_bias})
    if (!values->empty() && values->size() != width) return nullptr;
  bias.resize(width, 0.0f);
  input_bias.resize(width, 0.0f);
  const auto gate_of = [&](int64_t i) { return pack_weight(site, "weight_hh", i * hidden, (i + 1) * hidden); };
  Weights w{pack_weight(site, "weight_ih", 0, 3 * hidden), {gate_of(0), gate_of(1), gate_of(2)}, input_bias, {}};
  const auto middle = static_cast<size_t>(hidden);
  for (size_t j = 0; j < width; ++j)
    if (!after || j < middle || j >= 2 * middle) w.bias[j] += bias[j];
  if (after) w.inner_bias.assign(bias.begin() + hidden, bias.begin() + 2 * hidden);
  return std::make_unique<GruKernel>(std::move(w), *gate, *output, after, direction == "reverse",
                                     site.boolean("output_sequence"));
}

}  // namespace cortland::engine::gemm
