// GRU with gates in the order reset, output, update:
//   r, z = recurrent_activation(W x + R h + b)
//   o = activation(W x + R (r h) + b), or with reset_after: activation(W x + b_input + r (R h + b))
//   h' = (1 - z) o + z h
// RNN: h' = activation(W x + R h + b).
// A reverse layer gives its steps in the order it takes them, the last step of x first.
#include <algorithm>
#include <array>

#include "mil_ops/ops.h"
#include "mil_ops/recurrent.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

Types layer_types(InferContext& c, const LayerShape& layer) {
  return std::vector<Type>{{c.dtype("x"), layer.sequence(c.boolean("output_sequence"), c.dims)},
                           {c.dtype("x"), layer.state(c.dims)}};
}

// Runs step(gates of t, h) over the sequence and sets both results.
template <class Step>
void run_layer(EvalContext& c, const LayerShape& layer, Direction& d, const Step& step) {
  DimTable dims;
  const bool every_step = c.boolean("output_sequence"), reversed = c.str("direction") == "reverse";
  Tensor sequence = Tensor::make(DType::F32, sizes(layer.sequence(every_step, dims)));
  auto h = state_part(c.tensor("initial_h"), d.hidden, 0);
  for (int64_t k = 0; k < d.steps; ++k) {
    step(d.at(reversed ? d.steps - 1 - k : k), h);
    if (every_step) std::copy(h.begin(), h.end(), sequence.mutable_data<float>() + k * d.batch * d.hidden);
  }
  if (!every_step) std::copy(h.begin(), h.end(), sequence.mutable_data<float>());
  const DType t = c.tensor("x").dtype;
  c.set_output(0, sequence.cast(t));
  c.set_output(1, Tensor::from(DType::F32, sizes(layer.state(dims)), h).cast(t));
}

template <class Context>
Result<LayerShape> gru_shape(const Context& c, DimTable& dims) {
  TRY_DO(activation_of(c, "recurrent_activation"));
  TRY_DO(activation_of(c, "activation"));
  std::vector<NamedVector> vectors = {{"bias", 3}};
  if (c.def.slot("input_bias") >= 0) vectors.push_back({"input_bias", 3});
  return layer_shape(c, dims, 3, {"initial_h"}, vectors);
}

Types infer_gru(InferContext& c) {
  TRY(const LayerShape layer, gru_shape(c, c.dims));
  return layer_types(c, layer);
}

class Gru {
 public:
  Gru(const EvalContext& c, const Direction& d, Activation gate, Activation output) : d_(d), gate_(gate), output_(output) {
    after_ = c.def.slot("reset_after") >= 0 && c.has("reset_after") && c.boolean("reset_after");
    const auto width = static_cast<size_t>(3 * d.hidden);
    bias_ = c.has("bias") ? c.floats("bias") : std::vector<float>(width, 0.0f);
    if (c.def.slot("input_bias") >= 0 && c.has("input_bias")) input_bias_ = c.floats("input_bias");
    input_bias_.resize(width, 0.0f);
  }

  void operator()(float* gates, std::vector<float>& h) const {
    const int64_t hidden = d_.hidden, width = 3 * hidden;
    std::vector<float> inner(after_ ? static_cast<size_t>(d_.batch * width) : 0), reset(h.size());
    d_.add_recurrent(h, 0, 1, gates);
    d_.add_recurrent(h, 2, 3, gates);
    for (int64_t b = 0; b < d_.batch; ++b) {
      float* g = gates + b * width;
      for (int64_t j = 0; j < hidden; ++j) {
        g[j] += bias_[static_cast<size_t>(j)] + input_bias_[static_cast<size_t>(j)];
        g[hidden + j] +=
            input_bias_[static_cast<size_t>(hidden + j)] + (after_ ? 0 : bias_[static_cast<size_t>(hidden + j)]);
        g[2 * hidden + j] += bias_[static_cast<size_t>(2 * hidden + j)] + input_bias_[static_cast<size_t>(2 * hidden + j)];
      }
      activate(gate_, g, hidden);
      activate(gate_, g + 2 * hidden, hidden);
      for (int64_t j = 0; j < hidden; ++j)
        reset[static_cast<size_t>(b * hidden + j)] = g[j] * h[static_cast<size_t>(b * hidden + j)];
    }
    if (after_)
      d_.add_recurrent(h, 1, 2, inner.data());
    else
      d_.add_recurrent(reset, 1, 2, gates);
    for (int64_t b = 0; b < d_.batch; ++b) {
      float *g = gates + b * width, *out = g + hidden, *state = h.data() + b * hidden;
      const float* z = g + 2 * hidden;
      for (int64_t j = 0; after_ && j < hidden; ++j)
        out[j] += g[j] * (inner[static_cast<size_t>(b * width + hidden + j)] + bias_[static_cast<size_t>(hidden + j)]);
      activate(output_, out, hidden);
      for (int64_t j = 0; j < hidden; ++j) state[j] = (1 - z[j]) * out[j] + z[j] * state[j];
    }
  }

