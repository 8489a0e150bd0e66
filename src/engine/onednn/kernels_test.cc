// Each row against the reference kernel of its op, in both element types, on shapes that take different paths.
#include "engine/onednn/kernels.h"

#include "engine/kernel_test.h"

namespace cortland::engine {
namespace {

using namespace test;

Case conv(Shape x, Shape weight, Case more = {}) {
  more.op = "conv";
  more.computed = {{"x", std::move(x)}};
  more.constant.insert(more.constant.begin(), {"weight", std::move(weight)});
  return more;
}

TEST(OnednnKernels, Conv) {
  check(conv({1, 3, 16, 16}, {8, 3, 3, 3}));
  check(conv({2, 16, 9, 7}, {24, 16, 1, 1}, {.constant = {{"bias", {24}}}}));
  check(conv({1, 8, 15, 14}, {16, 4, 3, 5}, {.constant = {{"bias", {16}}}, .integers = {{"groups", 2}}, .ints = {{"strides", {2, 1}}, {"pad", {1, 0, 2, 3}}}, .texts = {{"pad_type", "custom"}}}));
  check(conv({1, 12, 10, 10}, {12, 1, 3, 3}, {.integers = {{"groups", 12}}, .texts = {{"pad_type", "same"}}}));
  check(conv({1, 4, 13, 13}, {6, 4, 3, 3}, {.ints = {{"dilations", {2, 3}}, {"strides", {3, 2}}}, .texts = {{"pad_type", "same_lower"}}}));
}

TEST(OnednnKernels, ConvOfOneAndThreeDimensions) {
  check(conv({2, 6, 50}, {10, 6, 5}, {.constant = {{"bias", {10}}}, .ints = {{"strides", {3}}, {"pad", {2, 1}}}, .texts = {{"pad_type", "custom"}}}));
  check(conv({1, 4, 6, 7, 8}, {6, 2, 3, 1, 2}, {.integers = {{"groups", 2}}, .ints = {{"strides", {1, 2, 3}}}}));
}

TEST(OnednnKernels, ConvTranspose) {
  auto transpose = [](Shape x, Shape weight, Case more = {}) {
    Case c = conv(std::move(x), std::move(weight), std::move(more));
    c.op = "conv_transpose";
    return c;
  };
  check(transpose({1, 4, 5, 6}, {4, 8, 3, 3}, {.constant = {{"bias", {8}}}, .ints = {{"strides", {2, 2}}}}));
  check(transpose({2, 6, 5, 6}, {6, 4, 3, 2}, {.integers = {{"groups", 2}}, .ints = {{"strides", {2, 3}}, {"pad", {1, 0, 0, 1}}}, .texts = {{"pad_type", "custom"}}}));
  check(transpose({1, 4, 7, 5}, {4, 3, 3, 4}, {.ints = {{"strides", {2, 2}}}, .texts = {{"pad_type", "same"}}}));
  check(transpose({1, 4, 9}, {4, 3, 3}, {.ints = {{"dilations", {2}}}}));
  check(transpose({1, 3, 4, 4}, {3, 2, 3, 3}, {.ints = {{"strides", {2, 2}}, {"pad", {1, 1, 1, 1}}, {"output_shape", {1, 2, 8, 8}}}, .texts = {{"pad_type", "custom"}}}));
  check(transpose({1, 3, 3, 4, 5}, {3, 2, 2, 3, 2}, {.ints = {{"strides", {2, 1, 2}}}}));
}

TEST(OnednnKernels, Linear) {
  check({.op = "linear", .computed = {{"x", {17, 33}}}, .constant = {{"weight", {29, 33}}, {"bias", {29}}}});
  check({.op = "linear", .computed = {{"x", {2, 3, 64}}}, .constant = {{"weight", {128, 64}}}});
  check({.op = "linear", .computed = {{"x", {1, 70}}}, .constant = {{"weight", {5, 70}}, {"bias", {5}}}});
}

TEST(OnednnKernels, MatmulOfComputedOperands) {
  for (bool tx : {false, true})
    for (bool ty : {false, true}) {
      SCOPED_TRACE(testing::Message() << tx << ty);
      check({.op = "matmul",
             .computed = {{"x", tx ? Shape{2, 3, 20, 11} : Shape{2, 3, 11, 20}}, {"y", ty ? Shape{2, 3, 13, 20} : Shape{2, 3, 20, 13}}},
             .flags = {{"transpose_x", tx}, {"transpose_y", ty}}});
    }
  check({.op = "matmul", .computed = {{"x", {4, 1, 5, 6}}, {"y", {3, 6, 7}}}});
  check({.op = "matmul", .computed = {{"x", {5, 6}}, {"y", {3, 6, 7}}}});
}

TEST(OnednnKernels, MatmulWithConstants) {
  check({.op = "matmul", .computed = {{"x", {2, 9, 24}}}, .constant = {{"y", {24, 40}}}});
  check({.op = "matmul", .computed = {{"x", {2, 9, 24}}}, .constant = {{"y", {40, 24}}}, .flags = {{"transpose_y", true}}});
  check({.op = "matmul", .computed = {{"x", {2, 24, 9}}}, .constant = {{"y", {24, 40}}}, .flags = {{"transpose_x", true}}});
  check({.op = "matmul", .computed = {{"x", {2, 9, 24}}}, .constant = {{"y", {2, 24, 40}}}});
  check({.op = "matmul", .computed = {{"x", {24, 8}}}, .constant = {{"y", {3, 8, 4}}}});
}

TEST(OnednnKernels, LeavesErrorsToTheReference) {
  Program program(mil::Target::iOS18);
  mil::Function f;
  f.body = program.add_block();
  const Dim any = program.dims->unknown({1, 100});
  const auto x = program.add_value("x", Type(DType::F32, {any, any}));
  f.inputs = {x};
  const Tensor w = random(DType::F32, {3, 4}, 1);
  auto op = program.add_op(f.body, mil_ops::linear, {{"x", x}, {"weight", program.constant(Weight::dense(DType::F32, {3, 4}, std::string(w.data<char>(), w.bytes())))}});
  ASSERT_TRUE(op.ok()) << op.error().what;
  f.outputs = {{"y", program.ops[*op].results[0]}};
  program.functions = {f};
  auto engine = Engine::compile(program);
  ASSERT_TRUE(engine.ok());
  EXPECT_FALSE(engine->run(std::vector{random(DType::F32, {5, 5}, 1)}).ok());
  EXPECT_TRUE(engine->run(std::vector{random(DType::F32, {4, 4}, 1)}).ok());
}

}  // namespace
}  // namespace cortland::engine
