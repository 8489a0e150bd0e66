#include "archive/zip_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "archive/test_zip.h"

namespace cortland::archive {
namespace {

using test::make_zip;
using test::open_zip;
using test::Part;
using testing::HasSubstr;

const std::string kPt2 = CORTLAND_TEST_DATA "/archive/prelu.pt2";

std::string error_of(std::string bytes, ZipOptions options = {}) {
  const auto zip = open_zip(std::move(bytes), options);
  if (zip) return "(accepted)";
  EXPECT_EQ(zip.error().kind, DiagKind::BadArchive);
  EXPECT_THAT(zip.error().what, HasSubstr("test.zip"));
  return zip.error().what;
}

// Touches all that a reader can reach, so that a sanitizer sees every byte.
void use(const ZipReader& zip) {
  for (const ZipEntry& entry : zip.entries()) {
    (void)zip.read(entry, 1 << 20).ok();
    (void)zip.open_entry(entry, 1 << 20).ok();
    if (!entry.deflated) (void)zip.verify(entry).ok();
  }
  (void)zip.common_prefix();
}

TEST(ZipReader, ListsAndReadsBothMethods) {
  const std::string text(10000, 'x');
  auto zip = open_zip(make_zip({{"p/a", "hello"}, {"p/b", text, true}, {"p/empty", ""}}));
  ASSERT_TRUE(zip.ok()) << zip.error().what;
  ASSERT_EQ(zip->entries().size(), 3u);
  EXPECT_EQ(zip->common_prefix(), "p/");
  const ZipEntry* a = zip->find("p/a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(as_text(*zip->view(*a)), "hello");
  EXPECT_EQ(*zip->read(*a, 5), "hello");
  EXPECT_THAT(zip->read(*a, 4).error().what, HasSubstr("limit of 4"));
  const ZipEntry* b = zip->find("p/b");
  ASSERT_NE(b, nullptr);
  EXPECT_TRUE(b->deflated);
  EXPECT_EQ(b->size, 10000u);
  EXPECT_EQ(*zip->read(*b, 10000), text);
  EXPECT_EQ(as_text((*zip->open_entry(*b, 10000))->bytes()), text);
  EXPECT_FALSE(zip->view(*b).ok());
  EXPECT_EQ(*zip->read(*zip->find("p/empty"), 0), "");
  EXPECT_EQ(zip->find("P/A"), nullptr);
  EXPECT_THAT(zip->require("p/\n").error().what, HasSubstr("test.zip' has no entry 'p/\\x0a'"));
}

TEST(ZipReader, ViewIsTheFileItselfAndEntryKeepsItAlive) {
  std::shared_ptr<const MappedFile> part;
  {
    auto file = MappedFile::from_bytes(make_zip({{"a", "hello"}}), "test.zip");
    auto zip = ZipReader::open(file);
    ASSERT_TRUE(zip.ok());
    const auto view = *zip->view(zip->entries()[0]);
    EXPECT_EQ(view.data(), file->bytes().data() + zip->entries()[0].offset);
    part = *zip->open_entry(zip->entries()[0], 0);
  }
  EXPECT_EQ(as_text(part->bytes()), "hello");
  EXPECT_EQ(part->name(), "test.zip:a");
}

TEST(ZipReader, ReadsAnArchiveWrittenByTorch) {
  auto zip = ZipReader::open(*MappedFile::open(kPt2));
  ASSERT_TRUE(zip.ok()) << zip.error().what;
  const std::string prefix(zip->common_prefix());
  EXPECT_EQ(prefix, "prelu_f32_per_channel_parameter/");
  EXPECT_EQ(as_text(*zip->view(**zip->require(prefix + "archive_format"))), "pt2");
  const ZipEntry* weight = zip->find(prefix + "data/weights/weight_0");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->offset % 64, 0u);
  for (const ZipEntry& entry : zip->entries()) EXPECT_TRUE(zip->verify(entry).ok()) << entry.name;
}

TEST(ZipReader, PrefixNeedsAllEntries) {
  EXPECT_EQ(open_zip(make_zip({{"p/a", ""}, {"q/a", ""}}))->common_prefix(), "");
  EXPECT_EQ(open_zip(make_zip({{"a", ""}}))->common_prefix(), "");
  EXPECT_EQ(open_zip(make_zip({}))->common_prefix(), "");
}

TEST(ZipReader, RefusesNamesThatHideOneAnother) {
  EXPECT_THAT(error_of(make_zip({{"a", "1"}, {"a", "2"}})), HasSubstr("'a' is there twice"));
  const auto cases = make_zip({{"m/A", "1"}, {"m/a", "2"}});
  EXPECT_THAT(error_of(cases), HasSubstr("'m/a' differs from 'm/A' only in case"));
  EXPECT_EQ(error_of(cases, {.refuse_names_equal_but_for_case = false}), "(accepted)");
  EXPECT_THAT(error_of(make_zip({{"", "1"}})), HasSubstr("not allowed"));
  EXPECT_THAT(error_of(make_zip({{std::string("a\0b", 3), "1"}})), HasSubstr("'a\\x00b' is not allowed"));
}

TEST(ZipReader, RefusesHeadersThatLie) {
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .local_name = "b"}})), HasSubstr("disagrees"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .local_method = 8}})), HasSubstr("disagrees"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .size = 1000}})), HasSubstr("past the end"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .start = 5}})), HasSubstr("no header"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .start = 0xfffffffe}})), HasSubstr("no header"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .flags = 1}})), HasSubstr("encrypted"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .method = 12}})), HasSubstr("method 12"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .disk = 1}})), HasSubstr("another disk"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "123", .start = 0}, {.name = "a", .data = "1", .start = 0}})),
              HasSubstr("overlaps"));
  // The first entry claims to reach over the second one.
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .size = 20}, {.name = "b", .data = "22"}})),
              HasSubstr("'b' overlaps 'a'"));
}

