#include "executorch/delegate_blob.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace cortland::executorch {
namespace {

std::string backwards(std::string text) {
  std::ranges::reverse(text);
  return text;
}

std::string flatten(std::vector<BlobFile> files) {
  auto blob = flatten_directory("lowered_module", std::move(files));
  EXPECT_TRUE(blob.ok()) << (blob.ok() ? "" : blob.error().what);
  if (!blob.ok()) return {};
  auto bytes = read_all(blob->bytes);
  EXPECT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->size(), blob->bytes.size);
  return *bytes;
}

std::string error_of(const std::string& blob) {
  const auto files = unflatten_directory(as_bytes(blob));
  if (files.ok()) return "";
  EXPECT_EQ(files.error().kind, DiagKind::BadPte);
  return files.error().what;
}

TEST(DelegateBlob, LayoutIsContentThenTheIndexBackwards) {
  const auto blob = flatten({{"metadata.json", owned_bytes("{}")}, {"m/w", owned_bytes("weight")}});
  EXPECT_EQ(blob,
            "{}weight" + backwards(R"({"nodes":[{"children":{},"dataRegion":{"offset":2,"size":6},"kind":0,"name":"w"},)"
                                   R"({"children":{"w":0},"dataRegion":{"offset":0,"size":0},"kind":1,"name":"m"},)"
                                   R"({"children":{},"dataRegion":{"offset":0,"size":2},"kind":0,"name":"metadata.json"},)"
                                   R"({"children":{"m":1,"metadata.json":2},"dataRegion":{"offset":0,"size":0},"kind":1,)"
                                   R"("name":"lowered_module"}]})"));
}

TEST(DelegateBlob, ComesApartAsItWasPutTogether) {
  const auto blob =
      flatten({{"metadata.json", owned_bytes("{\"}}\"}")},
               {"model.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
                streamed_bytes(5, [](OutputFile& out, uint64_t at) { return out.write_at(at, as_bytes("\0\1\2\3\4")); })},
               {"model.mlpackage/Manifest.json", owned_bytes("manifest")},
               {"empty", owned_bytes("")}});
  for (const auto& padded : {blob, blob + std::string(1000, '\0')}) {
    const auto files = unflatten_directory(as_bytes(padded));
    ASSERT_TRUE(files.ok()) << files.error().what;
    ASSERT_EQ(files->size(), 3u);
    EXPECT_EQ((*files)[0].path, "metadata.json");
    EXPECT_EQ(as_text((*files)[0].bytes), "{\"}}\"}");
    EXPECT_EQ((*files)[1].path, "model.mlpackage/Data/com.apple.CoreML/weights/weight.bin");
    EXPECT_EQ((*files)[1].bytes.size(), 5u);
    EXPECT_EQ(as_text((*files)[2].bytes), "manifest");
  }
}

TEST(DelegateBlob, LargeModelsStartTheirFilesOnPages) {
  const uint64_t large = (1ull << 30) + 1;
  const auto nothing = [](OutputFile&, uint64_t) -> Status { return {}; };
  const auto blob = flatten_directory("r", {{"a", owned_bytes("a")}, {"weight.bin", streamed_bytes(large, nothing)}});
  ASSERT_TRUE(blob.ok());
  EXPECT_EQ(blob->alignment, 16384u);
  EXPECT_GT(blob->bytes.size, 16384 + round_up(large, 16384));
  EXPECT_EQ(flatten_directory("r", {{"weight.bin", streamed_bytes(large / 2, nothing)}})->alignment, 1u);
}

TEST(DelegateBlob, RefusesPathsThatReadersCannotFollow) {
  for (const auto* path : {"", "/a", "a/", "a//b", "../a", "a/./b", "a\"b", "a\\b", "a\nb"}) {
    const auto blob = flatten_directory("r", {{path, owned_bytes("x")}});
    EXPECT_FALSE(blob.ok()) << path;
  }
  EXPECT_FALSE(flatten_directory("r", {}).ok());
  EXPECT_FALSE(flatten_directory("r", {{"a", owned_bytes("x")}, {"a", owned_bytes("x")}}).ok());
  EXPECT_FALSE(flatten_directory("r", {{"a", owned_bytes("x")}, {"a/b", owned_bytes("x")}}).ok());
  EXPECT_FALSE(flatten_directory("r", {{"a/b", owned_bytes("x")}, {"a", owned_bytes("x")}}).ok());
}

