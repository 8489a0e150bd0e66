// Quantisation, compressed constants, classify and random numbers. The compressed examples are those of the ops'
// definitions.
#include <gtest/gtest.h>

#include "mil_ops/op_test.h"
#include "mil_ops/packed.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

Tensor of(DType dtype, std::vector<int64_t> shape, std::vector<int64_t> v) {
  return Tensor::from(dtype, std::move(shape), v);
}

TEST(Packed, EveryWidthSurvivesTheRoundTrip) {
  for (DType t : {DType::U1, DType::U2, DType::U3, DType::U4, DType::U6, DType::U8, DType::I4, DType::I8}) {
    const bool is_signed = t == DType::I4 || t == DType::I8;
    const int64_t range = int64_t{1} << bit_width(t), low = is_signed ? -range / 2 : 0;
    std::vector<int64_t> v;
    for (int64_t i = 0; i < 77; ++i) v.push_back(low + i * 5 % range);
    const Tensor packed = of(t, {77}, v);
    const auto unpacked = unpack_floats(packed);
    for (size_t i = 0; i < v.size(); ++i) ASSERT_EQ(unpacked[i], static_cast<float>(v[i])) << mil_name(t) << " " << i;
    EXPECT_EQ(integers(pack(t, {77}, unpack(packed))), v) << mil_name(t);
  }
}

TEST(Quantize, RoundsToEvenAndSaturates) {
  const Tensor x = f32({2, 4}, {0.5f, 1.5f, -0.5f, 1000, 2, 3, -1000, 0.2f});
  EXPECT_EQ(integers(run(quantize, {{"input", x}, {"scale", 1.0f}, {"output_dtype", "int8"}})),
            (std::vector<int64_t>{0, 2, 0, 127, 2, 3, -128, 0}));
  const Tensor y = run(quantize, {{"input", x},
                                  {"scale", f32({2}, {1, 0.5f})},
                                  {"zero_point", of(DType::U8, {2}, {3, 100})},
                                  {"axis", -2},
                                  {"output_dtype", "uint8"}});
  EXPECT_EQ(y.dtype, DType::U8);
  EXPECT_EQ(integers(y), (std::vector<int64_t>{3, 5, 3, 255, 104, 106, 0, 100}));
  EXPECT_TRUE(refuses(quantize, {{"input", x}, {"scale", 0.0f}, {"output_dtype", "int8"}}));
  EXPECT_TRUE(refuses(quantize, {{"input", x}, {"scale", 1.0f}, {"output_dtype", "int32"}}));
  EXPECT_TRUE(refuses(quantize, {{"input", x}, {"scale", f32({2}, {1, 1})}, {"output_dtype", "int8"}}));
  EXPECT_TRUE(
      refuses(quantize, {{"input", x}, {"scale", 1.0f}, {"zero_point", of(DType::U8, {}, {1})}, {"output_dtype", "int8"}}));
}

TEST(Dequantize, ScalesAlongAnAxis) {
  const Tensor q = of(DType::I8, {2, 3}, {-128, 0, 127, 1, 2, 3});
  EXPECT_EQ(floats(run(dequantize, {{"input", q}, {"scale", 0.5f}})), (std::vector<float>{-64, 0, 63.5f, 0.5f, 1, 1.5f}));
  const Tensor y =
      run(dequantize,
          {{"input", q}, {"scale", f16({3}, {1, 2, 3})}, {"zero_point", of(DType::I8, {3}, {0, 1, -1})}, {"axis", 1}});
  EXPECT_EQ(y.dtype, DType::F16);
  EXPECT_EQ(floats(y), (std::vector<float>{-128, -2, 384, 1, 2, 12}));
  EXPECT_TRUE(refuses(dequantize, {{"input", q}, {"scale", f32({3}, {1, 2, 3})}, {"axis", 0}}));
  EXPECT_TRUE(refuses(dequantize, {{"input", q}, {"scale", 1.0f}, {"axis", 0}}));
}

