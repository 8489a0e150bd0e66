#include "archive/torch_save.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/test_zip.h"

namespace cortland::archive {
namespace {

using Kind = SavedValue::Kind;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::string_literals;

const std::string kData = CORTLAND_TEST_DATA "/archive/";

template <class T>
std::vector<T> stored(const SavedTensor& tensor) {
  std::vector<T> values(tensor.bytes().size() / sizeof(T));
  std::memcpy(values.data(), tensor.bytes().data(), values.size() * sizeof(T));
  return values;
}

class Values : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto opened = TorchSave::open(*MappedFile::open(kData + GetParam()));
    ASSERT_TRUE(opened.ok()) << opened.error().what;
    save_.emplace(std::move(*opened));
  }
  const SavedValue& at(std::string_view key) {
    const SavedValue* value = save_->find(save_->root(), key);
    return value ? *value : missing_;
  }
  const SavedTensor& tensor(std::string_view key) {
    EXPECT_EQ(at(key).kind, Kind::Tensor) << key;
    return at(key).tensor;
  }

  std::optional<TorchSave> save_;
  SavedValue missing_;
};

TEST_P(Values, Tensors) {
  EXPECT_EQ(tensor("plain").dtype, DType::F32);
  EXPECT_THAT(tensor("plain").sizes, ElementsAre(3, 4));
  EXPECT_THAT(tensor("plain").strides, ElementsAre(4, 1));
  EXPECT_THAT(stored<float>(tensor("plain")), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_THAT(tensor("turned").sizes, ElementsAre(4, 3));
  EXPECT_THAT(tensor("turned").strides, ElementsAre(1, 4));
  EXPECT_EQ(tensor("turned").storage, tensor("plain").storage);
  EXPECT_EQ(tensor("slice").storage_offset, 5);
  EXPECT_THAT(tensor("slice").sizes, ElementsAre(5));
  EXPECT_THAT(tensor("expanded").strides, ElementsAre(0, 0));
  EXPECT_THAT(stored<float>(tensor("expanded")), ElementsAre(7));
  EXPECT_TRUE(tensor("scalar").sizes.empty());
  EXPECT_THAT(stored<int64_t>(tensor("scalar")), ElementsAre(3));
  EXPECT_THAT(tensor("empty").sizes, ElementsAre(0, 4));
  EXPECT_EQ(tensor("u16").dtype, DType::U16);
  EXPECT_THAT(stored<uint16_t>(tensor("u16")), ElementsAre(1, 65535));
  EXPECT_EQ(tensor("f8").dtype, DType::F8E4M3FN);
  EXPECT_THAT(stored<uint8_t>(tensor("f8")), ElementsAre(0x38, 0xc0));
  EXPECT_EQ(tensor("bf16").dtype, DType::BF16);
  EXPECT_EQ(tensor("bool").dtype, DType::Bool);
  EXPECT_EQ(tensor("complex").dtype, DType::C64);
  EXPECT_TRUE(tensor("complex").conjugate);
  EXPECT_FALSE(tensor("complex").negative);
  EXPECT_THAT(stored<float>(tensor("complex")), ElementsAre(1, 2));
  EXPECT_THAT(tensor("meta").sizes, ElementsAre(2, 2));
  EXPECT_EQ(tensor("meta").storage, nullptr);
}

TEST_P(Values, Parameters) {
  EXPECT_FALSE(tensor("plain").is_parameter);
  EXPECT_TRUE(tensor("parameter").is_parameter);
  EXPECT_TRUE(tensor("parameter").requires_grad);
  EXPECT_EQ(tensor("parameter").dtype, DType::F16);
  EXPECT_TRUE(tensor("frozen").is_parameter);
  EXPECT_FALSE(tensor("frozen").requires_grad);
}

TEST_P(Values, SubclassesShowTheirInnerTensors) {
  for (const auto* key : {"pair", "pair_parameter"}) {
    const SavedValue& pair = at(key);
    ASSERT_EQ(pair.kind, Kind::Object) << key;
    EXPECT_EQ(save_->class_name(pair), "__main__.Pair");
    EXPECT_THAT(pair.tensor.sizes, ElementsAre(2));
    EXPECT_EQ(pair.tensor.dtype, DType::F32);
    EXPECT_EQ(pair.tensor.storage, nullptr);
    EXPECT_EQ(pair.tensor.is_parameter, key == "pair_parameter"s);
    ASSERT_NE(save_->find(pair, "low"), nullptr);
    EXPECT_EQ(save_->find(pair, "low")->kind, Kind::Tensor);
    EXPECT_EQ(save_->find(pair, "none"), nullptr);
  }
  EXPECT_THAT(stored<int8_t>(save_->find(at("pair"), "low")->tensor), ElementsAre(1, 2));
  EXPECT_THAT(stored<float>(save_->find(at("pair"), "high")->tensor), ElementsAre(0.5, 0.25));
}

TEST_P(Values, ContainersAndScalars) {
  EXPECT_EQ(save_->root().kind, Kind::Dict);
  EXPECT_EQ(at("size").kind, Kind::Tuple);
  EXPECT_EQ((*save_)[at("size").items[1]].integer, 3);
  EXPECT_EQ(at("ordered").kind, Kind::Dict);
  EXPECT_EQ(save_->find(at("ordered"), "k")->integer, 1);
  EXPECT_EQ(at("dtype").kind, Kind::DType);
  EXPECT_EQ(at("dtype").dtype, DType::BF16);
  EXPECT_EQ(at("bytes").kind, Kind::Bytes);
  EXPECT_EQ(at("bytes").text, "a\x80\xff");
  EXPECT_EQ(save_->class_name(at("device")), "torch.device");
  EXPECT_THAT(std::string(save_->class_name(at("set"))), HasSubstr(".set"));
  EXPECT_EQ(save_->class_name(at("point")), "__main__.Point");
  EXPECT_EQ((*save_)[at("point").items[1]].integer, 2);
  const auto& items = at("scalars").items;
  ASSERT_EQ(items.size(), 10u);
  const auto item = [&](size_t i) { return (*save_)[items[i]]; };
  EXPECT_EQ(item(0).kind, Kind::None);
  EXPECT_TRUE(item(1).boolean);
  EXPECT_EQ(item(2).integer, -1);
  EXPECT_EQ(item(4).integer, 65536);
  EXPECT_EQ(item(5).integer, -(int64_t{1} << 40));
  EXPECT_EQ(item(6).integer, int64_t{1} << 62);
  EXPECT_EQ(item(7).real, 1.5);
  EXPECT_EQ(item(8).text, "h\xc3\xa9");
  EXPECT_EQ(item(9).kind, Kind::List);
}

TEST_P(Values, DamageNeverCrashes) {
  const auto good = test::read_file(kData + GetParam());
  const auto open = [](std::string bytes) { return TorchSave::open(MappedFile::from_bytes(std::move(bytes), "x.pt")); };
  for (size_t size = 0; size < good.size(); size += 37) EXPECT_FALSE(open(good.substr(0, size)).ok());
  for (size_t bit = 0; bit < good.size() * 8; bit += 11) {
    auto bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    (void)open(bytes).ok();
  }
}

INSTANTIATE_TEST_SUITE_P(Protocols, Values, testing::Values("values.pt", "values_protocol4.pt"),
                         [](const auto& info) { return info.param == "values.pt" ? "Two" : "Four"; });

TEST(TorchSave, ReadsSampleInputsInsideAProgram) {
  const auto zip = ZipReader::open(*MappedFile::open(kData + "prelu.pt2"));
  ASSERT_TRUE(zip.ok());
  const auto part =
      zip->open_entry(**zip->require(std::string(zip->common_prefix()) + "data/sample_inputs/model.pt"), 1 << 20);
  const auto save = TorchSave::open(*part);
  ASSERT_TRUE(save.ok()) << save.error().what;
  const SavedValue& root = save->root();
  ASSERT_EQ(root.kind, Kind::Tuple);
  ASSERT_EQ(root.items.size(), 2u);
  const SavedValue& args = (*save)[root.items[0]];
  ASSERT_EQ(args.kind, Kind::Tuple);
  EXPECT_EQ((*save)[args.items[0]].kind, Kind::Tensor);
  EXPECT_EQ((*save)[root.items[1]].kind, Kind::Dict);
}

// ---- hand-made pickles: what torch never writes ----

std::string number(int64_t value) {
  std::string out = "\x8a\x08";
  append_le<int64_t>(out, value);
  return out;
}
std::string text(std::string_view value) {
  return "\x8c" + std::string(1, static_cast<char>(value.size())) + std::string(value);
}
std::string tuple(std::initializer_list<int64_t> values) {
  std::string out = "(";
  for (const int64_t value : values) out += number(value);
  return out + "t";
}
std::string storage(std::string_view type = "FloatStorage", std::string_view key = "0", int64_t count = 4) {
  return "(" + text("storage") + "ctorch\n" + std::string(type) + "\n" + text(key) + text("cpu") + number(count) + "tQ";
}
std::string rebuild(const std::string& storage, int64_t offset, const std::string& sizes, const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + sizes + strides + "\x89}tR";
}

Result<TorchSave> open(const std::string& pickle, std::string bytes = std::string(16, '\1'), bool deflate = false) {
  return TorchSave::open(MappedFile::from_bytes(
      test::make_zip(
          {{"a/data.pkl", "\x80\2" + pickle + "."}, {"a/byteorder", "little"}, {"a/data/0", std::move(bytes), deflate}}),
      "x.pt"));
}

std::string refuse(const std::string& pickle, std::string bytes = std::string(16, '\1')) {
  const auto save = open(pickle, std::move(bytes));
  if (save) return "(accepted)";
  EXPECT_THAT(save.error().what, HasSubstr("x.pt"));
  return save.error().what;
}

TEST(TorchSave, ChecksTensorsAgainstTheirStorage) {
  const auto max = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(refuse(rebuild(storage(), 0, tuple({2, 2}), tuple({2, 1}))), "(accepted)");
  EXPECT_EQ(refuse(rebuild(storage(), 3, tuple({1000, 1000}), tuple({0, 0}))), "(accepted)");
  EXPECT_EQ(refuse(rebuild(storage(), 0, tuple({0}), tuple({max}))), "(accepted)");
  const auto past = HasSubstr("reaches past the end of its storage");
  EXPECT_THAT(refuse(rebuild(storage(), 1, tuple({2, 2}), tuple({2, 1}))), past);
  EXPECT_THAT(refuse(rebuild(storage(), 0, tuple({5}), tuple({1}))), past);
  EXPECT_THAT(refuse(rebuild(storage(), 4, tuple({}), tuple({}))), past);
  EXPECT_THAT(refuse(rebuild(storage(), max, tuple({3}), tuple({max}))), past);
  EXPECT_THAT(refuse(rebuild(storage(), 0, tuple({3, 3}), tuple({max, max}))), past);
  EXPECT_THAT(refuse(rebuild(storage(), 0, tuple({max, max}), tuple({0, 0}))), HasSubstr("too many elements"));
  const auto malformed = HasSubstr("sizes and strides of a tensor are malformed");
  EXPECT_THAT(refuse(rebuild(storage(), -1, tuple({1}), tuple({1}))), malformed);
  EXPECT_THAT(refuse(rebuild(storage(), 0, tuple({-1}), tuple({1}))), malformed);
  EXPECT_THAT(refuse(rebuild(storage(), 0, tuple({1}), tuple({-1}))), malformed);
  EXPECT_THAT(refuse(rebuild(storage(), 0, tuple({1}), tuple({}))), malformed);
  EXPECT_THAT(refuse(rebuild(storage(), 0, text("x"), tuple({}))), HasSubstr("shape of a tensor"));
  EXPECT_THAT(refuse(rebuild(storage(), 0, "(" + text("x") + "t", tuple({1}))), HasSubstr("an integer was expected"));
  EXPECT_EQ(open(rebuild(storage("FloatStorage", "0", 0), 0, tuple({4}), tuple({1})), "").error().kind,
            DiagKind::WeightsMissing);
}

TEST(TorchSave, ChecksStorages) {
  const auto vector = [](const std::string& storage) { return rebuild(storage, 0, tuple({1}), tuple({1})); };
  EXPECT_THAT(refuse(vector(storage("FloatStorage", "0", 5))), HasSubstr("too few for 5 elements"));
  EXPECT_THAT(refuse(vector(storage("FloatStorage", "0", -1))), HasSubstr("too few"));
  EXPECT_THAT(refuse(vector(storage("FloatStorage", "1"))), HasSubstr("no entry 'a/data/1'"));
  EXPECT_THAT(refuse(vector(storage("FloatStorage", "../byteorder"))), HasSubstr("no entry"));
  EXPECT_THAT(refuse(vector(storage("QInt8Storage"))), HasSubstr("'QInt8Storage', which is not supported"));
  EXPECT_THAT(refuse(vector("N")), HasSubstr("a tensor has no storage"));
  EXPECT_THAT(refuse(vector("NQ")), HasSubstr("a tensor has no storage"));
  // A tensor may start in the middle of nothing, but a deflated storage is inflated and checked.
  const auto inflated = open(vector(storage()), std::string(16, '\1'), true);
  ASSERT_TRUE(inflated.ok()) << inflated.error().what;
  EXPECT_EQ(inflated->root().tensor.bytes().size(), 16u);
}

TEST(TorchSave, AnythingElseIsInert) {
  const auto save = open("cos\nsystem\n" + text("ls") + "\x85R");
  ASSERT_TRUE(save.ok());
  EXPECT_EQ(save->root().kind, Kind::Object);
  EXPECT_EQ(save->class_name(save->root()), "os.system");
  EXPECT_EQ((*save)[save->root().items[0]].text, "ls");
  // The right name with the wrong number of arguments is not the function we know.
  EXPECT_EQ(open("ctorch._utils\n_rebuild_tensor_v2\n)R")->root().kind, Kind::Object);
  EXPECT_EQ(open(storage())->root().kind, Kind::Object);
}

TEST(TorchSave, RefusesOtherFiles) {
  const auto open = [](const std::vector<test::Part>& parts) {
    return TorchSave::open(MappedFile::from_bytes(test::make_zip(parts), "x.pt"));
  };
  EXPECT_THAT(open({{"data.pkl", "N."}}).error().what, HasSubstr("was not written by torch.save"));
  EXPECT_THAT(open({{"a/x", "N."}}).error().what, HasSubstr("no entry 'a/data.pkl'"));
  EXPECT_THAT(open({{"a/data.pkl", "N."}, {"a/byteorder", "big"}}).error().what, HasSubstr("big-endian"));
  EXPECT_THAT(open({{.name = "a/data.pkl", .data = "N.", .crc = 3}}).error().what, HasSubstr("checksum"));
  EXPECT_TRUE(open({{"a/data.pkl", "N."}}).ok());
}

}  // namespace
}  // namespace cortland::archive