TEST(DelegateBlob, RefusesDamagedIndexes) {
  using testing::HasSubstr;
  EXPECT_THAT(error_of(""), HasSubstr("no beginning"));
  EXPECT_THAT(error_of("no index here"), HasSubstr("without an index"));
  EXPECT_THAT(error_of(backwards("{\"nodes\":[")), HasSubstr("no beginning"));
  EXPECT_THAT(error_of(backwards("{nodes}")), HasSubstr("not JSON"));
  EXPECT_THAT(error_of(backwards("{}")), HasSubstr("no entries"));
  const auto with = [](std::string nodes) { return "data" + backwards("{\"nodes\":[" + nodes + "]}"); };
  const std::string file = R"({"dataRegion":{"offset":0,"size":4},"kind":0})";
  EXPECT_EQ(error_of(with(file + R"(,{"children":{"f":0},"kind":1})")), "");
  EXPECT_THAT(error_of(with(file)), HasSubstr("root is not a directory"));
  EXPECT_THAT(error_of(with(R"({"kind":2})")), HasSubstr("neither a file"));
  EXPECT_THAT(error_of(with(R"({"children":{"f":0},"kind":1})")), HasSubstr("not a tree"));
  EXPECT_THAT(error_of(with(file + R"(,{"children":{"f":0,"g":0},"kind":1})")), HasSubstr("not a tree"));
  EXPECT_THAT(error_of(with(file + R"(,{"children":{"f":-1},"kind":1})")), HasSubstr("not a tree"));
  EXPECT_THAT(error_of(with(file + R"(,{"children":{"../f":0},"kind":1})")), HasSubstr("no usable path"));
  for (const auto* region :
       {R"("offset":0,"size":5000)", R"("offset":5000,"size":0)", R"("offset":1,"size":18446744073709551615)",
        R"("offset":-1,"size":4)", R"("offset":0.5,"size":1)", R"("size":1)"})
    EXPECT_THAT(error_of(with(std::string(R"({"dataRegion":{)") + region + R"(},"kind":0},{"children":{"f":0},"kind":1})")),
                HasSubstr("outside the blob"))
        << region;
  EXPECT_THAT(error_of(backwards("{\"nodes\":" + std::string(100, '[') + std::string(100, ']') + "}")),
              HasSubstr("levels deep"));
}

TEST(DelegateMetadata, IsSpelledAsUpstream) {
  const BlobMetadata one{"executorch_1", {{"x", "y"}, {"z"}}, {}};
  EXPECT_EQ(metadata_json(one), R"({"inputNames": ["x", "y"], "outputNames": ["z"], "identifier": "executorch_1"})");
  EXPECT_EQ(*parse_metadata(as_bytes(metadata_json(one))), one);
  const BlobMetadata many{"executorch_2", {}, {{"decode", {{"x"}, {"y"}}}, {"prefill", {{}, {"y"}}}}};
  EXPECT_EQ(metadata_json(many),
            R"({"identifier": "executorch_2", "methods": {"decode": {"inputNames": ["x"], "outputNames": ["y"]}, )"
            R"("prefill": {"inputNames": [], "outputNames": ["y"]}}})");
  EXPECT_EQ(*parse_metadata(as_bytes(metadata_json(many))), many);
}

TEST(DelegateMetadata, RefusesWhatTheRuntimeWould) {
  for (const auto* text : {"", "[]", "{}", R"({"identifier": "", "inputNames": [], "outputNames": ["y"]})",
                           R"({"identifier": "a", "inputNames": [], "outputNames": []})",
                           R"({"identifier": "a", "inputNames": [1], "outputNames": ["y"]})",
                           R"({"identifier": "a", "methods": {"f": {"inputNames": []}}})"})
    EXPECT_FALSE(parse_metadata(as_bytes(text)).ok()) << text;
}

TEST(MultifunctionReference, RoundTripsAndIsRecognised) {
  const MultifunctionReference reference{"coreml_executorch_1", "prefill"};
  const auto bytes = multifunction_reference(reference);
  EXPECT_EQ(bytes, R"(CMJR{"version": 1, "key": "coreml_executorch_1", "functionName": "prefill"})");
  EXPECT_TRUE(is_multifunction_reference(as_bytes(bytes)));
  EXPECT_EQ(*parse_multifunction_reference(as_bytes(bytes)), reference);
  EXPECT_FALSE(is_multifunction_reference(as_bytes("CMJ")));
  for (const auto* bad : {"{}", "CMJR", "CMJR{}", R"(CMJR{"version": 2, "key": "a"})", R"(CMJR{"version": 1, "key": ""})"})
    EXPECT_FALSE(parse_multifunction_reference(as_bytes(bad)).ok()) << bad;
}

}  // namespace
}  // namespace cortland::executorch
