#include "compression/compress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "mil/runtime.h"
#include "mil_ops/ops.h"

namespace cortland::compression {
namespace {

Weight normal_weight(std::vector<int64_t> shape, DType type, unsigned seed = 1) {
  int64_t count = 1;
  for (int64_t d : shape) count *= d;
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  std::vector<float> v(static_cast<size_t>(count));
  for (float& x : v) x = normal(random);
  return Weight::of<float>(DType::F32, std::move(shape), v).cast(type);
}

// A program of one function whose weights are compressed and then computed again by the reference kernels.
class CompressTest : public testing::Test {
 protected:
  void start(mil::Target target, DType type = DType::F16) {
    program = mil::Program(target);
    program.functions.emplace_back().body = program.add_block();
    this->type = type;
  }

  mil::ValueId input(Shape shape, DType dtype) {
    const mil::ValueId v =
        program.add_value("x" + std::to_string(program.functions[0].inputs.size()), mil::Type(dtype, std::move(shape)));
    program.functions[0].inputs.push_back(v);
    return v;
  }

  void op(std::string_view name, std::vector<mil::NamedOperand> inputs, const std::string& label) {
    const auto id =
        program.add_op(program.functions[0].body, *mil_ops::find(name, program.target), std::move(inputs), label);
    ASSERT_TRUE(id.ok()) << id.error().what;
    program.functions[0].outputs.push_back({label + "_out", program.ops[*id].results[0]});
  }

  void linear(const Weight& weight, const std::string& label) {
    op("linear", {{"x", input({1, weight.shape()[1]}, type)}, {"weight", program.constant(weight)}}, label);
  }

  void compress(const std::string& json, bool quantizer = false) {
    const auto config = quantizer ? parse_quantizer(json, "spec") : parse_config(json, "c.json");
    ASSERT_TRUE(config.ok()) << config.error().what;
    auto done = compression::compress(program, *config);
    ASSERT_TRUE(done.ok()) << done.error().what;
    report = std::move(*done);
  }

  Diagnostic error(const std::string& json) {
    const auto config = parse_config(json, "c.json");
    EXPECT_TRUE(config.ok()) << config.error().what;
    auto done = compression::compress(program, *config);
    EXPECT_FALSE(done.ok());
    return done.ok() ? Diagnostic{} : done.error();
  }

  std::vector<std::string> op_types() const {
    std::vector<std::string> types;
    for (mil::OpId id : program.blocks[program.functions[0].body].ops) types.emplace_back(program.ops[id].def->name);
    return types;
  }

  // What the op called `label` reads as `name` now.
  std::vector<float> weight_of(const std::string& label, std::string_view name = "weight") {
    for (const mil::Op& o : program.ops)
      if (o.name == label) return evaluate(program.operand(o, name)).floats();
    ADD_FAILURE() << "no op " << label;
    return {};
  }

  mil::Tensor evaluate(mil::Operand o) {
    if (o.is_const()) {
      const Weight& w = program.consts[o.constant()].data;
      mil::Tensor t = mil::Tensor::make(w.dtype(), w.shape());
      w.read(0, w.elements(), t.mutable_data());
      return t;
    }
    const mil::Op& producer = program.ops[program.values[o.value()].producer];
    EXPECT_TRUE(producer.def->constexpr_op);
    std::vector<std::vector<mil::RuntimeValue>> inputs(producer.def->inputs.size());
    for (const auto& b : producer.operands) inputs[b.slot].push_back({evaluate(b.operand), {}, {}});
    std::vector<mil::Type> types;
    for (mil::ValueId v : producer.results) types.push_back(program.type(v));
    mil::EvalContext context(*producer.def, inputs, types);
    const Status status = producer.def->eval(context);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().what);
    const auto at = std::find(producer.results.begin(), producer.results.end(), o.value()) - producer.results.begin();
    return context.take_results()[static_cast<size_t>(at)].tensor;
  }

  // Mean squared error relative to the mean square.
  static double relative_error(const std::vector<float>& have, const Weight& want) {
    const auto expected = want.to_floats();
    EXPECT_EQ(have.size(), expected.size());
    double error = 0, square = 0;
    for (size_t i = 0; i < std::min(have.size(), expected.size()); ++i) {
      error += std::pow(double{have[i]} - expected[i], 2);
      square += std::pow(double{expected[i]}, 2);
    }
    return error / square;
  }

