#include "torch/pt2_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/test_pt2.h"

namespace cortland::torch {
namespace {

using archive::test::Part;
using test::Files;
using test::floats;
using test::kProgram;
using test::kWeights;
using test::meta;
using test::read;
using test::replaced;
using testing::HasSubstr;

DiagKind kind(const Result<Graph>& graph) { return graph ? DiagKind::BadInput : graph.error().kind; }
std::string what(const Result<Graph>& graph) { return graph ? "(accepted)" : graph.error().what; }

std::vector<Part> without(std::vector<Part> parts, std::string_view name) {
  std::erase_if(parts, [&](const Part& part) { return part.name == name; });
  return parts;
}

// A pickled table of one tensor of two floats, as torch.save writes it, its strides and class open to change.
std::string pickled_table(const std::string& name, const std::string& values, char count = 2) {
  const auto text = [](const std::string& s) {
    return "X" + std::string(1, static_cast<char>(s.size())) + std::string(3, '\0') + s;
  };
  const std::string storage =
      "(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "K" + count + "tQ";
  const std::string tensor =
      "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + "K" + std::string(1, '\0') + "K\2\x85K\1\x85\x89}tR";
  return archive::test::make_zip({{"archive/data.pkl", "\x80\2}" + text(name) + tensor + "s."},
                                  {"archive/data/0", values},
                                  {"archive/version", "3\n"}});
}

// torch 2.5: no folder, weights pickled, infix expressions.
std::vector<Part> flat(std::string program, const std::string& version = "7.3") {
  return {{"serialized_exported_program.json", std::move(program)},
          {"serialized_state_dict.pt", pickled_table("w", floats({3, 4}))},
          {"serialized_constants.pt", pickled_table("c", floats({5, 6}))},
          {"serialized_example_inputs.pt", ""},
          {"version", version}};
}
const std::string kOldProgram =
    replaced(replaced(kProgram, R"("major": 8, "minor": 20)", R"("major": 7, "minor": 3)"), "TRAINING", "ATEN");

TEST(Pt2Archive, FlatLayout) {
  const auto graph = read(flat(kOldProgram));
  ASSERT_TRUE(graph.ok()) << what(graph);
  EXPECT_EQ(graph->inputs[0].data.to_floats(), (std::vector<float>{3, 4}));
  EXPECT_TRUE(graph->functional);
  const auto constant =
      read(flat(replaced(kOldProgram, R"({"buffer": {"arg": {"name": "w"}, "buffer_name": "w", "persistent": true}})",
                         R"({"tensor_constant": {"arg": {"name": "w"}, "tensor_constant_name": "c"}})")));
  ASSERT_TRUE(constant.ok()) << what(constant);
  EXPECT_EQ(constant->inputs[0].data.to_floats(), (std::vector<float>{5, 6}));
}

TEST(Pt2Archive, FlatLayoutHasOlderJson) {
  auto program = replaced(kOldProgram, "\"x\": " + meta(), "\"x\": " + meta(R"({"as_expr": {"expr_str": "2*s0 + 1"}})"));
  program = replaced(program, R"("inputs": [{"name": "self")",
                     R"("inputs": [{"name": "alpha", "arg": {"as_floats": [NaN, -Infinity]}}, {"name": "self")");
  program = replaced(program, R"(, "verifiers": ["ATEN"])", "");
  const auto graph = read(flat(program));
  ASSERT_TRUE(graph.ok()) << what(graph);
  EXPECT_EQ(graph->dims->str(graph->type(graph->inputs[1].value).shape[0]), "2*s0 + 1");
  EXPECT_EQ(graph->dialect, "ATEN");
  EXPECT_EQ(graph->torch_version, "<=2.4");
  EXPECT_FALSE(read(flat(replaced(program, R"("major": 7, "minor": 3)", R"("major": 8, "minor": 7)"), "8.7")).ok())
      << "newer files hold no bare NaN";
}

TEST(Pt2Archive, FlatVersions) {
  for (const char* version : {"1", "2", "4.9", "9.1", "nonsense"})
    EXPECT_EQ(kind(read(flat(kOldProgram, version))), DiagKind::UnsupportedSchema) << version;
  EXPECT_TRUE(read(flat(kOldProgram, "5.1\n")).ok());
}

TEST(Pt2Archive, PickledWeightsInAFolder) {  // torch 2.8
  auto parts = without(without(test::parts({}), "m/data/weights/model_weights_config.json"), "m/data/weights/weight_0");
  parts.push_back({"m/data/weights/model.pt", pickled_table("w", floats({7, 8}))});
  const auto graph = read(parts);
  ASSERT_TRUE(graph.ok()) << what(graph);
  EXPECT_EQ(graph->inputs[0].data.to_floats(), (std::vector<float>{7, 8}));
}

TEST(Pt2Archive, FilesThatAreNoPrograms) {
  const auto plain = read(std::vector<Part>{{"a/b.txt", "hello"}});
  EXPECT_THAT(what(plain), HasSubstr("not an exported program"));
  const auto script = read(std::vector<Part>{{"a/data.pkl", "x"}, {"a/version", "3"}});
  EXPECT_THAT(what(script), HasSubstr("TorchScript"));
  const auto half = read(without(test::parts({}), "m/models/model.json"));
  EXPECT_THAT(what(half), HasSubstr("half way"));
  auto inductor = without(test::parts({}), "m/models/model.json");
  inductor.push_back({"m/data/aotinductor/model/a.so", "x"});
  EXPECT_THAT(what(read(inductor)), HasSubstr("AOTInductor"));
  for (const auto& graph : {std::cref(plain), std::cref(script), std::cref(half)})
    EXPECT_EQ(kind(graph), DiagKind::BadArchive);
  EXPECT_EQ(kind(read_pt2(MappedFile::from_bytes("PK", "x.pt2"))), DiagKind::BadArchive);
  EXPECT_EQ(kind(read_pt2("/no/such/file.pt2")), DiagKind::FileNotFound);
}

TEST(Pt2Archive, NamesItsPrograms) {
  const auto names = [](const std::vector<Part>& parts) {
    return program_names(MappedFile::from_bytes(archive::test::make_zip(parts), "test.pt2"));
  };
  EXPECT_THAT(*names(test::parts({})), testing::ElementsAre("model"));
  EXPECT_THAT(*names(flat(kOldProgram)), testing::ElementsAre("model"));
  // In the order of the file.
  EXPECT_THAT(*names(test::parts(Files{.more = {{"m/models/prefill.json", kProgram}, {"m/models/decode.json", kProgram}}})),
              testing::ElementsAre("model", "prefill", "decode"));
  EXPECT_EQ(names(without(test::parts({}), "m/models/model.json")).error().kind, DiagKind::BadArchive);
}

TEST(Pt2Archive, MarkersMustBeRight) {
  const auto with = [](std::string_view name, std::string data) {
    auto parts = without(test::parts({}), name);
    parts.push_back({std::string(name), std::move(data)});
    return read(parts);
  };
  EXPECT_EQ(kind(with("m/archive_format", "pt3")), DiagKind::BadArchive);
  EXPECT_EQ(kind(with("m/archive_version", "1")), DiagKind::UnsupportedSchema);
  EXPECT_EQ(kind(with("m/byteorder", "big")), DiagKind::BadArchive);
  EXPECT_TRUE(read(without(test::parts({}), "m/byteorder")).ok());
  EXPECT_FALSE(with("other/x", "y").ok()) << "two folders";
}

TEST(Pt2Archive, DamageIsNoticed) {
  auto parts = test::parts({});
  parts[3].crc = 12345;
  EXPECT_THAT(what(read(parts)), HasSubstr("checksum"));
}

TEST(Pt2Weights, ViewsOfTheStorage) {
  const auto weights = [](std::string_view tensor_meta) { return replaced(kWeights, meta(), tensor_meta); };
  const auto offset = read(
      Files{.weights = weights(replaced(meta(), R"("storage_offset":{"as_int":0})", R"("storage_offset":{"as_int":2})")),
            .payload = floats({1, 2, 3, 4})});
  ASSERT_TRUE(offset.ok()) << what(offset);
  EXPECT_EQ(offset->inputs[0].data.to_floats(), (std::vector<float>{3, 4}));
  const auto strided =
      read(Files{.weights = weights(meta(R"({"as_int":2})", R"({"as_int":2})")), .payload = floats({1, 2, 3, 4})});
  ASSERT_TRUE(strided.ok()) << what(strided);
  EXPECT_EQ(strided->inputs[0].data.to_floats(), (std::vector<float>{1, 3}));
  const auto broadcast = read(Files{.weights = weights(meta(R"({"as_int":2})", R"({"as_int":0})")), .payload = floats({9})});
  ASSERT_TRUE(broadcast.ok()) << what(broadcast);
  EXPECT_EQ(broadcast->inputs[0].data.to_floats(), (std::vector<float>{9, 9}));
}

TEST(Pt2Weights, MissingData) {
  const auto empty = read(Files{.payload = ""});
  EXPECT_EQ(kind(empty), DiagKind::WeightsMissing);
  EXPECT_THAT(what(empty), HasSubstr("'w'"));
  // Nobody asks for it.
  const auto unused =
      replaced(kWeights, "{\"config\": {",
               R"({"config": {"v": {"path_name": "weight_9", "use_pickle": false, "tensor_meta": )" + meta() + "}, ");
  EXPECT_TRUE(read(Files{.weights = unused}).ok());
  const auto shape = meta(R"({"as_int":0},{"as_int":3})", R"({"as_int":3},{"as_int":1})");
  const auto none = read(Files{.program = replaced(kProgram, "\"w\": " + meta(), "\"w\": " + shape),
                               .weights = replaced(kWeights, meta(), shape),
                               .payload = ""});
  ASSERT_TRUE(none.ok()) << "no elements, no bytes: " << what(none);
  EXPECT_EQ(none->inputs[0].data.elements(), 0);
}

TEST(Pt2Weights, Lies) {
  const auto weights = [](std::string_view from, std::string_view to) {
    return kind(read(Files{.weights = replaced(kWeights, from, to)}));
  };
  const auto with_meta = [](const std::string& lie, const std::string& payload = floats({1, 2})) {
    const auto program = replaced(kProgram, "\"w\": " + meta(), "\"w\": " + lie);
    return kind(read(Files{.program = program, .weights = replaced(kWeights, meta(), lie), .payload = payload}));
  };
  const auto accepted = DiagKind::BadInput;
  EXPECT_NE(weights("\"w\"", "\"v\""), accepted) << "no such name";
  EXPECT_NE(weights("weight_0", "../constants/tensor_0"), accepted);
  EXPECT_NE(weights("weight_0", "weight_1"), accepted);
  EXPECT_NE(weights("\"use_pickle\": false", "\"use_pickle\": true"), accepted) << "not a pickle";
  EXPECT_NE(weights(meta(), "null"), accepted);
  EXPECT_NE(weights(meta(), meta(R"({"as_int":1})")), accepted) << "not what the graph expects";
  EXPECT_NE(weights(meta(), meta(R"({"as_int":2})", R"({"as_int":1})", 4)), accepted);
  EXPECT_NE(weights("\"as_int\":2", "\"as_expr\":{\"expr_str\":\"s0\"}"), accepted);
  EXPECT_NE(weights("\"layout\":7", "\"layout\":1"), accepted);
  EXPECT_NE(weights("\"storage_offset\":{\"as_int\":0}", "\"storage_offset\":{\"as_int\":1}"), accepted) << "past the end";
  EXPECT_NE(weights("\"storage_offset\":{\"as_int\":0}", "\"storage_offset\":{\"as_int\":-1}"), accepted);
  EXPECT_NE(weights("\"storage_offset\":{\"as_int\":0}", "\"storage_offset\":{\"as_int\":4611686018427387904}"), accepted);
  EXPECT_NE(with_meta(meta(R"({"as_int":3})")), accepted);
  EXPECT_NE(with_meta(meta(R"({"as_int":2})", R"({"as_int":4611686018427387904})")), accepted);
  EXPECT_NE(with_meta(meta(R"({"as_int":1099511627776})", R"({"as_int":0})")), accepted) << "4 TiB out of 8 bytes";
  EXPECT_NE(with_meta(meta(R"({"as_int":4611686018427387904},{"as_int":4},{"as_int":0})",
                           R"({"as_int":0},{"as_int":0},{"as_int":0})")),
            accepted);
  EXPECT_NE(with_meta(meta(), "123456789"), accepted) << "no whole number of elements";
  EXPECT_NE(with_meta(meta(R"({"as_int":2})", R"({"as_int":1})", 0)), accepted) << "unknown element type";
}

}  // namespace
}  // namespace cortland::torch
