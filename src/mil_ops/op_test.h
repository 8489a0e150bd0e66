// For the tests of MIL ops: runs one op's infer and eval on given inputs and checks that both agree on types and shapes.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "mil/program.h"
#include "mil/runtime.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops::test {

using mil::Tensor;

// An input by name. Tensors, numbers (float32 and int32 scalars), int vectors, strings; several tensors for a variadic one.
struct Arg {
  enum class As { Either, Const, Value };  // how infer may see it; Either: it is tried both ways

  std::string name;
  std::vector<mil::RuntimeValue> values;
  As as = As::Either;
  std::optional<mil::Type> type;  // of lists and states

  Arg(std::string name, Tensor t, As as = As::Either) : Arg(std::move(name), std::vector<Tensor>{std::move(t)}, as) {}
  Arg(std::string name, const std::vector<Tensor>& tensors, As as = As::Either) : name(std::move(name)), as(as) {
    for (const Tensor& t : tensors) values.push_back({t, {}, {}});
  }
  Arg(std::string name, float v) : Arg(std::move(name), Tensor::from(DType::F32, {}, std::vector<float>{v})) {}
  Arg(std::string name, int v) : Arg(std::move(name), Tensor::from(DType::I32, {}, std::vector<int64_t>{v})) {}
  Arg(std::string name, bool v) : Arg(std::move(name), Tensor::from(DType::Bool, {}, std::vector<int64_t>{v})) {}
  Arg(std::string name, const char* v) : name(std::move(name)), values{{{DType::String, {}, {}}, {v}, {}}} {}
  Arg(std::string name, mil::RuntimeValue v, mil::Type type)
      : name(std::move(name)), values{std::move(v)}, as(As::Value), type(std::move(type)) {}
};

