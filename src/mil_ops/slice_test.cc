#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;
using Shape64 = std::vector<int64_t>;

Tensor slice(const Tensor& x, Shape64 begin, Shape64 end, Shape64 stride, std::vector<Arg> more = {}) {
  std::vector<Arg> args = {{"x", x}, {"begin", ints(begin)}, {"end", ints(end)}, {"stride", ints(stride)}};
  args.insert(args.end(), more.begin(), more.end());
  return run(slice_by_index, args);
}

TEST(Slice, ByIndexFollowsNumpy) {
  const Tensor x = iota(DType::I32, {10});
  const struct {
    int64_t begin, end, stride;
    std::vector<int64_t> expected;
  } cases[] = {{2, 5, 1, {2, 3, 4}},    {-3, -1, 1, {7, 8}},   {1, 100, 3, {1, 4, 7}},
               {-100, 2, 1, {0, 1}},    {8, 2, -2, {8, 6, 4}}, {100, 7, -1, {9, 8}},
               {-1, -4, -1, {9, 8, 7}}, {5, 5, 1, {}},         {3, 0, -1, {3, 2, 1}}};
  for (const auto& t : cases)
    EXPECT_EQ(integers(slice(x, {t.begin}, {t.end}, {t.stride})), t.expected) << t.begin << ":" << t.end << ":" << t.stride;
}

TEST(Slice, MasksOverrideBounds) {
  const Tensor x = iota(DType::F32, {2, 4});
  EXPECT_EQ(floats(slice(x, {1, 2}, {1, 3}, {1, 1}, {{"begin_mask", bools({2}, {1, 0})}, {"end_mask", bools({2}, {0, 1})}})),
            (std::vector<float>{2, 3}));
  EXPECT_EQ(floats(slice(x, {0, 2}, {2, 0}, {1, -1}, {{"end_mask", bools({2}, {0, 1})}})),
            (std::vector<float>{2, 1, 0, 6, 5, 4}));
  const Tensor row = slice(x, {-1, 1}, {0, 3}, {1, 1}, {{"squeeze_mask", bools({2}, {1, 0})}});
  EXPECT_EQ(row.shape, (Shape64{2}));
  EXPECT_EQ(floats(row), (std::vector<float>{5, 6}));
  const Tensor scalar = slice(x, {1, 1}, {0, 0}, {1, 1}, {{"squeeze_mask", bools({2}, {1, 1})}});
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(floats(scalar), (std::vector<float>{5}));
  EXPECT_TRUE(refuses(slice_by_index,
                      {{"x", x}, {"begin", ints({2, 0})}, {"end", ints({2, 1})}, {"squeeze_mask", bools({2}, {1, 0})}}));
  EXPECT_TRUE(refuses(slice_by_index, {{"x", x}, {"begin", ints({0})}, {"end", ints({1})}}));
  EXPECT_TRUE(refuses(slice_by_index, {{"x", x}, {"begin", ints({0, 0})}, {"end", ints({1, 1})}, {"stride", ints({1, 0})}}));
}

TEST(Slice, SmallTypesSinceIos17) {
  const Tensor begin = Tensor::from(DType::I8, {1}, std::vector<int64_t>{1}),
               end = Tensor::from(DType::I8, {1}, std::vector<int64_t>{-1});
  EXPECT_EQ(integers(run(slice_by_index_ios17, {{"x", iota(DType::U16, {4})}, {"begin", begin}, {"end", end}})),
            (std::vector<int64_t>{1, 2}));
  EXPECT_TRUE(refuses(slice_by_index, {{"x", iota(DType::I32, {4})}, {"begin", begin}, {"end", end}}));
}

TEST(Slice, SymbolicSizes) {
  mil::Program program;
  DimTable& dims = *program.dims;
  const Dim s = dims.symbol("s", {2, 64});
  const auto size = [&](int32_t begin, int32_t end, int32_t stride, bool begin_mask, bool end_mask) {
    const auto x = program.add_value("x", {DType::F32, {s}});
    const auto mask = [&](bool v) { return program.constant(Weight::dense(DType::Bool, {1}, std::string(1, v))); };
    auto op = program.add_op(program.add_block(), slice_by_index,
                             {{"x", x},
                              {"begin", program.constant(std::vector{begin})},
                              {"end", program.constant(std::vector{end})},
                              {"stride", program.constant(std::vector{stride})},
                              {"begin_mask", mask(begin_mask)},
                              {"end_mask", mask(end_mask)}});
    return op ? program.type(program.ops[*op].results[0]).shape()[0] : Dim(-1);
  };
  EXPECT_EQ(size(0, 0, 1, true, true), s);
  EXPECT_EQ(size(1, 0, 1, false, true), dims.sub(s, 1));
  EXPECT_EQ(size(0, -1, 1, false, false), dims.sub(s, 1));
  EXPECT_EQ(size(-1, 0, 1, false, true), Dim(1));
  EXPECT_EQ(size(0, 2, 1, false, false), Dim(2));
  EXPECT_EQ(size(0, 0, -1, true, true), s);
  EXPECT_EQ(size(0, 0, 2, true, true), dims.ceildiv(s, 2));
  EXPECT_EQ(*dims.eval(size(0, 5, 1, false, false), {{"s", 3}}), 3);
  EXPECT_EQ(*dims.eval(size(0, 5, 1, false, false), {{"s", 30}}), 5);
}

TEST(Slice, BySize) {
  const Tensor x = iota(DType::F32, {3, 4});
  const Tensor y = run(slice_by_size, {{"x", x}, {"begin", ints({1, -3})}, {"size", ints({-1, 2})}});
  EXPECT_EQ(y.shape, (Shape64{2, 2}));
  EXPECT_EQ(floats(y), (std::vector<float>{5, 6, 9, 10}));
  EXPECT_TRUE(refuses(slice_by_size, {{"x", x}, {"begin", ints({1, 0})}, {"size", ints({3, 1})}}));
}

TEST(Slice, Update) {
  const Tensor x = iota(DType::F16, {3, 4});
  const Tensor y = run(slice_update, {{"x", x},
                                      {"update", f16({2, 2}, {100, 101, 102, 103})},
                                      {"begin", ints({0, 3})},
                                      {"end", ints({3, 0})},
                                      {"stride", ints({2, -2})}});
  EXPECT_EQ(floats(y), (std::vector<float>{0, 101, 2, 100, 4, 5, 6, 7, 8, 103, 10, 102}));
  EXPECT_EQ(floats(x)[1], 1);  // the operand keeps its value
  const Tensor row = run(slice_update, {{"x", x},
                                        {"update", f16({4}, {9, 9, 9, 9})},
                                        {"begin", ints({1, 0})},
                                        {"end", ints({2, 4})},
                                        {"squeeze_mask", bools({2}, {1, 0})}});
  EXPECT_EQ(floats(row), (std::vector<float>{0, 1, 2, 3, 9, 9, 9, 9, 8, 9, 10, 11}));
  EXPECT_TRUE(refuses(slice_update, {{"x", x}, {"update", f16({1}, {9})}, {"begin", ints({0, 0})}, {"end", ints({1, 2})}}));
}

}  // namespace
}  // namespace cortland::mil_ops
