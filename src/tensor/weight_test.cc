#include "tensor/weight.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace cortland {
namespace {

TEST(Half, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float f = f16_to_f32(half);
    if (std::isnan(f)) continue;
    EXPECT_EQ(f32_to_f16(f), half);
    float bulk = 0;
    f16_to_f32(&half, &bulk, 1);
    EXPECT_EQ(bulk, f);
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(2049.0f), f32_to_f16(2048.0f));
  EXPECT_EQ(f32_to_f16(0x1p-24f), 1);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
}

TEST(Weight, ViewsAreBoundsChecked) {
  auto file = MappedFile::from_bytes(std::string(24, '\0'), "w");
  EXPECT_TRUE(Weight::view(file, 0, 24, DType::F32, {2, 3}, {3, 1}).ok());
  EXPECT_FALSE(Weight::view(file, 0, 24, DType::F32, {2, 4}, {4, 1}).ok());
  EXPECT_FALSE(Weight::view(file, 4, 24, DType::F32, {2, 3}, {3, 1}).ok());
  EXPECT_FALSE(Weight::view(file, 0, 24, DType::F32, {int64_t{1} << 40, int64_t{1} << 40}, {0, 0}).ok());
  EXPECT_FALSE(Weight::view(file, 0, 24, DType::F32, {-1}, {1}).ok());
  EXPECT_TRUE(Weight::view(file, 0, 0, DType::F32, {0, 3}, {3, 1}).ok());
}

