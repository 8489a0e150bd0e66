#include "torch/symbolic_sizes.h"

#include <gtest/gtest.h>

#include "base/diagnostic.h"

namespace cortland::torch {
namespace {

class SymbolicSizesTest : public testing::Test {
 protected:
  // The Dim as text, "?" when it is none, "!" when the text is refused.
  std::string read(std::string_view text) {
    const auto dim = sizes_.parse(text);
    return !dim ? "!" : *dim ? dims_.str(**dim) : "?";
  }
  int64_t value(std::string_view text, const std::map<std::string, int64_t>& symbols) {
    const auto dim = sizes_.parse(text);
    EXPECT_TRUE(dim.ok() && dim->has_value()) << text;
    if (!dim || !*dim) return -999;
    const auto result = dims_.eval(**dim, symbols);
    EXPECT_TRUE(result.ok()) << text;
    return result ? *result : -999;
  }

  DimTable dims_;
  SymbolicSizes sizes_{dims_};
};

TEST_F(SymbolicSizesTest, PrefixForm) {
  EXPECT_EQ(read("Symbol('s77', positive=True, integer=True)"), "s77");
  EXPECT_EQ(read("Integer(-3)"), "-3");
  EXPECT_EQ(read("Add(Symbol('s0', integer=True), Integer(1))"), "s0 + 1");
  EXPECT_EQ(read("Mul(Integer(4), Symbol('s0', positive=True, integer=True), Symbol('s1', positive=True, integer=True))"),
            "4*s0*s1");
  const std::map<std::string, int64_t> at = {{"s0", 7}, {"s1", 3}};
  const std::string s0 = "Symbol('s0', positive=True, integer=True)", s1 = "Symbol('s1', positive=True, integer=True)";
  EXPECT_EQ(value("FloorDiv(" + s0 + ", " + s1 + ")", at), 2);
  EXPECT_EQ(value("CleanDiv(Mul(" + s0 + ", " + s1 + "), " + s1 + ")", at), 7);
  EXPECT_EQ(value("Mod(" + s0 + ", " + s1 + ")", at), 1);
  EXPECT_EQ(value("PythonMod(Mul(Integer(-1), " + s0 + "), " + s1 + ")", at), 2);
  EXPECT_EQ(value("Max(Integer(5), " + s0 + ", " + s1 + ")", at), 7);
  EXPECT_EQ(value("Min(Integer(5), " + s0 + ", " + s1 + ")", at), 3);
  EXPECT_EQ(value("Pow(" + s0 + ", Integer(3))", at), 343);
  EXPECT_EQ(value("PowByNatural(" + s0 + ", Integer(0))", at), 1);
  EXPECT_EQ(value("ModularIndexing(" + s0 + ", Integer(2), Integer(2))", at), 1);
  EXPECT_EQ(value("Mul(Integer(-1), Integer(2), FloorDiv(" + s0 + ", Integer(2)))", at), -6);
}

TEST_F(SymbolicSizesTest, InfixForm) {
  EXPECT_EQ(read("s0"), "s0");
  EXPECT_EQ(read("s0 + 1"), "s0 + 1");
  EXPECT_EQ(read("-s0 + s0"), "0");
  const std::map<std::string, int64_t> at = {{"s0", 7}, {"s1", 3}};
  EXPECT_EQ(value("2*s0 + s1*(s0 - 1)", at), 32);
  EXPECT_EQ(value("s0 - s1 - 1", at), 3);
  EXPECT_EQ(value("s0//2*2", at), 6);
  EXPECT_EQ(value("((s0 + 1)//2) % 3", at), 1);
  EXPECT_EQ(value("-s0**2", at), -49);
  EXPECT_EQ(value("2**s1**0", at), 2);
  EXPECT_EQ(value("Max(1, s1 - 5)", at), 1);
  EXPECT_EQ(value("Mod(s0, 4)", at), 3);
}

// What `interpolate` and int(x / 2) make of sizes: real numbers in between, integers again at the end.
TEST_F(SymbolicSizesTest, RoundedRealNumbers) {
  const std::map<std::string, int64_t> at = {{"s0", 7}};
  const std::string s0 = "Symbol('s0', positive=True, integer=True)";
  EXPECT_EQ(value("TruncToInt(Mul(Float('1.5', precision=53), ToFloat(" + s0 + ")))", at), 10);
  EXPECT_EQ(read("TruncToInt(Mul(Float('2.0', precision=53), ToFloat(" + s0 + ")))"), "2*s0");
  EXPECT_EQ(value("TruncToInt(IntTrueDiv(" + s0 + ", Integer(2)))", at), 3);
  EXPECT_EQ(value("CeilToInt(IntTrueDiv(" + s0 + ", Integer(2)))", at), 4);
  EXPECT_EQ(value("FloorToInt(Mul(Integer(-1), IntTrueDiv(" + s0 + ", Integer(2))))", at), -4);
  EXPECT_EQ(read("TruncToInt(Mul(Integer(-1), IntTrueDiv(" + s0 + ", Integer(2))))"), "?") << "towards zero is not down";
}

TEST_F(SymbolicSizesTest, WhatIsNoDimIsKnownAsSuch) {
  for (const char* text :
       {"Float('1.5', precision=53)",
        "Rational(1, 2)",
        "true",
        "oo",
        "-int_oo",
        "s0/2",
        "1.5*s0",
        "1e-05",
        "TruncToInt(IntTrueDiv(Symbol('s0', integer=True), Integer(2)))",
        "Symbol('zuf0')",
        "ToFloat(s0)",
        "TruncToInt(Mul(Float('1.3', precision=53), ToFloat(s0)))",
        "IntTrueDiv(s0, s1)",
        "FloatPow(s0, 2)",
        "Add(ToFloat(s0), ToFloat(s1))",
        "TruncToInt(Float('1e300', precision=53))",
        "TruncToInt(Float('inf'))",
        "s0**s1",
        "s0 < 3",
        "Piecewise(ExprCondPair(Integer(1), StrictLessThan(Symbol('s0'), Integer(3))), ExprCondPair(Integer(2), true))",
        "Piecewise((1, s0 < 3), (2, True))",
        "Add(Integer(1), Float('0.5', precision=53))",
        "OpaqueUnaryFn_sqrt(s0)",
        "Pow(Symbol('s0'), Integer(-1))",
        "Pow(Symbol('s0'), Integer(1000))"})
    EXPECT_EQ(read(text), "?") << text;
}

TEST_F(SymbolicSizesTest, RefusesOtherText) {
  for (const char* text : {"",
                           " ",
                           "s0 +",
                           "s0 s1",
                           "(s0",
                           "s0)",
                           "Add(",
                           "Add()",
                           "Symbol(s0)",
                           "Symbol('s0'",
                           "Symbol('a b')",
                           "Symbol('s0', positive)",
                           "FloorDiv(s0, Integer(0))",
                           "s0 % 0",
                           "s0 // (1 - 1)",
                           "Mod(s0)",
                           "99999999999999999999",
                           "__import__('os').system('id')",
                           "s0; s1",
                           "a.b",
                           "lambda: 1",
                           "Symbol('')",
                           "'s0'",
                           "s0[0]",
                           "Float(1)"})
    EXPECT_EQ(read(text), "!") << text;
}

TEST_F(SymbolicSizesTest, Limits) {
  EXPECT_EQ(read(std::string(1000, '(') + "s0" + std::string(1000, ')')), "!");
  EXPECT_EQ(read(std::string(1000, '-') + "s0"), "!");
  std::string sum = "s0", product = "(s0 + 1)", nested = "s0";
  for (int i = 1; i < 5000; ++i) sum += " + s" + std::to_string(i);
  EXPECT_EQ(read(sum), "!");
  for (int i = 1; i < 60; ++i) product += "*(s" + std::to_string(i) + " + 1)";
  EXPECT_EQ(read(product), "?") << "2^60 terms";
  for (int i = 2; i < 60; ++i) nested = "Mod(" + nested + ", " + std::to_string(i) + ")";
  EXPECT_EQ(read(nested), "?") << "each remainder names its operand twice";
  EXPECT_EQ(read("4611686018427387904 * s0 * 4611686018427387904"), "?");
  EXPECT_EQ(read(std::string(70000, ' ') + "s0"), "!");
}

TEST_F(SymbolicSizesTest, RangesComeFromConstraints) {
  ASSERT_TRUE(sizes_.constrain("s0", {2, 16}).ok());
  ASSERT_TRUE(sizes_.constrain("s1", {-5, DimRange::kUnbounded}).ok());
  ASSERT_TRUE(sizes_.constrain("s0 + 1", {3, 4}).ok()) << "derived ranges are ignored";
  EXPECT_FALSE(sizes_.constrain("s9", {3, 2}).ok());
  EXPECT_EQ(read("Add(Symbol('s0', positive=True, integer=True), Symbol('s1', integer=True))"), "s1 + s0");
  EXPECT_EQ(dims_.symbol_range("s0"), (DimRange{2, 16}));
  EXPECT_EQ(dims_.symbol_range("s1").low, -5);
  read("u0 + Symbol('s2', positive=True, integer=True)");
  EXPECT_LT(dims_.symbol_range("u0").low, 0) << "an item of a tensor may be negative";
  EXPECT_EQ(dims_.symbol_range("s2").low, 0);
}

TEST_F(SymbolicSizesTest, SizesThatAreNoDimsBecomeSymbols) {
  const auto a = sizes_.parse_size("RoundToInt(ToFloat(s0))");
  const auto b = sizes_.parse_size("RoundToInt(ToFloat(s1))");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_FALSE(*a == *b);
  EXPECT_TRUE(*a == *sizes_.parse_size("RoundToInt(ToFloat(s0))"));
  EXPECT_EQ(dims_.str(*a), "RoundToInt(ToFloat(s0))");
  EXPECT_FALSE(sizes_.parse_size("-1 - 2").ok()) << "no size is negative";
  ASSERT_TRUE(sizes_.parse_size("u3").ok());
  EXPECT_EQ(dims_.symbol_range("u3").low, 0);
}

}  // namespace
}  // namespace cortland::torch
