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

// Tiles at every edge, images that follow each other, and channels that fill no panel or register.
TEST(GemmKernels, WinogradConv) {
  const auto conv = [](Shape x, Shape weight, Case more) {
    more.op = "conv";
    more.computed = {{"x", std::move(x)}};
    more.constant.emplace_back("weight", std::move(weight));
    check(more);
  };
  conv({1, 32, 16, 16}, {32, 32, 3, 3}, {.texts = {{"pad_type", "same"}}});
  conv({2, 35, 13, 9}, {40, 35, 3, 3}, {.constant = {{"bias", {40}}}, .ints = {{"pad", {1, 0, 2, 3}}}, .texts = {{"pad_type", "custom"}}});
  conv({1, 64, 40, 37}, {96, 64, 3, 3}, {.constant = {{"bias", {96}}}});
  conv({1, 70, 7, 7}, {40, 70, 3, 3}, {.texts = {{"pad_type", "same"}}});
  conv({1, 200, 14, 14}, {160, 200, 3, 3}, {.ints = {{"pad", {1, 1, 1, 1}}}, .texts = {{"pad_type", "custom"}}});
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

// A cache [1, 2, 5, 3] of which each run replaces one row, read before and maybe after.
struct Cache {
  mil::Program program{mil::Target::iOS18};
  mil::Function f;
  mil::ValueId state, read;

  Cache() {
    f.body = program.add_block();
    const Shape shape = {1, 2, 5, 3};
    state = program.add_value("cache", mil::Type::state({DType::F16, shape_of(shape)}));
    const auto row = program.add_value("row", mil::Type(DType::F16, shape_of({1, 2, 1, 3}))),
               at = program.add_value("at", mil::Type(DType::I32, {1}));
    f.inputs = {state, row, at};
    read = add("read_state", {{"input", state}});
    const auto written = add("scatter", {{"data", read},
                                         {"indices", at},
                                         {"updates", row},
                                         {"axis", program.constant(2)},
                                         {"mode", program.constant(std::string("update"))}});
    static_cast<void>(program.add_op(f.body, *mil_ops::find("write_state", program.target),
                                     {{"input", state}, {"data", written}}, "write"));
    f.outputs = {{"cache_out", written}};
  }

  mil::ValueId add(const char* name, std::vector<mil::NamedOperand> operands) {
    auto op = program.add_op(f.body, *mil_ops::find(name, program.target), std::move(operands), name);
    EXPECT_TRUE(op.ok()) << op.error().what;
    return program.ops[*op].results[0];
  }

  // The outputs of three runs.
  std::vector<std::vector<float>> run(bool fast) {
    program.functions = {f};
    auto engine = Engine::compile(program, "main", {.fast_kernels = fast});
    EXPECT_TRUE(engine.ok()) << engine.error().what;
    std::vector<mil::Tensor> outputs;
    for (int i = 0; i < 3; ++i) {
      auto out = engine->run(std::vector{test::random(DType::F16, {1, 2, 1, 3}, i),
                                         mil::Tensor::from(DType::I32, {1}, std::vector<int64_t>{2 * i % 5})});
      EXPECT_TRUE(out.ok()) << out.error().what;
      outputs.insert(outputs.end(), out->begin(), out->end());
    }
    std::vector<std::vector<float>> values;  // read at the end: later runs must not change what earlier ones gave
    for (const mil::Tensor& t : outputs) values.push_back(t.floats());
    return values;
  }
};

TEST(GemmKernels, ScatterUpdatesAState) {
  Cache cache;
  const auto values = cache.run(true);
  EXPECT_EQ(values, cache.run(false));
  EXPECT_NE(values[0], values[1]);
}

TEST(GemmKernels, ScatterLeavesAStateThatIsStillRead) {
  Cache cache;
  cache.f.outputs.push_back({"before", cache.add("relu", {{"x", cache.read}})});
  EXPECT_EQ(cache.run(true), cache.run(false));
}

TEST(GemmKernels, ScatterReplacesRows) {
  check({.op = "scatter",
         .computed = {{"data", {3, 4}}, {"updates", {3, 4}}},
         .integers = {{"axis", 1}},
         .ints = {{"indices", {3, 0, 1, 1}}},
         .texts = {{"mode", "update"}}});
  check({.op = "scatter",
         .computed = {{"data", {5, 4}}, {"updates", {2, 4}}},
         .integers = {{"axis", -2}},
         .ints = {{"indices", {3, 0}}},
         .texts = {{"mode", "update"}}});
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