TEST(Constexpr, AffineDequantize) {
  const Tensor q = of(DType::U8, {2, 2}, {0, 10, 200, 255});
  EXPECT_EQ(
      floats(run(constexpr_affine_dequantize,
                 {{"quantized_data", q}, {"zero_point", of(DType::U8, {2}, {1, 2})}, {"scale", f32({}, {2})}, {"axis", 1}})),
      (std::vector<float>{-2, 16, 398, 506}));
  EXPECT_TRUE(refuses(constexpr_affine_dequantize,
                      {{"quantized_data", q}, {"zero_point", of(DType::U8, {3}, {1, 2, 3})}, {"scale", 1.0f}, {"axis", 1}}));
}

TEST(Constexpr, Cast) {
  EXPECT_EQ(floats(run(constexpr_cast, {{"source_val", f16({2}, {1, 0.1f})}, {"output_dtype", "fp32"}})),
            (std::vector<float>{1, f16_to_f32(f32_to_f16(0.1f))}));
  EXPECT_TRUE(refuses(constexpr_cast, {{"source_val", f16({1}, {1})}, {"output_dtype", "fp16"}}));
}

TEST(Constexpr, LutToDense) {
  // Indices 0, 3, 2, 1, 3 of two bits, the first in the low bits.
  const Tensor indices = of(DType::U8, {2}, {0b01101100, 0b00000011}), lut = f32({4}, {10, 11, 12, 13});
  const Tensor y = run(constexpr_lut_to_dense, {{"indices", indices}, {"lut", lut}, {"shape", of(DType::U32, {2}, {1, 5})}});
  EXPECT_EQ(y.shape, (std::vector<int64_t>{1, 5}));
  EXPECT_EQ(floats(y), (std::vector<float>{10, 13, 12, 11, 13}));
  EXPECT_TRUE(refuses(constexpr_lut_to_dense, {{"indices", indices}, {"lut", lut}, {"shape", of(DType::U32, {1}, {9})}}));
  EXPECT_TRUE(
      refuses(constexpr_lut_to_dense,
              {{"indices", indices}, {"lut", lut}, {"shape", of(DType::U32, {3}, {4000000000, 4000000000, 4000000000})}}));
  EXPECT_TRUE(
      refuses(constexpr_lut_to_dense,
              {{"indices", indices}, {"lut", f32({8}, {0, 1, 2, 3, 4, 5, 6, 7})}, {"shape", of(DType::U32, {1}, {5})}}));
}

TEST(Constexpr, SparseToDense) {
  const Tensor mask = of(DType::U8, {1}, {0b00001100}), shape = of(DType::U32, {1}, {5});
  EXPECT_EQ(floats(run(constexpr_sparse_to_dense, {{"nonzero_data", f32({2}, {5, 6})}, {"mask", mask}, {"shape", shape}})),
            (std::vector<float>{0, 0, 5, 6, 0}));
  EXPECT_TRUE(refuses(constexpr_sparse_to_dense, {{"nonzero_data", f32({3}, {5, 6, 7})}, {"mask", mask}, {"shape", shape}}));
  EXPECT_TRUE(refuses(constexpr_sparse_to_dense,
                      {{"nonzero_data", f32({1}, {5})}, {"mask", of(DType::U8, {1}, {0b10000000})}, {"shape", shape}}));
}

