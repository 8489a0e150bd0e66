// Each row of the table against the reference kernel of its op, on shapes that take different paths.
#include "engine/gemm/kernels.h"

#include "engine/kernel_test.h"

namespace cortland::engine {
namespace {

using test::Case;
using test::check;
using test::Shape;

TEST(GemmKernels, Linear) {
  for (int64_t rows : {1, 3, 17, 300}) {
    check({.op = "linear", .computed = {{"x", {rows, 33}}}, .constant = {{"weight", {29, 33}}, {"bias", {29}}}});
    check({.op = "linear", .computed = {{"x", {2, rows, 64}}}, .constant = {{"weight", {128, 64}}}});
  }
  check({.op = "linear", .computed = {{"x", {1100}}}, .constant = {{"weight", {700, 1100}}, {"bias", {700}}}});
}

TEST(GemmKernels, Matmul) {
  for (bool transposed : {false, true})
    for (int64_t rows : {1, 17})
      check({.op = "matmul",
             .computed = {{"x", {2, rows, 24}}},
             .constant = {{"y", transposed ? Shape{40, 24} : Shape{24, 40}}},
             .flags = {{"transpose_y", transposed}}});
}

Case attention(Shape query, Shape key, Shape value, Shape mask = {}) {
  Case c{.op = "scaled_dot_product_attention",
         .computed = {{"query", std::move(query)}, {"key", std::move(key)}, {"value", std::move(value)}}};
  if (!mask.empty()) c.computed.emplace_back("attn_mask", std::move(mask));
  return c;
}

TEST(GemmKernels, Attention) {
  check(attention({2, 3, 1, 16}, {2, 3, 40, 16}, {2, 3, 40, 32}));
  check(attention({2, 3, 3, 20}, {2, 3, 45, 20}, {2, 3, 45, 7}, {45}));
  check(attention({3, 50, 17}, {3, 33, 17}, {3, 33, 40}, {50, 33}));
  check(attention({2, 2, 100, 64}, {2, 2, 100, 64}, {2, 2, 100, 64}, {2, 1, 1, 100}));
  check(attention({2, 2, 5, 8}, {2, 2, 7, 8}, {2, 2, 7, 8}, {2, 5, 1}));
  check(attention({1, 197, 64}, {1, 197, 64}, {1, 197, 64}));
}

TEST(GemmKernels, AttentionMaskOfBools) {
  mil::Program program(mil::Target::iOS18);
  mil::Function f;
  f.body = program.add_block();
  const Shape shape = {1, 4, 8};
  std::vector<mil::Tensor> inputs;
  std::vector<mil::NamedOperand> operands;
  for (const char* name : {"query", "key", "value"}) {
    const auto v = program.add_value(name, mil::Type(DType::F32, shape_of(shape)));
    f.inputs.push_back(v);
    operands.emplace_back(name, v);
    inputs.push_back(test::random(DType::F32, shape, static_cast<int>(inputs.size())));
  }
  const auto mask = program.add_value("mask", mil::Type(DType::Bool, {4, 4}));
  f.inputs.push_back(mask);
  operands.emplace_back("attn_mask", mask);
  // The second query sees nothing.
  inputs.push_back(
      mil::Tensor::from(DType::Bool, {4, 4}, std::vector<int64_t>{1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1}));
  auto op =
      program.add_op(f.body, *mil_ops::find("scaled_dot_product_attention", mil::Target::iOS18), std::move(operands), "op");
  ASSERT_TRUE(op.ok()) << op.error().what;
  f.outputs = {{"y", program.ops[*op].results[0]}};
  program.functions = {f};
  std::vector<std::vector<float>> values;
  for (bool fast : {true, false}) {
    auto engine = Engine::compile(program, "main", {.fast_kernels = fast});
    ASSERT_TRUE(engine.ok()) << engine.error().what;
    auto out = engine->run(inputs);
    ASSERT_TRUE(out.ok()) << out.error().what;
    values.push_back((*out)[0].floats());
  }
  for (size_t i = 0; i < values[0].size(); ++i) EXPECT_NEAR(values[0][i], values[1][i], 1e-6);
  for (size_t i = 8; i < 16; ++i) EXPECT_EQ(values[0][i], 0);
}

Case lstm(int64_t steps, int64_t batch, int64_t inputs, int64_t hidden, bool both, Case more = {}) {
  const int64_t width = both ? 2 * hidden : hidden;
  more.op = "lstm";
  more.computed = {{"x", {steps, batch, inputs}}, {"initial_h", {batch, width}}, {"initial_c", {batch, width}}};
  more.constant.insert(more.constant.end(), {{"weight_ih", {4 * hidden, inputs}}, {"weight_hh", {4 * hidden, hidden}}});
  if (both) {
    more.constant.insert(more.constant.end(),
                         {{"weight_ih_back", {4 * hidden, inputs}}, {"weight_hh_back", {4 * hidden, hidden}}});
    more.texts.emplace_back("direction", "bidirectional");
  }
  return more;
}

TEST(GemmKernels, Lstm) {
  for (bool every : {false, true}) {
    const std::vector<std::pair<std::string, bool>> flags = {{"output_sequence", every}};
    check(lstm(5, 1, 10, 16, false, {.constant = {{"bias", {64}}}, .flags = flags}));
    check(lstm(3, 7, 33, 19, false, {.texts = {{"direction", "reverse"}}, .flags = flags}));
    check(lstm(4, 2, 12, 20, true, {.constant = {{"bias", {80}}, {"bias_back", {80}}}, .flags = flags}));
    check(lstm(4, 2, 12, 20, true,
               {.constant = {{"peephole", {60}}, {"peephole_back", {60}}}, .flags = flags, .numbers = {{"clip", 0.5f}}}));
  }
  check(lstm(3, 2, 5, 8, false,
             {.texts = {{"recurrent_activation", "sigmoid_hard"}, {"cell_activation", "relu"}, {"activation", "linear"}}}));
}

TEST(GemmKernels, Gru) {
  const auto gru = [](int64_t steps, int64_t batch, int64_t inputs, int64_t hidden, Case more) {
    more.op = "gru";
    more.computed = {{"x", {steps, batch, inputs}}, {"initial_h", {batch, hidden}}};
    more.constant.insert(more.constant.end(), {{"weight_ih", {3 * hidden, inputs}}, {"weight_hh", {3 * hidden, hidden}}});
    return more;
  };
  for (bool after : {false, true})
    for (bool every : {false, true}) {
      const std::vector<std::pair<std::string, bool>> flags = {{"output_sequence", every}, {"reset_after", after}};
      check(gru(5, 1, 10, 16, {.constant = {{"bias", {48}}}, .flags = flags}));
      check(gru(3, 6, 33, 19,
                {.constant = {{"bias", {57}}, {"input_bias", {57}}}, .texts = {{"direction", "reverse"}}, .flags = flags}));
      check(gru(3, 2, 5, 40, {.texts = {{"recurrent_activation", "hard_sigmoid"}, {"activation", "relu"}}, .flags = flags}));
    }
}

}  // namespace
}  // namespace cortland::engine