  mil::Program program;
  DType type = DType::F16;
  Report report;
};

std::string quantizer(const std::string& options) {
  return R"({"config_type": "OpLinearQuantizerConfig", "global_config": {)" + options + "}}";
}
std::string palettizer(const std::string& options) {
  return R"({"config_type": "OpPalettizerConfig", "global_config": {)" + options + "}}";
}
std::string pruner(const std::string& options) {
  return R"({"config_type": "OpMagnitudePrunerConfig", "global_config": {)" + options + "}}";
}

TEST_F(CompressTest, QuantizesForEachTarget) {
  const Weight w = normal_weight({64, 96}, DType::F16);
  const struct {
    mil::Target target;
    const char* options;
    const char* op;
    double limit;
  } cases[] = {
      {mil::Target::iOS16, "", "constexpr_affine_dequantize", 1e-4},
      {mil::Target::iOS17, R"("mode": "linear", "dtype": "uint8", "granularity": "per_tensor")",
       "constexpr_affine_dequantize", 2e-4},
      {mil::Target::iOS18, "", "constexpr_blockwise_shift_scale", 1e-4},
      {mil::Target::iOS18, R"("mode": "linear", "dtype": "uint4")", "constexpr_blockwise_shift_scale", 2e-2},
      {mil::Target::iOS18, R"("dtype": "uint8")", "constexpr_blockwise_shift_scale", 1e-4},
      {mil::Target::iOS18, R"("dtype": "int4", "granularity": "per_block", "block_size": 32)",
       "constexpr_blockwise_shift_scale", 1.5e-2},
      {mil::Target::iOS18, R"("mode": "linear", "dtype": "int4", "granularity": "per_block", "block_size": [2, 48])",
       "constexpr_blockwise_shift_scale", 1.5e-2},
  };
  for (const auto& c : cases) {
    for (DType precision : {DType::F16, DType::F32}) {
      SCOPED_TRACE(c.options);
      start(c.target, precision);
      linear(w.cast(precision), "fc");
      compress(quantizer(c.options));
      EXPECT_EQ(op_types(), (std::vector<std::string>{c.op, "linear"}));
      EXPECT_LT(relative_error(weight_of("fc"), w), c.limit);
      EXPECT_EQ(report.weights, 1u);
      EXPECT_LT(report.bytes_after, report.bytes_before);
    }
  }
}

TEST_F(CompressTest, PalettizesForEachTarget) {
  const Weight w = normal_weight({64, 96}, DType::F16);
  for (const auto& [bits, limit] :
       {std::pair(1, 0.4), std::pair(2, 0.13), std::pair(4, 0.011), std::pair(6, 8e-4), std::pair(8, 5e-5)}) {
    double errors[2];
    for (mil::Target target : {mil::Target::iOS16, mil::Target::iOS18}) {
      start(target);
      linear(w, "fc");
      compress(palettizer("\"nbits\": " + std::to_string(bits)));
      EXPECT_EQ(op_types(), (std::vector<std::string>{"constexpr_lut_to_dense", "linear"}));
      errors[target == mil::Target::iOS18] = relative_error(weight_of("fc"), w);
    }
    EXPECT_LT(errors[0], limit) << bits;
    EXPECT_EQ(errors[0], errors[1]) << bits;
  }
  start(mil::Target::iOS18);
  linear(w, "fc");
  compress(palettizer(R"("nbits": 3, "granularity": "per_grouped_channel", "group_size": 8)"));
  EXPECT_LT(relative_error(weight_of("fc"), w), 0.034);
}

TEST_F(CompressTest, PrunesForEachTarget) {
  const Weight w = normal_weight({64, 96}, DType::F16);
  for (mil::Target target : {mil::Target::iOS16, mil::Target::iOS18})
    for (const char* options :
         {R"("target_sparsity": 0.75)", R"("n_m_ratio": [3, 4])", R"("target_sparsity": 0.75, "block_size": 2)"}) {
      start(target);
      linear(w, "fc");
      compress(pruner(options));
      EXPECT_EQ(op_types(), (std::vector<std::string>{"constexpr_sparse_to_dense", "linear"}));
      const auto have = weight_of("fc"), expected = w.to_floats();
      EXPECT_NEAR(static_cast<double>(std::count(have.begin(), have.end(), 0.0f)) / static_cast<double>(have.size()), 0.75,
                  0.002)
          << options;
      for (size_t i = 0; i < have.size(); ++i) ASSERT_TRUE(have[i] == 0 || have[i] == expected[i]);
    }
}

TEST_F(CompressTest, JointForms) {
  const Weight w = normal_weight({64, 96}, DType::F16);
  const struct {
    std::vector<std::string> steps, ops;
    double limit;
  } cases[] = {
      {{pruner(R"("target_sparsity": 0.5)"), quantizer("")},
       {"constexpr_sparse_blockwise_shift_scale", "constexpr_sparse_to_dense", "linear"},
       0.08},
      {{pruner(R"("n_m_ratio": [2, 4])"), quantizer(R"("mode": "linear", "dtype": "int4", "granularity": "per_block")")},
       {"constexpr_sparse_blockwise_shift_scale", "constexpr_sparse_to_dense", "linear"},
       0.15},
      {{pruner(R"("target_sparsity": 0.5)"), palettizer(R"("nbits": 4)")},
       {"constexpr_lut_to_sparse", "constexpr_sparse_to_dense", "linear"},
       0.09},
      {{palettizer(R"("nbits": 4, "granularity": "per_grouped_channel", "group_size": 16)"),
        quantizer(R"("granularity": "per_tensor")")},
       {"constexpr_blockwise_shift_scale", "constexpr_lut_to_dense", "linear"},
       0.011},
      {{pruner(R"("target_sparsity": 0.5)"), palettizer(R"("nbits": 6)"),
        quantizer(R"("granularity": "per_tensor", "mode": "linear", "dtype": "uint8")")},
       {"constexpr_blockwise_shift_scale", "constexpr_lut_to_sparse", "constexpr_sparse_to_dense", "linear"},
       0.08},
  };
  for (const auto& c : cases) {
    std::string json = "[" + c.steps[0];
    for (size_t i = 1; i < c.steps.size(); ++i) json += ", " + c.steps[i];
    SCOPED_TRACE(json);
    start(mil::Target::iOS18);
    linear(w, "fc");
    compress(json + "]");
    EXPECT_EQ(op_types(), c.ops);
    EXPECT_LT(relative_error(weight_of("fc"), w), c.limit);
    start(mil::Target::iOS17);
    linear(w, "fc");
    EXPECT_EQ(error(json + "]").kind, DiagKind::UnsupportedTarget);
  }
  start(mil::Target::iOS18);
  linear(w, "fc");
  EXPECT_EQ(error("[" + quantizer("") + ", " + pruner(R"("target_sparsity": 0.5)") + "]").kind, DiagKind::BadOption);
}

TEST_F(CompressTest, NamesBeatTypesAndTypesBeatTheGlobalConfig) {
  start(mil::Target::iOS18);
  linear(normal_weight({64, 96}, type, 1), "fc");
  linear(normal_weight({64, 97}, type, 2), "head");
  op("conv", {{"x", input({1, 8, 16, 16}, type)}, {"weight", program.constant(normal_weight({64, 8, 3, 3}, type))}},
     "conv_1");
  linear(normal_weight({16, 16}, type, 3), "small");
  compress(R"({"config_type": "OpLinearQuantizerConfig", "global_config": {"dtype": "int8"},
               "op_type_configs": {"conv": {"config_type": "OpPalettizerConfig", "nbits": 2}},
               "op_name_configs": {"head": null, "nobody": {}}})");
  EXPECT_EQ(op_types(), (std::vector<std::string>{"constexpr_blockwise_shift_scale", "linear", "linear",
                                                  "constexpr_lut_to_dense", "conv", "linear"}));
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("nobody"), std::string::npos);
}

