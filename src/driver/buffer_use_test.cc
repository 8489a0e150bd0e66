#include "driver/buffer_use.h"

#include <gmock/gmock.h>

namespace cortland::driver {
namespace {

using testing::HasSubstr;

BufferUse use(std::string method, std::string contents, bool written) {
  return {std::move(method), {{"cache", {std::move(contents), written}}}};
}

TEST(BufferUse, TellsWrittenBuffersFromOthers) {
  torch::Graph graph;
  for (const char* name : {"cache", "table"}) {
    torch::GraphInput& input = graph.inputs.emplace_back();
    input.kind = torch::GraphInput::Kind::Buffer;
    input.target = name;
    input.data = Weight::floats({0, 0});
  }
  graph.outputs.push_back({torch::GraphOutput::Kind::BufferMutation, {}, "cache"});
  const auto found = buffer_use("decode", graph);
  EXPECT_TRUE(found.buffers.at("cache").written);
  EXPECT_FALSE(found.buffers.at("table").written);
}

TEST(UnsharedBuffers, NamesWhatOneMethodWritesAndAnotherUses) {
  const std::vector<BufferUse> both = {use("prefill", "zeros", true), use("decode", "zeros", false)};
  EXPECT_THAT(unshared_buffers(both), HasSubstr("the methods 'decode', 'prefill' each have their own 'cache'"));
}

TEST(UnsharedBuffers, NothingWhereNobodyWritesOrTheBuffersAreOthers) {
  EXPECT_EQ(unshared_buffers(std::vector{use("a", "zeros", false), use("b", "zeros", false)}), "");
  EXPECT_EQ(unshared_buffers(std::vector{use("a", "zeros", true), use("b", "ones", true)}), "");
  EXPECT_EQ(unshared_buffers(std::vector{use("a", "zeros", true)}), "");
}

}  // namespace
}  // namespace cortland::driver
