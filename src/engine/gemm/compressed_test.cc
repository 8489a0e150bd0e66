// linear and matmul on compressed constants: the kernels take the codes, never ask for the expanded constant, and agree with
// the reference kernels on it.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/engine.h"
#include "engine/gemm/kernels.h"
#include "mil_ops/ops.h"
#include "mil_ops/packed.h"

namespace cortland::engine::gemm {
namespace {

using mil::RuntimeValue;
using mil::Tensor;
using mil::Type;
using Shape = std::vector<int64_t>;

Tensor random(DType dtype, const Shape& shape, unsigned seed, float low = -1, float high = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> values(low, high);
  std::vector<float> v(static_cast<size_t>(Tensor{dtype, shape, nullptr}.elements()));
  for (float& f : v) f = values(engine);
  return Tensor::from(dtype, shape, v);
}

// Any codes of the type.
Tensor codes(DType dtype, const Shape& shape, unsigned seed) {
  std::mt19937 engine(seed);
  Tensor t = Tensor::make(dtype, shape);
  for (size_t i = 0; i < t.bytes(); ++i) t.mutable_data<uint8_t>()[i] = static_cast<uint8_t>(engine());
  return t;
}

using Arguments = std::vector<std::pair<std::string, Tensor>>;

std::vector<std::vector<RuntimeValue>> by_slot(const mil::MilOp& op, const Arguments& arguments) {
  std::vector<std::vector<RuntimeValue>> slots(op.inputs.size());
  for (const auto& [name, tensor] : arguments) slots[static_cast<size_t>(op.slot(name))] = {{tensor, {}, {}}};
  return slots;
}

RuntimeValue evaluate(const mil::MilOp& op, const std::vector<std::vector<RuntimeValue>>& arguments,
                      std::span<const Type> types) {
  mil::EvalContext context(op, arguments, types);
  const Status checked = context.check_operands();
  EXPECT_TRUE(checked.ok()) << checked.error().what;
  const Status status = op.eval(context);
  EXPECT_TRUE(status.ok()) << status.error().what;
  return status.ok() ? context.take_results()[0] : RuntimeValue{};
}

struct Compressed {
  std::string op;
  mil::Target since;
  Arguments arguments;
  DType dtype;
  Shape shape;  // expanded
};

// `operand` of `op` is the compressed constant, [n, k] when `transposed`.
void check_op(const std::string& name, const std::string& operand, bool transposed, const Compressed& w,
              const Arguments& more, int64_t rows) {
  const mil::MilOp &op = *mil_ops::find(name, mil::Target::iOS18), &maker = *mil_ops::find(w.op, w.since);
  const std::vector<Type> weight_type = {Type(w.dtype, shape_of(w.shape))};
  const auto maker_arguments = by_slot(maker, w.arguments);
  const Tensor dense = evaluate(maker, maker_arguments, weight_type).tensor;
  const int64_t k = w.shape[transposed ? 1 : 0], n = w.shape[transposed ? 0 : 1];
  Arguments arguments = more;
  const Tensor x = random(w.dtype, {rows, k}, 11);
  arguments.emplace_back("x", x);
  auto expanded = arguments;
  expanded.emplace_back(operand, dense);
  const std::vector<Type> result = {Type(w.dtype, {rows, n})};

  auto constants = by_slot(op, more), run = by_slot(op, arguments);
  const auto slot = static_cast<size_t>(op.slot(operand));
  run[slot] = constants[slot] = {{{w.dtype, w.shape, std::make_shared<std::byte>()}, {}, {}}};
  std::vector<std::vector<Type>> types(op.inputs.size());
  for (size_t i = 0; i < run.size(); ++i)
    for (const RuntimeValue& v : run[i]) types[i].push_back(Type(v.tensor.dtype, shape_of(v.tensor.shape)));
  std::vector<std::shared_ptr<const Expression>> expressions(op.inputs.size());
  expressions[slot] = std::make_shared<Expression>(Expression{&maker, maker_arguments, weight_type});
  const Site site{op, constants, types, result, {}, expressions, [&](size_t) { FAIL() << "the constant was expanded"; }};
  const auto kernel = name == "linear" ? make_linear(site) : make_matmul(site);
  ASSERT_TRUE(kernel);
  EXPECT_FALSE(kernel->reads(operand));
  EXPECT_TRUE(kernel->reads("x"));

  KernelContext context(op, run, result, {});
  const Status status = kernel->run(context);
  ASSERT_TRUE(status.ok()) << status.error().what;
  const Tensor ours = context.take_results()[0].tensor, reference = evaluate(op, by_slot(op, expanded), result).tensor;
  ASSERT_EQ(ours.dtype, reference.dtype);
  ASSERT_EQ(ours.shape, reference.shape);
  const auto a = ours.floats(), b = reference.floats();
  double largest = 0, worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(b[i])));
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  EXPECT_GT(largest, 0);
  // The expanded constant is rounded to float16, the codes are not.
  EXPECT_LE(worst, (w.dtype == DType::F16 ? op.tol.f16 : op.tol.f32) * largest);
}

void check(const std::function<Compressed(DType, bool transposed)>& make) {
  for (DType dtype : {DType::F32, DType::F16})
    for (int64_t rows : {1, 3, 17}) {
      SCOPED_TRACE(testing::Message() << mil_name(dtype) << ", rows: " << rows);
      const Compressed w = make(dtype, true);
      check_op("linear", "weight", true, w, {{"bias", random(dtype, {w.shape[0]}, 12)}}, rows);
      check_op("matmul", "y", true, w, {{"transpose_y", Tensor::from(DType::Bool, {}, std::vector<int64_t>{1})}}, rows);
      check_op("matmul", "y", false, make(dtype, false), {}, rows);
    }
}

