#include "archive/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace cortland::archive {
namespace {

using testing::HasSubstr;

JsonDocument parse(std::string_view text, JsonOptions options = {}) {
  auto document = parse_json(text, "m.json", options);
  EXPECT_TRUE(document.ok()) << document.error().what;
  return std::move(document).value();
}

std::string refuse(std::string_view text, JsonOptions options = {}) {
  const auto document = parse_json(text, "m.json", options);
  if (document) return "(accepted)";
  EXPECT_EQ(document.error().kind, DiagKind::BadJson);
  return document.error().what;
}

TEST(Json, ReadsEveryType) {
  const auto document = parse(
      R"({"i": -5, "u": 18446744073709551615, "f": -1e-5, "s": "a\u00e9", "b": true, "n": null, "l": [1, 2], "o": {}})");
  const Json root = document.root();
  EXPECT_EQ(*root.field("i")->as_int64(), -5);
  EXPECT_EQ(*root.field("u")->as_uint64(), 18446744073709551615u);
  EXPECT_EQ(*root.field("f")->as_double(), -1e-5);
  EXPECT_EQ(*root.field("i")->as_double(), -5.0);
  EXPECT_EQ(*root.field("s")->as_string(), "a\xc3\xa9");
  EXPECT_TRUE(*root.field("b")->as_bool());
  EXPECT_TRUE(root.field("n")->is_null());
  EXPECT_TRUE(root.field("i")->is_integer());
  EXPECT_FALSE(root.field("f")->is_integer());
  std::vector<int64_t> items;
  const auto list = root.field("l")->items();
  for (const Json item : *list) items.push_back(*item.as_int64());
  EXPECT_EQ(items, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(list->size(), 2u);
  EXPECT_EQ(root.field("o")->fields()->size(), 0u);
}

TEST(Json, KeepsIntegersExact) {
  const auto document = parse("[9223372036854775807, -9223372036854775808, 9223372036854775808, 9007199254740993]");
  std::vector<Json> items;
  const auto list = document.root().items();
  for (const Json item : *list) items.push_back(item);
  EXPECT_EQ(*items[0].as_int64(), INT64_MAX);
  EXPECT_EQ(*items[1].as_int64(), INT64_MIN);
  EXPECT_THAT(items[1].as_uint64().error().what, HasSubstr("must not be negative"));
  EXPECT_THAT(items[2].as_int64().error().what, HasSubstr("m.json: [2]: the integer does not fit"));
  EXPECT_EQ(*items[2].as_uint64(), uint64_t{1} << 63);
  EXPECT_EQ(*items[3].as_int64(), 9007199254740993);
  EXPECT_THAT(refuse("[18446744073709551616]"), HasSubstr("a number is malformed or too large"));
  EXPECT_EQ(*parse("1e-320").root().as_double(), 1e-320);
  EXPECT_TRUE(std::signbit(*parse("-0.0").root().as_double()));
}

TEST(Json, ErrorsNameTheFileAndThePlace) {
  const auto document =
      parse(R"({"a": {"x": [0]}, "graph": {"nodes": [{}, [[]], {"k": 1, "in puts": {"y": [true, {"z": "s"}]}}]}})");
  const auto nodes = document.root().field("graph")->field("nodes")->items();
  std::vector<Json> items;
  for (const Json node : *nodes) items.push_back(node);
  const Json deep = *items[2].field("in puts")->field("y");
  EXPECT_EQ(deep.path(), "graph.nodes[2][\"in puts\"].y");
  const auto inner = deep.items();
  auto at = inner->begin();
  EXPECT_THAT((*at).as_int64().error().what,
              testing::StrEq("m.json: graph.nodes[2][\"in puts\"].y[0]: an integer expected, found a boolean"));
  ++at;
  EXPECT_EQ((*at).field("z")->path(), "graph.nodes[2][\"in puts\"].y[1].z");
  EXPECT_EQ((*(*items[1].items()).begin()).path(), "graph.nodes[1][0]");
  EXPECT_EQ(document.root().path(), "");
  EXPECT_EQ(document.root().field("nope").error().what, "m.json: the field 'nope' is missing");
  EXPECT_EQ(items[0].field("nope").error().what, "m.json: graph.nodes[0]: the field 'nope' is missing");
  EXPECT_THAT(items[2].field("k")->field("x").error().what,
              HasSubstr("graph.nodes[2].k: an object expected, found an integer"));
  EXPECT_THAT(items[0].items().error().what, HasSubstr("an array expected, found an object"));
  EXPECT_THAT(items[0].as_string().error().what, HasSubstr("a string expected"));
  EXPECT_THAT(items[0].as_bool().error().what, HasSubstr("a boolean expected"));
  EXPECT_THAT(items[0].as_double().error().what, HasSubstr("a number expected"));
}

TEST(Json, HandlesSurviveAMoveOfTheDocument) {
  auto document = parse(R"({"a": [1]})");
  const Json item = *document.root().field("a");
  const JsonDocument moved = std::move(document);
  EXPECT_EQ(item.as_string().error().what, "m.json: a: a string expected, found an array");
}

TEST(Json, OptionalFieldsAndUnions) {
  const auto document = parse(R"({"n": null, "one": {"as_int": 3}, "two": {"a": 1, "b": 2}, "none": {}})");
  const Json root = document.root();
  EXPECT_FALSE(root.optional_field("n")->has_value());
  EXPECT_FALSE(root.optional_field("zzz")->has_value());
  EXPECT_TRUE(root.optional_field("one")->has_value());
  const auto only = root.field("one")->only_field();
  EXPECT_EQ(only->first, "as_int");
  EXPECT_EQ(*only->second.as_int64(), 3);
  EXPECT_THAT(root.field("two")->only_field().error().what, HasSubstr("two: exactly one field expected, found 2"));
  EXPECT_FALSE(root.field("none")->only_field().ok());
}

TEST(Json, RefusesRepeatedKeys) {
  const auto document = parse(R"({"a": 1, "b": 2, "a": 3})");
  EXPECT_THAT(document.root().field("a").error().what, HasSubstr("'a' is there twice"));
  EXPECT_TRUE(document.root().field("b").ok());
  EXPECT_THAT(document.root().fields().error().what, HasSubstr("'a' is there twice"));
  std::string text = "{";
  for (int i = 0; i < 50; ++i) text += "\"k" + std::to_string(i) + "\": 0, ";
  EXPECT_EQ(parse(text + "\"k\": 0}").root().fields()->size(), 51u);
  EXPECT_THAT(parse(text + "\"k40\": 0}").root().fields().error().what, HasSubstr("'k40' is there twice"));
}

TEST(Json, LoneSurrogatesBecomeReplacements) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(*parse(R"("a\ud800b")").root().as_string(), "a" + bad + "b");
  EXPECT_EQ(*parse(R"("\uDC00")").root().as_string(), bad);
  EXPECT_EQ(*parse(R"("\ud800\ud800\udc00")").root().as_string(), bad + "\xf0\x90\x80\x80");
  EXPECT_EQ(*parse(R"("\ud83d\ude00")").root().as_string(), "\xf0\x9f\x98\x80");
  EXPECT_EQ(*parse(R"("\ud800A")").root().as_string(), bad + "A");
  EXPECT_EQ(*parse(R"("\\ud800")").root().as_string(), "\\ud800");
  EXPECT_EQ(*parse(R"("\\\ud800")").root().as_string(), "\\" + bad);
  EXPECT_EQ(*parse(R"("\uDfFf\n")").root().as_string(), bad + "\n");
  EXPECT_NE(refuse(R"("\ud80")"), "(accepted)");
  EXPECT_NE(refuse("\"\\ud800"), "(accepted)");
  EXPECT_NE(refuse("\"\\"), "(accepted)");
}

TEST(Json, NonFiniteNumbers) {
  EXPECT_TRUE(std::isnan(*parse(R"("NaN")").root().as_double()));
  EXPECT_EQ(*parse(R"("-Infinity")").root().as_double(), -INFINITY);
  EXPECT_FALSE(parse(R"("Inf")").root().as_double().ok());
  EXPECT_NE(refuse("[NaN]"), "(accepted)");
  const JsonOptions older{.bare_non_finite = true};
  const auto document = parse(R"({"a": [NaN, Infinity,-Infinity, -1], "b": "NaN \" -Infinity \\", "c": NaN})", older);
  std::vector<double> values;
  const auto list = document.root().field("a")->items();
  for (const Json item : *list) values.push_back(*item.as_double());
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], INFINITY);
  EXPECT_EQ(values[2], -INFINITY);
  EXPECT_EQ(values[3], -1);
  EXPECT_EQ(*document.root().field("b")->as_string(), "NaN \" -Infinity \\");
  EXPECT_NE(refuse("[NaNa]", older), "(accepted)");
  EXPECT_NE(refuse("[--Infinity]", older), "(accepted)");
  EXPECT_NE(refuse("[\"a\\", older), "(accepted)");
}

TEST(Json, Limits) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(refuse(nested(250)), "(accepted)");
  EXPECT_THAT(refuse(nested(260)), HasSubstr("'m.json' cannot be read as JSON: it is nested too deeply"));
  EXPECT_THAT(refuse(nested(100000)), HasSubstr("too deeply"));
  EXPECT_THAT(refuse("[1, 2, 3]", {.max_size = 8}), HasSubstr("limit of 8"));
  EXPECT_THAT(refuse(""), HasSubstr("it is empty"));
  EXPECT_THAT(refuse("\"\xff\""), HasSubstr("not UTF-8"));
}

TEST(Json, EveryTruncationIsAnError) {
  const std::string text = R"({"a": [1, -2.5e3, "x\ud83d\ude00\n", true, null], "b": {"c": {}}})";
  parse(text);
  for (size_t size = 0; size < text.size(); ++size) EXPECT_NE(refuse(text.substr(0, size)), "(accepted)") << size;
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    auto bytes = text;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    (void)refuse(bytes, {.bare_non_finite = bit % 2 == 0});
  }
}

}  // namespace
}  // namespace cortland::archive
