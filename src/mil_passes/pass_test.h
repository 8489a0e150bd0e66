// What the tests of passes share: a function built op by op, and its text before and after a pass.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "mil/text.h"
#include "mil_ops/ops.h"
#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {

using mil::NamedOperand;
using mil::Operand;

// A listing that knows whether a test has read it: compared it with a text.
struct Listing {
  std::string text;
  mutable bool read = false;

  bool operator==(const char* expected) const {
    read = true;
    return text == expected;
  }
  bool operator==(const Listing& other) const { return text == other.text; }
  friend std::ostream& operator<<(std::ostream& out, const Listing& listing) { return out << listing.text; }
};

class PassTest : public testing::Test {
 public:
  // The passes of which a test has shown the text before and after, all tests of the program together.
  static std::set<std::string>& shown() {
    static std::set<std::string> names;
    return names;
  }

 protected:
  PassTest() : block(program.add_block()) {}

  Operand input(Shape shape, DType dtype = DType::F16, std::string name = "x") {
    const mil::ValueId v = program.add_value(std::move(name), mil::Type(dtype, std::move(shape)));
    function.inputs.push_back(v);
    return v;
  }

  Operand op(std::string_view name, std::vector<NamedOperand> inputs) {
    const mil::MilOp* def = mil_ops::find(name, program.target);
    auto id = program.add_op(block, *def, std::move(inputs), std::string(name) + "_" + std::to_string(++count));
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().what);
    return program.ops[*id].results[0];
  }
  Operand result_of(Operand o, size_t i) { return program.ops[program.values[o.value()].producer].results[i]; }

  Operand ints(const std::vector<int32_t>& v) { return program.constant(v); }
  Operand integer(int32_t v) { return program.constant(v); }
  Operand flag(bool v) { return program.constant(v); }
  Operand number(float v, DType type = DType::F16) { return program.constant(v, type); }
  Operand text(const char* v) { return program.constant(std::string(v)); }
  Operand floats(std::vector<int64_t> shape, const std::vector<float>& v, DType type = DType::F16) {
    return program.constant(Weight::of<float>(DType::F32, std::move(shape), v).cast(type));
  }

  void output(Operand o) { function.outputs.push_back({"y" + std::to_string(function.outputs.size()), o}); }

  // Runs the pass of this name on what was built; the result must be a valid program.
  void run(std::string_view name, const PipelineOptions& options = {}) {
    const auto pass = std::ranges::find(pipeline(), name, &Pass::name);
    ASSERT_NE(pass, pipeline().end()) << name;
    function.body = block;
    program.functions = {function};
    passes.emplace_back(name);
    before.text = body();
    const Status done = pass->run(program, options);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().what);
    const Status valid = mil::verify(program);
    EXPECT_TRUE(valid.ok()) << (valid.ok() ? "" : valid.error().what);
    after.text = body();
  }

  void TearDown() override {
    if (before.read && after.read && before.text != after.text) shown().insert(passes.begin(), passes.end());
  }

  // The listing of the function's ops, without what every line has.
  std::string body() const {
    std::istringstream listing(mil::print(program, program.functions[0], {.max_elements = 64}));
    std::string out = "\n", line;
    while (std::getline(listing, line)) {
      if (!line.starts_with("    ")) continue;
      out += line.substr(4, line.find("[name = ") - 4) + "\n";
    }
    return out;
  }

  // Names of the ops, in order.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (mil::OpId id : program.blocks[block].ops) names.emplace_back(program.ops[id].def->name);
    return names;
  }

  Operand result(size_t i = 0) const { return program.functions[0].outputs[i].operand; }

  mil::Program program{mil::Target::iOS17};
  mil::BlockId block;
  mil::Function function;
  Listing before, after;
  std::vector<std::string> passes;  // that ran
  int count = 0;
};

}  // namespace cortland::mil_passes
