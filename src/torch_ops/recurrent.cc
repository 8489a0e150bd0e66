// Recurrent layers and cells. LSTM and plain RNN layers are MIL ops; Core ML's GRU computes another function before iOS18 and is
// wrong for batches, so GRU layers, and whatever the ops cannot do, are written out step by step.
#include <algorithm>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"
#include "torch_ops/linear.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

constexpr int64_t kMostSteps = 512;  // of all layers together that are written out

// --- single steps; gates lie side by side along the last axis

struct Weights {
  Operand ih, hh, bias_ih, bias_hh, projection;  // the biases and the projection may be missing
};

Result<std::vector<Operand>> gates_of(Lowering& in, Operand x, size_t count) {
  const Dim width = in.dim_table().floordiv(in.shape_of(x).back(), static_cast<int64_t>(count));
  return split(in, x, in.rank_of(x) - 1, Shape(count, width), std::vector<bool>(count, true));
}

Result<Operand> unary(Lowering& in, const mil::MilOp& op, Operand x) { return in.op(op, {{"x", x}}); }

struct LstmState {
  Operand h, c;
};

// `input` is W x + b of the input for all four gates.
Result<LstmState> lstm_step(Lowering& in, Operand input, const LstmState& state, const Weights& w) {
  TRY(Operand recurrent, matrix_product(in, state.h, w.hh, true, w.bias_hh));
  TRY(Operand all, add(in, input, recurrent));
  TRY(auto g, gates_of(in, all, 4));
  TRY(Operand enter, unary(in, mil_ops::sigmoid, g[0]));
  TRY(Operand keep, unary(in, mil_ops::sigmoid, g[1]));
  TRY(Operand fresh, unary(in, mil_ops::tanh, g[2]));
  TRY(Operand leave, unary(in, mil_ops::sigmoid, g[3]));
  TRY(Operand kept, multiply(in, keep, state.c));
  TRY(Operand entered, multiply(in, enter, fresh));
  LstmState next;
  TRY(next.c, add(in, kept, entered));
  TRY(Operand seen, unary(in, mil_ops::tanh, next.c));
  TRY(next.h, multiply(in, leave, seen));
  if (w.projection) {
    TRY(next.h, matrix_product(in, next.h, w.projection, true));
  }
  return next;
}

// Gates in the order reset, update, new.
Result<Operand> gru_step(Lowering& in, Operand input, Operand h, const Weights& w) {
  TRY(Operand recurrent, matrix_product(in, h, w.hh, true, w.bias_hh));
  TRY(auto x, gates_of(in, input, 3));
  TRY(auto r, gates_of(in, recurrent, 3));
  TRY(Operand reset, add(in, x[0], r[0]));
  TRY(reset, unary(in, mil_ops::sigmoid, reset));
  TRY(Operand update, add(in, x[1], r[1]));
  TRY(update, unary(in, mil_ops::sigmoid, update));
  TRY(Operand fresh, multiply(in, reset, r[2]));
  TRY(fresh, add(in, x[2], fresh));
  TRY(fresh, unary(in, mil_ops::tanh, fresh));
  // (1 - update) * fresh + update * h
  TRY(Operand change, in.op(mil_ops::sub, {{"x", h}, {"y", fresh}}));
  TRY(change, multiply(in, update, change));
  return add(in, fresh, change);
}

Result<Operand> rnn_step(Lowering& in, Operand input, Operand h, const Weights& w, bool relu) {
  TRY(Operand recurrent, matrix_product(in, h, w.hh, true, w.bias_hh));
  TRY(Operand sum, add(in, input, recurrent));
  return unary(in, relu ? mil_ops::relu : mil_ops::tanh, sum);
}

// --- layers over [steps, batch, features]

enum class Kind { Lstm, Gru, Tanh, Relu };

struct Network {
  Kind kind = Kind::Lstm;
  Operand x, h, c;  // states: [layers * directions, batch, features]
  std::vector<Weights> weights;  // of each layer, then of each direction
  int64_t layers = 1, directions = 1;
  bool batch_first = false, unbatched = false, constant = true;
};

struct LayerState {
  Operand h, c;  // [batch, features]
};

