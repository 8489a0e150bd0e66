#include "torch_ops/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cortland::torch_ops {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TorchOp op_with(std::string_view schema, std::string_view samples) { return {.schema = schema, .samples = samples}; }

std::vector<std::string> calls(std::string_view schema, std::string_view samples) {
  const auto parsed = parse_samples(op_with(schema, samples));
  EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().what);
  std::vector<std::string> texts;
  if (parsed.ok())
    for (const Sample& s : *parsed) texts.push_back(s.call_text());
  return texts;
}

constexpr char kGelu[] = "aten::gelu(Tensor self, *, str approximate='none') -> Tensor";
constexpr char kSum[] =
    "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
constexpr char kCat[] = "aten::cat(Tensor[] tensors, int dim=0) -> Tensor";

TEST(Samples, ArgumentsTakeTheirPlaceInTheSchema) {
  EXPECT_THAT(calls(kGelu, "f32[2,3] approximate='tanh'"),
              ElementsAre("aten.gelu.default(self=float32[2, 3], approximate='tanh')"));
  EXPECT_THAT(calls(kSum, "i64[2,3] 1 True dtype=f32 -> f32[2,1]"),
              ElementsAre("aten.sum.dim_IntList(self=int64[2, 3], dim=[1], keepdim=True, dtype=float32)"));
  EXPECT_THAT(calls(kCat, "[f32[2], f32[3]] -> f32[5]"), ElementsAre("aten.cat.default(tensors=[float32[2], float32[3]])"));
}

TEST(Samples, VariablesStandForSeveralCalls) {
  EXPECT_THAT(calls(kGelu, "F[2]"), ElementsAre("aten.gelu.default(self=float32[2])", "aten.gelu.default(self=float16[2])"));
  EXPECT_THAT(calls(kGelu, "f32[*,4]"),
              ElementsAre(HasSubstr("[2, 3, 2, 3, 4]"), HasSubstr("[2, 3, 2, 4]"), HasSubstr("[2, 3, 4]"),
                          HasSubstr("[2, 4]"), HasSubstr("[4]"), HasSubstr("[s0, s1, 4]")));
  EXPECT_THAT(calls(kGelu, "f32[n4,3]"), ElementsAre(HasSubstr("[4, 3]"), HasSubstr("[n4, 3]")));
  EXPECT_THAT(calls(kGelu, "f32[n4,3] !unsupported-shape"), ElementsAre(HasSubstr("[n4, 3]")));
}

TEST(Samples, ResultsFollowTheFirstTensorUnlessTheyAreTold) {
  const auto samples = parse_samples(op_with(kSum, "I[n4,3] [0] -> F[2*n4+1]"));
  ASSERT_TRUE(samples.ok());
  ASSERT_EQ(samples->size(), 4u);  // two types, with and without the symbol
  const Sample &fixed = (*samples)[0], &symbolic = (*samples)[1];
  const auto type = [](const Sample& s) { return str(s.graph.type(s.graph.nodes[s.call].results[0]), *s.graph.dims); };
  EXPECT_EQ(type(fixed), "fp32[9]");
  EXPECT_EQ(type(symbolic), "fp32[2*n4 + 1]");
  EXPECT_TRUE(symbolic.dynamic);
  EXPECT_EQ(fixed.dtype, DType::I64);
  EXPECT_EQ(fixed.rank, 2);
}

TEST(Samples, SizesAsArgumentsAreReadFromTheirTensor) {
  const auto samples =
      parse_samples(op_with("aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)", "f32[n4,6] [n4,2,3] -> f32[n4,2,3]"));
  ASSERT_TRUE(samples.ok());
  const Sample& symbolic = (*samples)[1];
  ASSERT_EQ(symbolic.graph.order.size(), 2u);
  EXPECT_EQ(symbolic.graph.nodes[symbolic.graph.order[0]].target, "aten.sym_size.int");
  EXPECT_TRUE(torch::verify(symbolic.graph).ok());
}

TEST(Samples, RemarksAndContents) {
  const auto samples =
      parse_samples(op_with(kCat, "[const f32[2]{0.5,-inf}, i64[3]{0..1}] -> f32[5] @iOS17 !unsupported-dtype ~"));
  ASSERT_TRUE(samples.ok());
  const Sample& s = (*samples)[0];
  EXPECT_EQ(s.since, mil::Target::iOS17);
  EXPECT_EQ(s.refused, DiagKind::UnsupportedDtype);
  EXPECT_TRUE(s.undetermined);
  ASSERT_EQ(s.graph.inputs.size(), 2u);
  EXPECT_EQ(s.graph.inputs[0].data.to_floats(), (std::vector<float>{0.5f, -std::numeric_limits<float>::infinity()}));
  EXPECT_FALSE(s.graph.inputs[1].data);
  const auto ints = sample_data({DType::I64, {100}}, s.contents.at(s.graph.inputs[1].value), 7).to_ints();
  EXPECT_THAT(ints, testing::Contains(0));
  EXPECT_THAT(ints, testing::Contains(1));
  EXPECT_THAT(ints, testing::Each(testing::AllOf(testing::Ge(0), testing::Le(1))));
}

TEST(Samples, MistakesAreErrors) {
  for (const char* text :
       {"f32[2", "f32[2] 5 6 7", "f32[2] ~ !no-such-kind", "f32[2] other=1", "f33[2]", "f32[x]", "f32[2] @iOS1",
        "f32[2] -> 4", "1.5", "f32[2]{1,2", "[f32[2]", "f32[2] approximate='none", "f32[2] -> f32[2], f32[2]"})
    EXPECT_FALSE(parse_samples(op_with(kGelu, text)).ok()) << text;
}

}  // namespace
}  // namespace cortland::torch_ops
