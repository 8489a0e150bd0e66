#include "torch_passes/share_weights.h"

#include <gtest/gtest.h>

namespace cortland::torch_passes {
namespace {

using torch::Graph;
using torch::GraphInput;

// A weight too large for its contents to be its key, in a file of its own.
Weight weight(float first) {
  std::vector<float> values(1000, 2.0f);
  values[0] = first;
  const auto file = MappedFile::from_bytes(std::string(reinterpret_cast<const char*>(values.data()), 4000), "weights");
  return *Weight::view(file, 0, 4000, DType::F32, {1000}, {1});
}

Graph graph_with(std::vector<Weight> weights) {
  Graph graph;
  graph.inputs.emplace_back();  // a user input, without data
  for (Weight& w : weights) {
    GraphInput& input = graph.inputs.emplace_back();
    input.kind = GraphInput::Kind::Parameter;
    input.data = std::move(w);
  }
  return graph;
}

TEST(ShareWeights, EqualWeightsOfTwoProgramsAreOne) {
  Graph prefill = graph_with({weight(1), weight(2)}), decode = graph_with({weight(2), weight(3)});
  ASSERT_NE(prefill.inputs[2].data.key(), decode.inputs[1].data.key());
  WeightSet weights;
  share_weights(prefill, weights);
  share_weights(decode, weights);
  EXPECT_EQ(prefill.inputs[2].data.key(), decode.inputs[1].data.key());
  EXPECT_NE(prefill.inputs[1].data.key(), decode.inputs[2].data.key());
  EXPECT_EQ(decode.inputs[2].data.to_floats()[0], 3);
  EXPECT_FALSE(decode.inputs[0].data);
}

}  // namespace
}  // namespace cortland::torch_passes
