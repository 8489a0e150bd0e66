// For tests: small programs, and packages in memory.
#pragma once

#include <gtest/gtest.h>

#include <numeric>

#include "coreml/package_check.h"
#include "coreml/package_reader.h"
#include "mil/text.h"

namespace cortland::coreml::test {

using mil::NamedOperand;
using mil::Operand;
using mil::Program;
using mil::Target;
using mil::ValueId;

// A function under construction.
struct Build {
  Program& program;
  mil::BlockId block;
  mil::Function function;

  explicit Build(Program& program, std::string name = "main") : program(program), block(program.add_block()) {
    function.name = std::move(name);
    function.body = block;
  }
  ValueId input(std::string name, DType dtype, Shape shape) {
    return input(std::move(name), mil::Type(dtype, std::move(shape)));
  }
  ValueId input(std::string name, mil::Type type) {
    function.inputs.push_back(program.add_value(std::move(name), std::move(type)));
    return function.inputs.back();
  }
  std::vector<ValueId> ops(std::string_view type, std::vector<NamedOperand> inputs, std::string name = {},
                           std::vector<mil::BlockId> blocks = {}) {
    const mil::MilOp* def = mil_ops::find(type, program.target);
    CHECK(def, std::string(type));
    auto id = program.add_op(block, *def, std::move(inputs), std::move(name), std::move(blocks));
    CHECK(id.ok(), render(id.error()));
    return program.ops[*id].results;
  }
  ValueId op(std::string_view type, std::vector<NamedOperand> inputs, std::string name = {},
             std::vector<mil::BlockId> blocks = {}) {
    return ops(type, std::move(inputs), std::move(name), std::move(blocks)).at(0);
  }
  void output(std::string name, Operand operand) { function.outputs.push_back({std::move(name), operand}); }
  void finish() { program.functions.push_back(std::move(function)); }
};

// first, first + step, ... in any type
inline Weight ramp(DType dtype, std::vector<int64_t> shape, float first = 0, float step = 0.25f) {
  std::vector<float> v(static_cast<size_t>(std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())));
  for (size_t i = 0; i < v.size(); ++i) v[i] = first + step * static_cast<float>(i);
  return Weight::of(DType::F32, std::move(shape), v).cast(dtype);
}

// x[2, 8] -> softmax(linear(gelu(linear(x))))
inline Program mlp(Target target, DType dtype) {
  Program program(target);
  Build b(program);
  const ValueId x = b.input("x", dtype, {2, 8});
  const ValueId hidden =
      b.op("linear",
           {{"x", x}, {"weight", program.constant(ramp(dtype, {16, 8}))}, {"bias", program.constant(ramp(dtype, {16}, 1))}},
           "hidden");
  const ValueId active = b.op("gelu", {{"x", hidden}, {"mode", program.constant(std::string("EXACT"))}}, "active");
  const ValueId logits = b.op(
      "linear",
      {{"x", active}, {"weight", program.constant(ramp(dtype, {4, 16}, -1))}, {"bias", program.constant(ramp(dtype, {4}))}},
      "logits");
  b.output("y", b.op("softmax", {{"x", logits}, {"axis", program.constant(-1)}}, "softmax"));
  b.finish();
  return program;
}

struct InMemory {
  std::vector<PackageFile> files;
};

inline InMemory package_of(std::string manifest, std::string model, std::string weights) {
  InMemory out;
  out.files.push_back({"m.mlpackage/Manifest.json", MappedFile::from_bytes(std::move(manifest), "Manifest.json")});
  out.files.push_back({"m.mlpackage/" + std::string(kModelPath), MappedFile::from_bytes(std::move(model), "model.mlmodel")});
  if (!weights.empty())
    out.files.push_back(
        {"m.mlpackage/" + std::string(kWeightPath), MappedFile::from_bytes(std::move(weights), "weight.bin")});
  return out;
}
inline InMemory package_of(const PackagePlan& plan) { return package_of(plan.manifest, plan.model, weight_bytes_of(plan)); }

inline spec::Model model_of(const PackagePlan& plan) {
  spec::Model model;
  CHECK(model.ParseFromString(plan.model));
  return model;
}
inline const milspec::Block& body_of(const spec::Model& model, const std::string& function = "main") {
  const auto& f = model.mlprogram().functions().at(function);
  return f.block_specializations().at(f.opset());
}
const milspec::Block& body_of(spec::Model&& model, const std::string& function = "main") = delete;  // would dangle
inline const milspec::Operation* find_op(const milspec::Block& block, std::string_view type, int skip = 0) {
  for (const auto& op : block.operations())
    if (op.type() == type && skip-- == 0) return &op;
  return nullptr;
}
inline std::string op_types(const milspec::Block& block) {
  std::string out;
  for (const auto& op : block.operations()) out += (out.empty() ? "" : " ") + op.type();
  return out;
}

// Contents of all constants that ops read, in the order in which they read them.
inline std::string contents(const Program& program) {
  std::string out;
  for (const mil::Op& op : program.ops)
    for (const mil::Binding& b : op.operands)
      if (b.operand.is_const() && program.consts[b.operand.constant()].data)
        out += program.consts[b.operand.constant()].data.bytes() + "|";
  return out;
}

// Writes, checks every rule, reads, compares and writes again: nothing may change.
inline void expect_round_trip(const Program& program) {
  auto plan = plan_package(program);
  ASSERT_TRUE(plan.ok()) << render(plan.error());
  const std::string weights = weight_bytes_of(*plan);
  EXPECT_EQ(PackageCheck(*plan, weights).problems(), std::vector<std::string>{});
  auto read = read_package(package_of(*plan).files);
  ASSERT_TRUE(read.ok()) << render(read.error());
  const Status verified = mil::verify(*read);
  EXPECT_TRUE(verified.ok()) << render(verified.error());
  auto again = plan_package(*read);
  ASSERT_TRUE(again.ok()) << render(again.error());
  EXPECT_EQ(again->model, plan->model);
  EXPECT_EQ(again->manifest, plan->manifest);
  EXPECT_EQ(weight_bytes_of(*again), weights);
  EXPECT_EQ(contents(*read), contents(program));
  EXPECT_EQ(*again->fingerprint(), *plan->fingerprint());
}

}  // namespace cortland::coreml::test
