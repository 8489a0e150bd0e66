#include <gtest/gtest.h>

#include <cmath>

#include "tensor/blocks.h"
#include "tensor/codes.h"
#include "tensor/weight.h"

namespace cortland {
namespace {

std::vector<float> waves(int64_t count) {
  std::vector<float> v(static_cast<size_t>(count));
  for (size_t i = 0; i < v.size(); ++i) v[i] = std::sin(static_cast<float>(i) * 0.7f);
  return v;
}

std::vector<int64_t> values_of(const Weight& w) { return w.to_ints(); }

// Every run that starts at a whole byte reads the same as the whole.
void expect_runs_agree(const Weight& w) {
  const std::string all = w.bytes();
  const int64_t n = w.elements(), bits = bit_width(w.dtype());
  for (int64_t first = 0; first < n; first += std::max<int64_t>(8, n / 13 / 8 * 8))
    for (int64_t count : {int64_t{8}, int64_t{64}, n / 3 / 8 * 8, n - first}) {
      if (count <= 0 || first + count > n) continue;
      std::string run(static_cast<size_t>(byte_size(w.dtype(), count)), '?');
      w.read(first, count, reinterpret_cast<std::byte*>(run.data()));
      ASSERT_EQ(run, all.substr(static_cast<size_t>(first * bits / 8), run.size())) << first << " + " << count;
    }
}

TEST(Blocks, NumbersAreRowMajor) {
  const Blocks blocks({4, 6}, {2, 3});
  EXPECT_EQ(blocks.count(), 6);
  EXPECT_EQ(blocks.run(), 2);
  std::vector<int64_t> of;
  for (int64_t i = 0; i < 24; ++i) of.push_back(blocks.of(i));
  EXPECT_EQ(of, (std::vector<int64_t>{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 3, 3, 4, 4, 5, 5}));
  EXPECT_EQ(Blocks({3, 4, 5}, {1, 1, 1}).run(), 60);
  EXPECT_EQ(Blocks({3, 4, 5}, {3, 1, 1}).run(), 20);
  EXPECT_EQ(Blocks({3, 4, 5}, {1, 1, 5}).run(), 1);
}

TEST(WeightCodes, QuantizeRoundsHalvesToEvenAndSaturates) {
  const Weight w = Weight::of<float>(DType::F32, {2, 4}, {0.5f, 1.5f, -2.5f, 1000, 1, 2, -1, -100});
  const auto code = std::make_shared<const LinearCode>(
      LinearCode{.type = DType::I8, .low = -127, .high = 127, .groups = {2, 1}, .scale = {1, 0.5f}, .zero = {0, 10}});
  const Weight q = w.quantize(code);
  EXPECT_EQ(q.byte_size(), 8u);
  EXPECT_EQ(values_of(q), (std::vector<int64_t>{0, 2, -2, 127, 12, 14, 8, -127}));
}

TEST(WeightCodes, FourBitsArePacked) {
  const Weight w = Weight::of<float>(DType::F32, {5}, {-8, 7, -1, 3, 20});
  const auto code = std::make_shared<const LinearCode>(
      LinearCode{.type = DType::I4, .low = -8, .high = 7, .groups = {1}, .scale = {1}, .zero = {0}});
  EXPECT_EQ(w.quantize(code).bytes(), std::string("\x78\x3f\x07", 3));
}

TEST(WeightCodes, IndicesNameTheNearestEntry) {
  const Weight w = Weight::of<float>(DType::F32, {2, 4}, {-9, -0.4f, 0.4f, 9, 1, 2.4f, 2.6f, 100});
  const auto code = std::make_shared<const TableCode>(TableCode{DType::U2, {2, 1}, {-1, 0, 1, 20, 0, 1, 2, 3}});
  EXPECT_EQ(values_of(w.palettize(code)), (std::vector<int64_t>{0, 1, 1, 2, 1, 2, 3, 3}));
}

TEST(WeightCodes, RunsInsideTheTensor) {
  const Weight w = Weight::of<float>(DType::F32, {250, 160}, waves(40000));
  const auto linear = std::make_shared<const LinearCode>(LinearCode{.type = DType::I4,
                                                                    .low = -7,
                                                                    .high = 7,
                                                                    .groups = {1, 160},
                                                                    .scale = std::vector<float>(160, 0.1f),
                                                                    .zero = std::vector<float>(160, 0)});
  expect_runs_agree(w.quantize(linear));
  for (DType type : {DType::U1, DType::U3, DType::U6, DType::U8}) {
    TableCode table{type, {1, 1}, {}};
    for (int i = 0; i < 1 << bit_width(type); ++i)
      table.entries.push_back(-1 + 2.0f * static_cast<float>(i) / static_cast<float>((1 << bit_width(type)) - 1));
    const Weight indices = w.cast(DType::F16).palettize(std::make_shared<const TableCode>(table));
    expect_runs_agree(indices);
    expect_runs_agree(indices.packed_bytes());
    EXPECT_EQ(indices.packed_bytes().bytes(), indices.bytes());
  }
  for (const Pruning& pruning :
       {Pruning{.threshold = 0.5f}, Pruning{.rule = Pruning::Rule::Rank, .axis = 1, .run = 3, .drop = 2},
        Pruning{.rule = Pruning::Rule::Norm, .threshold = 1, .axis = 0, .run = 4}}) {
    const Weight pruned = w.prune(pruning), mask = pruned.nonzero();
    expect_runs_agree(pruned);
    expect_runs_agree(mask);
    expect_runs_agree(pruned.select(mask));
    expect_runs_agree(pruned.quantize(linear).select(mask));
  }
}

TEST(WeightCodes, PrunesByMagnitudeNormAndRank) {
  const Weight w = Weight::of<float>(DType::F32, {2, 5}, {0.3f, -0.2f, -0.01f, 0.05f, 2, 3, 4, 7, 6, -1});
  EXPECT_EQ(w.prune({.threshold = 0.05f}).to_floats(), (std::vector<float>{0.3f, -0.2f, 0, 0, 2, 3, 4, 7, 6, -1}));
  // Two of four; the last run has one element and three that count as zeros.
  EXPECT_EQ(w.prune({.rule = Pruning::Rule::Rank, .axis = 1, .run = 4, .drop = 2}).to_floats(),
            (std::vector<float>{0.3f, -0.2f, 0, 0, 2, 0, 0, 7, 6, -1}));
  EXPECT_EQ(w.prune({.rule = Pruning::Rule::Norm, .threshold = 5, .axis = 0, .run = 2}).to_floats(),
            (std::vector<float>{0, 0, -0.01f, 0.05f, 0, 0, 0, 7, 6, 0}));
}

TEST(WeightCodes, SelectKeepsWhatIsNotZero) {
  const Weight w = Weight::of<float>(DType::F32, {2, 3}, {0, 1, 0, 2, 3, 0});
  const Weight mask = w.nonzero();
  EXPECT_EQ(mask.bytes(), std::string("\x1a", 1));
  EXPECT_EQ(w.cast(DType::F16).select(mask).to_floats(), (std::vector<float>{1, 2, 3}));
  const Weight long_one = Weight::of<float>(DType::F32, {50000}, waves(50000)).prune({.threshold = 0.9f});
  const Weight selected = long_one.select(long_one.nonzero());
  std::vector<float> expected;
  for (float x : long_one.to_floats())
    if (x != 0) expected.push_back(x);
  EXPECT_EQ(selected.to_floats(), expected);
}

}  // namespace
}  // namespace cortland
