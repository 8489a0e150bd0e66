// lstm: the input's share of every gate is one product over the whole sequence; each step adds the state's. mil_ops/lstm.cc
// has the formulas. Short steps of a bidirectional layer run on a thread each.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/gemm/kernels.h"
#include "engine/gemm/recurrent.h"
#include "engine/threads.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

constexpr int64_t kSmallStep = 1 << 20;  // products; below it a step is too short to be shared by threads

struct Direction {
  PackedMatrix input, recurrent;      // [inputs, 4 * hidden], [hidden, 4 * hidden]
  std::vector<float> bias, peephole;  // [4 * hidden], [3 * hidden]; empty when absent
  bool reversed;
};

struct Activations {
  Activation gate, cell, output;
};

// One layer while it runs.
struct Run {
  const float *x, *initial_h, *initial_c;
  int64_t steps, batch, inputs, hidden, width;  // width: hidden of all directions
  float *sequence, *h, *c;
  bool every_step;
};

class LstmKernel final : public Kernel {
 public:
  LstmKernel(std::vector<Direction> directions, Activations f, float clip, bool every_step)
      : directions_(std::move(directions)), f_(f), clip_(clip), every_step_(every_step) {}

  Status run(KernelContext& c) override {
    const Tensor x = c.tensor("x").cast(DType::F32), h = c.tensor("initial_h").cast(DType::F32),
                 cell = c.tensor("initial_c").cast(DType::F32);
    const int64_t hidden = directions_[0].recurrent.k(), width = hidden * static_cast<int64_t>(directions_.size());
    if (x.rank() != 3 || x.elements() == 0 || x.dim(2) != directions_[0].input.k()) return run_reference(c, {});
    const std::vector<int64_t> state = {x.dim(1), width};
    if (h.shape != state || cell.shape != state) return run_reference(c, {});
    Tensor sequence = Tensor::make(DType::F32, {every_step_ ? x.dim(0) : 1, x.dim(1), width});
    Tensor last_h = Tensor::make(DType::F32, state), last_c = Tensor::make(DType::F32, state);
    const Run run{x.data<float>(),
                  h.data<float>(),
                  cell.data<float>(),
                  x.dim(0),
                  x.dim(1),
                  x.dim(2),
                  hidden,
                  width,
                  sequence.mutable_data<float>(),
                  last_h.mutable_data<float>(),
                  last_c.mutable_data<float>(),
                  every_step_};
    const auto count = static_cast<int64_t>(directions_.size());
    const int64_t products = run.batch * 4 * hidden * hidden;
    parallel_for(count, products < kSmallStep ? 1 : count, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) run_direction(run, part);
    });
    c.set_output(0, sequence.cast(c.result_types[0].dtype()));
    c.set_output(1, last_h.cast(c.result_types[1].dtype()));
    c.set_output(2, last_c.cast(c.result_types[2].dtype()));
    return {};
  }

 private:
  void run_direction(const Run& run, int64_t part) const {
    const Direction& d = directions_[static_cast<size_t>(part)];
    const int64_t hidden = run.hidden, row = 4 * hidden, first = part * hidden;
    std::vector<float> gates(static_cast<size_t>(run.steps * run.batch * row));
    d.input.multiply({run.x, run.inputs, run.steps * run.batch},
                     {gates.data(), row, d.bias.empty() ? nullptr : d.bias.data()});
    // The states of this direction, in place where they end.
    for (int64_t b = 0; b < run.batch; ++b) {
      std::copy_n(run.initial_h + b * run.width + first, hidden, run.h + b * run.width + first);
      std::copy_n(run.initial_c + b * run.width + first, hidden, run.c + b * run.width + first);
    }
    for (int64_t k = 0; k < run.steps; ++k) {
      const int64_t t = d.reversed ? run.steps - 1 - k : k;
      float* at = gates.data() + t * run.batch * row;
      d.recurrent.multiply({run.h + first, run.width, run.batch}, {at, row, nullptr, true});
      // The backward half of a bidirectional layer lies in the order of x, a reverse layer in the order it takes its steps.
      float* out = run.sequence + (run.every_step ? (part == 1 ? t : k) : 0) * run.batch * run.width + first;
      for (int64_t b = 0; b < run.batch; ++b) {
        float* h = run.h + b * run.width + first;
        advance(d, hidden, at + b * row, h, run.c + b * run.width + first);
        if (run.every_step || k == run.steps - 1) std::copy_n(h, hidden, out + b * run.width);
      }
    }
  }

  // One step of one batch entry; gates are input, forget, output, cell.
  void advance(const Direction& d, int64_t hidden, float* gates, float* h, float* c) const {
    float *in = gates, *forget = gates + hidden, *out = gates + 2 * hidden, *cell = gates + 3 * hidden;
    const float* p = d.peephole.empty() ? nullptr : d.peephole.data();
    for (int64_t j = 0; p && j < hidden; ++j) in[j] += p[j] * c[j], forget[j] += p[hidden + j] * c[j];
    apply(f_.gate, in, p ? 2 * hidden : 3 * hidden);
    apply(f_.cell, cell, hidden);
    for (int64_t j = 0; j < hidden; ++j) c[j] = forget[j] * c[j] + in[j] * cell[j];
    if (std::isfinite(clip_))
      for (int64_t j = 0; j < hidden; ++j) c[j] = std::clamp(c[j], -clip_, clip_);
    if (p) {
      for (int64_t j = 0; j < hidden; ++j) out[j] += p[2 * hidden + j] * c[j];
      apply(f_.gate, out, hidden);
    }
    std::copy_n(c, hidden, h);
    apply(f_.output, h, hidden);
    for (int64_t j = 0; j < hidden; ++j) h[j] *= out[j];
  }

  std::vector<Direction> directions_;
  Activations f_;
  float clip_;
  bool every_step_;
};

}  // namespace