TEST(Compression, BlockwiseShiftScale) {
  const Tensor data = of(DType::I4, {2, 4}, {-8, -1, 0, 7, 1, 2, 3, 4});
  EXPECT_EQ(floats(run(constexpr_blockwise_shift_scale, {{"data", data}, {"scale", f32({1, 2}, {1, 10})}})),
            (std::vector<float>{-8, -1, 0, 70, 1, 2, 30, 40}));
  const Tensor y = run(constexpr_blockwise_shift_scale,
                       {{"data", data}, {"scale", f16({2, 1}, {1, 2})}, {"offset", of(DType::I4, {2, 1}, {-1, 3})}});
  EXPECT_EQ(y.dtype, DType::F16);
  EXPECT_EQ(floats(y), (std::vector<float>{-7, 0, 1, 8, -4, -2, 0, 2}));
  EXPECT_TRUE(refuses(constexpr_blockwise_shift_scale, {{"data", data}, {"scale", f32({1, 3}, {1, 1, 1})}}));
  EXPECT_TRUE(refuses(constexpr_blockwise_shift_scale, {{"data", data}, {"scale", f32({2}, {1, 1})}}));
  EXPECT_TRUE(refuses(constexpr_blockwise_shift_scale,
                      {{"data", data}, {"scale", f32({1, 1}, {1})}, {"offset", of(DType::U4, {1, 1}, {1})}}));
  EXPECT_TRUE(refuses(constexpr_blockwise_shift_scale, {{"data", data}, {"scale", f32({0, 1}, {})}}));
}

TEST(Compression, LutToDenseByGroups) {
  const Tensor indices = of(DType::U2, {6, 2}, {2, 3, 3, 0, 1, 0, 3, 0, 2, 1, 0, 3});
  EXPECT_EQ(floats(run(constexpr_lut_to_dense_ios18,
                       {{"indices", indices}, {"lut", f16({2, 1, 4, 1}, {1, 5, 9, 13, 2, 10, 18, 26})}})),
            (std::vector<float>{9, 13, 13, 1, 5, 1, 26, 2, 18, 10, 2, 26}));
  EXPECT_TRUE(refuses(constexpr_lut_to_dense_ios18, {{"indices", indices}, {"lut", f16({1, 1, 2, 1}, {1, 5})}}));
  EXPECT_TRUE(
      refuses(constexpr_lut_to_dense_ios18, {{"indices", indices}, {"lut", f16({4, 1, 4, 1}, std::vector<float>(16, 1))}}));
}

TEST(Compression, LutToDenseWithVectors) {
  const Tensor indices = of(DType::U1, {2, 2, 2}, {0, 0, 1, 0, 1, 1, 0, 0}),
               lut = of(DType::I8, {1, 1, 1, 2, 3}, {10, 11, 12, 20, 21, 22});
  const Tensor rows = run(constexpr_lut_to_dense_ios18, {{"indices", indices}, {"lut", lut}, {"vector_axis", 1}});
  EXPECT_EQ(rows.shape, (std::vector<int64_t>{2, 6, 2}));
  EXPECT_EQ(integers(rows), (std::vector<int64_t>{10, 10, 11, 11, 12, 12, 20, 10, 21, 11, 22, 12,
                                                  20, 20, 21, 21, 22, 22, 10, 10, 11, 11, 12, 12}));
  EXPECT_EQ(integers(run(constexpr_lut_to_dense_ios18, {{"indices", indices}, {"lut", lut}, {"vector_axis", -1}})),
            (std::vector<int64_t>{10, 11, 12, 10, 11, 12, 20, 21, 22, 10, 11, 12,
                                  20, 21, 22, 20, 21, 22, 10, 11, 12, 10, 11, 12}));
  EXPECT_TRUE(refuses(constexpr_lut_to_dense_ios18, {{"indices", indices}, {"lut", lut}}));
}

TEST(Compression, SparseToDenseKeepsNarrowTypes) {
  const Tensor mask = of(DType::U1, {2, 3}, {1, 0, 1, 0, 0, 1});
  const Tensor y = run(constexpr_sparse_to_dense_ios18, {{"nonzero_data", of(DType::I4, {3}, {-8, 7, -1})}, {"mask", mask}});
  EXPECT_EQ(y.dtype, DType::I4);
  EXPECT_EQ(integers(y), (std::vector<int64_t>{-8, 0, 7, 0, 0, -1}));
  EXPECT_EQ(floats(run(constexpr_sparse_to_dense_ios18, {{"nonzero_data", f16({3}, {1, 2, 3})}, {"mask", mask}})),
            (std::vector<float>{1, 0, 2, 0, 0, 3}));
  EXPECT_TRUE(refuses(constexpr_sparse_to_dense_ios18, {{"nonzero_data", f16({2}, {1, 2})}, {"mask", mask}}));
}