inline Tensor f32(std::vector<int64_t> shape, std::vector<float> v) { return Tensor::from(DType::F32, std::move(shape), v); }
inline Tensor f16(std::vector<int64_t> shape, std::vector<float> v) { return Tensor::from(DType::F16, std::move(shape), v); }
inline Tensor i32(std::vector<int64_t> shape, std::vector<int64_t> v) {
  return Tensor::from(DType::I32, std::move(shape), v);
}
inline Tensor ints(std::vector<int64_t> v) { return i32({static_cast<int64_t>(v.size())}, v); }
inline Tensor bools(std::vector<int64_t> shape, std::vector<int64_t> v) {
  return Tensor::from(DType::Bool, std::move(shape), v);
}
// 0, 1, 2, ... of a shape.
inline Tensor iota(DType dtype, std::vector<int64_t> shape) {
  std::vector<int64_t> v(static_cast<size_t>(Tensor{dtype, shape, nullptr}.elements()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<int64_t>(i);
  return Tensor::from(dtype, std::move(shape), v);
}

inline mil::Operand constant_of(mil::Program& program, const mil::RuntimeValue& v) {
  if (!v.strings.empty()) return v.tensor.shape.empty() ? program.constant(v.strings[0]) : program.constant(v.strings);
  const std::string bytes(reinterpret_cast<const char*>(v.tensor.data()), v.tensor.bytes());
  return program.constant(Weight::dense(v.tensor.dtype, v.tensor.shape, bytes));
}

// Result types as infer sees them when plain inputs are constants, or values of known shape.
inline Result<std::vector<mil::Type>> infer_types(const mil::MilOp& def, const std::vector<Arg>& args, bool as_constants) {
  mil::Program program(def.since);
  std::vector<mil::NamedOperand> inputs;
  for (const Arg& arg : args) {
    const int slot = def.slot(arg.name);
    if (slot < 0) return diag(DiagKind::BadMil, "no input " + arg.name);
    const bool constant = def.inputs[static_cast<size_t>(slot)].constant || arg.as == Arg::As::Const ||
                          (as_constants && arg.as == Arg::As::Either);
    std::vector<mil::Operand> operands;
    for (const mil::RuntimeValue& v : arg.values) {
      if (constant)
        operands.push_back(constant_of(program, v));
      else
        operands.push_back(
            program.add_value("v", arg.type ? *arg.type : mil::Type(v.tensor.dtype, shape_of(v.tensor.shape))));
    }
    inputs.emplace_back(arg.name, std::move(operands));
  }
  TRY(const mil::OpId op, program.add_op(program.add_block(), def, std::move(inputs)));
  std::vector<mil::Type> types;
  for (mil::ValueId v : program.ops[op].results) types.push_back(program.type(v));
  return types;
}

inline void expect_same_type(const mil::Type& inferred, const mil::RuntimeValue& value, const char* how) {
  if (inferred.kind != mil::Type::Kind::Tensor) return;
  EXPECT_EQ(inferred.dtype(), value.tensor.dtype) << how;
  ASSERT_EQ(inferred.rank(), value.tensor.rank()) << how;
  for (size_t i = 0; i < inferred.shape().size(); ++i) {
    const Dim d = inferred.shape()[i];
    if (d.is_constant()) {
      EXPECT_EQ(d.constant(), value.tensor.shape[i]) << how << ", axis " << i;
    }
  }
}

// Evaluates the op. With every input constant, infer must give the exact shape unless it depends on data.
inline Result<std::vector<mil::RuntimeValue>> try_run(const mil::MilOp& def, const std::vector<Arg>& args,
                                                      bool data_dependent = false) {
  TRY(const auto types, infer_types(def, args, true));
  TRY(const auto loose, infer_types(def, args, false));
  std::vector<std::vector<mil::RuntimeValue>> inputs(def.inputs.size());
  for (const Arg& arg : args) inputs[static_cast<size_t>(def.slot(arg.name))] = arg.values;
  mil::EvalContext context(def, inputs, types);
  TRY_DO(def.eval(context));
  auto results = context.take_results();
  EXPECT_EQ(results.size(), types.size());
  EXPECT_EQ(results.size(), loose.size());
  for (size_t i = 0; i < results.size() && i < types.size() && i < loose.size(); ++i) {
    expect_same_type(types[i], results[i], "inferred from constants");
    expect_same_type(loose[i], results[i], "inferred from values");
    EXPECT_TRUE(data_dependent || types[i].kind != mil::Type::Kind::Tensor || types[i].tensor.is_static()) << "result " << i;
  }
  return results;
}

inline std::vector<Tensor> run_all(const mil::MilOp& def, const std::vector<Arg>& args, bool data_dependent = false) {
  auto results = try_run(def, args, data_dependent);
  if (!results) {
    ADD_FAILURE() << def.name << ": " << results.error().what;
    return std::vector<Tensor>(8);
  }
  std::vector<Tensor> tensors;
  for (const auto& v : *results) tensors.push_back(v.tensor);
  return tensors;
}

inline Tensor run(const mil::MilOp& def, const std::vector<Arg>& args, bool data_dependent = false) {
  return run_all(def, args, data_dependent).at(0);
}

// Whether infer or eval refuses the inputs.
inline bool refuses(const mil::MilOp& def, const std::vector<Arg>& args) { return !try_run(def, args, true).ok(); }

// Values as numbers, for EXPECT_EQ and friends.
inline std::vector<float> floats(const Tensor& t) { return t.storage ? t.floats() : std::vector<float>{}; }
inline std::vector<int64_t> integers(const Tensor& t) { return t.storage ? t.ints() : std::vector<int64_t>{}; }

inline void expect_near(const Tensor& t, const std::vector<float>& expected, double tolerance = 1e-6) {
  const std::vector<float> got = floats(t);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i]) || std::isinf(expected[i])) {
      EXPECT_TRUE(std::isnan(expected[i]) ? std::isnan(got[i]) : got[i] == expected[i])
          << "element " << i << " is " << got[i];
    } else {
      EXPECT_NEAR(got[i], expected[i], tolerance * std::max(1.0, std::fabs(double{expected[i]}))) << "element " << i;
    }
  }
}

}  // namespace cortland::mil_ops::test