TEST_F(CompressTest, ReadersMustAgree) {
  const Weight w = normal_weight({64, 64}, DType::F16);
  start(mil::Target::iOS18);
  linear(w, "fc");
  op("gather", {{"x", program.constant(w)}, {"indices", input({3}, DType::I32)}, {"axis", program.constant(int32_t{0})}},
     "table");
  EXPECT_EQ(
      error(R"({"config_type": "OpLinearQuantizerConfig", "global_config": {}, "op_type_configs": {"gather": null}})").kind,
      DiagKind::BadOption);
  // As ExecuTorch has it: tables are left alone, but not those that are weights too.
  compress("{}", true);
  EXPECT_EQ(op_types(), (std::vector<std::string>{"constexpr_blockwise_shift_scale", "linear", "gather"}));
  start(mil::Target::iOS18);
  op("gather", {{"x", program.constant(w)}, {"indices", input({3}, DType::I32)}, {"axis", program.constant(int32_t{0})}},
     "table");
  compress("{}", true);
  EXPECT_EQ(op_types(), (std::vector<std::string>{"gather"}));
}

TEST_F(CompressTest, ScalesFollowTheOutputChannels) {
  start(mil::Target::iOS18);
  const mil::ConstId y = program.constant(normal_weight({32, 80}, type));
  op("matmul",
     {{"x", input({1, 32}, type)},
      {"y", y},
      {"transpose_x", program.constant(false)},
      {"transpose_y", program.constant(false)}},
     "mm");
  op("conv_transpose",
     {{"x", input({1, 24, 8, 8}, type)}, {"weight", program.constant(normal_weight({24, 48, 3, 3}, type))}}, "up");
  compress(quantizer(""));
  std::vector<std::vector<int64_t>> scales;
  for (const mil::Op& o : program.ops)
    if (o.def->constexpr_op) scales.push_back(program.consts[program.operand(o, "scale").constant()].data.shape());
  EXPECT_EQ(scales, (std::vector<std::vector<int64_t>>{{1, 80}, {1, 48, 1, 1}}));
  EXPECT_LT(relative_error(weight_of("mm", "y"), program.consts[y].data), 1e-4);
}