struct LayerResult {
  Operand sequence;
  std::vector<LayerState> last;  // of each direction
};

Result<Operand> summed(Lowering& in, Operand a, Operand b) {
  if (!a || !b) return a ? a : b;
  return in.op(mil_ops::add, {{"x", a}, {"y", b}});
}

// The parts of a constant along its first axis in another order: torch and MIL disagree about the order of gates.
Operand reordered(Lowering& in, Operand o, const Ints& order) {
  const Weight* w = in.const_weight(o);
  const int64_t part = w->shape()[0] / static_cast<int64_t>(order.size());
  std::vector<Weight> parts;
  for (int64_t i : order) parts.push_back(w->slice(0, i * part, (i + 1) * part));
  return in.constant(Weight::concat(parts, 0));
}

// Up to iOS16 the recurrent ops are float32 only.
DType op_type(const Lowering& in) { return in.at_least(mil::Target::iOS17) ? in.compute() : DType::F32; }

struct OpWeights {
  Operand ih, hh, bias;
};

Result<OpWeights> for_op(Lowering& in, const Weights& w, const Ints& order) {
  OpWeights out;
  TRY(out.ih, in.cast(reordered(in, w.ih, order), op_type(in)));
  TRY(out.hh, in.cast(reordered(in, w.hh, order), op_type(in)));
  TRY(Operand bias, summed(in, w.bias_ih, w.bias_hh));
  if (bias) {
    TRY(out.bias, in.cast(reordered(in, bias, order), op_type(in)));
  }
  return out;
}

Result<LayerResult> lstm_op(Lowering& in, const Network& n, Operand x, const std::vector<LayerState>& initial, size_t first) {
  const Ints order = {0, 1, 3, 2};
  const bool both = n.directions == 2;
  TRY(const OpWeights forward, for_op(in, n.weights[first], order));
  OpWeights backward;
  Operand h = initial[0].h, c = initial[0].c;
  if (both) {
    TRY(backward, for_op(in, n.weights[first + 1], order));
    TRY(h, concat(in, {h, initial[1].h}, 1));
    TRY(c, concat(in, {c, initial[1].c}, 1));
  }
  TRY(x, in.cast(x, op_type(in)));
  TRY(h, in.cast(h, op_type(in)));
  TRY(c, in.cast(c, op_type(in)));
  TRY(auto results, in.multi(mil_ops::lstm, {{"x", x},
                                             {"initial_h", h},
                                             {"initial_c", c},
                                             {"weight_ih", forward.ih},
                                             {"weight_hh", forward.hh},
                                             {"bias", forward.bias},
                                             {"weight_ih_back", backward.ih},
                                             {"weight_hh_back", backward.hh},
                                             {"bias_back", backward.bias},
                                             {"direction", both ? "bidirectional" : "forward"},
                                             {"output_sequence", true},
                                             {"recurrent_activation", "sigmoid"},
                                             {"cell_activation", "tanh"},
                                             {"activation", "tanh"}}));
  for (Operand& r : results) {
    TRY(r, in.cast(r, in.compute()));
  }
  LayerResult out{results[0], {}};
  const Dim hidden = in.shape_of(initial[0].h)[1];
  TRY(auto hs, split(in, results[1], 1, Shape(static_cast<size_t>(n.directions), hidden), std::vector<bool>(static_cast<size_t>(n.directions), true)));
  TRY(auto cs, split(in, results[2], 1, Shape(static_cast<size_t>(n.directions), hidden), std::vector<bool>(static_cast<size_t>(n.directions), true)));
  for (size_t d = 0; d < hs.size(); ++d) out.last.push_back({hs[d], cs[d]});
  return out;
}

Result<Operand> reversed(Lowering& in, Operand x) { return in.op(mil_ops::reverse, {{"x", x}, {"axes", Ints{0}}}); }

