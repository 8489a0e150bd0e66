#include "driver/compile_specs.h"

#include <gtest/gtest.h>

namespace cortland::driver {
namespace {

using Specs = std::vector<executorch::CompileSpec>;

TEST(ApplyCompileSpecs, SetsOptionsAndKeepsTheSpecsAsTheyAre) {
  const Specs specs = {{"model_compute_precision", "float32"}, {"min_deployment_target", "9"}, {"compute_units", "cpu_only"}, {"mine", "x"}};
  LowerOptions options;
  ASSERT_TRUE(apply_compile_specs(specs, options).ok());
  EXPECT_EQ(options.target, mil::Target::iOS18);
  EXPECT_EQ(options.partition.float_type, DType::F32);
  EXPECT_EQ(options.compute_unit, "cpu_only");
  EXPECT_EQ(options.compile_specs, specs);
}

TEST(ApplyCompileSpecs, NoSpecsMeanTheDefaultsAndNoneStored) {
  LowerOptions options;
  ASSERT_TRUE(apply_compile_specs({}, options).ok());
  EXPECT_FALSE(options.target);
  EXPECT_EQ(options.partition.float_type, DType::F16);
  EXPECT_EQ(options.compile_specs, Specs());
}

TEST(ApplyCompileSpecs, RefusesWhatItCannotDoByName) {
  setenv("PATH", "/nowhere", 1);  // so that there is no compiler of Core ML models
  const std::pair<executorch::CompileSpec, DiagKind> cases[] = {
      {{"model_type", "compiled_model"}, DiagKind::ToolMissing},
      {{"op_linear_quantizer_config", "{\"dtype\": \"int3\"}"}, DiagKind::BadOption},
      {{"compression_config", "{\"config_type\": \"Op\"}"}, DiagKind::BadOption},
      {{"pass_pipeline", "[1]"}, DiagKind::BadOption},
      {{"enumerated_shapes", "{"}, DiagKind::BadOption},
      {{"min_deployment_target", "5"}, DiagKind::UnsupportedTarget},
      {{"min_deployment_target", "99"}, DiagKind::BadOption},
      {{"compute_units", "abacus"}, DiagKind::BadOption},
  };
  for (const auto& [spec, kind] : cases) {
    LowerOptions options;
    const auto status = apply_compile_specs(std::span(&spec, 1), options);
    ASSERT_FALSE(status.ok()) << spec.key << " = " << spec.value;
    EXPECT_EQ(status.error().kind, kind) << status.error().what;
    EXPECT_NE(status.error().what.find(spec.key), std::string::npos) << status.error().what;
    EXPECT_TRUE(options.compile_specs.empty());
  }
}

TEST(ApplyCompileSpecs, CompressionComesFromOneOfTwoKeys) {
  const Specs quantizer = {{"op_linear_quantizer_config", R"({"mode": "linear_symmetric", "dtype": "int8"})"}};
  LowerOptions options;
  ASSERT_TRUE(apply_compile_specs(quantizer, options).ok());
  ASSERT_TRUE(options.compression);
  EXPECT_EQ(options.compression->steps[0].following_op_type, "gather");
  EXPECT_FALSE(options.target);
  Specs both = quantizer;
  both.push_back({"min_deployment_target", "9"});
  ASSERT_TRUE(apply_compile_specs(both, options).ok());
  EXPECT_EQ(options.target, mil::Target::iOS18);
  both.push_back({"compression_config", R"({"config_type": "OpPalettizerConfig", "global_config": {"nbits": 4}})"});
  EXPECT_FALSE(apply_compile_specs(both, options).ok());
}

TEST(ApplyCompileSpecs, PassNamesAreCheckedAndKeepTheirOrder) {
  const executorch::CompileSpec known{"pass_pipeline", R"(["common::noop_elimination", "common::dead_code_elimination"])"};
  LowerOptions options;
  ASSERT_TRUE(apply_compile_specs(std::span(&known, 1), options).ok());
  EXPECT_EQ(options.partition.pass_names, (std::vector<std::string>{"common::noop_elimination", "common::dead_code_elimination"}));
  const executorch::CompileSpec unknown{"pass_pipeline", R"(["common::noop_eliminations"])"};
  const auto status = apply_compile_specs(std::span(&unknown, 1), options);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().help.find("common::noop_elimination"), std::string::npos) << status.error().help;
}

TEST(ApplyCompileSpecs, EnumeratedShapesComeByInput) {
  const executorch::CompileSpec spec{
      "enumerated_shapes", R"([[{"shape": [{"key_name": "s77", "low": 2, "high": 10}, 4]}, [[[2, 4], [3, 4]], ["x", "y"]]]])"};
  LowerOptions options;
  const auto status = apply_compile_specs(std::span(&spec, 1), options);
  ASSERT_TRUE(status.ok()) << status.error().what;
  const std::vector<std::vector<int64_t>> shapes = {{2, 4}, {3, 4}};
  EXPECT_EQ(options.partition.enumerated_shapes.at("x"), shapes);
  EXPECT_EQ(options.partition.enumerated_shapes.at("y"), shapes);
}

}  // namespace
}  // namespace cortland::driver
