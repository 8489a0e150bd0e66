#include "compression/config.h"

#include <gtest/gtest.h>

namespace cortland::compression {
namespace {

TEST(Config, HasCoremltoolsDefaults) {
  const auto config = parse_config(R"({"config_type": "OpLinearQuantizerConfig", "global_config": {}})", "c.json");
  ASSERT_TRUE(config.ok()) << config.error().what;
  EXPECT_EQ(*config->steps.at(0).global_config, OpConfig(OpLinearQuantizerConfig{}));
  const auto pruner =
      parse_config(R"({"config_type": "OpMagnitudePrunerConfig", "global_config": {"n_m_ratio": [2, 4]}})", "c.json");
  ASSERT_TRUE(pruner.ok()) << pruner.error().what;
  EXPECT_EQ(std::get<OpMagnitudePrunerConfig>(*pruner->steps.at(0).global_config).dim, 1);
}

TEST(Config, EntriesOverrideTheType) {
  const auto config = parse_config(R"([{
    "config_type": "OpThresholdPrunerConfig",
    "global_config": {"threshold": 0.01, "weight_threshold": 100},
    "op_type_configs": {"conv": {"config_type": "OpMagnitudePrunerConfig", "target_sparsity": 0.5}, "linear": null},
    "op_name_configs": {"conv_1": {"config_type": "OpPalettizerConfig", "mode": "UNIFORM", "nbits": 4, "granularity": "per_grouped_channel"}}
  }, {"config_type": "OpLinearQuantizerConfig", "global_config": {"dtype": "int4", "granularity": "per_block", "block_size": [1, 16]}}])",
                                   "c.json");
  ASSERT_TRUE(config.ok()) << config.error().what;
  ASSERT_EQ(config->steps.size(), 2u);
  const OptimizationConfig& step = config->steps[0];
  EXPECT_EQ(std::get<OpThresholdPrunerConfig>(*step.global_config).threshold, 0.01);
  EXPECT_EQ(weight_threshold(*step.global_config), 100);
  EXPECT_EQ(std::get<OpMagnitudePrunerConfig>(*step.op_type_configs.at("conv")).target_sparsity, 0.5);
  EXPECT_FALSE(step.op_type_configs.at("linear"));
  const auto& palettizer = std::get<OpPalettizerConfig>(*step.op_name_configs.at("conv_1"));
  EXPECT_EQ(palettizer.mode, OpPalettizerConfig::Mode::Uniform);
  EXPECT_EQ(palettizer.group_size, 32);
  const auto& quantizer = std::get<OpLinearQuantizerConfig>(*config->steps[1].global_config);
  EXPECT_EQ(quantizer.dtype, DType::I4);
  EXPECT_TRUE(quantizer.block_size_is_list);
  EXPECT_EQ(quantizer.block_size, (std::vector<int64_t>{1, 16}));
}

TEST(Config, AQuantizerLeavesEmbeddingTablesAlone) {
  const auto config =
      parse_quantizer(R"({"mode": "linear_symmetric", "dtype": "int4", "granularity": "per_channel"})", "spec");
  ASSERT_TRUE(config.ok()) << config.error().what;
  EXPECT_EQ(std::get<OpLinearQuantizerConfig>(*config->steps.at(0).global_config).dtype, DType::I4);
  EXPECT_FALSE(config->steps[0].op_type_configs.at("gather"));
  EXPECT_EQ(config->steps[0].following_op_type, "gather");
}

TEST(Config, RefusesWhatItDoesNotKnow) {
  const std::pair<const char*, const char*> cases[] = {
      {"mode: kmeans", "c.json"},
      {R"({"global_config": {}})", "config_type"},
      {R"({"config_type": "OpFancyConfig"})", "OpFancyConfig"},
      {R"({"config_type": "OpPalettizerConfig", "global_config": {}})", "nbits"},
      {R"({"config_type": "OpPalettizerConfig", "global_config": {"nbits": 5}})", "5"},
      {R"({"config_type": "OpPalettizerConfig", "global_config": {"mode": "unique", "nbits": 4}})", "unique"},
      {R"({"config_type": "OpPalettizerConfig", "global_config": {"mode": "custom"}})", "Python function"},
      {R"({"config_type": "OpPalettizerConfig", "global_config": {"nbits": 4, "cluster_dim": 4}})", "vector"},
      {R"({"config_type": "OpLinearQuantizerConfig", "global_config": {"dtype": "int3"}})", "int3"},
      {R"({"config_type": "OpLinearQuantizerConfig", "global_config": {"granularity": "per_grouped_channel"}})",
       "granularity"},
      {R"({"config_type": "OpLinearQuantizerConfig", "global_config": {"nbits": 4}})", "nbits"},
      {R"({"config_type": "OpLinearQuantizerConfig", "global_config": {"weight_threshold": -1}})", "-1"},
      {R"({"config_type": "OpLinearQuantizerConfig", "global_config": {"mode": 3}})", "mode"},
      {R"({"config_type": "OpLinearQuantizerConfig", "op_types": {}})", "op_types"},
      {R"({"config_type": "OpMagnitudePrunerConfig", "global_config": {}})", "target_sparsity"},
      {R"({"config_type": "OpMagnitudePrunerConfig", "global_config": {"n_m_ratio": [3, 2]}})", "n_m_ratio"},
      {R"({"config_type": "OpMagnitudePrunerConfig", "global_config": {"target_sparsity": 0.5, "dim": 1}})", "dim"},
      {R"({"config_type": "OpMagnitudePrunerConfig", "op_type_configs": {"gather": {"n_m_ratio": [2, 4]}}})", "gather"},
  };
  for (const auto& [json, word] : cases) {
    const auto config = parse_config(json, "c.json");
    ASSERT_FALSE(config.ok()) << json;
    EXPECT_EQ(config.error().kind, DiagKind::BadOption) << json;
    EXPECT_NE(config.error().what.find(word), std::string::npos) << config.error().what;
  }
  EXPECT_NE(parse_config("config_type: x", "c.yaml").error().help.find("yaml"), std::string::npos);
}

}  // namespace
}  // namespace cortland::compression