TEST(ZipReader, RefusesEndRecordsThatLie) {
  const auto good = make_zip({{"a", "1"}});
  const size_t end = good.size() - 22;
  const auto with = [&](size_t offset, uint8_t value) {
    auto bytes = good;
    bytes[end + offset] = static_cast<char>(value);
    return error_of(bytes);
  };
  EXPECT_THAT(with(4, 1), HasSubstr("several disks"));
  EXPECT_THAT(with(8, 2), HasSubstr("several disks"));
  EXPECT_THAT(with(12, 99), HasSubstr("outside the file"));
  EXPECT_THAT(with(19, 0xff), HasSubstr("outside the file"));
  EXPECT_THAT(with(20, 1), HasSubstr("truncated"));
  EXPECT_THAT(error_of("x" + good), HasSubstr("data was added around"));
  EXPECT_THAT(error_of(good + "x"), HasSubstr("truncated"));
  EXPECT_EQ(error_of(make_zip({{"a", "1"}}, "a comment")), "(accepted)");
  EXPECT_THAT(error_of(make_zip({{"a", "1"}}, make_zip({}))), HasSubstr("more than one end record"));
  auto counts = good;
  counts[end + 8] = counts[end + 10] = 2;
  EXPECT_THAT(error_of(counts), HasSubstr("too small for its number of entries"));
  counts[end + 8] = counts[end + 10] = 0;
  EXPECT_THAT(error_of(counts), HasSubstr("more than its entries"));
  EXPECT_THAT(error_of(""), HasSubstr("too short"));
  EXPECT_THAT(error_of(std::string(70000, 'P')), HasSubstr("truncated"));
}

// The ZIP64 records that torch always writes, around one entry whose sizes are in the extra field.
std::string zip64(uint64_t size, uint64_t count = 1, uint64_t record_shift = 0) {
  std::string extra;
  append_le<uint16_t>(extra, 1);
  append_le<uint16_t>(extra, 16);
  append_le<uint64_t>(extra, size);
  append_le<uint64_t>(extra, size);
  auto bytes = make_zip({{.name = "a", .data = "12345", .size = 0xffffffff, .extra = extra}});
  const auto end = bytes.substr(bytes.size() - 22);
  bytes.resize(bytes.size() - 22);
  const uint64_t record = bytes.size(), start = load_le<uint32_t>(as_bytes(end), 16);
  append_le<uint32_t>(bytes, 0x06064b50);
  append_le<uint64_t>(bytes, 44);
  append_le<uint32_t>(bytes, 0);
  append_le<uint64_t>(bytes, 0);
  for (const uint64_t value : {count, count, record - start, start}) append_le<uint64_t>(bytes, value);
  append_le<uint32_t>(bytes, 0x07064b50);
  append_le<uint32_t>(bytes, 0);
  append_le<uint64_t>(bytes, record + record_shift);
  append_le<uint32_t>(bytes, 1);
  return bytes + end;
}

