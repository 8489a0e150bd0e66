// LSTM. Gates in the order input, forget, output, cell:
//   i, f = act(W x + R h + b + p c)    z = cell_act(W x + R h + b)    c' = clip(f c + i z)
//   o = act(W x + R h + b + p c')      h' = o * activation(c')
// A reverse layer gives its steps in the order it takes them, the last step of x first; the backward half of a
// bidirectional one is in the order of x.
#include <algorithm>
#include <array>
#include <limits>

#include "mil_ops/ops.h"
#include "mil_ops/recurrent.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

struct LstmShape {
  LayerShape layer;
  Activation gate, cell, output;
};

template <class Context>
Result<LstmShape> lstm_shape(const Context& c, DimTable& dims) {
  LstmShape s;
  TRY(s.layer, layer_shape(c, dims, 4, {"initial_h", "initial_c"},
                           {{"bias", 4}, {"bias_back", 4}, {"peephole", 3}, {"peephole_back", 3}}));
  TRY(s.gate, activation_of(c, "recurrent_activation"));
  TRY(s.cell, activation_of(c, "cell_activation"));
  TRY(s.output, activation_of(c, "activation"));
  return s;
}

Types infer_lstm(InferContext& c) {
  TRY(const LstmShape s, lstm_shape(c, c.dims));
  const DType t = c.dtype("x");
  const Shape state = s.layer.state(c.dims);
  return std::vector<Type>{{t, s.layer.sequence(c.boolean("output_sequence"), c.dims)}, {t, state}, {t, state}};
}

struct Cell {
  const LstmShape& shape;
  std::vector<float> peephole;  // empty, or one number for each of i, f, o
  float clip;                   // infinity when there is none

  // Advances h and c by one step; `gates` is one batch entry: [4 * hidden].
  void step(int64_t hidden, float* gates, float* h, float* c) const {
    float *in = gates, *forget = gates + hidden, *out = gates + 2 * hidden, *cell = gates + 3 * hidden;
    const float* p = peephole.empty() ? nullptr : peephole.data();
    for (int64_t j = 0; p && j < hidden; ++j) in[j] += p[j] * c[j], forget[j] += p[hidden + j] * c[j];
    activate(shape.gate, in, 2 * hidden);
    activate(shape.cell, cell, hidden);
    for (int64_t j = 0; j < hidden; ++j) c[j] = std::clamp(forget[j] * c[j] + in[j] * cell[j], -clip, clip);
    for (int64_t j = 0; p && j < hidden; ++j) out[j] += p[2 * hidden + j] * c[j];
    activate(shape.gate, out, hidden);
    std::copy_n(c, hidden, h);
    activate(shape.output, h, hidden);
    for (int64_t j = 0; j < hidden; ++j) h[j] *= out[j];
  }
};

struct Outputs {
  Tensor sequence, h, c;
  bool every_step;
};

void run_direction(const EvalContext& c, const LstmShape& shape, int64_t part, Outputs& out) {
  const bool back = part == 1;
  Direction d(c, back ? "weight_ih_back" : "weight_ih", back ? "weight_hh_back" : "weight_hh", back ? "bias_back" : "bias");
  const std::string_view peephole = back ? "peephole_back" : "peephole";
  const Cell cell{shape, c.has(peephole) ? c.floats(peephole) : std::vector<float>(),
                  c.has("clip") ? static_cast<float>(c.number("clip")) : std::numeric_limits<float>::infinity()};
  auto h = state_part(c.tensor("initial_h"), d.hidden, part), memory = state_part(c.tensor("initial_c"), d.hidden, part);
  const bool reversed = back || c.str("direction") == "reverse";
  const int64_t width = shape.layer.directions * d.hidden;
  for (int64_t k = 0; k < d.steps; ++k) {
    const int64_t t = reversed ? d.steps - 1 - k : k;
    float* gates = d.at(t);
    d.add_recurrent(h, 0, 4, gates);
    for (int64_t b = 0; b < d.batch; ++b)
      cell.step(d.hidden, gates + b * 4 * d.hidden, h.data() + b * d.hidden, memory.data() + b * d.hidden);
    if (out.every_step)
      put_part(h, d.hidden, out.sequence.mutable_data<float>() + (back ? t : k) * d.batch * width, width, part * d.hidden);
  }
  if (!out.every_step) put_part(h, d.hidden, out.sequence.mutable_data<float>(), width, part * d.hidden);
  put_part(h, d.hidden, out.h.mutable_data<float>(), width, part * d.hidden);
  put_part(memory, d.hidden, out.c.mutable_data<float>(), width, part * d.hidden);
}

Status eval_lstm(EvalContext& c) {
  DimTable dims;
  TRY(const LstmShape shape, lstm_shape(c, dims));
  if (c.has("clip") && !(c.number("clip") >= 0)) return c.error("clip is negative");
  const bool every_step = c.boolean("output_sequence");
  const auto state = sizes(shape.layer.state(dims));
  Outputs out{Tensor::make(DType::F32, sizes(shape.layer.sequence(every_step, dims))), Tensor::make(DType::F32, state),
              Tensor::make(DType::F32, state), every_step};
  for (int64_t part = 0; part < shape.layer.directions; ++part) run_direction(c, shape, part, out);
  const DType t = c.tensor("x").dtype;
  c.set_output(0, out.sequence.cast(t));
  c.set_output(1, out.h.cast(t));
  c.set_output(2, out.c.cast(t));
  return {};
}

constexpr std::array<Input, 17> lstm_inputs(DTypes t) {
  return {value("x", t),
          value("initial_h", t),
          value("initial_c", t),
          constant("weight_ih", t, 'T'),
          constant("weight_hh", t, 'T'),
          option("bias", t, {}, 'T'),
          option("peephole", t, {}, 'T'),
          option("weight_ih_back", t, {}, 'T'),
          option("weight_hh_back", t, {}, 'T'),
          option("bias_back", t, {}, 'T'),
          option("peephole_back", t, {}, 'T'),
          option("direction", kStrings, "forward"),
          option("output_sequence", kBools, false),
          option("recurrent_activation", kStrings, "sigmoid"),
          option("cell_activation", kStrings, "tanh"),
          option("activation", kStrings, "tanh"),
          option("clip", t, {}, 'T')};
}
constexpr auto kLstm = lstm_inputs(kFp32), kLstm17 = lstm_inputs(kFloats);
constexpr Tolerance kTolerance{.f16 = 5e-3, .f32 = 1e-5};

}  // namespace

const MilOp lstm{.name = "lstm", .inputs = kLstm, .infer = infer_lstm, .eval = eval_lstm, .tol = kTolerance};
const MilOp lstm_ios17{
    .name = "lstm", .since = Target::iOS17, .inputs = kLstm17, .infer = infer_lstm, .eval = eval_lstm, .tol = kTolerance};

}  // namespace cortland::mil_ops