const Tensor kMask = of(DType::U1, {4, 6}, {1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0});

TEST(Compression, LutToSparse) {
  const Tensor indices = of(DType::U1, {9}, {0, 1, 1, 0, 1, 1, 0, 0, 1});
  const auto scalar =
      run_all(constexpr_lut_to_sparse,
              {{"indices_mask", kMask}, {"indices_nonzero_data", indices}, {"lut", f16({1, 1, 2, 1}, {2, 3})}});
  EXPECT_EQ(integers(scalar[0]), integers(kMask));
  EXPECT_EQ(floats(scalar[1]), (std::vector<float>{2, 3, 3, 2, 3, 3, 2, 2, 3}));
  const auto vectors = run_all(constexpr_lut_to_sparse, {{"indices_mask", kMask},
                                                         {"indices_nonzero_data", indices},
                                                         {"lut", f16({1, 1, 2, 2}, {2, 20, 3, 30})},
                                                         {"vector_axis", 0}});
  EXPECT_EQ(vectors[0].shape, (std::vector<int64_t>{8, 6}));
  const auto mask = integers(vectors[0]), once = integers(kMask);
  for (size_t i = 0; i < mask.size(); ++i) EXPECT_EQ(mask[i], once[i / 12 * 6 + i % 6]) << i;
  EXPECT_EQ(floats(vectors[1]), (std::vector<float>{2, 3, 20, 30, 3, 2, 3, 30, 20, 30, 3, 2, 2, 30, 20, 20, 3, 30}));
}

TEST(Compression, SparseBlockwiseShiftScale) {
  const Tensor mask = of(DType::U1, {4, 4}, {1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0});
  const auto results =
      run_all(constexpr_sparse_blockwise_shift_scale, {{"data_mask", mask},
                                                       {"nonzero_data", of(DType::I8, {9}, {10, 11, 3, 4, 5, 6, 7, 8, 9})},
                                                       {"scale", f32({1, 4}, {0.1f, 0.2f, 0.3f, 0.4f})},
                                                       {"offset", of(DType::I8, {1, 4}, {1, 2, 3, 4})}});
  EXPECT_EQ(integers(results[0]), integers(mask));
  expect_near(results[1], {0.9f, 1.8f, 0.2f, 0.4f, 0.6f, 0.9f, 1.2f, 0.7f, 1.4f});
}

TEST(Random, SeedsRepeatAndDistributionsHold) {
  const Tensor shape = ints({100, 100});
  const auto moments = [](const Tensor& t) {
    double mean = 0, square = 0;
    for (float v : floats(t)) mean += double{v} / 1e4, square += double{v} * double{v} / 1e4;
    return std::pair{mean, square - mean * mean};
  };
  const Tensor uniform = run(random_uniform, {{"shape", shape}, {"low", 2.0f}, {"high", 4.0f}, {"seed", 7}});
  EXPECT_EQ(floats(uniform), floats(run(random_uniform, {{"shape", shape}, {"low", 2.0f}, {"high", 4.0f}, {"seed", 7}})));
  EXPECT_NE(floats(uniform), floats(run(random_uniform, {{"shape", shape}, {"low", 2.0f}, {"high", 4.0f}, {"seed", 8}})));
  for (float v : floats(uniform)) ASSERT_TRUE(v >= 2 && v < 4);
  EXPECT_NEAR(moments(uniform).first, 3, 0.03);
  EXPECT_NEAR(moments(uniform).second, 1.0 / 3, 0.02);
  const auto [mean, variance] =
      moments(run(random_normal, {{"shape", shape}, {"mean", 1.0f}, {"stddev", 2.0f}, {"seed", 7}}));
  EXPECT_NEAR(mean, 1, 0.1);
  EXPECT_NEAR(variance, 4, 0.3);
  const Tensor coins = run(random_bernoulli, {{"shape", shape}, {"prob", f16({}, {0.25f})}, {"seed", 7}});
  EXPECT_EQ(coins.dtype, DType::F16);
  EXPECT_NEAR(moments(coins).first, 0.25, 0.03);
  EXPECT_NE(floats(run(random_normal, {{"shape", shape}})), floats(run(random_normal, {{"shape", shape}})));
  EXPECT_TRUE(refuses(random_normal, {{"shape", ints({-1})}}));
  EXPECT_TRUE(refuses(random_normal, {{"shape", ints({1 << 30, 1 << 30, 1 << 30})}}));
}