// One direction of a plain RNN, in the order of x.
Result<LayerResult> rnn_op(Lowering& in, const Network& n, Operand x, const LayerState& initial, const Weights& w, bool backward) {
  TRY(const OpWeights weights, for_op(in, w, {0}));
  TRY(x, in.cast(x, op_type(in)));
  TRY(Operand h, in.cast(initial.h, op_type(in)));
  if (backward) {
    TRY(x, reversed(in, x));
  }
  TRY(auto results, in.multi(mil_ops::rnn, {{"x", x},
                                            {"initial_h", h},
                                            {"weight_ih", weights.ih},
                                            {"weight_hh", weights.hh},
                                            {"bias", weights.bias},
                                            {"direction", "forward"},
                                            {"output_sequence", true},
                                            {"activation", n.kind == Kind::Relu ? "relu" : "tanh"}}));
  if (backward) {
    TRY(results[0], reversed(in, results[0]));
  }
  TRY(Operand sequence, in.cast(results[0], in.compute()));
  TRY(Operand last, in.cast(results[1], in.compute()));
  return LayerResult{sequence, {{last, {}}}};
}

// One direction written out, in the order of x.
Result<LayerResult> unrolled(Lowering& in, const Network& n, Operand x, LayerState state, const Weights& w, bool backward) {
  const int64_t steps = in.shape_of(x)[0].constant();
  TRY(Operand inputs, matrix_product(in, x, w.ih, true, w.bias_ih));
  std::vector<Operand> outputs(static_cast<size_t>(steps));
  for (int64_t k = 0; k < steps; ++k) {
    const int64_t t = backward ? steps - 1 - k : k;
    TRY(Operand input, slice(in, inputs, 0, t, t + 1));
    TRY(input, in.squeeze(input, {0}));
    if (n.kind == Kind::Lstm) {
      TRY(const LstmState next, lstm_step(in, input, {state.h, state.c}, w));
      state = {next.h, next.c};
    } else if (n.kind == Kind::Gru) {
      TRY(state.h, gru_step(in, input, state.h, w));
    } else {
      TRY(state.h, rnn_step(in, input, state.h, w, n.kind == Kind::Relu));
    }
    outputs[static_cast<size_t>(t)] = state.h;
  }
  TRY(Operand sequence, in.op(mil_ops::stack, {{"values", outputs}, {"axis", 0}}));
  return LayerResult{sequence, {state}};
}

// One direction by the GRU of iOS18, one batch entry after the other.
Result<LayerResult> gru_op(Lowering& in, Operand x, const LayerState& initial, const Weights& w, bool backward) {
  const Ints order = {0, 2, 1};
  Weights plain = w;
  plain.bias_ih = plain.bias_hh = {};
  TRY(const OpWeights weights, for_op(in, plain, order));
  const Operand bias = w.bias_hh ? reordered(in, w.bias_hh, order) : Operand(), input_bias = w.bias_ih ? reordered(in, w.bias_ih, order) : Operand();
  if (backward) {
    TRY(x, reversed(in, x));
  }
  std::vector<Operand> sequences, states;
  for (int64_t b = 0; b < in.shape_of(x)[1].constant(); ++b) {
    TRY(Operand one, slice(in, x, 1, b, b + 1));
    TRY(Operand h, slice(in, initial.h, 0, b, b + 1));
    TRY(auto results, in.multi(mil_ops::gru, {{"x", one},
                                              {"initial_h", h},
                                              {"weight_ih", weights.ih},
                                              {"weight_hh", weights.hh},
                                              {"bias", bias},
                                              {"direction", "forward"},
                                              {"output_sequence", true},
                                              {"recurrent_activation", "sigmoid"},
                                              {"activation", "tanh"},
                                              {"reset_after", true},
                                              {"input_bias", input_bias}}));
    sequences.push_back(results[0]);
    states.push_back(results[1]);
  }
  TRY(Operand sequence, concat(in, sequences, 1));
  TRY(Operand state, concat(in, states, 0));
  if (backward) {
    TRY(sequence, reversed(in, sequence));
  }
  return LayerResult{sequence, {{state, {}}}};
}

