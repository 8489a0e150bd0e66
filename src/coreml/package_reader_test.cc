#include "coreml/package_reader.h"

#include <gmock/gmock.h>

#include <random>

#include "coreml/test_programs.h"
#include "mil/parse.h"
#include "mil/text.h"
#include "mil_ops/ops.h"

namespace cortland::coreml {
namespace {

using namespace test;
using testing::HasSubstr;

const std::filesystem::path kData = std::filesystem::path(CORTLAND_TEST_DATA) / "coreml";

Program fixture(const std::string& name) {
  auto program = read_package(kData / (name + ".mlpackage"));
  CHECK(program.ok(), render(program.error()));
  return std::move(program).value();
}

std::string why(const Result<Program>& result) { return result.ok() ? "fine" : result.error().what; }

// Reads the package of `program` after `change` had its way with the message.
template <class Change>
Result<Program> reread(const Program& program, Change change) {
  const auto plan = plan_package(program);
  CHECK(plan.ok());
  spec::Model model = model_of(*plan);
  change(model);
  return read_package(package_of(plan->manifest, model.SerializeAsString(), weight_bytes_of(*plan)).files);
}

milspec::Block& body(spec::Model& model) {
  auto& f = model.mutable_mlprogram()->mutable_functions()->at("main");
  return f.mutable_block_specializations()->at(f.opset());
}

// Of the first constant, of the first op that is not one, and of the first input.
auto* blob(spec::Model& m) { return body(m).mutable_operations(0)->mutable_attributes()->at("val").mutable_blobfilevalue(); }
auto* result_type(spec::Model& m) {
  return body(m).mutable_operations(2)->mutable_outputs(0)->mutable_type()->mutable_tensortype();
}
auto* ranges(spec::Model& m) {
  return m.mutable_description()->mutable_input(0)->mutable_type()->mutable_multiarraytype()->mutable_shaperange();
}

class Theirs : public testing::TestWithParam<const char*> {};

// What coremltools wrote reads, and what we write of it keeps every rule and does not change any more.
TEST_P(Theirs, RoundTrips) { expect_round_trip(fixture(GetParam())); }
TEST_P(Theirs, PrintsAndParses) {
  const Program program = fixture(GetParam());
  const mil::PrintOptions whole{.max_elements = INT64_MAX};
  const std::string text = mil::print(program, whole);
  const auto again = mil::parse(text, mil_ops::find);
  ASSERT_TRUE(again.ok()) << again.error().what;
  EXPECT_EQ(mil::print(*again, whole), text);
}

INSTANTIATE_TEST_SUITE_P(Packages, Theirs,
                         testing::Values("classifier", "dynamic", "compressed_ios16", "compressed_ios18", "control",
                                         "functions"));

TEST(PackageReader, KeepsFlexibleShapes) {
  const Program dynamic = fixture("dynamic");
  const mil::Function& f = dynamic.functions.at(0);
  const Dim batch = dynamic.type(f.inputs[0]).shape()[0];
  EXPECT_EQ(dynamic.dims->range(batch), (DimRange{1, 16}));
  // The file says "unknown" everywhere; the ops' own rules say that it is the same size.
  EXPECT_EQ(dynamic.type(f.outputs[0].operand).shape(), (Shape{batch, 16}));

  const Program images = fixture("classifier");
  const Shape& shape = images.type(images.functions[0].inputs[0]).shape();
  EXPECT_EQ(images.dims->range(shape[2]), (DimRange{4, 32}));
  EXPECT_EQ(images.dims->range(shape[3]), (DimRange{4, 64}));
  EXPECT_EQ(shape[1], Dim(3));
}

TEST(PackageReader, ReadsFunctionsDefaultFirst) {
  const Program program = fixture("functions");
  ASSERT_EQ(program.functions.size(), 2u);
  EXPECT_EQ(program.functions[0].name, "count");
  EXPECT_EQ(program.functions[1].name, "layers");
  EXPECT_EQ(program.type(program.functions[0].inputs.back()).kind, mil::Type::Kind::State);
  EXPECT_EQ(program.target, Target::iOS18);
}

TEST(PackageReader, ViewsWeightsWhereTheyLie) {
  const auto plan = plan_package(mlp(Target::iOS17, DType::F16));
  const InMemory package = package_of(*plan);
  auto program = read_package(package.files);
  ASSERT_TRUE(program.ok());
  const Bytes file = package.files.back().file->bytes();
  int views = 0;
  for (const mil::Const& c : program->consts) {
    if (!c.data || c.data.byte_size() < 100) continue;
    ++views;
    EXPECT_TRUE(c.data.dense_bytes().data() >= file.data() && c.data.dense_bytes().data() < file.data() + file.size());
  }
  EXPECT_EQ(views, 2);
}

TEST(PackageReader, KeepsNamesAndMetadata) {
  Program program = mlp(Target::iOS17, DType::F32);
  program.metadata["k"] = "v";
  const auto plan = plan_package(program);
  auto read = read_package(package_of(*plan).files);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->metadata, program.metadata);
  EXPECT_EQ(mil::print(*read), mil::print(program));
}

TEST(PackageReader, NamesWhatIsWrong) {
  const Program good = mlp(Target::iOS17, DType::F16);
  EXPECT_EQ(why(reread(good, [](auto&) {})), "fine");
  const struct {
    std::string says;
    std::function<void(spec::Model&)> change;
  } cases[] = {
      {"the program uses 'relu7', which is not a known MIL operation",
       [](auto& m) { body(m).mutable_operations(2)->set_type("relu7"); }},
      {"the program uses 'read_state', which needs iOS18, but it was written for iOS17",
       [](auto& m) { body(m).mutable_operations(2)->set_type("read_state"); }},
      {"'weight' is missing", [](auto& m) { body(m).mutable_operations(2)->mutable_inputs()->erase("weight"); }},
      {"'speed' is not a parameter of linear",
       [](auto& m) { (*body(m).mutable_operations(2)->mutable_inputs())["speed"].add_arguments()->set_name("x"); }},
      {"'x' has 2 values",
       [](auto& m) { body(m).mutable_operations(2)->mutable_inputs()->at("x").add_arguments()->set_name("x"); }},
      {"'x' has 0 values", [](auto& m) { body(m).mutable_operations(2)->mutable_inputs()->at("x").clear_arguments(); }},
      {"the program reads 'logits', which nothing before defines",
       [](auto& m) { body(m).mutable_operations(2)->mutable_inputs()->at("x").mutable_arguments(0)->set_name("logits"); }},
      {"the program defines 'x' twice", [](auto& m) { body(m).mutable_operations(2)->mutable_outputs(0)->set_name("x"); }},
      {"a value without a name", [](auto& m) { body(m).mutable_operations(2)->mutable_outputs(0)->clear_name(); }},
      {"a constant has no value", [](auto& m) { body(m).mutable_operations(0)->mutable_attributes()->erase("val"); }},
      {"one result and nothing else", [](auto& m) { body(m).mutable_operations(0)->add_outputs(); }},
      {"which the description does not list", [](auto& m) { body(m).set_outputs(0, "logits"); }},
      {"the program returns 1 values, but the description lists 2", [](auto& m) { m.mutable_description()->add_output(); }},
      {"the program takes 'x', which the description does not list",
       [](auto& m) { m.mutable_description()->clear_input(); }},
      {"no block for its op set",
       [](auto& m) { m.mutable_mlprogram()->mutable_functions()->at("main").mutable_block_specializations()->clear(); }},
      {"the op set 'CoreML77', which is not known",
       [](auto& m) { m.mutable_mlprogram()->mutable_functions()->at("main").set_opset("CoreML77"); }},
      {"program version 2", [](auto& m) { m.mutable_mlprogram()->set_version(2); }},
      {"it has no function", [](auto& m) { m.mutable_mlprogram()->clear_functions(); }},
      {"its description names none",
       [](auto& m) { (*m.mutable_mlprogram()->mutable_functions())["other"].set_opset("CoreML7"); }},
      {"holds no ML Program", [](auto& m) { m.clear_mlprogram(); }},
      {"pipeline", [](auto& m) { m.mutable_pipeline(); }},
      {"no fixed rank", [](auto& m) { result_type(m)->set_rank(-1); }},
      {"of rank 3 but has 2 dimensions", [](auto& m) { result_type(m)->set_rank(3); }},
      {"unknown element type", [](auto& m) { result_type(m)->set_datatype(milspec::DataType(99)); }},
      {"a variable number of dimensions",
       [](auto& m) { result_type(m)->mutable_dimensions(0)->mutable_unknown()->set_variadic(true); }},
      {"a dimension of size",
       [](auto& m) { result_type(m)->mutable_dimensions(0)->mutable_constant()->set_size(UINT64_MAX); }},
      {"not inside the package", [](auto& m) { blob(m)->set_filename("@model_path/../../x"); }},
      {"not inside the package", [](auto& m) { blob(m)->set_filename("/etc/passwd"); }},
      {"the model has no file", [](auto& m) { blob(m)->set_filename("@model_path/weights/other.bin"); }},
      {"the blob at 65 does not begin with its mark", [](auto& m) { blob(m)->set_offset(65); }},
      {"is neither a tensor nor a list",
       [](auto& m) { body(m).mutable_operations(0)->mutable_attributes()->at("val").clear_type(); }},
      {"has no value", [](auto& m) { body(m).mutable_operations(0)->mutable_attributes()->at("val").clear_value(); }},
      {"1 size ranges for a tensor of rank 2", [](auto& m) { ranges(m)->add_sizeranges(); }},
      {"lets dimension 0 of 'x' be 3 to 4, but the program fixes it to 2",
       [](auto& m) {
         auto* first = ranges(m)->add_sizeranges();
         first->set_lowerbound(3);
         first->set_upperbound(4);
         ranges(m)->add_sizeranges()->set_upperbound(-1);
       }},
      {"a size range that ends before it begins",
       [](auto& m) { ranges(m)->add_sizeranges()->set_lowerbound(1), ranges(m)->add_sizeranges(); }},
  };
  for (const auto& c : cases) EXPECT_THAT(why(reread(good, c.change)), HasSubstr(c.says));
}

TEST(PackageReader, ChecksImmediateValues) {
  Program program(Target::iOS17);
  Build b(program);
  b.output("y", b.op("softmax", {{"x", b.input("x", DType::F32, {2, 2})}, {"axis", program.constant(-1)}}));
  b.output("s", b.op("mul", {{"x", b.function.inputs[0]}, {"y", program.constant(std::vector<float>{1, 2})}}));
  b.finish();
  auto value = [](spec::Model& m, int i) -> milspec::TensorValue* {
    return body(m).mutable_operations(i)->mutable_attributes()->at("val").mutable_immediatevalue()->mutable_tensor();
  };
  auto type = [](spec::Model& m, int i) {
    return body(m).mutable_operations(i)->mutable_attributes()->at("val").mutable_type()->mutable_tensortype();
  };
  EXPECT_EQ(why(reread(program, [&](auto& m) { CHECK(value(m, 0)->has_ints() && value(m, 2)->has_floats()); })), "fine");
  EXPECT_EQ(why(reread(program, [&](auto& m) { value(m, 2)->mutable_bytes()->set_values(std::string(8, '\0')); })), "fine");
  EXPECT_THAT(why(reread(program, [&](auto& m) { value(m, 2)->mutable_bytes()->set_values(std::string(7, '\0')); })),
              HasSubstr("7 bytes"));
  EXPECT_THAT(why(reread(program, [&](auto& m) { value(m, 2)->mutable_floats()->add_values(1); })), HasSubstr("12 bytes"));
  EXPECT_THAT(why(reread(program, [&](auto& m) { value(m, 0)->mutable_floats()->add_values(1); })),
              HasSubstr("as another type"));
  EXPECT_THAT(why(reread(program, [&](auto& m) { value(m, 0)->mutable_strings()->add_values("1"); })),
              HasSubstr("no value"));
  EXPECT_THAT(why(reread(program, [&](auto& m) { value(m, 0)->mutable_longints()->add_values(int64_t{1} << 40); })),
              HasSubstr("cannot hold"));
  EXPECT_THAT(why(reread(program, [&](auto& m) { type(m, 2)->mutable_dimensions(0)->mutable_unknown(); })),
              HasSubstr("open size"));
  EXPECT_THAT(
      why(reread(program,
                 [&](auto& m) { type(m, 2)->mutable_dimensions(0)->mutable_constant()->set_size(uint64_t{1} << 40); })),
      HasSubstr("8 bytes"));
}

TEST(PackageReader, NeedsEveryFile) {
  const auto plan = plan_package(mlp(Target::iOS17, DType::F16));
  const InMemory whole = package_of(*plan);
  for (size_t i = 0; i < whole.files.size(); ++i) {
    auto files = whole.files;
    files.erase(files.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_EQ(read_package(files).error().kind, DiagKind::BadPackage);
  }
  auto twice = whole.files;
  twice.push_back({"n.mlpackage/Manifest.json", whole.files[0].file});
  EXPECT_THAT(why(read_package(twice)), HasSubstr("two packages"));
  EXPECT_EQ(read_package(kData).error().kind, DiagKind::BadPackage);
  EXPECT_EQ(read_package(kData / "absent.mlpackage").error().kind, DiagKind::FileNotFound);
}

// Every prefix, and many files with a few bytes changed: an error or a program, never a crash.
TEST(PackageReader, SurvivesDamage) {
  std::mt19937 random(1);
  for (const char* name : {"control", "functions", "compressed_ios18", "classifier"}) {
    const auto root = kData / (std::string(name) + ".mlpackage");
    const std::string model(as_text((*MappedFile::open(root / kModelPath))->bytes()));
    const std::string manifest(as_text((*MappedFile::open(root / kManifestPath))->bytes()));
    std::string weights;
    if (auto file = MappedFile::open(root / kWeightPath); file.ok()) weights = as_text((*file)->bytes());
    int read = 0;
    for (size_t n = 0; n < model.size(); n += 7)
      EXPECT_FALSE(read_package(package_of(manifest, model.substr(0, n), weights).files).ok());
    for (int i = 0; i < 500; ++i) {
      std::string changed = model, changed_weights = weights;
      for (int k = 0; k < 1 + i % 3; ++k) changed[random() % changed.size()] = static_cast<char>(random());
      if (i % 2 && !weights.empty())
        changed_weights[random() % std::min<size_t>(512, weights.size())] = static_cast<char>(random());
      if (auto program = read_package(package_of(manifest, changed, changed_weights).files); program.ok()) {
        ++read;
        (void)mil::print(*program);
        (void)plan_package(*program).ok();
      }
    }
    EXPECT_GT(read, 0);
  }
}

}  // namespace
}  // namespace cortland::coreml
