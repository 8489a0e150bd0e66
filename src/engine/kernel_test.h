// For the tests of kernels: runs one op with the fast kernels and with the reference kernel, and compares.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "mil_ops/ops.h"

namespace cortland::engine::test {

using mil::Operand;
using mil::Program;
using mil::Tensor;
using mil::Type;
using Shape = std::vector<int64_t>;

inline Tensor random(DType dtype, const Shape& shape, int seed, float low = -1, float high = 1) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::uniform_real_distribution<float> values(low, high);
  std::vector<float> v(static_cast<size_t>(Tensor{dtype, shape, nullptr}.elements()));
  for (float& f : v) f = values(random);
  return Tensor::from(dtype, shape, v);
}

// One op with some operands computed and the others constant. Tensors have the element type that is tested; of computed ones
// several may have one name, which is variadic then.
struct Case {
  std::string op;
  std::vector<std::pair<std::string, Shape>> computed, constant;
  std::vector<std::pair<std::string, int32_t>> integers;
  std::vector<std::pair<std::string, std::vector<int32_t>>> ints;
  std::vector<std::pair<std::string, std::string>> texts;
  std::vector<std::pair<std::string, bool>> flags;
  std::vector<std::pair<std::string, float>> numbers;  // scalars of the element type that is tested
  float low = -1, high = 1;                            // of all tensors
};

class Harness {
 public:
  Harness(const Case& c, DType dtype) {
    const mil::MilOp& def = *mil_ops::find(c.op, program_.target);
    function_.body = program_.add_block();
    std::vector<mil::NamedOperand> operands;
    int seed = 0;
    for (const auto& [name, shape] : c.computed) {
      const auto v = program_.add_value(name, Type(dtype, shape_of(shape)));
      function_.inputs.push_back(v);
      if (!operands.empty() && operands.back().name == name)
        operands.back().operands.emplace_back(v);
      else
        operands.emplace_back(name, v);
      inputs_.push_back(random(dtype, shape, ++seed, c.low, c.high));
    }
    for (const auto& [name, shape] : c.constant)
      operands.emplace_back(name, constant(random(dtype, shape, ++seed, c.low, c.high)));
    for (const auto& [name, v] : c.numbers)
      operands.emplace_back(name, constant(Tensor::from(dtype, {}, std::vector<float>{v})));
    for (const auto& [name, v] : c.ints) operands.emplace_back(name, program_.constant(v));
    for (const auto& [name, v] : c.integers) operands.emplace_back(name, program_.constant(v));
    for (const auto& [name, v] : c.texts) operands.emplace_back(name, program_.constant(v));
    for (const auto& [name, v] : c.flags) operands.emplace_back(name, program_.constant(v));
    auto id = program_.add_op(function_.body, def, std::move(operands), "op");
    EXPECT_TRUE(id.ok()) << id.error().what;
    for (const auto result : program_.ops[*id].results)
      function_.outputs.push_back({"y" + std::to_string(function_.outputs.size()), result});
    program_.functions.push_back(function_);
    tolerance_ = dtype == DType::F16 ? def.tol.f16 : std::max(def.tol.f32, 1e-6);
  }

  void compare() {
    bool fast = false;
    const auto ours = run(true, &fast), reference = run(false, nullptr);
    EXPECT_TRUE(fast) << "no fast kernel took it";
    ASSERT_EQ(ours.size(), reference.size());
    for (size_t i = 0; i < ours.size(); ++i) compare(ours[i], reference[i]);
  }

 private:
  Operand constant(const Tensor& t) {
    return program_.constant(Weight::dense(t.dtype, t.shape, std::string(t.data<char>(), t.bytes())));
  }

  void compare(const Tensor& ours, const Tensor& reference) const {
    ASSERT_EQ(ours.dtype, reference.dtype);
    ASSERT_EQ(ours.shape, reference.shape);
    const auto a = ours.floats(), b = reference.floats();
    double largest = 0, worst = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_TRUE(std::isfinite(a[i]) && std::isfinite(b[i])) << "element " << i << " is " << a[i] << " or " << b[i];
      largest = std::max(largest, std::fabs(double{b[i]}));
      worst = std::max(worst, std::fabs(double{a[i]} - double{b[i]}));
    }
    EXPECT_GT(largest, 0);
    EXPECT_LE(worst, tolerance_ * largest);
  }

  std::vector<Tensor> run(bool fast_kernels, bool* fast) {
    auto engine = Engine::compile(program_, "main", {.fast_kernels = fast_kernels});
    EXPECT_TRUE(engine.ok()) << engine.error().what;
    if (fast) engine->set_hook([fast](const StepTrace& trace) { *fast = trace.fast; });
    static_cast<void>(engine->run(inputs_));  // the second run finds everything prepared
    auto out = engine->run(inputs_);
    EXPECT_TRUE(out.ok()) << out.error().what;
    return out.ok() ? *out : std::vector<Tensor>();
  }

  Program program_{mil::Target::iOS18};
  mil::Function function_;
  std::vector<Tensor> inputs_;
  double tolerance_;
};

inline void check(const Case& c) {
  for (DType dtype : {DType::F32, DType::F16}) {
    SCOPED_TRACE(testing::Message() << c.op << ' ' << mil_name(dtype));
    Harness(c, dtype).compare();
  }
}

}  // namespace cortland::engine::test