Result<LayerResult> run_direction(Lowering& in, const Network& n, Operand x, const LayerState& initial, size_t index, bool backward) {
  const Weights& w = n.weights[index];
  const bool plain = n.kind == Kind::Tanh || n.kind == Kind::Relu;
  if (plain && n.constant) return rnn_op(in, n, x, initial, w, backward);
  const Dim steps = in.shape_of(x)[0], batch = in.shape_of(x)[1];
  if (steps.is_constant() && steps.constant() * n.layers * n.directions <= kMostSteps) return unrolled(in, n, x, initial, w, backward);
  constexpr int64_t kMostEntries = 16;
  if (n.kind == Kind::Gru && n.constant && batch.is_constant() && batch.constant() <= kMostEntries && in.at_least(mil::Target::iOS18))
    return gru_op(in, x, initial, w, backward);
  if (n.kind == Kind::Gru)
    return in.reject(DiagKind::UnsupportedShape, "a GRU over a long or dynamic sequence", "raise the minimum deployment target to iOS18 with a batch of 16 or less, or use shorter sequences");
  return in.reject(DiagKind::UnsupportedShape, "a recurrent layer with a projection or computed weights over a long or dynamic sequence", "use constant weights without projection, or shorter sequences");
}

Result<LayerResult> run_layer(Lowering& in, const Network& n, Operand x, const std::vector<LayerState>& initial, size_t first) {
  if (n.kind == Kind::Lstm && n.constant && !n.weights[first].projection) return lstm_op(in, n, x, initial, first);
  LayerResult out;
  std::vector<Operand> sequences;
  for (size_t d = 0; d < initial.size(); ++d) {
    TRY(LayerResult one, run_direction(in, n, x, initial[d], first + d, d == 1));
    sequences.push_back(one.sequence);
    out.last.push_back(one.last[0]);
  }
  TRY(out.sequence, concat(in, sequences, 2));
  return out;
}

// The state of one layer and direction: [batch, features].
Result<Operand> state_of(Lowering& in, Operand states, int64_t index) {
  if (!states) return Operand();
  TRY(Operand one, slice(in, states, 0, index, index + 1));
  return in.squeeze(one, {0});
}

Result<Network> read(Lowering& in, Kind kind) {
  Network n;
  n.kind = kind;
  TRY(n.x, in.tensor("input"));
  TRY(n.layers, in.integer("num_layers"));
  n.directions = in.boolean("bidirectional") ? 2 : 1;
  n.batch_first = in.boolean("batch_first");
  n.unbatched = in.rank("input") == 2;
  TRY(const double dropout, in.number("dropout"));
  if (in.boolean("train") && dropout != 0) return in.reject_argument("train", "True", "call eval() before the export");
  if (kind == Kind::Lstm) {
    TRY(auto states, in.tensors("hx"));
    n.h = states[0];
    n.c = states[1];
  } else {
    TRY(n.h, in.tensor("hx"));
  }
  TRY(auto params, in.tensors("params"));
  for (Operand p : params) n.constant = n.constant && p.is_const();
  const auto sets = static_cast<size_t>(n.layers * n.directions);
  const bool biases = in.boolean("has_biases");
  const size_t each = sets == 0 ? 0 : params.size() / sets;
  if (each < (biases ? 4u : 2u)) return in.reject(DiagKind::UnsupportedArgument, "the layer has too few weights");
  for (size_t i = 0; i < sets; ++i) {
    const Operand* p = params.data() + i * each;
    Weights w{p[0], p[1], biases ? p[2] : Operand(), biases ? p[3] : Operand(), {}};
    if (each == (biases ? 5u : 3u)) w.projection = p[each - 1];
    n.weights.push_back(w);
  }
  if (n.unbatched) {
    TRY(n.x, in.unsqueeze(n.x, {n.batch_first ? 0 : 1}));
    TRY(n.h, in.unsqueeze(n.h, {1}));
    if (n.c) {
      TRY(n.c, in.unsqueeze(n.c, {1}));
    }
  }
  if (n.batch_first) {
    TRY(n.x, in.transpose(n.x, {1, 0, 2}));
  }
  return n;
}