Shape shape(int64_t k, int64_t n, bool transposed) { return transposed ? Shape{n, k} : Shape{k, n}; }

Tensor number(DType dtype, int64_t value) { return Tensor::from(dtype, {}, std::vector<int64_t>{value}); }

TEST(CompressedConstants, Affine) {
  for (DType type : {DType::I8, DType::U8})
    for (bool single : {false, true})
      check([&](DType dtype, bool transposed) {
        const Shape s = shape(43, 37, transposed), scales = single ? Shape{} : Shape{37};
        Tensor zero = codes(type, scales, 3);
        return Compressed{"constexpr_affine_dequantize",
                          mil::Target::iOS16,
                          {{"quantized_data", codes(type, s, 1)},
                           {"zero_point", zero},
                           {"scale", random(dtype, scales, 2, 0.01f, 0.02f)},
                           {"axis", number(DType::I32, transposed ? 0 : -1)}},
                          dtype,
                          s};
      });
}

TEST(CompressedConstants, Blockwise) {
  for (DType type : {DType::I4, DType::U4, DType::I8, DType::U8})
    for (bool offset : {false, true})
      for (int64_t block : {96, 32, 8})
        check([&](DType dtype, bool transposed) {
          const Shape s = shape(96, 42, transposed), blocks = shape(96 / block, block == 8 ? 21 : 42, transposed);
          Compressed c{"constexpr_blockwise_shift_scale",
                       mil::Target::iOS18,
                       {{"data", codes(type, s, 1)}, {"scale", random(dtype, blocks, 2, 0.01f, 0.02f)}},
                       dtype,
                       s};
          if (offset) c.arguments.emplace_back("offset", codes(type, blocks, 3));
          return c;
        });
}

TEST(CompressedConstants, Palette) {
  for (int bits : {1, 2, 4})
    check([&](DType dtype, bool transposed) {
      const Shape s = shape(45, 37, transposed);
      return Compressed{"constexpr_lut_to_dense",
                        mil::Target::iOS16,
                        {{"indices", codes(DType::U8, {(45 * 37 * bits + 7) / 8}, 1)},
                         {"lut", random(dtype, {1 << bits}, 2)},
                         {"shape", Tensor::from(DType::U32, {2}, s)}},
                        dtype,
                        s};
    });
}

TEST(CompressedConstants, GroupedPalette) {
  for (auto [type, bits] : {std::pair{DType::U1, 1}, {DType::U2, 2}, {DType::U3, 3}, {DType::U4, 4}})
    for (int64_t groups : {1, 3})
      check([&](DType dtype, bool transposed) {
        const Shape s = shape(40, 96, transposed);
        Shape lut = shape(1, groups, transposed);
        lut.insert(lut.end(), {int64_t{1} << bits, 1});
        return Compressed{"constexpr_lut_to_dense",
                          mil::Target::iOS18,
                          {{"indices", codes(type, s, 1)}, {"lut", random(dtype, lut, 2)}},
                          dtype,
                          s};
      });
}

// A program with one int8 constant that linear takes as it is, and an add that needs it expanded.
TEST(CompressedConstants, OnlyWhoNeedsItExpandsIt) {
  mil::Program program(mil::Target::iOS18);
  mil::Function f;
  f.body = program.add_block();
  const auto constant = [&](const Tensor& t) {
    return program.constant(Weight::dense(t.dtype, t.shape, std::string(t.data<char>(), t.bytes())));
  };
  const auto x = program.add_value("x", Type(DType::F32, {16, 16}));
  f.inputs = {x};
  auto weight = program.add_op(
      f.body, *mil_ops::find("constexpr_blockwise_shift_scale", mil::Target::iOS18),
      {{"data", constant(codes(DType::I8, {16, 16}, 1))}, {"scale", constant(random(DType::F32, {16, 1}, 2))}}, "w");
  ASSERT_TRUE(weight.ok()) << weight.error().what;
  const auto w = program.ops[*weight].results[0];
  auto product = program.add_op(f.body, *mil_ops::find("linear", mil::Target::iOS18), {{"x", x}, {"weight", w}}, "product");
  ASSERT_TRUE(product.ok()) << product.error().what;
  auto sum = program.add_op(f.body, *mil_ops::find("add", mil::Target::iOS18),
                            {{"x", program.ops[*product].results[0]}, {"y", w}}, "sum");
  ASSERT_TRUE(sum.ok()) << sum.error().what;
  f.outputs = {{"y", program.ops[*sum].results[0]}, {"w", w}};
  program.functions = {f};
  std::vector<std::vector<float>> values;
  for (bool fast : {true, false}) {
    auto engine = Engine::compile(program, "main", {.fast_kernels = fast});
    ASSERT_TRUE(engine.ok()) << engine.error().what;
    auto out = engine->run(std::vector{random(DType::F32, {16, 16}, 3)});
    ASSERT_TRUE(out.ok()) << out.error().what;
    values.push_back((*out)[0].floats());
    values.push_back((*out)[1].floats());
  }
  for (size_t i = 0; i < values[0].size(); ++i) EXPECT_NEAR(values[0][i], values[2][i], 1e-2);
  EXPECT_EQ(values[1], values[3]);
}

}  // namespace
}  // namespace cortland::engine::gemm
