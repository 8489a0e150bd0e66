#include "engine/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cortland::engine {
namespace {

using mil::Tensor;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Tensor zeros(std::vector<int64_t> shape, DType dtype = DType::F32) {
  Tensor t = Tensor::make(dtype, std::move(shape));
  std::memset(t.mutable_data(), 0, t.bytes());
  return t;
}

std::string error(const std::vector<Feature>& features, std::vector<Tensor> tensors, const DimTable& dims) {
  const auto checked = check_inputs(features, tensors, dims);
  return checked.ok() ? "" : checked.error().what;
}

TEST(CheckInputs, NamesInputDimensionAndRange) {
  DimTable dims;
  const Dim h = dims.symbol("h", {16, 128}), n = dims.symbol("n", {1, DimRange::kUnbounded});
  const std::vector<Feature> features = {{"image", {DType::F32, {n, 3, h}}, {}}};
  EXPECT_EQ(error(features, {zeros({1, 3, 16})}, dims), "");
  EXPECT_EQ(error(features, {zeros({99, 3, 128})}, dims), "");
  EXPECT_THAT(error(features, {zeros({1, 3, 8})}, dims), AllOf(HasSubstr("'image'"), HasSubstr("dimension 2 is 8"), HasSubstr("16 to 128")));
  EXPECT_THAT(error(features, {zeros({1, 4, 16})}, dims), AllOf(HasSubstr("dimension 1 is 4"), HasSubstr("takes 3")));
  EXPECT_THAT(error(features, {zeros({0, 3, 16})}, dims), HasSubstr("1 or more"));
  EXPECT_THAT(error(features, {zeros({3, 16})}, dims), AllOf(HasSubstr("'image'"), HasSubstr("[3, 16]"), HasSubstr("1.., 3, 16..128")));
  EXPECT_THAT(error(features, {}, dims), HasSubstr("0 inputs were passed, but the model takes 1"));
}

TEST(CheckInputs, OneSymbolIsOneSize) {
  DimTable dims;
  const Dim s = dims.symbol("s", {1, 10});
  const std::vector<Feature> features = {{"a", {DType::F32, {s}}, {}}, {"b", {DType::F32, {s, 2}}, {}}};
  EXPECT_EQ(error(features, {zeros({4}), zeros({4, 2})}, dims), "");
  EXPECT_THAT(error(features, {zeros({4}), zeros({5, 2})}, dims), AllOf(HasSubstr("'b'"), HasSubstr("must be 4")));
  // Sizes that a package calls unknown are independent.
  const std::vector<Feature> loose = {{"a", {DType::F32, {dims.unknown({1, 10})}}, {}}, {"b", {DType::F32, {dims.unknown({1, 10})}}, {}}};
  EXPECT_EQ(error(loose, {zeros({4}), zeros({5})}, dims), "");
}

TEST(CheckInputs, EnumeratedShapesAreTiedByPosition) {
  DimTable dims;
  const Dim u = dims.unknown({1, 20}), v = dims.unknown({1, 20});
  const std::vector<Feature> features = {{"x", {DType::F32, {u, 10}}, {{1, 10}, {4, 10}}}, {"y", {DType::F32, {v}}, {{3}, {5}}}};
  EXPECT_EQ(error(features, {zeros({1, 10}), zeros({3})}, dims), "");
  EXPECT_EQ(error(features, {zeros({4, 10}), zeros({5})}, dims), "");
  EXPECT_THAT(error(features, {zeros({2, 10}), zeros({3})}, dims), AllOf(HasSubstr("'x'"), HasSubstr("[1, 10], [4, 10]")));
  EXPECT_THAT(error(features, {zeros({1, 10}), zeros({5})}, dims), HasSubstr("do not belong together"));
}

TEST(ConvertInput, KeepsValuesOrRefuses) {
  const auto ints = Tensor::from(DType::I64, {3}, std::vector<int64_t>{-1, 0, 70000});
  auto narrow = convert_input(ints, DType::I32, "ids");
  ASSERT_TRUE(narrow.ok());
  EXPECT_EQ(narrow->dtype, DType::I32);
  EXPECT_THAT(narrow->ints(), ElementsAre(-1, 0, 70000));
  EXPECT_THAT(convert_input(ints, DType::I16, "ids").error().what, AllOf(HasSubstr("'ids'"), HasSubstr("70000"), HasSubstr("int16")));
  EXPECT_THAT(convert_input(Tensor::from(DType::I64, {1}, std::vector<int64_t>{1LL << 31}), DType::I32, "ids").error().what,
              HasSubstr("2147483648"));
  EXPECT_THAT(convert_input(ints, DType::F32, "x").error().what, AllOf(HasSubstr("int64"), HasSubstr("float32")));
  auto half = convert_input(Tensor::from(DType::F64, {1}, std::vector<float>{0.1f}), DType::F16, "x");
  ASSERT_TRUE(half.ok());
  EXPECT_NEAR(half->floats()[0], 0.1, 1e-4);
  EXPECT_THAT(convert_input(zeros({1}), DType::I32, "ids").error().what, AllOf(HasSubstr("float32"), HasSubstr("int32")));
  EXPECT_TRUE(convert_input(zeros({1}, DType::Bool), DType::F32, "mask").ok());
}

}  // namespace
}  // namespace cortland::engine