 private:
  const Direction& d_;
  Activation gate_, output_;
  bool after_ = false;
  std::vector<float> bias_, input_bias_;
};

Status eval_gru(EvalContext& c) {
  DimTable dims;
  TRY(const LayerShape layer, gru_shape(c, dims));
  TRY(const Activation gate, activation_of(c, "recurrent_activation"));
  TRY(const Activation output, activation_of(c, "activation"));
  Direction d(c, "weight_ih", "weight_hh", {});  // the biases enter at different places
  run_layer(c, layer, d, Gru(c, d, gate, output));
  return {};
}

template <class Context>
Result<LayerShape> rnn_shape(const Context& c, DimTable& dims) {
  TRY_DO(activation_of(c, "activation"));
  return layer_shape(c, dims, 1, {"initial_h"}, {{"bias", 1}});
}

Types infer_rnn(InferContext& c) {
  TRY(const LayerShape layer, rnn_shape(c, c.dims));
  return layer_types(c, layer);
}

Status eval_rnn(EvalContext& c) {
  DimTable dims;
  TRY(const LayerShape layer, rnn_shape(c, dims));
  TRY(const Activation f, activation_of(c, "activation"));
  Direction d(c, "weight_ih", "weight_hh", "bias");
  run_layer(c, layer, d, [&](float* gates, std::vector<float>& h) {
    d.add_recurrent(h, 0, 1, gates);
    activate(f, gates, d.batch * d.hidden);
    std::copy_n(gates, h.size(), h.begin());
  });
  return {};
}

constexpr std::array<Input, 11> gru_inputs(DTypes t) {
  return {value("x", t),
          value("initial_h", t),
          constant("weight_ih", t, 'T'),
          constant("weight_hh", t, 'T'),
          option("bias", t, {}, 'T'),
          option("direction", kStrings, "forward"),
          option("output_sequence", kBools, false),
          option("recurrent_activation", kStrings, "sigmoid"),
          option("activation", kStrings, "tanh"),
          option("reset_after", kBools),
          option("input_bias", t, {}, 'T')};
}
constexpr std::array<Input, 8> rnn_inputs(DTypes t) {
  return {value("x", t),
          value("initial_h", t),
          constant("weight_ih", t, 'T'),
          constant("weight_hh", t, 'T'),
          option("bias", t, {}, 'T'),
          option("direction", kStrings, "forward"),
          option("output_sequence", kBools, false),
          option("activation", kStrings, "tanh")};
}
constexpr auto kGru = gru_inputs(kFp32), kGru17 = gru_inputs(kFloats);
constexpr auto kRnn = rnn_inputs(kFp32), kRnn17 = rnn_inputs(kFloats);
constexpr Tolerance kTolerance{.f16 = 5e-3, .f32 = 1e-5};

}  // namespace

// reset_after and input_bias came with iOS18.
const MilOp gru{.name = "gru", .inputs = std::span(kGru).first(9), .infer = infer_gru, .eval = eval_gru, .tol = kTolerance};
const MilOp gru_ios17{.name = "gru",
                      .since = Target::iOS17,
                      .inputs = std::span(kGru17).first(9),
                      .infer = infer_gru,
                      .eval = eval_gru,
                      .tol = kTolerance};
const MilOp gru_ios18{
    .name = "gru", .since = Target::iOS18, .inputs = kGru17, .infer = infer_gru, .eval = eval_gru, .tol = kTolerance};
const MilOp rnn{.name = "rnn", .inputs = kRnn, .infer = infer_rnn, .eval = eval_rnn, .tol = kTolerance};
const MilOp rnn_ios17{
    .name = "rnn", .since = Target::iOS17, .inputs = kRnn17, .infer = infer_rnn, .eval = eval_rnn, .tol = kTolerance};

}  // namespace cortland::mil_ops
