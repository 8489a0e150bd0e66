#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace cortland::engine {
namespace {

using mil::BlockId;
using mil::EvalContext;
using mil::InferContext;
using mil::MilOp;
using mil::Operand;
using mil::OpId;
using mil::Program;
using mil::RuntimeValue;
using mil::Target;
using mil::Tensor;
using mil::Type;
using mil::ValueId;
using testing::ElementsAre;
using testing::HasSubstr;

// A few ops of our own: the engine is tested by itself, whatever the table of ops holds.
Result<std::vector<Type>> same_as_first(InferContext& c) { return std::vector<Type>{c.type(c.def.inputs[0].name)}; }

constexpr mil::Input kTwo[] = {mil::value("x", mil::kNumbers), mil::value("y", mil::kNumbers)};
const MilOp kAdd{.name = "add", .inputs = kTwo, .infer = same_as_first, .eval = [](EvalContext& c) -> Status {
                   c.map2("x", "y", [](float a, float b) { return a + b; });
                   return {};
                 }};
const MilOp kLess{.name = "less",
                  .inputs = kTwo,
                  .infer = [](InferContext& c) -> Result<std::vector<Type>> { return std::vector<Type>{Type(DType::Bool, c.shape("x"))}; },
                  .eval = [](EvalContext& c) -> Status {
                    c.map2("x", "y", [](float a, float b) { return a < b ? 1.0f : 0.0f; });
                    return {};
                  }};
constexpr mil::Input kOne[] = {mil::value("x", mil::kNumbers)};
const MilOp kFail{.name = "fail", .inputs = kOne, .infer = same_as_first, .eval = [](EvalContext& c) -> Status { return c.error("on purpose"); }};
const MilOp kTwice{.name = "constexpr_twice",
                   .inputs = kOne,
                   .infer = same_as_first,
                   .eval = [](EvalContext& c) -> Status {
                     c.map("x", [](float a) { return 2 * a; });
                     return {};
                   },
                   .constexpr_op = true};
constexpr mil::Input kPred[] = {mil::value("pred", mil::kBools)};
Result<std::vector<Type>> outputs_of_first_block(InferContext& c) {
  std::vector<Type> types;
  for (Operand o : c.program.blocks[c.blocks.back()].outputs) types.push_back(c.program.type(o));
  return types;
}
const MilOp kCond{.name = "cond", .inputs = kPred, .infer = outputs_of_first_block};
constexpr mil::Input kVars[] = {mil::variadic("loop_vars", mil::kAnyType, 0)};
const MilOp kWhile{.name = "while_loop", .inputs = kVars, .infer = outputs_of_first_block};
constexpr mil::Input kState[] = {mil::value("input", mil::kAnyType)};
const MilOp kRead{.name = "read_state", .inputs = kState, .infer = [](InferContext& c) -> Result<std::vector<Type>> {
                    return std::vector<Type>{Type(c.type("input").tensor)};
                  }, .pure = false};
constexpr mil::Input kUpdateInputs[] = {mil::value("state", mil::kAnyType, 0), mil::value("value", mil::kAnyType, 0)};
const MilOp kUpdate{.name = "coreml_update_state", .inputs = kUpdateInputs, .infer = [](InferContext& c) -> Result<std::vector<Type>> {
                      return std::vector<Type>{Type(c.type("state").tensor)};
                    }, .pure = false};

struct Builder {
  Program program{Target::iOS18};
  BlockId body = program.add_block();
  mil::Function function;

