#include "archive/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/test_zip.h"

namespace cortland::archive {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

Result<Pickle> parse(const std::string& code, PickleLimits limits = {}) {
  return parse_pickle(as_bytes(code), "p.pkl", limits);
}

std::string refuse(const std::string& code, PickleLimits limits = {}) {
  const auto pickle = parse(code, limits);
  if (pickle) return "(accepted)";
  EXPECT_EQ(pickle.error().kind, DiagKind::BadPickle);
  EXPECT_THAT(pickle.error().what, HasSubstr("p.pkl"));
  return pickle.error().what;
}

// Short text for a value: what the tests below compare.
std::string show(const Pickle& p, PickleId id) {
  const PickleNode& node = p[id];
  std::string parts;
  for (const PickleId item : node.items) parts += (parts.empty() ? "" : " ") + show(p, item);
  for (const auto& [key, value] : node.entries) parts += (parts.empty() ? "" : " ") + show(p, key) + "=" + show(p, value);
  switch (node.kind) {
    case PickleKind::None:
      return "none";
    case PickleKind::Bool:
      return node.integer ? "true" : "false";
    case PickleKind::Int:
      return std::to_string(node.integer);
    case PickleKind::Float:
      return std::to_string(node.real);
    case PickleKind::Str:
      return "'" + std::string(node.text) + "'";
    case PickleKind::Bytes:
      return "b'" + std::string(node.text) + "'";
    case PickleKind::Tuple:
      return "(" + parts + ")";
    case PickleKind::List:
      return "[" + parts + "]";
    case PickleKind::Dict:
      return "{" + parts + "}";
    case PickleKind::Global:
      return std::string(node.text) + "." + std::string(node.name);
    case PickleKind::PersId:
      return "@" + show(p, node.args);
    case PickleKind::Call:
      break;
  }
  const auto state = node.state.valid() ? "!" + show(p, node.state) : "";
  return show(p, node.callee) + show(p, node.args) + (parts.empty() ? "" : "<" + parts + ">") + state;
}

std::string show(const std::string& code) {
  const auto pickle = parse(code);
  return pickle ? show(*pickle, pickle->root) : pickle.error().what;
}

TEST(Pickle, Scalars) {
  EXPECT_EQ(show("\x80\x02N."), "none");
  EXPECT_EQ(show("\x88."), "true");
  EXPECT_EQ(show("\x89."), "false");
  EXPECT_EQ(show("K\xff."), "255");
  EXPECT_EQ(show("M\xff\xff."), "65535");
  EXPECT_EQ(show("J\xff\xff\xff\xff."), "-1");
  EXPECT_EQ(show("\x8a\0."s), "0");
  EXPECT_EQ(show("\x8a\x01\x80."), "-128");
  EXPECT_EQ(show("\x8a\x02\xff\0."s), "255");
  EXPECT_EQ(show("\x8a\x08\0\0\0\0\0\0\0\x80."s), std::to_string(INT64_MIN));
  EXPECT_THAT(refuse("\x8a\x09\0\0\0\0\0\0\0\x80\0."s), HasSubstr("64 bits"));
  EXPECT_EQ(show("G\x3f\xf8\0\0\0\0\0\0."s), "1.500000");
  EXPECT_EQ(show("X\x03\0\0\0abc."s), "'abc'");
  EXPECT_EQ(show("\x8c\x03xyz."), "'xyz'");
  EXPECT_EQ(show("\x8d\x02\0\0\0\0\0\0\0xy."s), "'xy'");
  EXPECT_EQ(show("C\x01z."), "b'z'");
  EXPECT_EQ(show("B\x01\0\0\0z."s), "b'z'");
  EXPECT_EQ(show("\x96\x01\0\0\0\0\0\0\0z."s), "b'z'");
}

TEST(Pickle, Containers) {
  EXPECT_EQ(show(")."), "()");
  EXPECT_EQ(show("K\1K\2K\3\x87."), "(1 2 3)");
  EXPECT_EQ(show("(K\1K\2K\3K\4t."), "(1 2 3 4)");
  EXPECT_EQ(show("]K\1a(K\2K\3e."), "[1 2 3]");
  EXPECT_EQ(show("}K\1K\2s(K\3K\4K\5K\6u."), "{1=2 3=4 5=6}");
  EXPECT_EQ(show("\x8f(K\1K\2\x90."), "builtins.set()<1 2>");
  EXPECT_EQ(show("(K\1\x91."), "builtins.frozenset()<1>");
  EXPECT_EQ(show("K\1K\2"
                 "0."),
            "1");
  EXPECT_EQ(show("K\1(K\2K\3"
                 "1."),
            "1");
  EXPECT_EQ(show("K\7"
                 "2\x86."),
            "(7 7)");
}

TEST(Pickle, MemoAndFrames) {
  EXPECT_EQ(show("K\5q\0h\0\x86."s), "(5 5)");
  EXPECT_EQ(show("K\5r\0\1\0\0j\0\1\0\0\x86."s), "(5 5)");
  EXPECT_EQ(show("\x80\4\x95\4\0\0\0\0\0\0\0K\5\x94h\0\x86."s), "(5 5)");
  EXPECT_EQ(show("]q\0K\1ah\0K\2a\x86."s), "([1 2] [1 2])");
  EXPECT_THAT(refuse("h\0."s), HasSubstr("before it is set"));
  EXPECT_THAT(refuse("K\1q\5h\4."), HasSubstr("before it is set"));
  EXPECT_THAT(refuse("K\1r\xff\xff\xff\xff."), HasSubstr("out of range"));
}

TEST(Pickle, CallsStayCalls) {
  EXPECT_EQ(show("cos\nsystem\nX\2\0\0\0ls\x85R."s), "os.system('ls')");
  EXPECT_EQ(show("\x8c\2os\x8c\6system\x93)\x81."), "os.system()");
  EXPECT_EQ(show("cm\nC\n)\x81}K\1K\2sb."), "m.C()!{1=2}");
  EXPECT_EQ(show("ccollections\nOrderedDict\n)RK\1K\2s."), "collections.OrderedDict()<1=2>");
  EXPECT_EQ(show("K\1\x85Q."), "@(1)");
  EXPECT_THAT(refuse("cos\nsystem\nK\1R."), HasSubstr("no tuple"));
  EXPECT_THAT(refuse("K\1)Rcx\ny\n\x93."), HasSubstr("not named by strings"));
}

TEST(Pickle, RefusesNonsense) {
  EXPECT_THAT(refuse(""), HasSubstr("cut off"));
  EXPECT_THAT(refuse("."), HasSubstr("exactly one value"));
  EXPECT_THAT(refuse("K\1K\2."), HasSubstr("exactly one value"));
  EXPECT_THAT(refuse("K\1(."), HasSubstr("exactly one value"));
  EXPECT_THAT(refuse("K\1.K"), HasSubstr("bytes follow its end"));
  EXPECT_THAT(refuse("K\1\x86."), HasSubstr("stack runs empty"));
  EXPECT_THAT(refuse("K\1(K\2\x86."), HasSubstr("stack runs empty"));
  EXPECT_THAT(refuse("K\1t."), HasSubstr("a mark is missing"));
  EXPECT_THAT(refuse("K\1K\2a."), HasSubstr("no list"));
  EXPECT_THAT(refuse("]K\1K\2s."), HasSubstr("no dict"));
  EXPECT_THAT(refuse("}(K\1u."), HasSubstr("lacks its value"));
  EXPECT_THAT(refuse("K\1K\2b."), HasSubstr("no object"));
  EXPECT_THAT(refuse("\x80\1N."), HasSubstr("protocol 1"));
  for (const char op : "iIoVF\x82\x92\x97"s) EXPECT_THAT(refuse("N"s + op + "."), HasSubstr("not supported")) << op;
  EXPECT_THAT(refuse("X\xff\xff\xff\xff."), HasSubstr("cut off"));
  EXPECT_THAT(refuse("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), HasSubstr("cut off"));
}

TEST(Pickle, Limits) {
  EXPECT_THAT(refuse("(" + std::string(100, 'N') + "t.", {.max_instructions = 50}), HasSubstr("more than 50 instructions"));
  EXPECT_THAT(refuse("N.", {.max_bytes = 1}), HasSubstr("limit of 1"));
  EXPECT_THAT(refuse("c" + std::string(5000, 'x') + "\ny\n."), HasSubstr("too long"));
  const auto nested = [](int depth) { return ")" + std::string(depth, '\x85') + "."; };
  EXPECT_EQ(refuse(nested(250)), "(accepted)");
  EXPECT_THAT(refuse(nested(260)), HasSubstr("nested too deeply"));
  EXPECT_THAT(refuse(nested(900000)), HasSubstr("nested too deeply"));
  // Each step doubles the tree but adds two bytes.
  std::string doubling = "K\1";
  for (int i = 0; i < 60; ++i) doubling += "2\x86";
  EXPECT_THAT(refuse(doubling + "."), HasSubstr("unfolds into too many values"));
  EXPECT_THAT(refuse("]q\0h\0a."s), HasSubstr("contains itself"));
  EXPECT_THAT(refuse("]q\0}K\1h\0sa."s), HasSubstr("contains itself"));
  EXPECT_THAT(refuse("cm\nC\n)Rq\0h\0b."s), HasSubstr("contains itself"));
}

TEST(Pickle, DamageNeverCrashes) {
  const auto zip = test::open_zip(test::read_file(CORTLAND_TEST_DATA "/archive/values.pt"));
  ASSERT_TRUE(zip.ok());
  const auto code = *zip->read(**zip->require("values/data.pkl"), 1 << 20);
  ASSERT_EQ(refuse(code), "(accepted)");
  for (size_t size = 0; size < code.size(); ++size) EXPECT_NE(refuse(code.substr(0, size)), "(accepted)") << size;
  for (size_t bit = 0; bit < code.size() * 8; bit += 5) {
    auto bytes = code;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    (void)show(bytes);
  }
}

}  // namespace
}  // namespace cortland::archive