std::unique_ptr<Kernel> make_lstm(const Site& site) {
  if (!has_constant_weights(site)) return nullptr;
  const auto gate = activation(site, "recurrent_activation"), cell = activation(site, "cell_activation"),
             output = activation(site, "activation");
  if (!gate || !cell || !output) return nullptr;
  const std::string direction = site.str("direction");
  const bool both = direction == "bidirectional";
  if (!both && direction != "forward" && direction != "reverse") return nullptr;
  const int64_t hidden = site.tensor("weight_hh").dim(1), inputs = site.tensor("weight_ih").dim(1);
  std::vector<Direction> directions;
  for (const std::string back : {"", "_back"}) {
    if (!back.empty() && !both) break;
    for (const auto& [name, columns] : {std::pair{"weight_ih" + back, inputs}, {"weight_hh" + back, hidden}})
      if (!site.has(name) || site.tensor(name).shape != std::vector<int64_t>{4 * hidden, columns}) return nullptr;
    Direction d{pack_weight(site, "weight_ih" + back, 0, 4 * hidden), pack_weight(site, "weight_hh" + back, 0, 4 * hidden),
                vector(site, "bias" + back), vector(site, "peephole" + back), direction == "reverse" || !back.empty()};
    for (const auto& [values, gates] : {std::pair{&d.bias, 4}, {&d.peephole, 3}})
      if (!values->empty() && static_cast<int64_t>(values->size()) != gates * hidden) return nullptr;
    directions.push_back(std::move(d));
  }
  const auto clip = vector(site, "clip");
  if (clip.size() > 1 || (clip.size() == 1 && !(clip[0] >= 0))) return nullptr;
  return std::make_unique<LstmKernel>(std::move(directions), Activations{*gate, *cell, *output},
                                      clip.empty() ? std::numeric_limits<float>::infinity() : clip[0],
                                      site.boolean("output_sequence"));
}

}  // namespace cortland::engine::gemm