  ValueId input(const std::string& name, Type type) {
    const ValueId v = program.add_value(name, std::move(type));
    function.inputs.push_back(v);
    return v;
  }
  ValueId op(const MilOp& def, std::vector<mil::NamedOperand> inputs, const std::string& name = {}, std::vector<BlockId> blocks = {}) {
    return op_in(body, def, std::move(inputs), name, std::move(blocks));
  }
  ValueId op_in(BlockId block, const MilOp& def, std::vector<mil::NamedOperand> inputs, const std::string& name = {},
                std::vector<BlockId> blocks = {}) {
    auto id = program.add_op(block, def, std::move(inputs), name, std::move(blocks));
    EXPECT_TRUE(id.ok()) << id.error().what;
    return program.ops[*id].results[0];
  }
  void output(const std::string& name, Operand operand) { function.outputs.push_back({name, operand}); }
  Result<Engine> compile(EngineOptions options = {}) {
    function.body = body;
    program.functions.push_back(function);
    return Engine::compile(program, "main", options);
  }
};

Tensor floats(std::vector<int64_t> shape, std::vector<float> values, DType dtype = DType::F32) {
  return Tensor::from(dtype, std::move(shape), values);
}

Engine must(Result<Engine> engine) {
  EXPECT_TRUE(engine.ok()) << engine.error().what;
  return std::move(engine).value();
}

std::vector<float> run_one(Engine& engine, std::vector<Tensor> inputs) {
  auto out = engine.run(inputs);
  EXPECT_TRUE(out.ok()) << out.error().what;
  return out.ok() ? (*out)[0].floats() : std::vector<float>{};
}

TEST(Engine, RunsOpsAndNamesItsFeatures) {
  Builder b;
  const ValueId x = b.input("x", Type(DType::F32, {2})), y = b.input("y", Type(DType::F32, {2}));
  b.output("sum", b.op(kAdd, {{"x", b.op(kAdd, {{"x", x}, {"y", y}})}, {"y", b.program.constant(std::vector<float>{10, 20})}}));
  b.output("again", x);
  Engine engine = must(b.compile());
  EXPECT_EQ(engine.inputs()[1].name, "y");
  EXPECT_EQ(engine.outputs()[0].name, "sum");
  const auto out = engine.run(std::vector{floats({2}, {1, 2}), floats({2}, {3, 4})});
  ASSERT_TRUE(out.ok());
  EXPECT_THAT((*out)[0].floats(), ElementsAre(14, 26));
  EXPECT_THAT((*out)[1].floats(), ElementsAre(1, 2));
}

TEST(Engine, RoundsEveryResultToItsStorageType) {
  Builder b;
  const ValueId x = b.input("x", Type(DType::F16, {1}));
  const ValueId big = b.op(kAdd, {{"x", x}, {"y", b.program.constant(std::vector<float>{1}, DType::F16)}});
  b.output("y", b.op(kAdd, {{"x", big}, {"y", b.program.constant(std::vector<float>{-2048}, DType::F16)}}));
  Engine engine = must(b.compile());
  EXPECT_THAT(run_one(engine, {floats({1}, {2048}, DType::F16)}), ElementsAre(0)) << "2049 is not a float16";
}

TEST(Engine, ReleasesBuffersAfterTheirLastUse) {
  Builder b;
  ValueId v = b.input("x", Type(DType::F32, {1}));
  for (int i = 0; i < 10; ++i) v = b.op(kAdd, {{"x", v}, {"y", v}});
  b.output("y", v);
  Engine engine = must(b.compile());
  std::vector<std::weak_ptr<std::byte>> seen;
  size_t most = 0;
  engine.set_hook([&](const StepTrace& trace) {
    size_t alive = 0;
    for (const auto& w : seen) alive += !w.expired();
    most = std::max(most, alive);
    seen.push_back(trace.results[0].tensor.storage);
  });
  EXPECT_THAT(run_one(engine, {floats({1}, {1})}), ElementsAre(1024));
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(most, 1u) << "only the operand of the running op is alive";
  for (const auto& w : seen) EXPECT_TRUE(w.expired()) << "nothing is kept between runs";
}

TEST(Engine, ConstantsOfAFileAreViewedInPlace) {
  Builder b;
  const std::vector<float> values = {1, 2, 3, 4};
  auto file = MappedFile::from_bytes(std::string(reinterpret_cast<const char*>(values.data()), 16), "weights");
  auto weight = Weight::view(file, 0, 16, DType::F32, {4}, {1});
  ASSERT_TRUE(weight.ok());
  b.output("y", b.program.constant(*weight));
  Engine engine = must(b.compile());
  const auto out = engine.run({});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ((*out)[0].data(), file->bytes().data());
  EXPECT_THAT((*out)[0].floats(), ElementsAre(1, 2, 3, 4));
}

TEST(Engine, EvaluatesConstexprOpsOnceAtLoad) {
  Builder b;
  const ValueId x = b.input("x", Type(DType::F32, {1}));
  const ValueId w = b.op(kTwice, {{"x", b.op(kTwice, {{"x", b.program.constant(std::vector<float>{3})}})}});
  b.output("y", b.op(kAdd, {{"x", x}, {"y", w}}));
  Engine engine = must(b.compile());
  int steps = 0;
  engine.set_hook([&](const StepTrace&) { ++steps; });
  EXPECT_THAT(run_one(engine, {floats({1}, {1})}), ElementsAre(13));
  EXPECT_EQ(steps, 1);
}

TEST(Engine, CondRunsOneBranchAndReadsOuterValues) {
  Builder b;
  const ValueId x = b.input("x", Type(DType::F32, {1})), limit = b.input("limit", Type(DType::F32, {1}));
  const ValueId below = b.op(kLess, {{"x", x}, {"y", limit}});
  const BlockId yes = b.program.add_block(), no = b.program.add_block();
  const ValueId doubled = b.op_in(yes, kAdd, {{"x", x}, {"y", x}});
  b.program.blocks[yes].outputs = {doubled};
  b.op_in(no, kFail, {{"x", x}});
  b.program.blocks[no].outputs = {limit};
  b.output("y", b.op(kCond, {{"pred", below}}, "choose", {yes, no}));
  Engine engine = must(b.compile());
  EXPECT_THAT(run_one(engine, {floats({1}, {3}), floats({1}, {5})}), ElementsAre(6));
  const auto failed = engine.run(std::vector{floats({1}, {7}), floats({1}, {5})});
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().what, HasSubstr("on purpose"));
  EXPECT_THAT(run_one(engine, {floats({1}, {1}), floats({1}, {5})}), ElementsAre(2)) << "a failed run leaves nothing behind";
}

