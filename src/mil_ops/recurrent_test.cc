// Expected numbers are PyTorch's (weights reordered to MIL's gate order) unless a comment says otherwise.
#include <gtest/gtest.h>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

Tensor wave(std::vector<int64_t> shape, int shift = 0, DType dtype = DType::F32) {
  std::vector<float> v(static_cast<size_t>(Tensor{DType::F32, shape, nullptr}.elements()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((static_cast<int>(i) * 37 + 11 + shift) % 23 - 11) / 8;
  return Tensor::from(dtype, std::move(shape), v);
}

std::vector<Arg> lstm_args(DType t = DType::F32) {
  return {{"x", wave({3, 2, 3}, 0, t)},      {"initial_h", wave({2, 2}, 3, t)}, {"initial_c", wave({2, 2}, 4, t)},
          {"weight_ih", wave({8, 3}, 1, t)}, {"weight_hh", wave({8, 2}, 2, t)}, {"bias", wave({8}, 5, t)}};
}

std::vector<Arg> with(std::vector<Arg> args, const std::vector<Arg>& more) {
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

TEST(Lstm, Bidirectional) {
  const std::vector<Arg> args = {{"x", wave({3, 2, 3})},
                                 {"initial_h", wave({2, 4}, 3)},
                                 {"initial_c", wave({2, 4}, 4)},
                                 {"weight_ih", wave({8, 3}, 1)},
                                 {"weight_hh", wave({8, 2}, 2)},
                                 {"bias", wave({8}, 5)},
                                 {"weight_ih_back", wave({8, 3}, 7)},
                                 {"weight_hh_back", wave({8, 2}, 9)},
                                 {"bias_back", wave({8}, 12)},
                                 {"direction", "bidirectional"}};
  const std::vector<float> h = {0.06612002f,  0.1445521f, -0.004451737f, 0.04303909f,
                                -0.06211572f, 0.2531871f, -0.02729822f,  -0.07797992f};
  const std::vector<float> c = {0.08327529f, 0.3480296f, -0.01969248f, 0.4663106f,
                                -0.6089787f, 0.2945462f, -0.03473418f, -0.6820292f};
  const auto all = run_all(lstm, with(args, {{"output_sequence", true}}));
  EXPECT_EQ(all[0].shape, (std::vector<int64_t>{3, 2, 4}));
  expect_near(all[0], {0.2517344f,   -0.2111635f,  -0.004451737f, 0.04303909f, -0.08035138f, 0.2065077f,
                       -0.02729822f, -0.07797992f, 0.1095768f,    0.2007069f,  -0.1354118f,  -0.03112674f,
                       -0.6477286f,  0.2777532f,   0.02865427f,   -0.332351f,  0.06612002f,  0.1445521f,
                       -0.3370428f,  -0.1291972f,  -0.06211572f,  0.2531871f,  -0.03188263f, -0.007043681f});
  expect_near(all[1], h);
  expect_near(all[2], c);
  const auto last = run_all(lstm, args);  // each direction's own last step
  EXPECT_EQ(last[0].shape, (std::vector<int64_t>{1, 2, 4}));
  expect_near(last[0], h);
}

TEST(Lstm, ReverseKeepsTheOrderOfItsSteps) {
  const std::vector<float> steps = {-0.090997f, -0.1546198f, 0.1198699f,  -0.238084f, -0.0831727f,  0.1509461f,
                                    0.1737427f, 0.07703912f, 0.06187516f, 0.1678025f, -0.01574901f, 0.3440412f};
  const auto all = run_all(lstm, with(lstm_args(), {{"direction", "reverse"}, {"output_sequence", true}}));
  expect_near(all[0], steps);
  expect_near(all[2], {0.4763855f, 0.1923945f, -0.1249543f, 0.9180841f});
  const auto half = run_all(lstm_ios17, with(lstm_args(DType::F16), {{"direction", "reverse"}, {"output_sequence", true}}));
  expect_near(half[0], steps, 1e-3);
}

TEST(Lstm, PeepholesAndClip) {
  // Computed by the formula at the top of lstm.cc, in PyTorch.
  const auto all = run_all(lstm, with(lstm_args(), {{"peephole", wave({6}, 8)}, {"clip", 0.5f}, {"activation", "relu"}}));
  expect_near(all[1], {0, 0.1979921f, 0.0409376f, 0.186328f});
  expect_near(all[2], {-0.3158121f, 0.3821249f, 0.5f, 0.200239f});
}

TEST(Lstm, RefusesWhatDoesNotFit) {
  EXPECT_TRUE(refuses(lstm, with(lstm_args(), {{"direction", "bidirectional"}})));
  EXPECT_TRUE(refuses(lstm, with(lstm_args(), {{"direction", "sideways"}})));
  EXPECT_TRUE(refuses(lstm, with(lstm_args(), {{"activation", "swish"}})));
  EXPECT_TRUE(refuses(lstm, with(lstm_args(), {{"peephole", wave({8})}})));
  EXPECT_TRUE(refuses(lstm, lstm_args(DType::F16)));  // float16 came with iOS17
  auto args = lstm_args();
  args[3] = {"weight_ih", wave({8, 2})};
  EXPECT_TRUE(refuses(lstm, args));
}

const std::vector<Arg> kGruArgs = {{"x", wave({3, 2, 3})},
                                   {"initial_h", wave({2, 2}, 3)},
                                   {"weight_ih", wave({6, 3}, 1)},
                                   {"weight_hh", wave({6, 2}, 2)},
                                   {"output_sequence", true}};

TEST(Gru, ResetsAfterTheProductAsPyTorch) {
  const auto all =
      run_all(gru_ios18, with(kGruArgs, {{"input_bias", wave({6}, 5)}, {"bias", wave({6}, 6)}, {"reset_after", true}}));
  expect_near(all[0], {0.552521f, -0.7489514f, 0.9919359f, 0.02117282f, 0.9236113f, -0.3040079f, 0.7801495f, -0.1162605f,
                       0.821221f, -0.3090352f, 0.29417f, -0.1325235f});
  expect_near(all[1], {0.821221f, -0.3090352f, 0.29417f, -0.1325235f});
}

TEST(Gru, ResetsBeforeTheProduct) {
  // Computed by the formula at the top of gru_rnn.cc, in PyTorch.
  const auto all = run_all(gru, with(kGruArgs, {{"bias", wave({6}, 5)}}));
  expect_near(all[0], {-0.1594008f, -0.7544678f, 0.9747077f, 0.1713975f, 0.6005111f, 0.1868505f, 0.6944864f, -0.1763232f,
                       0.5207942f, -0.05924575f, -0.4835211f, -0.2139407f});
  EXPECT_TRUE(refuses(gru, with(kGruArgs, {{"direction", "bidirectional"}})));
}

TEST(Rnn, Relu) {
  const std::vector<Arg> args = {{"x", wave({3, 2, 3})},         {"initial_h", wave({2, 2}, 3)},
                                 {"weight_ih", wave({2, 3}, 1)}, {"weight_hh", wave({2, 2}, 2)},
                                 {"bias", wave({2}, 5)},         {"activation", "relu"}};
  const auto all = run_all(rnn, with(args, {{"output_sequence", true}}));
  expect_near(all[0], {2.96875f, 0, 0, 2.34375f, 0.2109375f, 3.410156f, 0, 0, 0, 0, 2.171875f, 0});
  expect_near(run_all(rnn, args)[0], {0, 0, 2.171875f, 0});
}

TEST(Attention, PlainAndMasked) {
  const std::vector<Arg> args = {
      {"query", wave({1, 2, 3, 4})}, {"key", wave({1, 2, 5, 4}, 3)}, {"value", wave({1, 2, 5, 2}, 6)}};
  expect_near(run(scaled_dot_product_attention, args),
              {0.01236605f, 0.05271573f, 0.05076658f, -0.8604823f, 0.3948045f, -0.4759127f, 0.501509f, -0.1448045f,
               -0.7074186f, 0.1992334f, -0.05671696f, 0.237634f});
  // A query that may look nowhere gets zeros.
  const Tensor keep = bools({3, 5}, {1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1});
  expect_near(
      run(scaled_dot_product_attention, with(args, {{"attn_mask", keep}})),
      {-0.1503272f, 0.1291736f, 0, 0, 0.3948045f, -0.4759127f, 0.6526393f, -0.164906f, 0, 0, -0.05671696f, 0.237634f});
  expect_near(run(scaled_dot_product_attention, with(args, {{"attn_mask", wave({2, 1, 5}, 2)}})),
              {-0.3228502f, 0.3820311f, -0.1274455f, -0.6568145f, 0.04832311f, -0.06858604f, 0.5292614f, 0.01893831f,
               -0.507081f, 0.2973868f, -0.3731563f, 0.7760637f});
}

TEST(Attention, RefusesWhatDoesNotFit) {
  EXPECT_TRUE(
      refuses(scaled_dot_product_attention, {{"query", wave({3, 4})}, {"key", wave({5, 4})}, {"value", wave({5, 2})}}));
  EXPECT_TRUE(refuses(scaled_dot_product_attention,
                      {{"query", wave({1, 3, 4})}, {"key", wave({1, 5, 3})}, {"value", wave({1, 5, 2})}}));
  EXPECT_TRUE(refuses(scaled_dot_product_attention,
                      {{"query", wave({2, 3, 4})}, {"key", wave({1, 5, 4})}, {"value", wave({1, 5, 2})}}));
  EXPECT_TRUE(refuses(
      scaled_dot_product_attention,
      {{"query", wave({1, 3, 4})}, {"key", wave({1, 5, 4})}, {"value", wave({1, 5, 2})}, {"attn_mask", wave({3, 4})}}));
}

}  // namespace
}  // namespace cortland::mil_ops