TEST_F(CompressTest, WhatDoesNotFitIsLeftAloneAndNamed) {
  start(mil::Target::iOS18);
  linear(normal_weight({64, 50}, type), "odd");
  std::vector<float> values(64 * 64, 1.0f);
  values[7] = std::numeric_limits<float>::infinity();
  linear(Weight::of<float>(DType::F32, {64, 64}, values).cast(DType::F16), "endless");
  linear(Weight::of<float>(DType::F32, {64, 64}, std::vector<float>(64 * 64, 0.0f)).cast(DType::F16), "zeros");
  compress(quantizer(R"("dtype": "int4", "granularity": "per_block")"));
  EXPECT_EQ(report.weights, 1u);
  ASSERT_EQ(report.warnings.size(), 3u);
  EXPECT_NE(report.warnings[0].find("odd_weight not compressed: blocks of 32"), std::string::npos) << report.warnings[0];
  EXPECT_NE(report.warnings[1].find("endless_weight not compressed: it holds infinity"), std::string::npos)
      << report.warnings[1];
  EXPECT_NE(report.warnings[2].find("Neural Engine"), std::string::npos) << report.warnings[2];
  EXPECT_EQ(weight_of("zeros"), std::vector<float>(64 * 64, 0.0f));
}

TEST_F(CompressTest, TargetsRefuseWhatTheyLack) {
  const std::pair<mil::Target, std::string> cases[] = {
      {mil::Target::iOS15, quantizer("")},
      {mil::Target::iOS17, quantizer(R"("dtype": "int4")")},
      {mil::Target::iOS17, quantizer(R"("granularity": "per_block")")},
      {mil::Target::iOS17, palettizer(R"("nbits": 3)")},
      {mil::Target::iOS17, palettizer(R"("nbits": 4, "granularity": "per_grouped_channel")")},
  };
  for (const auto& [target, json] : cases) {
    start(target);
    linear(normal_weight({64, 96}, type), "fc");
    const Diagnostic d = error(json);
    EXPECT_EQ(d.kind, DiagKind::UnsupportedTarget) << json;
    EXPECT_NE((d.what + d.help).find("iOS1"), std::string::npos) << d.what;
  }
}

