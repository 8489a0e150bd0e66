#include "archive/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/test_zip.h"
#include "archive/zip_writer.h"

namespace cortland::archive {
namespace {

using testing::HasSubstr;

std::string npy(std::string header, std::string_view data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  if (version == 1)
    append_le<uint16_t>(out, static_cast<uint16_t>(header.size()));
  else
    append_le<uint32_t>(out, static_cast<uint32_t>(header.size()));
  return out + header + std::string(data);
}

Result<Array> parse(std::string_view bytes) { return parse_npy(as_bytes(bytes), "x.npy"); }

std::string refuse(std::string_view bytes) {
  const auto array = parse(bytes);
  return array ? "(accepted)" : array.error().what;
}

template <class T>
std::string pack(std::initializer_list<T> values) {
  std::string out;
  for (const T value : values) append_le<T>(out, value);
  return out;
}

TEST(Npy, ReadsAllVersionsAndSpellings) {
  const auto data = pack<int16_t>({1, 2, 3, 4, 5, 6});
  for (const int version : {1, 2, 3}) {
    const auto array = parse(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }   \n", data, version));
    ASSERT_TRUE(array.ok()) << array.error().what;
    EXPECT_EQ(array->dtype, DType::I16);
    EXPECT_EQ(array->shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(array->data, data);
  }
  EXPECT_EQ(parse(npy("{\"shape\":(6L,),\"descr\":\"=i2\",\"fortran_order\":False}", data))->shape,
            (std::vector<int64_t>{6}));
  const auto scalar = parse(npy("{'descr': '|b1', 'fortran_order': False, 'shape': ()}", "\1"));
  ASSERT_TRUE(scalar.ok());
  EXPECT_TRUE(scalar->shape.empty());
  EXPECT_EQ(parse(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5)}", ""))->shape,
            (std::vector<int64_t>{0, 5}));
}

TEST(Npy, FortranOrderAndForeignBytes) {
  const auto turned =
      parse(npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3)}", pack<int16_t>({1, 4, 2, 5, 3, 6})));
  EXPECT_EQ(turned->data, pack<int16_t>({1, 2, 3, 4, 5, 6}));
  const auto cube =
      parse(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 2)}", pack<uint8_t>({0, 4, 2, 6, 1, 5, 3, 7})));
  EXPECT_EQ(cube->data, pack<uint8_t>({0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(parse(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2,)}", std::string("\0\1\1\0", 4)))->data,
            pack<int16_t>({1, 256}));
  const auto complex =
      parse(npy("{'descr': '>c8', 'fortran_order': False, 'shape': (1,)}", std::string("\x3f\x80\0\0\x40\0\0\0", 8)));
  EXPECT_EQ(complex->data, pack<float>({1.f, 2.f}));
  EXPECT_EQ(parse(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 0)}", ""))->data, "");
}

TEST(Npy, RefusesBadHeaders) {
  EXPECT_THAT(refuse("PK"), HasSubstr("numpy's mark"));
  EXPECT_THAT(refuse(npy("{}", "", 4)), HasSubstr("version 4"));
  for (const auto* header :
       {"", "{", "{}", "[]", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,,)}", "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + x", "{'descr': '<f4', 'descr': '<f4', 'shape': (1,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr: '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}"})
    EXPECT_THAT(refuse(npy(header, "1234")), HasSubstr("its header is damaged")) << header;
  const auto shaped = [](std::string shape) {
    return npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + ")}", "1234");
  };
  EXPECT_EQ(refuse(shaped("1,")), "(accepted)");
  EXPECT_THAT(refuse(shaped("2,")), HasSubstr("4 bytes of elements do not fit the shape (2)"));
  EXPECT_THAT(refuse(shaped("4611686018427387904, 4")), HasSubstr("do not fit the shape"));
  EXPECT_THAT(refuse(shaped("4611686018427387904, 4611686018427387904, 0")), HasSubstr("do not fit the shape"));
  for (const std::string descr : {"|O", "<U4", "<M8[ns]", "<V2", "", "<", "f", "<f3"}) {
    const auto array = parse(npy("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (1,)}", "1234"));
    ASSERT_FALSE(array.ok()) << descr;
    EXPECT_EQ(array.error().kind, DiagKind::UnsupportedDtype);
  }
}

TEST(Npy, DamageNeverCrashes) {
  const auto good = npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }\n", pack<int16_t>({1, 2, 3, 4, 5, 6}));
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(refuse(good.substr(0, size)), "(accepted)") << size;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    (void)refuse(bytes);
  }
}

TEST(Npy, WritesWhatNumpyWrites) {
  const auto header = npy_header({DType::F32, {2, 3}, std::string(24, '\0')});
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->size(), 128u);
  EXPECT_EQ(header->substr(0, 10), std::string("\x93NUMPY\1\0\x76\0", 10));
  EXPECT_EQ(header->substr(10, 59), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
  EXPECT_EQ(header->back(), '\n');
  EXPECT_THAT(*npy_header({DType::Bool, {1}, "\1"}), HasSubstr("'|b1', 'fortran_order': False, 'shape': (1,), }"));
  EXPECT_EQ(npy_header({DType::BF16, {1}, "12"}).error().kind, DiagKind::UnsupportedDtype);
  EXPECT_THROW((void)npy_header({DType::F32, {2}, "1234"}), InternalError);
}

TEST(Npz, RoundTrip) {
  const test::TemporaryFolder folder;
  NamedArrays arrays;
  for (const DType type : {DType::Bool, DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::U16, DType::U32,
                           DType::U64, DType::F16, DType::F32, DType::F64, DType::C64, DType::C128})
    arrays.emplace_back(torch_name(type), Array{type, {3, 2}, std::string(6 * bit_width(type) / 8, '\1')});
  arrays.emplace_back("F64", Array{DType::F64, {}, pack<double>({1.5})});
  arrays.emplace_back("f64", Array{DType::F64, {0}, ""});
  ASSERT_TRUE(write_npz(folder / "a.npz", arrays).ok());
  const auto back = read_npz(folder / "a.npz");
  ASSERT_TRUE(back.ok()) << back.error().what;
  ASSERT_EQ(back->size(), arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) {
    EXPECT_EQ((*back)[i].first, arrays[i].first);
    EXPECT_EQ((*back)[i].second.dtype, arrays[i].second.dtype);
    EXPECT_EQ((*back)[i].second.shape, arrays[i].second.shape);
    EXPECT_EQ((*back)[i].second.data, arrays[i].second.data);
  }
  ASSERT_TRUE(write_npz(folder / "b.npz", arrays).ok());
  EXPECT_EQ(test::read_file(folder / "a.npz"), test::read_file(folder / "b.npz"));
  ASSERT_TRUE(write_npy(folder / "a.npy", arrays[4].second).ok());
  EXPECT_EQ(read_npy(folder / "a.npy")->data, arrays[4].second.data);
}

TEST(Npz, ReadsCompressedAndNamesTheArrayAtFault) {
  const auto good = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n", "abc");
  const auto open = [](std::string bytes) { return read_npz(MappedFile::from_bytes(std::move(bytes), "x.npz")); };
  const auto arrays = open(test::make_zip({{"a.npy", good, true}, {"b", good}}));
  ASSERT_TRUE(arrays.ok()) << arrays.error().what;
  EXPECT_EQ((*arrays)[0].first, "a");
  EXPECT_EQ((*arrays)[1].first, "b");
  EXPECT_EQ((*arrays)[0].second.data, "abc");
  EXPECT_THAT(open(test::make_zip({{"a.npy", good.substr(1)}})).error().what,
              HasSubstr("'x.npz:a.npy' is not a readable .npy"));
  EXPECT_THAT(open(test::make_zip({{.name = "a.npy", .data = good, .crc = 7}})).error().what, HasSubstr("wrong checksum"));
  EXPECT_EQ(read_npz("/nonexistent.npz").error().kind, DiagKind::FileNotFound);
}

TEST(ZipWriter, StreamsAndNeedsNoEntries) {
  const test::TemporaryFolder folder;
  {
    auto zip = ZipWriter::create(folder / "a.zip");
    ASSERT_TRUE(zip.ok());
    ASSERT_TRUE(zip->begin("x", 6).ok());
    ASSERT_TRUE(zip->write(as_bytes("abc")).ok());
    EXPECT_THROW((void)zip->end(), InternalError);
    ASSERT_TRUE(zip->write(as_bytes("def")).ok());
    EXPECT_THROW((void)zip->write(as_bytes("g")), InternalError);
    ASSERT_TRUE(zip->end().ok());
    ASSERT_TRUE(zip->add("y", {}).ok());
    EXPECT_FALSE(zip->begin("", 1).ok());
    EXPECT_FALSE(std::filesystem::exists(folder / "a.zip"));
    ASSERT_TRUE(zip->finish().ok());
  }
  auto zip = test::open_zip(test::read_file(folder / "a.zip"));
  ASSERT_TRUE(zip.ok()) << zip.error().what;
  EXPECT_EQ(*zip->read(*zip->find("x"), 6), "abcdef");
  EXPECT_EQ(*zip->read(*zip->find("y"), 0), "");
  ASSERT_TRUE(ZipWriter::create(folder / "b.zip")->finish().ok());
  EXPECT_TRUE(test::open_zip(test::read_file(folder / "b.zip")).ok());
}

TEST(ZipWriter, ManyEntriesNeedZip64) {
  const test::TemporaryFolder folder;
  auto writer = ZipWriter::create(folder / "a.zip");
  ASSERT_TRUE(writer.ok());
  for (int i = 0; i < 70000; ++i) ASSERT_TRUE(writer->add(std::to_string(i), {}).ok());
  ASSERT_TRUE(writer->finish().ok());
  auto zip = test::open_zip(test::read_file(folder / "a.zip"));
  ASSERT_TRUE(zip.ok()) << zip.error().what;
  EXPECT_EQ(zip->entries().size(), 70000u);
}

}  // namespace
}  // namespace cortland::archive
