#include "mil/text.h"

#include <gtest/gtest.h>

#include "mil/test_ops.h"

namespace cortland::mil {
namespace {

using namespace test;

TEST(Text, ReadsLikeCoreML) {
  Program program(Target::iOS18);
  program.metadata["tool"] = "a \"b\"";
  Function f;
  f.body = program.add_block();
  const Dim n = program.dims->symbol("s0", {1, 64});
  const Type type(DType::F16, {1, n});
  const ValueId x = program.add_value("x", type);
  const ValueId state = program.add_value("cache", Type::state({DType::F16, {1, 4}}));
  f.inputs = {x, state};
  f.enumerated_shapes["x"] = {{1, 4}, {1, 8}};
  const OpId leaky =
      program.add_typed_op(f.body, kLeaky, {{0, x}, {1, program.constant(0.5f, DType::F16)}}, {type}, "relu.1");
  const ValueId y = program.ops[leaky].results[0];
  program.add_typed_op(f.body, kWrite, {{0, state}, {1, y}}, {}, "update");
  program.add_typed_op(f.body, kConcat, {{0, x}, {0, y}, {1, program.constant(-1)}},
                       {Type(DType::F16, {1, program.dims->mul(n, 2)})}, "cat");
  f.outputs = {{"y", y}, {"again", y}, {"c", program.constant(std::vector<float>{1, 2})}};
  program.functions.push_back(f);
  EXPECT_EQ(print(program), R"(program(1.3)
[buildInfo = dict<string, string>({{"tool", "a \"b\""}})]
{
  func main<ios18>(tensor<fp16, [1, s0]> x, state<tensor<fp16, [1, 4]>> cache) [s0 = 1..64, x = {[1, 4], [1, 8]}] {
    tensor<fp16, [1, s0]> y = leaky_relu(x = x, alpha = fp16(0.5))[name = string("relu_1")];
    write_state(input = cache, data = y)[name = string("update")];
    tensor<fp16, [1, 2*s0]> cat = concat(values = (x, y), axis = int32(-1))[name = string("cat")];
  } -> (y, again = y, c = tensor<fp32, [2]>([1, 2]));
}
)");
}

TEST(Text, ShowsNestedBlocks) {
  Program program(Target::iOS15);
  Function f;
  f.body = program.add_block();
  const Type type(DType::F32, {});
  const ValueId p = program.add_value("p", Type(DType::Bool, {}));
  const ValueId x = program.add_value("x", type);
  f.inputs = {p, x};
  const BlockId yes = program.add_block(), no = program.add_block();
  const OpId inner = program.add_typed_op(yes, kLeaky, {{0, x}, {1, program.constant(0.0f)}}, {type}, "inner");
  program.blocks[yes].outputs = {program.ops[inner].results[0]};
  program.blocks[no].outputs = {x};
  const OpId cond = program.add_typed_op(f.body, kCond, {{0, p}}, {type}, "chosen", {yes, no});
  f.outputs = {{"chosen", program.ops[cond].results[0]}};
  program.functions.push_back(f);
  EXPECT_EQ(print(program), R"(program(1.0)
{
  func main<ios15>(bool p, fp32 x) {
    fp32 chosen = cond(pred = p)[name = string("chosen")] {
      fp32 inner = leaky_relu(x = x, alpha = fp32(0))[name = string("inner")];
    } -> (inner), {
    } -> (x);
  } -> (chosen);
}
)");
}

TEST(Text, Constants) {
  Program program;
  auto text = [&](ConstId id, PrintOptions options = {}) { return print(program.consts[id], *program.dims, options); };
  EXPECT_EQ(text(program.constant(true)), "bool(true)");
  EXPECT_EQ(text(program.constant(std::string("a\n\"b\\"))), R"(string("a\x0a\"b\\"))");
  EXPECT_EQ(text(program.constant(std::vector<std::string>{"a", "b"})), R"(tensor<string, [2]>(["a", "b"]))");
  EXPECT_EQ(text(program.constant(0.1f)), "fp32(0.1)");
  EXPECT_EQ(text(program.constant(Weight::of<int32_t>(DType::I32, {2, 3}, {1, 2, 3, 4, 5, 6}))),
            "tensor<int32, [2, 3]>([[1, 2, 3], [4, 5, 6]])");
  EXPECT_EQ(text(program.constant(Weight::of<int32_t>(DType::I32, {2, 0}, {}))), "tensor<int32, [2, 0]>([[], []])");
  EXPECT_EQ(text(program.constant(Weight::dense(DType::I4, {3}, "\x78\x0f"))), "tensor<int4, [3]>([-8, 7, -1])");
  EXPECT_EQ(text(program.constant(std::vector<int32_t>(17))), "tensor<int32, [17]>(BLOBFILE(17 elements))");
  EXPECT_EQ(text(program.constant(std::vector<int32_t>{1, 2}), {.max_elements = 1}),
            "tensor<int32, [2]>(BLOBFILE(2 elements))");
}

TEST(Text, Types) {
  DimTable dims;
  EXPECT_EQ(print(Type(DType::I32, {}), dims), "int32");
  EXPECT_EQ(print(Type::list({DType::F32, {2}}, 3), dims), "list<tensor<fp32, [2]>, 3>");
  Type dictionary(DType::String, {});
  dictionary.kind = Type::Kind::Dictionary;
  EXPECT_EQ(print(dictionary, dims), "dict<string, fp64>");
}

}  // namespace
}  // namespace cortland::mil
