#include "coreml/manifest.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <regex>

namespace cortland::coreml {
namespace {

using testing::HasSubstr;

std::string path_in(const std::string& text) {
  auto path = model_path(as_bytes(text), "Manifest.json");
  return path.ok() ? *path : path.error().what;
}

std::string manifest(const std::string& version, const std::string& path) {
  return R"({"fileFormatVersion": ")" + version + R"(", "itemInfoEntries": {"0": {"path": ")" + path +
         R"("}}, "rootModelIdentifier": "0"})";
}

TEST(Manifest, NamesModelAndWeights) {
  const std::string text = write_manifest("model", true);
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["fileFormatVersion"], "1.0.0");
  ASSERT_EQ(json["itemInfoEntries"].size(), 2u);
  for (const auto& [key, item] : json["itemInfoEntries"].items()) {
    EXPECT_TRUE(std::regex_match(key, std::regex("[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")))
        << key;
    EXPECT_EQ(item.size(), 4u);
    EXPECT_EQ(item["path"], item["author"].get<std::string>() + "/" + item["name"].get<std::string>());
  }
  EXPECT_EQ(path_in(text), "Data/com.apple.CoreML/model.mlmodel");
  EXPECT_EQ(text, write_manifest("model", true));
  EXPECT_NE(text, write_manifest("other", true));
  EXPECT_EQ(nlohmann::json::parse(write_manifest("model", false))["itemInfoEntries"].size(), 1u);
}

TEST(Manifest, AcceptsVersionsUpToOne) {
  EXPECT_EQ(path_in(manifest("1.0.0", "a/b")), "Data/a/b");
  EXPECT_EQ(path_in(manifest("0.9.0", "a/b")), "Data/a/b");
  for (const char* version : {"1.0.1", "1.1.0", "2.0.0", "1.0", "1.0.0x", "", "-1.0.0"})
    EXPECT_THAT(path_in(manifest(version, "a/b")), HasSubstr("format version"));
}

TEST(Manifest, KeepsThePathInside) {
  for (const char* path : {"", "/etc/passwd", "../x", "a/../../x", "a/./b", "a/"})
    EXPECT_THAT(path_in(manifest("1.0.0", path)), HasSubstr("not inside the package"));
}

TEST(Manifest, RefusesOtherThings) {
  EXPECT_THAT(path_in("{"), HasSubstr("not a JSON object"));
  EXPECT_THAT(path_in("[1]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(path_in(R"({"fileFormatVersion": "1.0.0"})"), HasSubstr("no itemInfoEntries"));
  EXPECT_THAT(path_in(R"({"fileFormatVersion": "1.0.0", "itemInfoEntries": {}})"), HasSubstr("which item is the model"));
  EXPECT_THAT(path_in(std::string(100000, '[')), HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace cortland::coreml