Lowered run(Lowering& in, Kind kind) {
  TRY(const Network n, read(in, kind));
  Operand x = n.x;
  std::vector<Operand> hs, cs;
  for (int64_t layer = 0; layer < n.layers; ++layer) {
    std::vector<LayerState> initial(static_cast<size_t>(n.directions));
    for (int64_t d = 0; d < n.directions; ++d) {
      LayerState& s = initial[static_cast<size_t>(d)];
      TRY(s.h, state_of(in, n.h, layer * n.directions + d));
      TRY(s.c, state_of(in, n.c, layer * n.directions + d));
    }
    TRY(LayerResult result, run_layer(in, n, x, initial, static_cast<size_t>(layer * n.directions)));
    x = result.sequence;
    for (const LayerState& s : result.last) {
      hs.push_back(s.h);
      cs.push_back(s.c);
    }
  }
  if (n.batch_first) {
    TRY(x, in.transpose(x, {1, 0, 2}));
  }
  if (n.unbatched) {
    TRY(x, in.squeeze(x, {n.batch_first ? 0 : 1}));
  }
  std::vector<Operand> results = {x};
  for (size_t i = 1; i < (kind == Kind::Lstm ? 3u : 2u); ++i) {
    if (!in.result_used(i)) {
      results.emplace_back();
      continue;
    }
    TRY(Operand states, in.op(mil_ops::stack, {{"values", i == 1 ? hs : cs}, {"axis", 0}}));
    if (n.unbatched) {
      TRY(states, in.squeeze(states, {1}));
    }
    results.push_back(states);
  }
  return results;
}

template <Kind kind>
Lowered lower_layer(Lowering& in) {
  return run(in, kind);
}

// --- cells: one step of one layer

struct CellInput {
  Operand gates;  // W x + b
  Weights w;
  bool unbatched = false;
};

Result<CellInput> read_cell(Lowering& in) {
  CellInput c;
  TRY(Operand x, in.tensor("input"));
  TRY(c.w.ih, in.tensor("w_ih"));
  TRY(c.w.hh, in.tensor("w_hh"));
  if (in.has("b_ih")) {
    TRY(c.w.bias_ih, in.tensor("b_ih"));
  }
  if (in.has("b_hh")) {
    TRY(c.w.bias_hh, in.tensor("b_hh"));
  }
  c.unbatched = in.rank("input") == 1;
  if (c.unbatched) {
    TRY(x, in.unsqueeze(x, {0}));
  }
  TRY(c.gates, matrix_product(in, x, c.w.ih, true, c.w.bias_ih));
  return c;
}

Result<Operand> batched(Lowering& in, const CellInput& c, Operand state) { return c.unbatched ? in.unsqueeze(state, {0}) : state; }
Result<Operand> unbatched(Lowering& in, const CellInput& c, Operand state) { return c.unbatched ? in.squeeze(state, {0}) : state; }

Lowered lower_lstm_cell(Lowering& in) {
  TRY(const CellInput c, read_cell(in));
  TRY(auto states, in.tensors("hx"));
  LstmState state;
  TRY(state.h, batched(in, c, states[0]));
  TRY(state.c, batched(in, c, states[1]));
  TRY(const LstmState next, lstm_step(in, c.gates, state, c.w));
  std::vector<Operand> results(2);
  TRY(results[0], unbatched(in, c, next.h));
  TRY(results[1], unbatched(in, c, next.c));
  return results;
}

