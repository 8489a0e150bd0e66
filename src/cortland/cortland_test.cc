#include "cortland/cortland.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"

namespace cortland {
namespace {

using testing::HasSubstr;

const std::string kDigits = CORTLAND_TEST_DATA "/digits/digits.pt2";

CompileSpec enumerated() { return {"enumerated_shapes", "[]"}; }

TEST(CoreMLPartitioner, OptionsThatExcludeEachOther) {
  const std::pair<CoreMLPartitioner, const char*> cases[] = {
      {{.skip_ops_for_coreml_delegation = {"aten.mm.default"}, .lower_full_graph = true}, "skip_ops_for_coreml_delegation"},
      {{.lower_full_graph = true, .take_over_constant_data = false}, "take_over_constant_data"},
      {{.take_over_mutable_buffer = false, .lower_full_graph = true}, "take_over_mutable_buffer"},
      {{.compile_specs = {enumerated()}}, "lower_full_graph"},
  };
  for (const auto& [partitioner, says] : cases) {
    const Status status = partitioner.check();
    ASSERT_FALSE(status.ok()) << says;
    EXPECT_EQ(status.error().kind, DiagKind::BadOption);
    EXPECT_THAT(status.error().what, HasSubstr(says));
    // The same at lowering, before anything is read.
    const auto lowered = to_edge_transform_and_lower("nowhere.pt2", partitioner);
    ASSERT_FALSE(lowered.ok());
    EXPECT_EQ(lowered.error().what, status.error().what);
  }
  EXPECT_TRUE(CoreMLPartitioner().check().ok());
  EXPECT_TRUE((CoreMLPartitioner{.compile_specs = {enumerated()}, .lower_full_graph = true}).check().ok());
}

TEST(CoreMLBackend, SingleSpecsAreThoseOfTheList) {
  const CompileOptions options{.compute_unit = ComputeUnit::CpuAndNe,
                               .minimum_deployment_target = DeploymentTarget::iOS17,
                               .compute_precision = Precision::Float32,
                               .model_type = ModelType::CompiledModel,
                               .op_linear_quantizer_config = R"({"dtype": "int4"})",
                               .pass_names = std::vector<std::string>{"common::noop_elimination"}};
  const auto specs = CoreMLBackend::generate_compile_specs(options);
  ASSERT_TRUE(specs.ok());
  const std::vector<CompileSpec> single = {
      CoreMLBackend::generate_compute_unit_compile_spec(ComputeUnit::CpuAndNe),
      CoreMLBackend::generate_minimum_deployment_target_compile_spec(DeploymentTarget::iOS17),
      CoreMLBackend::generate_compute_precision_compile_spec(Precision::Float32),
      CoreMLBackend::generate_model_type_compile_spec(ModelType::CompiledModel),
      CoreMLBackend::generate_op_linear_quantizer_config_compile_spec(R"({"dtype": "int4"})").value(),
      CoreMLBackend::generate_pass_pipeline_compile_spec({"common::noop_elimination"}),
  };
  EXPECT_EQ(*specs, single);
  EXPECT_FALSE(CoreMLBackend::generate_op_linear_quantizer_config_compile_spec("[]").ok());
  EXPECT_EQ(CoreMLBackend::generate_multimethod_weight_sharing_strategy_compile_spec(WeightSharing::Disabled),
            (CompileSpec{"multimethod_weight_sharing_strategy", "disabled"}));
}

TEST(CoreMLBackend, EnumeratedShapesAreMadeForAProgram) {
  const auto spec =
      CoreMLBackend::generate_enumerated_shapes_compile_spec(kDigits, {{"image", {{1, 1, 8, 8}, {16, 1, 8, 8}}}});
  ASSERT_TRUE(spec.ok()) << spec.error().what;
  EXPECT_EQ(spec->key, "enumerated_shapes");
  EXPECT_THAT(spec->value, HasSubstr(R"([[[1, 1, 8, 8], [16, 1, 8, 8]], ["image"]])"));
  const CoreMLPartitioner partitioner{.compile_specs = {*spec}, .lower_full_graph = true};
  EXPECT_TRUE(to_edge_transform_and_lower(kDigits, partitioner).ok());
  EXPECT_FALSE(CoreMLBackend::generate_enumerated_shapes_compile_spec(kDigits, {{"picture", {{1, 1, 8, 8}}}}).ok());
  EXPECT_FALSE(CoreMLBackend::generate_enumerated_shapes_compile_spec("nowhere.pt2", {{"image", {{1, 1, 8, 8}}}}).ok());
}

TEST(ToEdgeTransformAndLower, GivesTheSameBytesAsAFileAndInMemory) {
  const auto program = to_edge_transform_and_lower(kDigits, CoreMLPartitioner());
  ASSERT_TRUE(program.ok()) << program.error().what;
  const auto buffer = program->to_executorch().buffer();
  ASSERT_TRUE(buffer.ok()) << buffer.error().what;
  const auto path = std::filesystem::path(testing::TempDir()) / "cortland_test.pte";
  ASSERT_TRUE(program->to_executorch().write_to_file(path).ok());
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(as_text((*file)->bytes()), *buffer);
  std::filesystem::remove(path);
  // A program outlives what it was made of, and a file that is open is as good as its path.
  const auto open = MappedFile::open(kDigits);
  ASSERT_TRUE(open.ok());
  const auto executorch = to_edge_transform_and_lower(ExportedProgram(*open), CoreMLPartitioner())->to_executorch();
  EXPECT_EQ(*executorch.buffer(), *buffer);
}

TEST(ToEdgeTransformAndLower, ChoosesTheLowestTargetAndSaysWhich) {
  const auto lowered = to_edge_transform_and_lower(kDigits, CoreMLPartitioner());
  ASSERT_TRUE(lowered.ok());
  EXPECT_THAT(lowered->report().messages(), testing::ElementsAre(HasSubstr("iOS15 with Core ML specification version 6")));
  const CoreMLPartitioner explicit_target{
      .compile_specs = {CoreMLBackend::generate_minimum_deployment_target_compile_spec(DeploymentTarget::iOS26)}};
  const auto newest = to_edge_transform_and_lower(kDigits, explicit_target);
  ASSERT_TRUE(newest.ok());
  EXPECT_THAT(newest->report().messages(), testing::IsEmpty());
}

TEST(ToEdgeTransformAndLower, WithoutAPartitionerNothingIsDelegated) {
  const auto lowered = to_edge_transform_and_lower(kDigits);
  ASSERT_TRUE(lowered.ok()) << lowered.error().what;
  EXPECT_TRUE(lowered->report().methods[0].delegates.empty());
  EXPECT_THAT(lowered->report().messages(), testing::IsEmpty());
}

TEST(Convert, RefusesToSkipOperators) {
  const auto path = std::filesystem::path(testing::TempDir()) / "cortland_test.mlpackage";
  const auto report =
      convert({{{}, kDigits, CoreMLPartitioner{.skip_ops_for_coreml_delegation = {"aten.relu.default"}}}}, path);
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(report.error().what, HasSubstr("skip_ops_for_coreml_delegation"));
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace cortland
