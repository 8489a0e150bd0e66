#include "mil/parse.h"

#include <gtest/gtest.h>

#include "mil/test_ops.h"
#include "mil/text.h"

namespace cortland::mil {
namespace {

using namespace test;

constexpr const MilOp* kOps[] = {&kLeaky, &kConcat, &kWrite, &kCond};

const MilOp* find(std::string_view name, Target) {
  for (const MilOp* op : kOps)
    if (op->name == name) return op;
  return nullptr;
}

std::string again(std::string_view text) {
  const auto program = parse(text, find);
  EXPECT_TRUE(program.ok()) << (program.ok() ? "" : program.error().what);
  if (!program.ok()) return {};
  EXPECT_TRUE(verify(*program).ok());
  return print(*program);
}

TEST(Parse, GivesTheTextAgain) {
  constexpr std::string_view kText = R"(program(1.3)
[buildInfo = dict<string, string>({{"empty", ""}, {"tool", "a \"b\"\x0a"}})]
{
  func main<ios18>(tensor<fp16, [1, s0]> x, state<tensor<fp16, [1, 4]>> cache) [s0 = 1..64, x = {[1, 4], [1, 8]}] {
    tensor<fp16, [1, s0]> y = leaky_relu(x = x, alpha = fp16(0.5))[name = string("relu_1")];
    write_state(input = cache, data = y)[name = string("update")];
    tensor<fp16, [1, 2*s0]> cat = concat(values = (x, y), axis = int32(-1))[name = string("cat")];
    tensor<fp16, [1, 2*s0 + 1]> odd = leaky_relu(x = cat, alpha = fp32(inf))[name = string("odd")];
  } -> (y, again = y, odd, c = tensor<fp32, [2, 1]>([[1], [-2.5e-07]]), d = tensor<string, [2]>(["a", "b"]));
  func second<ios18>(fp32 x) {
    fp32 z = leaky_relu(x = x, alpha = fp32(0))[name = string("z")];
  } -> (z);
}
)";
  EXPECT_EQ(again(kText), kText);
}

TEST(Parse, NestedBlocks) {
  constexpr std::string_view kText = R"(program(1.0)
{
  func main<ios15>(bool p, fp32 x) {
    fp32 chosen = cond(pred = p)[name = string("chosen")] {
      fp32 inner = leaky_relu(x = x, alpha = fp32(0))[name = string("inner")];
    } -> (inner), (fp32 given) {
    } -> (given);
  } -> (chosen);
}
)";
  EXPECT_EQ(again(kText), kText);
}

TEST(Parse, Sizes) {
  const auto sizes = [&](const std::string& size) {
    const std::string text = "program(1.0) { func main<ios15>(tensor<fp32, [a, b, " + size + "]> x) [a = 1..8, b = 2..] { } -> (y = x); }";
    const auto program = parse(text, find);
    if (!program.ok()) return program.error().what;
    return program->dims->str(program->type(program->functions[0].inputs[0]).shape()[2]);
  };
  EXPECT_EQ(sizes("3"), "3");
  EXPECT_EQ(sizes("a + b"), sizes("b + a"));
  EXPECT_EQ(sizes("2*a*b + -1*b + 1"), sizes("1 + -1*b + 2*b*a"));
  EXPECT_EQ(sizes("((a + 1) // (2))"), "((a + 1) // (2))");
  EXPECT_EQ(sizes("min(a, b + 3)"), "min(a, b + 3)");
  EXPECT_NE(sizes("((a) // (0))").find("divided by zero"), std::string::npos);
  EXPECT_NE(sizes(std::string(100, '(')).find("line 1"), std::string::npos);
}

TEST(Parse, SaysWhereAndWhy) {
  const auto why = [](const std::string& op) {
    const auto program = parse("program(1.0)\n{\n  func main<ios15>(fp32 x) {\n    " + op + "\n  } -> (x);\n}\n", find);
    return program.ok() ? std::string() : program.error().what;
  };
  EXPECT_EQ(why(""), "");
  EXPECT_EQ(why("fp32 y = nonsense(x = x)[name = string(\"y\")];"), "line 4, column 22: there is no op 'nonsense' at iOS15");
  EXPECT_NE(why("fp32 y = leaky_relu(z = x)[name = string(\"y\")];").find("has no input 'z'"), std::string::npos);
  EXPECT_NE(why("fp32 y = leaky_relu(alpha = fp32(1), x = x)[name = string(\"y\")];").find("order"), std::string::npos);
  EXPECT_NE(why("fp32 y = leaky_relu(x = w)[name = string(\"y\")];").find("'w' is not defined"), std::string::npos);
  EXPECT_NE(why("fp32 x = leaky_relu(x = x)[name = string(\"y\")];").find("declared twice"), std::string::npos);
  EXPECT_NE(why("fp32 y = leaky_relu(x = x, alpha = tensor<fp32, [99]>(BLOBFILE(99 elements)))[name = string(\"y\")];").find("not in the text"),
            std::string::npos);
  EXPECT_NE(why("fp32 y = leaky_relu(x = x, alpha = fp32(\"a\"))[name = string(\"y\")];").find("a number is missing"), std::string::npos);
  EXPECT_NE(why("fp32 y = leaky_relu(x = x)[name = string(\"y").find("no end"), std::string::npos);
}

}  // namespace
}  // namespace cortland::mil
