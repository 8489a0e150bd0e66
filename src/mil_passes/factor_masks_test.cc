#include "mil_passes/pass_test.h"

namespace cortland::mil_passes {
namespace {

constexpr float kNo = -10000.0f;

// [matrices, 1, size, size], by what decides of an element.
template <class F>
std::vector<float> matrices(int count, int size, const F& f) {
  std::vector<float> v;
  for (int m = 0; m < count; ++m)
    for (int i = 0; i < size; ++i)
      for (int j = 0; j < size; ++j) v.push_back(f(m, i, j));
  return v;
}

float causal(int, int i, int j) { return j <= i ? 0.0f : kNo; }

TEST_F(PassTest, ACausalMaskIsAComparison) {
  const Operand x = input({1, 2, 32, 32}), mask = floats({1, 1, 32, 32}, matrices(1, 32, causal));
  output(op("add", {{"x", op("add", {{"x", x}, {"y", mask}})}, {"y", mask}}));
  run("common::factor_masks");
  EXPECT_EQ(before, R"(
tensor<fp16, [1, 2, 32, 32]> add_1 = add(x = x, y = tensor<fp16, [1, 1, 32, 32]>(BLOBFILE(1024 elements)))
tensor<fp16, [1, 2, 32, 32]> y0 = add(x = add_1, y = tensor<fp16, [1, 1, 32, 32]>(BLOBFILE(1024 elements)))
)");
  EXPECT_EQ(after, R"(
tensor<bool, [1, 1, 32, 32]> greater_equal_2 = greater_equal(x = tensor<fp16, [1, 1, 32, 1]>([[[[1], [2], [3], [4], [5], [6], [7], [8], [9], [10], [11], [12], [13], [14], [15], [16], [17], [18], [19], [20], [21], [22], [23], [24], [25], [26], [27], [28], [29], [30], [31], [32]]]]), y = tensor<fp16, [1, 1, 1, 32]>([[[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32]]]]))
tensor<fp16, [1, 1, 32, 32]> select_3 = select(cond = greater_equal_2, a = fp16(0), b = fp16(-10000))
tensor<fp16, [1, 2, 32, 32]> add_1 = add(x = x, y = select_3)
tensor<fp16, [1, 2, 32, 32]> y0 = add(x = add_1, y = select_3)
)");
}

// Row and column see each other in one block of 8, or where the last window has padding.
TEST_F(PassTest, WindowsThatMustNotSeeEachOtherHaveLabels) {
  const auto windows = [](int m, int i, int j) { return m == 0 || i / 8 == j / 8 ? 0.0f : kNo; };
  output(op("add", {{"x", input({2, 4, 32, 32})}, {"y", floats({2, 1, 32, 32}, matrices(2, 32, windows))}}));
  run("common::factor_masks");
  EXPECT_EQ(names(), (std::vector<std::string>{"equal", "select", "add"}));
  const auto labels = [&](const char* name) {
    const mil::Op& op = program.ops[program.blocks[block].ops[0]];
    return program.consts[program.operand(op, name).constant()].data;
  };
  EXPECT_EQ(labels("x").shape(), (std::vector<int64_t>{2, 1, 32, 1}));
  EXPECT_EQ(labels("y").shape(), (std::vector<int64_t>{2, 1, 1, 32}));
  const auto rows = labels("x").to_ints(), columns = labels("y").to_ints();
  for (size_t i = 0; i < 32; ++i)
    for (size_t j = 0; j < 32; ++j) {
      EXPECT_EQ(rows[i], columns[j]);
      EXPECT_EQ(rows[32 + i] == columns[32 + j], i / 8 == j / 8);
    }
}

TEST_F(PassTest, AMaskOfTruthIsTheComparisonItself) {
  program.target = mil::Target::iOS18;
  const Operand q = input({1, 1, 32, 8});
  const Operand mask =
      floats({1, 1, 32, 32}, matrices(1, 32, [](int, int i, int j) { return j > i ? 0.0f : 1.0f; }), DType::Bool);
  output(op("scaled_dot_product_attention", {{"query", q}, {"key", q}, {"value", q}, {"attn_mask", mask}}));
  run("common::factor_masks");
  EXPECT_EQ(names(), (std::vector<std::string>{"greater_equal", "scaled_dot_product_attention"}));
}

TEST_F(PassTest, OtherConstantsStay) {
  const Operand x = input({1, 1, 32, 32});
  const auto add = [&](const std::vector<float>& v) { output(op("add", {{"x", x}, {"y", floats({1, 1, 32, 32}, v)}})); };
  add(matrices(1, 32, [](int, int i, int j) { return (i * j * j + i + 3 * j) % 7 < 3 ? 1.0f : 0.0f; }));  // no order, no blocks
  add(matrices(1, 32, [](int, int i, int j) { return j <= i && j + 4 > i ? 0.0f : kNo; }));        // a band
  add(matrices(1, 32,
               [](int, int i, int j) { return static_cast<float>(i == 31 && j == 31) - causal(0, i, j); }));  // three values
  add(matrices(1, 32, [](int, int, int) { return 1.0f; }));
  output(op("add", {{"x", input({8, 8}, DType::F16, "z")}, {"y", floats({8, 8}, matrices(1, 8, causal))}}));  // small
  run("common::factor_masks");
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace cortland::mil_passes
