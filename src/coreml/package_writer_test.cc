#include "coreml/package_writer.h"

#include <gmock/gmock.h>

#include "coreml/test_programs.h"

namespace cortland::coreml {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

PackagePlan plan(const Program& program, const WriteOptions& options = {}) {
  auto result = plan_package(program, options);
  CHECK(result.ok(), render(result.error()));
  return std::move(result).value();
}

Diagnostic failure(const Program& program) {
  auto result = plan_package(program);
  CHECK(!result.ok(), "the program was written");
  return std::move(result).error();
}

std::string hex(const std::string& bytes) {
  std::string out;
  for (unsigned char c : bytes) out += fmt::format("{:02x}", c);
  return out;
}

// y = op(x) for one op of one tensor parameter.
Program unary(Target target, DType dtype, Shape shape, std::string_view op = "relu") {
  Program program(target);
  Build b(program);
  const ValueId x = b.input("x", dtype, std::move(shape));
  b.output("y", b.op(op, {{"x", x}}, "y"));
  b.finish();
  return program;
}

TEST(PackageWriter, KeepsEveryRuleOfTheFormat) {
  for (Target target : {Target::iOS16, Target::iOS17, Target::iOS18, Target::iOS26})
    for (DType dtype : {DType::F16, DType::F32})
      EXPECT_THAT(problems_of(mlp(target, dtype)), IsEmpty()) << mil::target_name(target);
  EXPECT_THAT(problems_of(mlp(Target::iOS15, DType::F32)), IsEmpty());
}

TEST(PackageWriter, PlacesConstantsBeforeTheirFirstUse) {
  const auto model = model_of(plan(mlp(Target::iOS17, DType::F16)));
  EXPECT_EQ(op_types(body_of(model)), "const const linear const gelu const const linear const softmax");
  const auto& weight = body_of(model).operations(0);
  EXPECT_EQ(weight.outputs(0).name(), "hidden_weight");
  EXPECT_EQ(weight.attributes().at("val").blobfilevalue().offset(), 64u);
  const auto& linear = *find_op(body_of(model), "linear");
  EXPECT_EQ(linear.inputs().at("weight").arguments(0).name(), "hidden_weight");
  EXPECT_EQ(linear.attributes().at("name").immediatevalue().tensor().strings().values(0), "hidden");
  EXPECT_EQ(model.specificationversion(), 8);
}

// Bytes recorded from files that coremltools wrote.
TEST(PackageWriter, WritesTheKnownBytes) {
  const auto model = model_of(plan(unary(Target::iOS18, DType::F32, {0, 2}, "identity")));
  const auto& type = body_of(model).operations(0).outputs(0).type();
  EXPECT_EQ(hex(type.SerializeAsString()), "0a0e080b10021a020a001a040a020802");
  Program program(Target::iOS18);
  Build b(program);
  const ValueId x = b.input("x", DType::F32, {program.dims->symbol("n", {1, 4})});
  b.output("y", b.op("cast", {{"x", x}, {"dtype", program.constant(std::string("fp16"))}}, "y"));
  b.finish();
  const auto cast = model_of(plan(program));
  EXPECT_EQ(hex(cast.mlprogram().functions().at("main").inputs(0).type().SerializeAsString()), "0a08080b10011a021200");
  EXPECT_EQ(hex(find_op(body_of(cast), "const")->attributes().at("val").SerializeAsString()),
            "12040a0208021a0a0a0822060a0466703136");
}

TEST(PackageWriter, ChoosesBetweenProgramAndWeightFile) {
  auto stored = [](Target target, DType dtype, int64_t n) {
    Program program(target);
    Build b(program);
    const ValueId x = b.input("x", DType::F32, {1});
    b.output("c", program.constant(ramp(dtype, {n}, 0, 1)));
    b.output("y", b.op("relu", {{"x", x}}));
    b.finish();
    const auto model = model_of(plan(program));
    return find_op(body_of(model), "const")->attributes().at("val").has_blobfilevalue();
  };
  EXPECT_FALSE(stored(Target::iOS16, DType::F32, 9));
  EXPECT_TRUE(stored(Target::iOS16, DType::F32, 10));
  EXPECT_TRUE(stored(Target::iOS16, DType::F16, 10));
  EXPECT_FALSE(stored(Target::iOS17, DType::I32, 1000));
  EXPECT_TRUE(stored(Target::iOS18, DType::I32, 10));
}

TEST(PackageWriter, WritesEqualWeightsOnce) {
  Program program(Target::iOS18);
  for (const char* name : {"first", "second"}) {
    Build b(program, name);
    const ValueId x = b.input("x", DType::F16, {2, 8});
    // Another expression for the same small content, and one that only shares its source.
    const auto w = program.constant(ramp(DType::F16, {16, 8}));
    const ValueId y = b.op("linear", {{"x", x}, {"weight", w}, {"bias", program.constant(ramp(DType::F16, {16}))}});
    b.output("y", y);
    b.finish();
  }
  const PackagePlan written = plan(program);
  EXPECT_EQ(written.weight_bytes(), 64u + 64 + 256 + 64 + 32);
  const auto model = model_of(written);
  EXPECT_EQ(find_op(body_of(model, "first"), "const")->attributes().at("val").SerializeAsString(),
            find_op(body_of(model, "second"), "const")->attributes().at("val").SerializeAsString());
  EXPECT_THAT(problems_of(program), IsEmpty());
}

TEST(PackageWriter, MakesNamesLegalAndUnique) {
  Program program(Target::iOS16);
  Build b(program);
  const ValueId x = b.input("input.1", DType::F32, {2});
  const ValueId a = b.op("relu", {{"x", x}}, "3/a");
  const ValueId c = b.op("relu", {{"x", a}}, "3/a");
  const ValueId d = b.op("add", {{"x", c}, {"y", program.constant(1.0f)}}, "3/a");
  b.output("tensor", b.op("relu", {{"x", d}}, "last"));
  b.output("y", a);
  b.finish();
  const PackagePlan written = plan(program);
  ASSERT_EQ(written.functions.size(), 1u);
  EXPECT_THAT(written.functions[0].inputs, ElementsAre("input_1"));
  EXPECT_THAT(written.functions[0].outputs, ElementsAre("tensor_workaround", "y"));
  const auto model = model_of(written);
  const auto& body = body_of(model);
  std::vector<std::string> names;
  for (const auto& op : body.operations()) names.push_back(op.outputs(0).name());
  EXPECT_THAT(names, ElementsAre("y", "var_3_a", "op_3_a_2_y", "var_3_a_1", "tensor_workaround"));
  expect_round_trip(program);
}

TEST(PackageWriter, GivesEveryOutputAValueOfItsOwn) {
  Program program(Target::iOS17);
  Build b(program);
  const ValueId x = b.input("x", DType::F32, {2});
  const ValueId y = b.op("relu", {{"x", x}});
  b.output("a", y);
  b.output("b", y);
  b.output("x", x);
  b.output("d", program.constant(std::vector<float>{1, 2}));
  b.output("d", program.constant(std::vector<float>{3, 4}));
  b.output("c", x);
  b.finish();
  const auto model = model_of(plan(program));
  const auto& body = body_of(model);
  EXPECT_EQ(op_types(body), "relu identity identity const const");
  EXPECT_THAT(std::vector<std::string>(body.outputs().begin(), body.outputs().end()),
              ElementsAre("a", "b", "x", "d", "d_1", "c"));
  EXPECT_EQ(model.description().output(4).name(), "d_1");
  expect_round_trip(program);
}

TEST(PackageWriter, ReadsEveryInput) {
  Program program(Target::iOS17);
  Build b(program);
  const ValueId x = b.input("x", DType::F32, {2});
  b.input("y", DType::F32, {2});
  b.output("z", b.op("relu", {{"x", x}}));
  b.finish();
  const auto model = model_of(plan(program));
  EXPECT_EQ(op_types(body_of(model)), "relu identity");
  EXPECT_EQ(body_of(model).operations(1).outputs(0).name(), "y_tmp");
  expect_round_trip(program);
}

TEST(PackageWriter, IsDeterministic) {
  const PackagePlan a = plan(mlp(Target::iOS17, DType::F16)), b = plan(mlp(Target::iOS17, DType::F16));
  EXPECT_EQ(a.model, b.model);
  EXPECT_EQ(a.manifest, b.manifest);
  EXPECT_EQ(*a.fingerprint(), *b.fingerprint());
  EXPECT_NE(*a.fingerprint(), *plan(mlp(Target::iOS18, DType::F16)).fingerprint());
}

TEST(PackageWriter, FingerprintSeesWeights) {
  auto with = [](float first) {
    Program program(Target::iOS17);
    Build b(program);
    b.output("y", b.op("mul", {{"x", b.input("x", DType::F32, {700, 1000})},
                               {"y", program.constant(ramp(DType::F32, {700, 1000}, first))}}));
    b.finish();
    return plan(program);
  };
  const PackagePlan a = with(0), b = with(1);
  EXPECT_EQ(a.model, b.model);
  EXPECT_NE(*a.fingerprint(), *b.fingerprint());
}

TEST(PackageWriter, DescribesFlexibleShapes) {
  Program program(Target::iOS17);
  Build b(program);
  const Dim n = program.dims->symbol("n", {0, 12}), m = program.dims->symbol("m");
  const ValueId x = b.input("x", DType::F32, {n, 3, m});
  b.output("y", b.op("relu", {{"x", x}}));
  b.finish();
  const auto model = model_of(plan(program));
  const auto& array = model.description().input(0).type().multiarraytype();
  EXPECT_THAT(std::vector<int64_t>(array.shape().begin(), array.shape().end()), ElementsAre(1, 3, 1));
  EXPECT_EQ(array.shaperange().sizeranges(0).upperbound(), 12);
  EXPECT_EQ(array.shaperange().sizeranges(1).lowerbound(), 3u);
  EXPECT_EQ(array.shaperange().sizeranges(2).upperbound(), 2147483647);
  EXPECT_EQ(model.description().output(0).type().multiarraytype().shape_size(), 0);
  expect_round_trip(program);
}

TEST(PackageWriter, DescribesEnumeratedShapes) {
  Program program(Target::iOS17);
  Build b(program);
  const ValueId x = b.input("x", DType::F32, {1, program.dims->symbol("n", {1, 9})});
  b.output("y", b.op("relu", {{"x", x}}));
  b.function.enumerated_shapes["x"] = {{1, 4}, {1, 9}, {1, 4}};
  b.finish();
  const auto model = model_of(plan(program));
  const auto& array = model.description().input(0).type().multiarraytype();
  EXPECT_THAT(std::vector<int64_t>(array.shape().begin(), array.shape().end()), ElementsAre(1, 4));
  EXPECT_EQ(array.enumeratedshapes().shapes_size(), 2);  // a repetition says nothing before iOS18
  program.target = Target::iOS18;
  EXPECT_EQ(model_of(plan(program)).description().input(0).type().multiarraytype().enumeratedshapes().shapes_size(), 3);
  expect_round_trip(program);
  program.functions[0].enumerated_shapes["x"].push_back({2, 4});
  EXPECT_THAT(failure(program).what, HasSubstr("have 2 in dimension 0, which the program fixes to 1"));
}

TEST(PackageWriter, DescribesFunctionsOneByOne) {
  Program program(Target::iOS18);
  for (const char* name : {"prefill", "decode"}) {
    Build b(program, name);
    b.output("y", b.op("relu", {{"x", b.input("x", DType::F16, {1, 4})}}));
    b.finish();
  }
  const auto model = model_of(plan(program));
  EXPECT_EQ(model.description().defaultfunctionname(), "prefill");
  EXPECT_EQ(model.description().functions(1).name(), "decode");
  expect_round_trip(program);
  program.target = Target::iOS17;
  EXPECT_EQ(failure(program).kind, DiagKind::UnsupportedTarget);
}

TEST(PackageWriter, FunctionsOfSeveralProgramsShareWeights) {
  const Program first = mlp(Target::iOS18, DType::F16), second = mlp(Target::iOS18, DType::F16);
  const std::vector<PackageFunction> functions = {{"prefill", &first, &first.functions[0]}, {"decode", &second, &second.functions[0]}};
  const auto both = plan_package(functions);
  ASSERT_TRUE(both.ok()) << render(both.error());
  EXPECT_EQ(both->weight_bytes(), plan(first).weight_bytes());
  EXPECT_EQ(PackageCheck(*both, weight_bytes_of(*both)).problems(), std::vector<std::string>{});
  EXPECT_EQ(model_of(*both).description().defaultfunctionname(), "prefill");
  EXPECT_THAT(both->functions[1].inputs, ElementsAre("x"));
  const auto read = read_package(package_of(*both).files);
  ASSERT_TRUE(read.ok()) << render(read.error());
  ASSERT_EQ(read->functions.size(), 2u);
  EXPECT_EQ(read->functions[1].name, "decode");
}

TEST(PackageWriter, FunctionsAreForOneTarget) {
  const Program first = mlp(Target::iOS18, DType::F16), second = mlp(Target::iOS17, DType::F16);
  const std::vector<PackageFunction> functions = {{"prefill", &first, &first.functions[0]}, {"decode", &second, &second.functions[0]}};
  const auto both = plan_package(functions);
  ASSERT_FALSE(both.ok());
  EXPECT_THAT(both.error().what, HasSubstr("'prefill' and 'decode' are for iOS18 and iOS17"));
}

TEST(PackageWriter, RefusesInterfacesThatCoreMLHasNot) {
  EXPECT_EQ(failure(unary(Target::iOS17, DType::Bool, {2}, "logical_not")).kind, DiagKind::UnsupportedDtype);
  const Diagnostic half = failure(unary(Target::iOS15, DType::F16, {2}));
  EXPECT_EQ(half.kind, DiagKind::UnsupportedTarget);
  EXPECT_THAT(half.what, HasSubstr("'x' is fp16, which needs iOS16"));
  Program empty(Target::iOS17);
  EXPECT_EQ(failure(empty).kind, DiagKind::BadMil);
  Program twice = unary(Target::iOS18, DType::F32, {2});
  twice.functions.push_back(twice.functions[0]);
  EXPECT_THAT(failure(twice).what, HasSubstr("two functions are named 'main'"));
}

class Compressed : public testing::TestWithParam<Target> {};

TEST_P(Compressed, KeepsParametersInPlace) {
  Program program(GetParam());
  const bool by_input = GetParam() >= Target::iOS18;
  Build b(program);
  const ValueId x = b.input("x", DType::F16, {1, 8});
  ValueId w;
  if (by_input) {
    w = b.op(
        "constexpr_lut_to_dense",
        {{"indices", program.constant(Weight::dense(DType::U2, {4, 8}, std::string("\x1b\xe4\x1b\xe4\x1b\xe4\x1b\xe4", 8)))},
         {"lut", program.constant(ramp(DType::F16, {1, 1, 4, 1}))}},
        "w");
  } else {
    w = b.op("constexpr_affine_dequantize",
             {{"quantized_data", program.constant(ramp(DType::I8, {4, 8}, -8, 1))},
              {"zero_point", program.constant(Weight::dense(DType::I8, {}, "\1"))},
              {"scale", program.constant(0.5f, DType::F16)},
              {"axis", program.constant(0)}},
             "w");
  }
  b.output("y", b.op("linear", {{"x", x}, {"weight", w}, {"bias", program.constant(ramp(DType::F16, {4}))}}, "y"));
  b.output("w2", w);
  b.finish();
  const auto model = model_of(plan(program));
  const auto& constexpr_op = body_of(model).operations(0);
  EXPECT_EQ(constexpr_op.attributes().size(), by_input ? 1u : 5u);
  EXPECT_EQ(constexpr_op.inputs().size(), by_input ? 2u : 0u);
  // Core ML wants no constexpr result as an output.
  EXPECT_EQ(find_op(body_of(model), "identity")->outputs(0).name(), "w2");
  expect_round_trip(program);
}
INSTANTIATE_TEST_SUITE_P(Targets, Compressed, testing::Values(Target::iOS16, Target::iOS17, Target::iOS18));

TEST(PackageWriter, WritesClassLabelsInPlace) {
  for (const bool text : {true, false}) {
    Program program(Target::iOS16);
    Build b(program);
    const ValueId x = b.input("x", DType::F32, {3});
    const auto classes = text ? program.constant(std::vector<std::string>{"cat", "dog", "emu"})
                              : program.constant(Weight::of<int64_t>(DType::I64, {3}, {7, 8, 9}));
    const auto results = b.ops("classify", {{"probabilities", x}, {"classes", classes}}, "label");
    b.output("label", results.at(0));
    b.output("probabilities", results.at(1));
    b.finish();
    const auto model = model_of(plan(program));
    EXPECT_EQ(op_types(body_of(model)), "classify");
    EXPECT_EQ(body_of(model).operations(0).inputs().at("classes").arguments(0).value().immediatevalue().list().values_size(),
              3);
    EXPECT_EQ(model.description().predictedfeaturename(), "label");
    EXPECT_EQ(model.description().predictedprobabilitiesname(), "probabilities");
    EXPECT_EQ(model.description().output(0).type().has_stringtype(), text);
    expect_round_trip(program);
  }
}

TEST(PackageWriter, WritesMetadata) {
  Program program = mlp(Target::iOS17, DType::F32);
  program.metadata["com.example.key"] = "value";
  const auto model = model_of(plan(
      program,
      {.author = "me", .license = "BSD", .short_description = "what", .version = "1.2", .build_info = {{"tool", "x"}}}));
  const auto& metadata = model.description().metadata();
  EXPECT_EQ(metadata.author() + metadata.license() + metadata.shortdescription() + metadata.versionstring(), "meBSDwhat1.2");
  EXPECT_EQ(metadata.userdefined().at("com.example.key"), "value");
  EXPECT_EQ(model.mlprogram()
                .attributes()
                .at("buildInfo")
                .immediatevalue()
                .dictionary()
                .values(0)
                .key()
                .immediatevalue()
                .tensor()
                .strings()
                .values(0),
            "tool");
}

TEST(PackageWriter, PutsTheFilesInPlace) {
  const auto root = std::filesystem::temp_directory_path() / "cortland_package_writer_test";
  std::filesystem::remove_all(root);
  std::filesystem::create_directory(root);
  ASSERT_TRUE(write_package(mlp(Target::iOS17, DType::F16), root / "a.mlpackage").ok());
  EXPECT_TRUE(std::filesystem::exists(root / "a.mlpackage" / kWeightPath));
  auto read = read_package(root / "a.mlpackage");
  ASSERT_TRUE(read.ok()) << render(read.error());
  EXPECT_EQ(contents(*read), contents(mlp(Target::iOS17, DType::F16)));
  // Over an older package, and without any weights.
  ASSERT_TRUE(write_package(unary(Target::iOS17, DType::F32, {2}), root / "a.mlpackage").ok());
  EXPECT_FALSE(std::filesystem::exists(root / "a.mlpackage/Data/com.apple.CoreML/weights"));
  // A failure leaves the older package alone.
  EXPECT_FALSE(write_package(unary(Target::iOS17, DType::Bool, {2}, "logical_not"), root / "a.mlpackage").ok());
  EXPECT_TRUE(read_package(root / "a.mlpackage").ok());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(root), {}), 1);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace cortland::coreml