TEST(Weight, TransformsComposeLazily) {
  const auto w = Weight::of<float>(DType::F32, {2, 3}, {0, 1, 2, 3, 4, 5});
  EXPECT_EQ(w.permute({1, 0}).to_floats(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(w.cast(DType::F16).permute({1, 0}).reshape({6}).slice(0, 1, 4).to_floats(), (std::vector<float>{3, 1, 4}));
  EXPECT_EQ(w.scale(0, {1, 10}).to_floats(), (std::vector<float>{0, 1, 2, 30, 40, 50}));
  EXPECT_EQ(w.scale(1, {1, 10, 100}).permute({1, 0}).to_floats(), (std::vector<float>{0, 3, 10, 40, 200, 500}));
  EXPECT_EQ(Weight::concat({w, w.slice(1, 0, 1)}, 1).to_floats(), (std::vector<float>{0, 1, 2, 0, 3, 4, 5, 3}));
  EXPECT_EQ(w.slice(0, 1, 2).expand({2, 2, 3}).to_ints(), (std::vector<int64_t>{3, 4, 5, 3, 4, 5, 3, 4, 5, 3, 4, 5}));
}

TEST(Weight, RunsInsideTheTensor) {
  std::vector<float> values(1000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto w = Weight::of<float>(DType::F32, {10, 10, 10}, values).permute({2, 0, 1});
  const auto all = w.to_floats();
  for (int64_t first : {0, 1, 9, 10, 99, 555}) {
    std::vector<float> run(100);
    w.read(first, 100, reinterpret_cast<std::byte*>(run.data()));
    for (int64_t i = 0; i < 100; ++i) ASSERT_EQ(run[static_cast<size_t>(i)], all[static_cast<size_t>(first + i)]);
  }
}

// Every element size, sizes around the blocks that turned matrices are copied in, runs that start inside a row.
TEST(Weight, TurnedMatricesOfAllSizes) {
  for (const DType dtype : {DType::U8, DType::F16, DType::F32, DType::I64, DType::C128}) {
    const int64_t width = bit_width(dtype) / 8;
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {16, 16}, {15, 33}, {50, 17}, {2, 64}}) {
      std::string bytes(static_cast<size_t>(2 * rows * columns * width), '\0');
      for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
      const Weight turned = Weight::dense(dtype, {2, rows, columns}, bytes).permute({0, 2, 1});
      for (const int64_t first : {int64_t{0}, rows * columns / 3}) {
        std::string run(static_cast<size_t>((turned.elements() - first) * width), '\0'), expected;
        turned.read(first, turned.elements() - first, reinterpret_cast<std::byte*>(run.data()));
        for (int64_t i = first; i < turned.elements(); ++i) {
          const int64_t matrix = i / (rows * columns), column = i / rows % columns, row = i % rows;
          expected += bytes.substr(static_cast<size_t>(((matrix * rows + row) * columns + column) * width), static_cast<size_t>(width));
        }
        ASSERT_EQ(run, expected) << rows << "x" << columns << " of " << width << " bytes from " << first;
      }
    }
  }
}

TEST(Weight, ScalesRunsByTheirChannel) {
  std::vector<float> values(7 * 5 * 3, 1);
  const Weight ones = Weight::of(DType::F32, {7, 5, 3}, values);
  for (int64_t axis = 0; axis < 3; ++axis) {
    std::vector<float> factors(static_cast<size_t>(ones.shape()[static_cast<size_t>(axis)]));
    for (size_t i = 0; i < factors.size(); ++i) factors[i] = static_cast<float>(i + 1);
    const Weight scaled = ones.scale(axis, factors);
    for (int64_t first = 0; first < scaled.elements(); ++first) {
      std::vector<float> run(static_cast<size_t>(scaled.elements() - first));
      scaled.read(first, std::ssize(run), reinterpret_cast<std::byte*>(run.data()));
      for (size_t i = 0; i < run.size(); ++i) {
        const int64_t at = first + static_cast<int64_t>(i), index[] = {at / 15, at / 3 % 5, at % 3};
        ASSERT_EQ(run[i], static_cast<float>(index[axis] + 1)) << "axis " << axis << ", element " << at;
      }
    }
  }
}

TEST(Weight, EveryBfloat16BecomesTheNearestFloat16) {
  std::vector<uint16_t> all(0x10000);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  const std::string half = Weight::of(DType::BF16, {std::ssize(all)}, all).slice(0, 3, 0x10000).cast(DType::F16).bytes();
  for (size_t i = 3; i < all.size(); ++i) {
    const float value = bf16_to_f32(all[i]);
    uint16_t got;
    std::memcpy(&got, half.data() + 2 * (i - 3), sizeof got);
    if (std::isnan(value)) EXPECT_TRUE(std::isnan(f16_to_f32(got)));
    else ASSERT_EQ(got, f32_to_f16(value)) << value;
  }
}

TEST(Weight, ConversionsSaturateAndTruncate) {
  const auto w = Weight::floats({-2.7f, 3e9f, std::numeric_limits<float>::quiet_NaN(), 1e6f});
  EXPECT_EQ(w.cast(DType::I32).to_ints(), (std::vector<int64_t>{-2, INT32_MAX, 0, 1000000}));
  EXPECT_EQ(w.cast(DType::Bool).to_ints(), (std::vector<int64_t>{1, 1, 1, 1}));
  EXPECT_TRUE(std::isinf(w.cast(DType::F16).to_floats()[3]));
  const auto packed = Weight::dense(DType::I4, {4}, "\xe1\x43");
  EXPECT_EQ(packed.to_ints(), (std::vector<int64_t>{1, -2, 3, 4}));
}

TEST(Weight, KeysNameContents) {
  EXPECT_EQ(Weight::floats({1, 2}).key(), Weight::floats({1, 2}).key());
  EXPECT_NE(Weight::floats({1, 2}).key(), Weight::floats({1, 3}).key());
  EXPECT_NE(Weight::floats({1, 2}).key(), Weight::floats({1, 2}).reshape({1, 2}).key());
}

TEST(DimTable, NormalForm) {
  DimTable t;
  const Dim s = t.symbol("s0", {2, 100}), u = t.symbol("u", {1, 8});
  EXPECT_EQ(t.add(s, Dim(0)), s);
  EXPECT_EQ(t.sub(t.add(s, u), u), s);
  EXPECT_EQ(t.mul(t.add(s, Dim(1)), Dim(2)), t.add(t.mul(Dim(2), s), Dim(2)));
  EXPECT_EQ(t.floordiv(t.mul(t.mul(s, u), Dim(6)), t.mul(Dim(3), u)), t.mul(Dim(2), s));
  EXPECT_EQ(t.floordiv(Dim(7), Dim(2)), Dim(3));
  EXPECT_EQ(t.floordiv(t.constant(-7), Dim(2)), t.constant(-4));
  EXPECT_EQ(t.floordiv(t.sub(s, Dim(64)), Dim(16)), t.sub(t.floordiv(s, Dim(16)), Dim(4)));
  EXPECT_EQ(t.str(t.floordiv(t.sub(s, Dim(3)), Dim(2))), "((s0 + 1) // (2)) + -2");
  EXPECT_EQ(t.floordiv(t.add(t.mul(s, Dim(6)), Dim(3)), Dim(4)), t.floordiv(t.add(t.mul(s, Dim(3)), Dim(1)), Dim(2)));
  EXPECT_EQ(t.floordiv(t.add(t.mul(s, Dim(4)), Dim(3)), Dim(4)), s);
  EXPECT_EQ(t.mod(s, s), Dim(0));
  EXPECT_EQ(t.max(s, Dim(1)), s);
  EXPECT_EQ(t.str(t.add(t.mul(Dim(2), s), Dim(1))), "2*s0 + 1");
}

TEST(DimTable, RangesAndValues) {
  DimTable t;
  const Dim s = t.symbol("s0", {2, 100});
  const Dim half = t.floordiv(t.sub(s, Dim(1)), Dim(2));
  EXPECT_EQ(t.range(half), (DimRange{0, 49}));
  EXPECT_EQ(*t.eval(half, {{"s0", 10}}), 4);
  EXPECT_FALSE(t.eval(half, {}).ok());
  // The normal form of a quotient is the quotient.
  for (const int64_t a : {-5, -4, -1, 1, 2, 3, 4, 6, 8})
    for (const int64_t c : {-7, -4, -1, 0, 1, 5, 8})
      for (const int64_t d : {-3, -2, 1, 2, 4, 6}) {
        const Dim q = t.floordiv(t.add(t.mul(s, t.constant(a)), t.constant(c)), t.constant(d));
        for (const int64_t n : {2, 3, 7, 12})
          EXPECT_EQ(*t.eval(q, {{"s0", n}}), static_cast<int64_t>(std::floor(static_cast<double>(a * n + c) / static_cast<double>(d)))) << a << " " << c << " " << d << " " << n;
      }
  EXPECT_EQ(t.range(t.symbol("n")).high, DimRange::kUnbounded);
}

TEST(DimTable, WhatTheDataMayMakeZero) {
  DimTable t;
  const Dim given = t.symbol("u0", {0, 9}), kept = t.symbol("s0", {0, 16}), some = t.symbol("u1", {1, 16});
  t.set_by_data("s0");
  t.set_by_data("u1");
  EXPECT_FALSE(t.data_may_make_zero(given)) << "whoever calls gives it, whatever its name";
  EXPECT_FALSE(t.data_may_make_zero(Dim(0)));
  EXPECT_TRUE(t.data_may_make_zero(kept));
  EXPECT_TRUE(t.data_may_make_zero(t.mul(given, kept)));
  EXPECT_FALSE(t.data_may_make_zero(t.add(kept, Dim(1))));
  EXPECT_FALSE(t.data_may_make_zero(some));
  EXPECT_TRUE(t.data_may_make_zero(t.sub(Dim(16), some)));
  EXPECT_TRUE(t.data_may_make_zero(t.floordiv(some, Dim(2))));
  EXPECT_FALSE(t.data_may_make_zero(t.max(some, kept)));
}

}  // namespace
}  // namespace cortland
