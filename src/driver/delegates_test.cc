#include "driver/delegates.h"

#include <gmock/gmock.h>

#include "coreml/package_writer.h"
#include "executorch/delegate_blob.h"
#include "mil_ops/ops.h"

namespace cortland::driver {
namespace {

using executorch::WeightSharing;
using mil::Target;
using partition::Delegate;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

constexpr int64_t kWidth = 64;

// y = x w with `rows` rows of x; the weight is the same for equal seeds.
Delegate linear(Target target, int64_t rows, float seed = 1) {
  Delegate delegate;
  mil::Program program(target);
  mil::Function function;
  function.body = program.add_block();
  const auto x = program.add_value("x", mil::Type(DType::F32, {rows, kWidth}));
  function.inputs = {x};
  const auto weight = program.constant(Weight::of(DType::F32, {kWidth, kWidth}, std::vector<float>(kWidth * kWidth, seed)));
  const auto op = program.add_op(function.body, *mil_ops::find("linear", target), {{"x", x}, {"weight", weight}}, "y");
  CHECK(op.ok());
  function.outputs.push_back({"y", program.ops[*op].results[0]});
  program.functions.push_back(std::move(function));
  delegate.program = std::move(program);
  return delegate;
}

struct Made {
  std::vector<std::vector<Delegate>> delegates;
  std::vector<MethodDelegates> methods;
  ProgramDelegates result;
};

Made make(std::vector<std::pair<std::string, std::vector<Delegate>>> methods,
          WeightSharing sharing = WeightSharing::Positional) {
  Made made;
  for (auto& [name, delegates] : methods) made.delegates.push_back(std::move(delegates));
  for (size_t i = 0; i < methods.size(); ++i)
    made.methods.push_back({methods[i].first, made.delegates[i], {{"k", "v"}}, sharing});
  auto result = delegate_bytes(made.methods);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().what);
  if (result.ok()) made.result = std::move(*result);
  return made;
}

std::vector<Delegate> list(Delegate a) {
  std::vector<Delegate> all;
  all.push_back(std::move(a));
  return all;
}
std::vector<Delegate> list(Delegate a, Delegate b) {
  auto all = list(std::move(a));
  all.push_back(std::move(b));
  return all;
}

executorch::BlobMetadata metadata_of(const executorch::ByteSource& directory) {
  const auto bytes = executorch::read_all(directory);
  CHECK(bytes.ok());
  const auto files = executorch::unflatten_directory(as_bytes(*bytes));
  CHECK(files.ok());
  for (const auto& file : *files)
    if (file.path == "metadata.json") return *executorch::parse_metadata(file.bytes);
  return {};
}

constexpr uint64_t kWeightBytes = kWidth * kWidth * 4;

TEST(DelegateBytes, MethodsShareTheModelAtTheirPlace) {
  const auto made = make({{"prefill", list(linear(Target::iOS18, 8), linear(Target::iOS18, 8, 2))},
                          {"decode", list(linear(Target::iOS18, 1), linear(Target::iOS18, 1, 2))}});
  const auto& [methods, shared, warnings] = made.result;
  EXPECT_THAT(warnings, IsEmpty());
  ASSERT_THAT(shared, SizeIs(2));
  EXPECT_NE(shared[0].name, shared[1].name);
  for (const auto& model : shared) {
    EXPECT_GT(model.data.bytes.size, kWeightBytes);
    EXPECT_LT(model.data.bytes.size, 2 * kWeightBytes) << "the weight is there twice";
    const auto metadata = metadata_of(model.data.bytes);
    EXPECT_THAT(model.name, StartsWith("coreml_executorch_"));
    EXPECT_THAT(metadata.identifier, StartsWith("executorch_"));
    ASSERT_THAT(metadata.methods, SizeIs(2));
    EXPECT_THAT(metadata.methods.at("decode").inputs, ElementsAre("x"));
  }
  for (size_t m = 0; m < 2; ++m)
    for (size_t d = 0; d < 2; ++d) {
      const auto& delegate = methods[m][d];
      const auto reference = executorch::parse_multifunction_reference(delegate.blob.data.bytes.memory);
      ASSERT_TRUE(reference.ok());
      EXPECT_EQ(reference->key, shared[d].name);
      EXPECT_EQ(reference->function, m == 0 ? "prefill" : "decode");
      EXPECT_EQ(delegate.function, reference->function);
      EXPECT_EQ(delegate.bytes, shared[d].data.bytes.size);
      EXPECT_EQ(delegate.blob.specs[0].key, "k");
    }
}

TEST(DelegateBytes, OlderTargetsHaveModelsOfTheirOwn) {
  const auto made = make({{"prefill", list(linear(Target::iOS17, 8))}, {"decode", list(linear(Target::iOS17, 1))}});
  EXPECT_THAT(made.result.shared, IsEmpty());
  EXPECT_EQ(made.result.methods[0][0].function, "");
  EXPECT_THAT(metadata_of(made.result.methods[1][0].blob.data.bytes).names.inputs, ElementsAre("x"));
  ASSERT_THAT(made.result.warnings, SizeIs(1));
  EXPECT_THAT(made.result.warnings[0], HasSubstr("16384 bytes are stored more than once"));
  EXPECT_THAT(made.result.warnings[0], HasSubstr("iOS18"));
}

// The identifier is made while the weights are written: it must be that of the content all the same.
TEST(DelegateBytes, ModelsAreNamedAfterTheirContent) {
  const auto identifiers = [](const Made& made) {
    std::vector<std::string> names;
    for (const auto& d : made.result.methods[0]) names.push_back(metadata_of(d.blob.data.bytes).identifier);
    return names;
  };
  const auto made = make({{"forward", list(linear(Target::iOS17, 8, 1), linear(Target::iOS17, 8, 2))}});
  const auto names = identifiers(made);
  EXPECT_NE(names[0], names[1]);
  EXPECT_EQ(identifiers(make({{"forward", list(linear(Target::iOS17, 8, 1))}}))[0], names[0]);
  const auto plan = coreml::plan_package(made.delegates[0][0].program);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(names[0], "executorch_" + *plan->fingerprint());
}

TEST(DelegateBytes, EqualModelsOfOneProgramHaveOneKey) {
  const auto made = make({{"forward", list(linear(Target::iOS17, 8), linear(Target::iOS17, 8))}});
  EXPECT_EQ(made.result.methods[0][0].blob.data.key, made.result.methods[0][1].blob.data.key);
  EXPECT_FALSE(made.result.methods[0][0].blob.data.key.empty());
  const auto others = make({{"forward", list(linear(Target::iOS17, 8), linear(Target::iOS17, 8, 2))}});
  EXPECT_NE(others.result.methods[0][0].blob.data.key, others.result.methods[0][1].blob.data.key);
}

TEST(DelegateBytes, WeightsLieWhereTheyCanBeUsedInPlace) {
  const auto made = make({{"forward", list(linear(Target::iOS17, 8))}});
  const auto bytes = executorch::read_all(made.result.methods[0][0].blob.data.bytes);
  ASSERT_TRUE(bytes.ok());
  const auto files = executorch::unflatten_directory(as_bytes(*bytes));
  ASSERT_TRUE(files.ok());
  const auto weights = std::ranges::find_if(*files, [](const auto& file) { return file.path.ends_with("weight.bin"); });
  ASSERT_NE(weights, files->end());
  EXPECT_EQ(weights->bytes.data(), as_bytes(*bytes).data());  // which starts at a multiple of 128 in its file
}

TEST(DelegateBytes, OtherNumbersAndOtherTargetsHaveModelsOfTheirOwn) {
  auto made =
      make({{"a", list(linear(Target::iOS18, 8))}, {"b", list(linear(Target::iOS18, 1), linear(Target::iOS18, 1, 2))}});
  EXPECT_THAT(made.result.shared, IsEmpty());
  EXPECT_THAT(made.result.warnings, ElementsAre(HasSubstr("1 in 'a' and 2 in 'b'")));
  made = make({{"a", list(linear(Target::iOS18, 8))}, {"b", list(linear(Target::iOS17, 1))}});
  EXPECT_THAT(made.result.shared, IsEmpty());
  EXPECT_THAT(made.result.warnings, ElementsAre(HasSubstr("'a' is lowered for iOS18 and 'b' for iOS17")));
}

TEST(DelegateBytes, NoWarningWhereNothingIsLost) {
  // Different weights; the same weight twice in one method; sharing that nobody wants.
  EXPECT_THAT(make({{"a", list(linear(Target::iOS17, 8))}, {"b", list(linear(Target::iOS17, 1, 2))}}).result.warnings,
              IsEmpty());
  EXPECT_THAT(
      make({{"a", list(linear(Target::iOS17, 8), linear(Target::iOS17, 4))}, {"b", list(linear(Target::iOS17, 1, 2))}})
          .result.warnings,
      IsEmpty());
  const auto disabled =
      make({{"a", list(linear(Target::iOS18, 8))}, {"b", list(linear(Target::iOS18, 1))}}, WeightSharing::Disabled);
  EXPECT_THAT(disabled.result.warnings, IsEmpty());
  EXPECT_THAT(disabled.result.shared, IsEmpty());
}

TEST(DelegateBytes, AMethodWithoutDelegatesDoesNotHinder) {
  const auto made = make({{"a", list(linear(Target::iOS18, 8))}, {"cpu", {}}, {"b", list(linear(Target::iOS18, 1))}});
  EXPECT_THAT(made.result.shared, SizeIs(1));
  EXPECT_THAT(made.result.methods[1], IsEmpty());
  EXPECT_EQ(made.result.methods[2][0].function, "b");
  // One alone has nobody to share with.
  EXPECT_THAT(make({{"a", list(linear(Target::iOS18, 8))}, {"cpu", {}}}).result.shared, IsEmpty());
}

TEST(DelegateBytes, EqualModelsAreStoredOnce) {
  const auto made = make({{"a", list(linear(Target::iOS18, 8), linear(Target::iOS18, 8))},
                          {"b", list(linear(Target::iOS18, 1), linear(Target::iOS18, 1))}});
  EXPECT_THAT(made.result.shared, SizeIs(1));
}

TEST(FunctionNames, AreIdentifiersAndDifferent) {
  const std::vector<std::string> methods = {"prefill", "pre fill", "pre-fill", "1"};
  EXPECT_THAT(function_names(methods), ElementsAre("prefill", "pre_fill", "pre_fill_1", "var_1"));
}

}  // namespace
}  // namespace cortland::driver
