#include "executorch/compile_specs.h"

#include <gmock/gmock.h>

namespace cortland::executorch {
namespace {

using Specs = std::vector<CompileSpec>;

// The expected bytes were recorded from CoreMLBackend.generate_compile_specs and its sibling functions.
TEST(CompileSpecs, DefaultsAreFourSpecs) {
  EXPECT_EQ(*generate_compile_specs({}), (Specs{{"compute_units", "all"},
                                                {"min_deployment_target", ""},
                                                {"model_compute_precision", "float16"},
                                                {"model_type", "model"}}));
}

CompileOptions everything() {
  CompileOptions o;
  o.compute_unit = ComputeUnit::CpuAndNe;
  o.minimum_deployment_target = DeploymentTarget::iOS18;
  o.compute_precision = Precision::Float32;
  o.model_type = ModelType::CompiledModel;
  o.op_linear_quantizer_config = R"({"mode":"linear_symmetric","dtype":"int4", "granularity":"per_channel"})";
  o.pass_names = {"common::dead_code_elimination", "na\xc3\xafve"};
  o.enumerated_shapes = {{{SymbolicDim{"s77", 2, 10}, 4}, {{2, 4}, {3, 4}}, {"x"}},
                         {{SymbolicDim{"s1", {}, {}}}, {{1}, {2}}, {"y", "z"}}};
  o.weight_sharing = WeightSharing::Disabled;
  return o;
}

TEST(CompileSpecs, OptionalOnesFollowAsJson) {
  EXPECT_EQ(*generate_compile_specs(everything()),
            (Specs{{"compute_units", "cpu_and_ne"},
                   {"min_deployment_target", "9"},
                   {"model_compute_precision", "float32"},
                   {"model_type", "compiled_model"},
                   {"op_linear_quantizer_config",
                    R"({"mode": "linear_symmetric", "dtype": "int4", "granularity": "per_channel"})"},
                   {"pass_pipeline", R"(["common::dead_code_elimination", "na\u00efve"])"},
                   {"enumerated_shapes",
                    R"([[{"shape": [{"key_name": "s77", "low": 2, "high": 10}, 4]}, [[[2, 4], [3, 4]], ["x"]]], )"
                    R"([{"shape": [{"key_name": "s1", "low": null, "high": null}]}, [[[1], [2]], ["y", "z"]]]])"},
                   {"multimethod_weight_sharing_strategy", "disabled"}}));
}

TEST(CompileSpecs, AreReadBack) {
  const auto specs = *generate_compile_specs(everything());
  const auto options = parse_compile_specs(specs);
  ASSERT_TRUE(options.ok()) << options.error().what;
  EXPECT_EQ(options->minimum_deployment_target, DeploymentTarget::iOS18);
  EXPECT_EQ(options->pass_names, everything().pass_names);
  EXPECT_EQ(options->enumerated_shapes, everything().enumerated_shapes);
  EXPECT_EQ(*generate_compile_specs(*options), specs);
}

TEST(CompileSpecs, MissingOnesAreDefaultsAndTheFirstCounts) {
  const Specs specs = {{"model_type", "compiled_model"}, {"model_type", "nonsense"}, {"somebody_elses", "\xff"}};
  const auto options = parse_compile_specs(specs);
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->model_type, ModelType::CompiledModel);
  EXPECT_EQ(options->compute_unit, ComputeUnit::All);
  EXPECT_EQ(options->minimum_deployment_target, std::nullopt);
  EXPECT_EQ(options->weight_sharing, std::nullopt);
}

TEST(CompileSpecs, BadValuesAreNamed) {
  for (const CompileSpec& spec :
       Specs{{"compute_units", "gpu"},
             {"min_deployment_target", "iOS18"},
             {"min_deployment_target", "3"},
             {"min_deployment_target", "9 "},
             {"model_compute_precision", "float64"},
             {"model_type", ""},
             {"op_linear_quantizer_config", "[]"},
             {"op_linear_quantizer_config", "{"},
             {"pass_pipeline", "[1]"},
             {"pass_pipeline", "{}"},
             {"enumerated_shapes", "{}"},
             {"enumerated_shapes", R"([[{"shape": [4]}, [[[1, 2]], ["x"]]]])"},
             {"enumerated_shapes", R"([[{"shape": [{"key_name": "s", "low": 1}]}, [[[1]], ["x"]]]])"},
             {"enumerated_shapes", R"([[{"shape": [99999999999999999999]}, [[], []]]])"},
             {"multimethod_weight_sharing_strategy", "yes"}}) {
    const auto options = parse_compile_specs({&spec, 1});
    ASSERT_FALSE(options.ok()) << spec.key << " " << spec.value;
    EXPECT_EQ(options.error().kind, DiagKind::BadOption);
    EXPECT_THAT(options.error().what, testing::HasSubstr(spec.key));
  }
  CompileOptions options;
  options.op_linear_quantizer_config = std::string(100000, '[');
  EXPECT_FALSE(generate_compile_specs(options).ok());
}

TEST(DeploymentTarget, NamesAndVersions) {
  EXPECT_EQ(target_from_name("iOS18"), DeploymentTarget::iOS18);
  EXPECT_EQ(target_from_name("ios15"), DeploymentTarget::iOS15);
  EXPECT_EQ(target_from_name("macOS15"), DeploymentTarget::iOS18);
  EXPECT_EQ(target_from_name("watchOS26"), DeploymentTarget::iOS26);
  EXPECT_EQ(target_from_name(""), std::nullopt);
  EXPECT_EQ(target_from_name("iOS19"), std::nullopt);
  EXPECT_EQ(target_from_version(6), DeploymentTarget::iOS15);
  EXPECT_EQ(target_from_version(11), std::nullopt);
  EXPECT_EQ(target_name(DeploymentTarget::iOS26), "iOS26");
}

TEST(CompileSpecs, NamesIgnoreCase) {
  EXPECT_EQ(compute_unit_from_name("CPU_ONLY"), ComputeUnit::CpuOnly);
  EXPECT_EQ(precision_from_name("Float32"), Precision::Float32);
  EXPECT_EQ(model_type_from_name("compiled"), std::nullopt);
}

}  // namespace
}  // namespace cortland::executorch