TEST(ZipReader, Zip64) {
  auto zip = open_zip(zip64(5));
  ASSERT_TRUE(zip.ok()) << zip.error().what;
  EXPECT_EQ(as_text(*zip->view(zip->entries()[0])), "12345");
  EXPECT_THAT(error_of(zip64(uint64_t{1} << 40)), HasSubstr("past the end"));
  EXPECT_THAT(error_of(zip64(~uint64_t{0})), HasSubstr("past the end"));
  EXPECT_THAT(error_of(zip64(5, 2)), HasSubstr("end records disagree"));
  EXPECT_THAT(error_of(zip64(5, 1, 1)), HasSubstr("ZIP64 end record is damaged"));
  EXPECT_THAT(error_of(zip64(5, 1, ~uint64_t{0} - 1000)), HasSubstr("ZIP64 end record is damaged"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .size = 0xffffffff}})), HasSubstr("lacks its ZIP64"));
  EXPECT_THAT(error_of(make_zip({{.name = "a", .data = "1", .extra = std::string("\1\0\xff\xff", 4)}})),
              HasSubstr("damaged extra field"));
}

TEST(ZipReader, Checksums) {
  auto zip = open_zip(
      make_zip({{.name = "a", .data = "hello", .crc = 1}, {.name = "b", .data = "hello", .deflate = true, .crc = 1}}));
  ASSERT_TRUE(zip.ok());
  EXPECT_TRUE(zip->view(zip->entries()[0]).ok());
  EXPECT_THAT(zip->verify(zip->entries()[0]).error().what, HasSubstr("'a' has a wrong checksum"));
  EXPECT_THAT(zip->read(zip->entries()[0], 100).error().what, HasSubstr("'a' has a wrong checksum"));
  EXPECT_THAT(zip->read(zip->entries()[1], 100).error().what, HasSubstr("'b' has a wrong checksum"));
}

TEST(ZipReader, InflatesExactlyWhatIsAnnounced) {
  const std::string text = "some text, some text, some text";
  for (const uint32_t size : {30u, 32u, 0u, 3000u}) {
    auto zip = open_zip(make_zip({{.name = "a", .data = text, .deflate = true, .size = size}}));
    ASSERT_TRUE(zip.ok());
    EXPECT_THAT(zip->read(zip->entries()[0], 1 << 20).error().what, HasSubstr("damaged compressed data")) << size;
  }
}

TEST(ZipReader, RefusesBombs) {
  const std::string zeros(80 << 20, '\0');
  const auto bomb = make_zip({{"a", zeros, true}});
  ASSERT_LT(bomb.size(), 100000u);
  auto zip = open_zip(bomb);
  ASSERT_TRUE(zip.ok());
  EXPECT_THAT(zip->read(zip->entries()[0], 1 << 20).error().what, HasSubstr("limit"));
  EXPECT_THAT(zip->read(zip->entries()[0], 1 << 30).error().what, HasSubstr("claims to unpack"));
  // A size that DEFLATE cannot reach is refused before memory is taken for it.
  auto forged = open_zip(make_zip({{.name = "a", .data = "x", .deflate = true, .size = 60 << 20}}));
  ASSERT_TRUE(forged.ok());
  EXPECT_THAT(forged->read(forged->entries()[0], 1 << 30).error().what, HasSubstr("claims to unpack"));
  // Many zeros are what a fresh buffer holds.
  auto buffer = open_zip(make_zip({{"a", std::string(20 << 20, '\0'), true}}));
  ASSERT_TRUE(buffer.ok());
  EXPECT_TRUE(buffer->read(buffer->entries()[0], 1 << 30).ok());
}

TEST(ZipReader, EveryTruncationIsAnError) {
  for (const auto& bytes : {test::read_file(kPt2), make_zip({{"a", "hello"}, {"b", "hello hello", true}}), zip64(5)}) {
    ASSERT_TRUE(open_zip(bytes).ok());
    for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(open_zip(bytes.substr(0, size)).ok()) << size;
  }
}

TEST(ZipReader, FlippedBitsNeverCrash) {
  for (const auto& good : {make_zip({{"a", "hello"}, {"b", "hello hello hello", true}}, "note"), zip64(5)}) {
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      auto bytes = good;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      if (auto zip = open_zip(bytes)) use(*zip);
    }
  }
}

}  // namespace
}  // namespace cortland::archive
