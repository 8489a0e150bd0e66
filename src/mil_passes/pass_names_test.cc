#include "mil_passes/pass_names.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "mil_ops/ops.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {
namespace {

using Names = std::vector<std::string>;

TEST(PassNames, AreSortedAndHoldThePipeline) {
  EXPECT_TRUE(std::ranges::is_sorted(pass_names(), {}, &PassName::name));
  for (const PassName& pass : pass_names()) EXPECT_TRUE(check_pass_names(Names{std::string(pass.name)}).ok()) << pass.name;
  for (const Pass& pass : pipeline()) EXPECT_TRUE(check_pass_names(Names{std::string(pass.name)}).ok()) << pass.name;
}

TEST(PassNames, AnUnknownNameIsAnErrorThatNamesTheNearest) {
  const std::pair<const char*, const char*> cases[] = {
      {"common::dead_code_eliminaton", "common::dead_code_elimination"},
      {"fuse_conv_batchnorm", "common::fuse_conv_batchnorm"},
      {"common::fuse_activation_silu", "mil_backend::fuse_activation_silu"},
  };
  for (const auto& [wrong, right] : cases) {
    const Status status = check_pass_names(Names{"common::noop_elimination", wrong});
    ASSERT_FALSE(status.ok()) << wrong;
    EXPECT_NE(status.error().what.find(wrong), std::string::npos) << status.error().what;
    EXPECT_NE(status.error().help.find(right), std::string::npos) << status.error().help;
  }
  EXPECT_FALSE(check_pass_names(Names{""}).ok());
  EXPECT_FALSE(check_pass_names(Names{std::string(100000, 'x')}).ok());
}

TEST(PassNames, MissingRewritesAreNamedOnce) {
  const Names none = {"common::dead_code_elimination", "common::const_elimination", "nn_backend::decompose_conv1d"};
  EXPECT_EQ(missing_passes(none), Names());
  for (const PassName& pass : pass_names()) {
    const bool here = std::ranges::find(pipeline(), pass.name, &Pass::name) != pipeline().end();
    const Names twice(2, std::string(pass.name));
    EXPECT_EQ(missing_passes(twice).size(), pass.role == PassRole::Rewrite && !here ? 1u : 0u) << pass.name;
  }
}

// relu(identity(x)) with a dead exp: what is left of it says which passes ran.
TEST(RunPipeline, RunsTheNamedPassesAlone) {
  const auto ops_after = [](const Names& names) {
    mil::Program program{mil::Target::iOS17};
    const mil::BlockId block = program.add_block();
    mil::Function function;
    const mil::ValueId x = program.add_value("x", mil::Type(DType::F32, {Dim(4)}));
    function.inputs.push_back(x);
    const auto op = [&](const char* name, mil::Operand input) {
      auto id = program.add_op(block, *mil_ops::find(name, program.target), {{"x", input}});
      EXPECT_TRUE(id.ok());
      return mil::Operand(program.ops[*id].results[0]);
    };
    op("exp", x);
    function.outputs.push_back({"y", op("relu", op("identity", x))});
    function.body = block;
    program.functions = {function};
    EXPECT_TRUE(run_pipeline(program, {.names = names}).ok());
    Names left;
    for (mil::OpId id : program.blocks[block].ops) left.emplace_back(program.ops[id].def->name);
    return left;
  };
  EXPECT_EQ(ops_after({}), (Names{"exp", "identity", "relu"}));
  EXPECT_EQ(ops_after({"common::dead_code_elimination"}), (Names{"identity", "relu"}));
  EXPECT_EQ(ops_after({"common::const_elimination", "common::noop_elimination", "common::dead_code_elimination"}),
            Names{"relu"});
}

}  // namespace
}  // namespace cortland::mil_passes