// Beside the range alone: fewer levels gain from clipping, and no setting loses.
TEST_F(CompressTest, ScalesAreAtLeastAsGoodAsTheRange) {
  const Weight w = normal_weight({64, 512}, DType::F16);
  const auto x = w.to_floats();
  for (const auto& [bits, gain] : {std::pair(8, 1.0), std::pair(4, 0.9)}) {
    const int high = (1 << (bits - 1)) - 1;
    double by_range = 0;
    for (size_t row = 0; row < 64; ++row) {
      float most = 0;
      for (size_t i = 0; i < 512; ++i) most = std::max(most, std::abs(x[row * 512 + i]));
      const float scale = f16_to_f32(f32_to_f16(most / static_cast<float>(high)));
      for (size_t i = 0; i < 512; ++i) {
        const float q =
            std::clamp(std::nearbyint(x[row * 512 + i] / scale), static_cast<float>(-high), static_cast<float>(high));
        by_range += std::pow(double{x[row * 512 + i]} - f16_to_f32(f32_to_f16(scale * q)), 2);
      }
    }
    start(mil::Target::iOS18);
    linear(w, "fc");
    compress(quantizer("\"dtype\": \"int" + std::to_string(bits) + "\""));
    const auto have = weight_of("fc");
    double error = 0;
    for (size_t i = 0; i < x.size(); ++i) error += std::pow(double{x[i]} - have[i], 2);
    EXPECT_LE(error, by_range * gain) << bits;
  }
}

// Errors of a matrix, squared and added up: of its elements, and of the sums over its rows. Errors that do not know of each other
// make both the same on average.
struct RowErrors {
  double elements = 0, sums = 0;
};
RowErrors row_errors(const std::vector<float>& have, const Weight& want) {
  const auto expected = want.to_floats();
  const auto row = static_cast<size_t>(want.shape()[1]);
  RowErrors errors;
  for (size_t first = 0; first < have.size(); first += row) {
    double sum = 0;
    for (size_t i = first; i < first + row; ++i) {
      const double d = double{have[i]} - expected[i];
      sum += d;
      errors.elements += d * d;
    }
    errors.sums += sum * sum;
  }
  return errors;
}

// Behind a relu the sum of a channel's errors counts, for its inputs are positive; elsewhere it does not.
TEST_F(CompressTest, ErrorsBehindAReluCancelInEachOutputChannel) {
  const Weight weight = normal_weight({64, 512}, DType::F16);
  const std::string kmeans = R"({"config_type": "OpPalettizerConfig", "global_config": {"nbits": 4}})";
  const auto errors = [&](const std::string& config, bool relu) {
    start(config.find("int4") == std::string::npos ? mil::Target::iOS16 : mil::Target::iOS18);
    mil::Operand x = input({1, 512}, type);
    if (relu) {
      op("relu", {{"x", x}}, "relu");
      x = program.functions[0].outputs.back().operand;
    }
    op("linear", {{"x", x}, {"weight", program.constant(weight)}}, "linear");
    compress(config);
    return row_errors(weight_of("linear"), weight);
  };
  for (const std::string& config : {quantizer(""), quantizer(R"("mode": "linear", "granularity": "per_tensor")"),
                                    quantizer(R"("dtype": "int4", "granularity": "per_block")"), kmeans}) {
    const RowErrors plain = errors(config, false), behind = errors(config, true);
    EXPECT_GT(plain.sums, 0.5 * plain.elements) << config;
    EXPECT_LT(behind.sums, 0.1 * behind.elements) << config;
    EXPECT_LT(behind.elements, 1.004 * plain.elements) << config;
  }
}

// What is pruned stays 0, and what is left of a channel cancels.
TEST_F(CompressTest, ErrorsOfTheElementsThatAreLeftCancelToo) {
  const Weight weight = normal_weight({64, 512}, DType::F16);
  start(mil::Target::iOS18);
  op("relu", {{"x", input({1, 512}, type)}}, "relu");
  const mil::Operand x = program.functions[0].outputs.back().operand;
  op("linear", {{"x", x}, {"weight", program.constant(weight)}}, "linear");
  compress(R"([{"config_type": "OpMagnitudePrunerConfig", "global_config": {"target_sparsity": 0.5}},
               {"config_type": "OpLinearQuantizerConfig", "global_config": {"dtype": "int4"}}])");
  const std::vector<float> have = weight_of("linear"), all = weight.to_floats();
  std::vector<float> kept = all;
  for (size_t i = 0; i < have.size(); ++i)
    if (have[i] == 0) kept[i] = 0;
  EXPECT_GE(std::count(have.begin(), have.end(), 0.0f), std::ssize(have) / 2);
  const RowErrors errors = row_errors(have, Weight::of<float>(DType::F32, {64, 512}, kept));
  EXPECT_LT(errors.sums, 0.1 * errors.elements);
}

}  // namespace
}  // namespace cortland::compression