TEST(Random, Categorical) {
  const Tensor probs = f32({2, 3}, {0, 1, 3, 1, 0, 0});
  const auto draws = floats(run(random_categorical, {{"x", probs}, {"mode", "probs"}, {"size", 1000}, {"seed", 3}}));
  ASSERT_EQ(draws.size(), 2000u);
  EXPECT_EQ(std::count(draws.begin(), draws.begin() + 1000, 0.0f), 0);
  EXPECT_NEAR(static_cast<double>(std::count(draws.begin(), draws.begin() + 1000, 2.0f)), 750, 60);
  EXPECT_EQ(std::count(draws.begin() + 1000, draws.end(), 0.0f), 1000);
  const auto logits = floats(run(random_categorical, {{"x", f32({2}, {1000, -1000})}, {"size", 10}, {"seed", 3}}));
  EXPECT_EQ(logits, std::vector<float>(10, 0.0f));
}

TEST(Classify, NamesTheMostProbableClass) {
  mil::RuntimeValue names{{DType::String, {3}, nullptr}, {"cat", "dog", "owl"}, nullptr};
  const auto results = [&](const Tensor& probabilities,
                           const mil::RuntimeValue& classes) -> Result<std::vector<mil::RuntimeValue>> {
    std::vector<std::vector<mil::RuntimeValue>> inputs = {{{probabilities, {}, nullptr}}, {classes}};
    const std::vector<mil::Type> types(2);
    mil::EvalContext context(classify, inputs, types);
    TRY_DO(classify.eval(context));
    return context.take_results();
  };
  const auto named = results(f32({1, 3}, {0.25f, 0.5f, 0.25f}), names);
  ASSERT_TRUE(named.ok());
  EXPECT_EQ((*named)[0].strings, std::vector<std::string>{"dog"});
  EXPECT_EQ((*named)[1].strings, names.strings);
  EXPECT_EQ(floats((*named)[1].tensor), (std::vector<float>{0.25f, 0.5f, 0.25f}));
  const auto numbered = results(f32({2}, {1, 2}), {of(DType::I64, {2}, {40, 50}), {}, nullptr});
  ASSERT_TRUE(numbered.ok());
  EXPECT_EQ(integers((*numbered)[0].tensor), std::vector<int64_t>{50});
  EXPECT_FALSE(results(f32({2}, {1, 2}), names).ok());
}

TEST(Classify, InfersLabelAndDictionary) {
  mil::Program program;
  const auto probabilities = program.add_value("p", mil::Type(DType::F32, {1, 2}));
  const auto classes = program.constant(std::vector<std::string>{"a", "b"}),
             three = program.constant(std::vector<std::string>{"a", "b", "c"});
  const auto block = program.add_block();
  const auto op = program.add_op(block, classify, {{"probabilities", probabilities}, {"classes", classes}});
  ASSERT_TRUE(op.ok()) << op.error().what;
  EXPECT_EQ(program.type(program.ops[*op].results[0]), mil::Type(DType::String, {}));
  EXPECT_EQ(program.type(program.ops[*op].results[1]).kind, mil::Type::Kind::Dictionary);
  EXPECT_FALSE(program.add_op(block, classify, {{"probabilities", probabilities}, {"classes", three}}).ok());
}

}  // namespace
}  // namespace cortland::mil_ops