template <Kind kind>
Lowered lower_cell(Lowering& in) {
  TRY(const CellInput c, read_cell(in));
  TRY(Operand h, in.tensor("hx"));
  TRY(h, batched(in, c, h));
  Operand next;
  if (kind == Kind::Gru) {
    TRY(next, gru_step(in, c.gates, h, c.w));
  } else {
    TRY(next, rnn_step(in, c.gates, h, c.w, kind == Kind::Relu));
  }
  return unbatched(in, c, next);
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::gru.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, "
               "bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
     .lower = lower_layer<Kind::Gru>, .decompose = decompositions::gru,
     .samples = "F[3,2,4] F[1,2,5] [const F[15,4], const F[15,5], const F[15], const F[15]] True 1 0.0 False False False -> F[3,2,5], F[1,2,5]; "
                "F[2,3,4] F[2,2,5] [const F[15,4], const F[15,5], const F[15,4], const F[15,5]] False 1 0.0 False True True -> F[2,3,10], F[2,2,5]; "
                "F[3,b2,4] F[1,b2,5] [const F[15,4], const F[15,5], const F[15], const F[15]] True 1 0.0 False False False -> F[3,b2,5], F[1,b2,5]"},
    {.schema = "aten::gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
     .lower = lower_cell<Kind::Gru>, .decompose = decompositions::gru_cell,
     .samples = "F[2,4] F[2,5] const F[15,4] const F[15,5] const F[15] const F[15] -> F[2,5]; "
                "F[2,4] F[2,5] const F[15,4] const F[15,5] -> F[2,5]; "
                "F[n2,4] F[n2,5] const F[15,4] const F[15,5] const F[15] const F[15] -> F[n2,5]"},
    {.schema = "aten::lstm.input(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, "
               "bool bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)",
     .lower = lower_layer<Kind::Lstm>, .decompose = decompositions::lstm,
     .samples = "F[3,2,4] [F[1,2,5], F[1,2,5]] [const F[20,4], const F[20,5], const F[20], const F[20]] True 1 0.0 False False False -> F[3,2,5], F[1,2,5], F[1,2,5]; "
                "F[2,3,4] [F[2,2,5], F[2,2,5]] [const F[20,4], const F[20,5], const F[20,4], const F[20,5]] False 1 0.0 False True True -> F[2,3,10], F[2,2,5], F[2,2,5]; "
                "F[3,2,4] [F[2,2,5], F[2,2,5]] [const F[20,4], const F[20,5], const F[20,5], const F[20,5]] False 2 0.0 False False False -> F[3,2,5], F[2,2,5], F[2,2,5]; "
                "F[3,b2,4] [F[1,b2,5], F[1,b2,5]] [const F[20,4], const F[20,5], const F[20], const F[20]] True 1 0.0 False False False -> F[3,b2,5], F[1,b2,5], F[1,b2,5]"},
    {.schema = "aten::lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> (Tensor, "
               "Tensor)",
     .lower = lower_lstm_cell, .decompose = decompositions::lstm_cell,
     .samples = "F[2,4] [F[2,5], F[2,5]] const F[20,4] const F[20,5] const F[20] const F[20] -> F[2,5], F[2,5]; "
                "F[n2,4] [F[n2,5], F[n2,5]] const F[20,4] const F[20,5] const F[20] const F[20] -> F[n2,5], F[n2,5]"},
    {.schema = "aten::rnn_relu.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool "
               "train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
     .lower = lower_layer<Kind::Relu>, .decompose = decompositions::rnn_relu,
     .samples = "F[3,2,4] F[1,2,5] [const F[5,4], const F[5,5], const F[5], const F[5]] True 1 0.0 False False False -> F[3,2,5], F[1,2,5]; "
                "F[3,b2,4] F[1,b2,5] [const F[5,4], const F[5,5], const F[5], const F[5]] True 1 0.0 False False False -> F[3,b2,5], F[1,b2,5]"},
    {.schema = "aten::rnn_relu_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
     .lower = lower_cell<Kind::Relu>, .decompose = decompositions::rnn_relu_cell,
     .samples = "F[2,4] F[2,5] const F[5,4] const F[5,5] const F[5] const F[5] -> F[2,5]; "
                "F[n2,4] F[n2,5] const F[5,4] const F[5,5] const F[5] const F[5] -> F[n2,5]"},
    {.schema = "aten::rnn_tanh.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool "
               "train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
     .lower = lower_layer<Kind::Tanh>, .decompose = decompositions::rnn_tanh,
     .samples = "F[3,2,4] F[1,2,5] [const F[5,4], const F[5,5], const F[5], const F[5]] True 1 0.0 False False False -> F[3,2,5], F[1,2,5]; "
                "F[3,b2,4] F[1,b2,5] [const F[5,4], const F[5,5], const F[5], const F[5]] True 1 0.0 False False False -> F[3,b2,5], F[1,b2,5]"},
    {.schema = "aten::rnn_tanh_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
     .lower = lower_cell<Kind::Tanh>, .decompose = decompositions::rnn_tanh_cell,
     .samples = "F[2,4] F[2,5] const F[5,4] const F[5,5] const F[5] const F[5] -> F[2,5]; "
                "F[n2,4] F[n2,5] const F[5,4] const F[5,5] const F[5] const F[5] -> F[n2,5]"},
};

}  // namespace

extern const std::span<const TorchOp> kRecurrentOps;
const std::span<const TorchOp> kRecurrentOps = kTable;

}  // namespace cortland::torch_ops
