// Samples: calls of an operator, written beside its entry. What `cortland ops` says is found out by lowering them, and the
// tests compare each with torch. A sample is one call on one line (or between semicolons):
//
//   F[2,3] approximate='tanh'                 positional and keyword arguments, as in Python; omitted ones take their
//   default f32[2,3] [f32[3], None] -> f32[2,3]       lists; the results, where they are not of the first tensor's type
//   f32[2,3]{0.5..2} i64[2]{0..2} i64[2]{1,0} values of a tensor: evenly spread over a range, or listed
//   f32[1,3,8,8] const f32[6,3,3,3]           `const`: a weight, known when the model is lowered
//   f32[4] -> f32[4], _                       `_`: a result that the model does not use
//   f32[4] @iOS17                             the first target that has it; all targets unless told
//   i32[4] !unsupported-dtype                 is refused, with that kind of diagnostic, whatever the target
//   [2,3] -> f32[2,3] ~                       the values are not determined (random numbers, memory that nobody wrote)
//
// One sample stands for several calls where it speaks of several types:
//   F I N T     element types: F float32, float16; I int32, int64; N both; T those and bool. In a result, F of an integer is
//   float32.
//   [*,4]       leading dimensions, so many that the rank is 0 to 5
//   [n4,3]      a symbolic size that is 4 in the example: one call with 4, one with the symbol. May be used as an argument,
//   and
//               in the sums and products of a result, [2*n4+1,3].
// A refused sample with symbols stands for the symbolic call only.
#pragma once

#include <map>
#include <optional>

#include "base/diagnostic.h"
#include "mil/target.h"
#include "torch/graph.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {

// What a tensor of a sample holds.
struct Contents {
  double low = -2, high = 2;
  std::vector<double> values;  // all of them, when not empty
};

// One call: a graph with one operator (and the reading of sizes it is given). Owns its graph and moves.
struct Sample {
  Sample() = default;
  Sample(Sample&&) = default;
  Sample& operator=(Sample&&) = default;
  Sample(const Sample&) = delete;  // as graphs are

  std::string text;
  torch::Graph graph;
  torch::NodeId call;
  std::map<torch::ValueId, Contents> contents;  // of the tensors among the inputs
  std::vector<bool> used;                       // by result
  DType dtype = DType::Unknown;                 // of the first tensor argument, or of the result without one
  int rank = 0;
  bool dynamic = false;  // has symbolic sizes
  mil::Target since = mil::Target::iOS15;
  std::optional<DiagKind> refused;
  bool undetermined = false;

  std::string call_text() const;  // "aten.gelu.default(float32[2, 3], approximate='tanh')"
};

// The calls that an entry's samples stand for, in order. An error is a mistake in the entry.
Result<std::vector<Sample>> parse_samples(const TorchOp& op);

// The same numbers on every run. Values are rounded to the type; sizes must be constant.
Weight sample_data(const TensorType& type, const Contents& contents, uint32_t seed);

}  // namespace cortland::torch_ops
