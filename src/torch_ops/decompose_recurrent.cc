// Recurrent layers, unrolled over time: what ExecuTorch's exporter does with them as well.
#include <algorithm>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using torch::Arg;

namespace {
enum class Cell { Lstm, Gru, Tanh, Relu };

struct Weights {
  V input, hidden, input_bias, hidden_bias;  // biases may be invalid
};

struct State {
  V h, c;  // c: LSTM only
};
}  // namespace

static int64_t gates(Cell cell) { return cell == Cell::Lstm ? 4 : cell == Cell::Gru ? 3 : 1; }

static std::vector<V> split_gates(Steps& s, V x, int64_t count) {
  const int64_t width = s.number_of(x, -1) / count;
  return s.split(x, std::vector<int64_t>(static_cast<size_t>(count), width), s.rank(x) - 1);
}

// One step; `x` is the input's share of the gates.
static State step(Steps& s, Cell cell, V x, const State& state, const Weights& w) {
  const V h = s.linear(state.h, w.hidden, w.hidden_bias);
  if (cell == Cell::Tanh || cell == Cell::Relu) return {s.unary(cell == Cell::Tanh ? "tanh" : "relu", s.add(x, h)), {}};
  if (cell == Cell::Gru) {
    const auto gx = split_gates(s, x, 3), gh = split_gates(s, h, 3);
    const V reset = s.unary("sigmoid", s.add(gx[0], gh[0])), update = s.unary("sigmoid", s.add(gx[1], gh[1]));
    const V fresh = s.unary("tanh", s.add(gx[2], s.mul(reset, gh[2])));
    return {s.add(fresh, s.mul(update, s.sub(state.h, fresh))), {}};
  }
  const auto g = split_gates(s, s.add(x, h), 4);  // input, forget, cell, output
  const V kept = s.mul(s.unary("sigmoid", g[1]), state.c);
  const V c = s.add(kept, s.mul(s.unary("sigmoid", g[0]), s.unary("tanh", g[2])));
  return {s.mul(s.unary("sigmoid", g[3]), s.unary("tanh", c)), c};
}

namespace {
struct Layer {
  V outputs;  // [time, batch, features]
  State last;
};
}  // namespace

// One direction of one layer over x [time, batch, features].
static Layer run_layer(Steps& s, Cell cell, V x, State state, const Weights& w, bool reverse) {
  const V shares = s.linear(x, w.input, w.input_bias);  // of all steps at once
  std::vector<V> steps = s.unbind(shares, 0);
  if (reverse) std::reverse(steps.begin(), steps.end());
  std::vector<V> outputs;
  for (const V share : steps) {
    state = step(s, cell, share, state, w);
    outputs.push_back(s.unsqueeze(state.h, 0));
  }
  if (reverse) std::reverse(outputs.begin(), outputs.end());
  return {s.cat(outputs, 0), state};
}

static std::vector<V> tensors(const Arg& arg) {
  std::vector<V> list;
  if (const auto* items = arg.as<Arg::List>())
    for (const Arg& item : *items)
      if (const auto* v = item.as<V>()) list.push_back(*v);
  return list;
}

static Status recurrent(Decomposition& d, Cell cell) {
  Steps s(d);
  constexpr int64_t kMaxSteps = 512;
  V x = d.tensor("input");
  const bool lstm = cell == Cell::Lstm, bidirectional = d.boolean("bidirectional"), biases = d.boolean("has_biases");
  const std::vector<V> start = lstm ? tensors(d.arg("hx")) : std::vector<V>{d.tensor("hx")};
  const std::vector<V> params = tensors(d.arg("params"));
  const auto layers = d.integer("num_layers");
  const auto dropout = d.number("dropout");
  if (d.boolean("train") && (!dropout || *dropout != 0)) return d.reject("dropout between layers is for training");
  const size_t directions = bidirectional ? 2 : 1, per_cell = biases ? 4 : 2;
  const bool batched = s.rank(x) == 3;
  if (!layers || *layers < 1 || params.size() != static_cast<size_t>(*layers) * directions * per_cell || start.size() != (lstm ? 2u : 1u) || !start[0] || !batched)
    return d.reject("projections and packed sequences have no kernel");
  if (d.boolean("batch_first")) x = s.transpose(x, 0, 1);
  const int64_t time = s.number_of(x, 0);
  if (time < 1 || time > kMaxSteps) return d.reject("the number of time steps must be known, and not too large");

  std::vector<V> h, c;
  for (size_t layer = 0, cell_index = 0; layer < static_cast<size_t>(*layers); ++layer) {
    std::vector<V> outputs;
    for (size_t direction = 0; direction < directions; ++direction, ++cell_index) {
      const V* p = params.data() + cell_index * per_cell;
      const Weights w{p[0], p[1], biases ? p[2] : V{}, biases ? p[3] : V{}};
      if (s.number_of(w.hidden, 0) % gates(cell)) return d.reject("the weights do not fit the cell");
      const auto index = static_cast<int64_t>(cell_index);
      const State initial{s.select(start[0], 0, index), lstm ? s.select(start[1], 0, index) : V{}};
      const Layer done = run_layer(s, cell, x, initial, w, direction == 1);
      outputs.push_back(done.outputs);
      h.push_back(s.unsqueeze(done.last.h, 0));
      if (lstm) c.push_back(s.unsqueeze(done.last.c, 0));
    }
    x = s.cat(outputs, 2);
  }
  TRY_DO(s.give(0, d.boolean("batch_first") ? s.transpose(x, 0, 1) : x));
  TRY_DO(s.give(1, s.cat(h, 0)));
  return lstm ? s.give(2, s.cat(c, 0)) : Status();
}

Status lstm(Decomposition& d) { return recurrent(d, Cell::Lstm); }
Status gru(Decomposition& d) { return recurrent(d, Cell::Gru); }
Status rnn_tanh(Decomposition& d) { return recurrent(d, Cell::Tanh); }
Status rnn_relu(Decomposition& d) { return recurrent(d, Cell::Relu); }

static Status one_step(Decomposition& d, Cell cell) {
  Steps s(d);
  const bool lstm = cell == Cell::Lstm;
  const std::vector<V> start = lstm ? tensors(d.arg("hx")) : std::vector<V>{d.tensor("hx")};
  const Weights w{d.tensor("w_ih"), d.tensor("w_hh"), d.tensor("b_ih"), d.tensor("b_hh")};
  if (start.size() != (lstm ? 2u : 1u) || !start[0] || s.number_of(w.hidden, 0) % gates(cell)) return d.reject("the state does not fit the cell");
  const State next = step(s, cell, s.linear(d.tensor("input"), w.input, w.input_bias), {start[0], lstm ? start[1] : V{}}, w);
  TRY_DO(s.give(0, next.h));
  return lstm ? s.give(1, next.c) : Status();
}

Status lstm_cell(Decomposition& d) { return one_step(d, Cell::Lstm); }
Status gru_cell(Decomposition& d) { return one_step(d, Cell::Gru); }
Status rnn_tanh_cell(Decomposition& d) { return one_step(d, Cell::Tanh); }
Status rnn_relu_cell(Decomposition& d) { return one_step(d, Cell::Relu); }

}  // namespace cortland::torch_ops::decompositions
