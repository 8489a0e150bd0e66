#include "partition/enumerated_shapes.h"

#include <gtest/gtest.h>

namespace cortland::partition {
namespace {

class EnumeratedShapesTest : public testing::Test {
 protected:
  EnumeratedShapesTest() {
    add("x", {graph.dims->symbol("s0", {2, 4}), graph.dims->symbol("s1", {5, 6}), 10});
    add("y", {graph.dims->symbol("s2", {3, 5}), 11});
    add("z", {7});
    options.lower_full_graph = true;
    options.target = mil::Target::iOS18;
    options.enumerated_shapes = {{"x", {{1, 5, 10}, {4, 6, 10}}}, {"y", {{3, 11}, {5, 11}}}};
  }

  void add(const std::string& name, Shape shape) {
    torch::Value value;
    value.name = name;
    value.type = {DType::F32, std::move(shape)};
    torch::GraphInput input;
    input.name = name;
    input.value = graph.add_value(std::move(value));
    graph.inputs.push_back(input);
  }

  std::string why() const {
    const Status status = check_enumerated_shapes(graph, options);
    return status.ok() ? "" : status.error().what;
  }

  torch::Graph graph;
  PartitionOptions options;
};

TEST_F(EnumeratedShapesTest, ThePagesExampleIsAccepted) { EXPECT_EQ(why(), ""); }

TEST_F(EnumeratedShapesTest, WrongUseSaysWhatIsWrong) {
  const PartitionOptions good = options;
  auto refused = [&](auto change, const std::string& part) {
    options = good;
    change(options);
    EXPECT_NE(why().find(part), std::string::npos) << part << " / " << why();
  };
  refused([](auto& o) { o.lower_full_graph = false; }, "the whole graph");
  refused([](auto& o) { o.target = mil::Target::iOS17; }, "iOS17 allows one");
  refused([](auto& o) { o.enumerated_shapes["y"].pop_back(); }, "lists 1 shapes");
  refused([](auto& o) { o.enumerated_shapes.erase("y"); }, "the dynamic input 'y' has none");
  refused([](auto& o) { o.enumerated_shapes["z"] = {{7}, {7}}; }, "'z' has a fixed shape");
  refused([](auto& o) { o.enumerated_shapes["w"] = {{7}, {7}}; }, "there is no input 'w'");
  refused([](auto& o) { o.enumerated_shapes["y"][0] = {6, 11}; }, "allows 3 to 5 in dimension 0");
  refused([](auto& o) { o.enumerated_shapes["y"][0] = {3, 12}; }, "allows 11 to 11 in dimension 1");
  refused([](auto& o) { o.enumerated_shapes["y"][0] = {3}; }, "rank 1");
  refused([](auto& o) { o.enumerated_shapes["x"][0] = {0, 5, 10}; }, "dimension 0");
}

}  // namespace
}  // namespace cortland::partition
