#include "mil_passes/pipeline.h"

#include "mil_passes/min_cut.h"
#include "mil_passes/pass_test.h"

namespace cortland::mil_passes {
namespace {

TEST(Pipeline, NamesAreKnownAndRunnable) {
  EXPECT_FALSE(pipeline().empty());
  for (const Pass& pass : pipeline()) {
    EXPECT_NE(pass.run, nullptr);
    EXPECT_TRUE(pass.name.starts_with("common::") || pass.name.starts_with("mil_backend::")) << pass.name;
  }
}

TEST(Pipeline, TheWatcherSeesTheProgramBeforeAndAfterEachPass) {
  mil::Program program;
  std::vector<std::string> seen;
  ASSERT_TRUE(run_pipeline(program, {.after = [&](std::string_view pass, const mil::Program&) -> Status {
                             seen.emplace_back(pass);
                             return {};
                           }}).ok());
  ASSERT_EQ(seen.size(), pipeline().size() + 1);
  EXPECT_EQ(seen[0], "");
  EXPECT_EQ(seen[1], pipeline()[0].name);
}

// When all tests ran, each pass was shown at work by one of them.
class EveryPassIsShown : public testing::Environment {
  void TearDown() override {
    if (GTEST_FLAG_GET(filter) != "*" || GTEST_FLAG_GET(list_tests)) return;
    for (const Pass& pass : pipeline())
      EXPECT_TRUE(PassTest::shown().count(std::string(pass.name)))
          << "no test compares the text before and after " << pass.name;
  }
};

[[maybe_unused]] testing::Environment* const kEveryPassIsShown = testing::AddGlobalTestEnvironment(new EveryPassIsShown);

TEST(MinCut, TheCheapestOfTwoBridgesIsCut) {
  MinCut cut;
  const int a = cut.add_node(), b = cut.add_node();
  cut.add_edge(MinCut::kSource, a, 3);
  cut.add_edge(a, b, 1);
  cut.add_edge(MinCut::kSource, b, 1);
  cut.add_edge(b, MinCut::kSink, MinCut::kInfinite);
  EXPECT_EQ(cut.solve(), 2);
  EXPECT_TRUE(cut.with_source(a));
  EXPECT_FALSE(cut.with_source(b));
}

// A way that was taken first has to be given up in part: the cheapest cut is found all the same.
TEST(MinCut, TakesBackWhatItSentTheWrongWay) {
  MinCut cut;
  const int a = cut.add_node(), b = cut.add_node(), c = cut.add_node(), d = cut.add_node();
  for (const auto& [from, to, capacity] : {std::tuple{MinCut::kSource, a, 4}, {MinCut::kSource, b, 3}, {a, b, 2}, {a, c, 2}, {b, c, 1},
                                           {b, d, 4}, {d, c, 3}, {c, MinCut::kSink, 5}, {d, MinCut::kSink, 1}})
    cut.add_edge(from, to, capacity);
  EXPECT_EQ(cut.solve(), 6);
  for (const int node : {a, b, c, d}) EXPECT_TRUE(cut.with_source(node));
}

TEST(MinCut, ATieStaysWithTheSink) {
  MinCut cut;
  const int a = cut.add_node();
  cut.add_edge(MinCut::kSource, a, 1);
  cut.add_edge(a, MinCut::kSink, 1);
  EXPECT_EQ(cut.solve(), 1);
  EXPECT_FALSE(cut.with_source(a));
}

}  // namespace
}  // namespace cortland::mil_passes