TEST(Engine, WhileLoopCarriesItsVariables) {
  // (i, sum) = (0, 0); while i < n: sum += i; i += 1
  Builder b;
  const Type scalar(DType::F32, {1});
  const ValueId n = b.input("n", scalar);
  const BlockId condition = b.program.add_block(), body = b.program.add_block();
  for (BlockId block : {condition, body})
    for (const char* name : {"i", "sum"}) {
      const ValueId v = b.program.add_value(name, scalar);
      b.program.blocks[block].inputs.push_back(v);
    }
  const auto ci = b.program.blocks[condition].inputs, bi = b.program.blocks[body].inputs;
  b.program.blocks[condition].outputs = {b.op_in(condition, kLess, {{"x", ci[0]}, {"y", n}})};
  const ValueId sum = b.op_in(body, kAdd, {{"x", bi[1]}, {"y", bi[0]}});
  b.program.blocks[body].outputs = {b.op_in(body, kAdd, {{"x", bi[0]}, {"y", b.program.constant(std::vector<float>{1})}}), sum};
  const auto zero = b.program.constant(std::vector<float>{0});
  const ValueId last = b.op(kWhile, {{"loop_vars", std::vector<Operand>{zero, zero}}}, "loop", {condition, body});
  const mil::Op& loop = b.program.ops[b.program.values[last].producer];
  b.output("sum", loop.results[1]);
  b.output("n", n);
  Engine engine = must(b.compile());
  EXPECT_THAT(run_one(engine, {floats({1}, {5})}), ElementsAre(10));
  EXPECT_THAT(run_one(engine, {floats({1}, {0})}), ElementsAre(0)) << "no iteration: the first values";
}

TEST(Engine, StatesStartAtZeroPersistAndReset) {
  Builder b;
  const ValueId x = b.input("x", Type(DType::F16, {2})), state = b.input("cache", Type::state({DType::F16, {2}}));
  const ValueId before = b.op(kRead, {{"input", state}});
  const ValueId after = b.op(kUpdate, {{"state", state}, {"value", b.op(kAdd, {{"x", before}, {"y", x}})}});
  b.output("after", after);
  b.output("before", before);
  Engine engine = must(b.compile());
  EXPECT_EQ(engine.inputs().size(), 1u) << "a state is no input";
  const auto x1 = floats({2}, {1, 2}, DType::F16);
  EXPECT_THAT(run_one(engine, {x1}), ElementsAre(1, 2));
  const auto out = engine.run(std::vector{x1});
  ASSERT_TRUE(out.ok());
  EXPECT_THAT((*out)[0].floats(), ElementsAre(2, 4));
  EXPECT_THAT((*out)[1].floats(), ElementsAre(1, 2)) << "what was read before the write stays as it was";
  engine.reset();
  EXPECT_THAT(run_one(engine, {x1}), ElementsAre(1, 2));
}

TEST(Engine, NamesTheOpThatFails) {
  Builder b;
  b.output("y", b.op(kFail, {{"x", b.input("x", Type(DType::F32, {1}))}}, "the_culprit"));
  Engine engine = must(b.compile());
  const auto out = engine.run(std::vector{floats({1}, {1})});
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().node, "the_culprit");
}

TEST(Engine, RefusesWhatItCannotRun) {
  const MilOp unknown{.name = "mystery", .inputs = kOne, .infer = same_as_first};
  Builder b;
  b.output("y", b.op(unknown, {{"x", b.input("x", Type(DType::F32, {1}))}}));
  auto engine = b.compile();
  ASSERT_FALSE(engine.ok());
  EXPECT_THAT(engine.error().what, HasSubstr("mystery"));
  EXPECT_FALSE(Engine::compile(b.program, "no_such_function").ok());
}

}  // namespace
}  // namespace cortland::engine
