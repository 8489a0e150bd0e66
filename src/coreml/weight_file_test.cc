#include "coreml/weight_file.h"

#include <gmock/gmock.h>

#include <cstring>

#include "coreml/test_programs.h"

namespace cortland::coreml {
namespace {

using testing::HasSubstr;

std::string written(const WeightPlan& plan, uint64_t at = 0) {
  const auto path = std::filesystem::temp_directory_path() / "cortland_weight_file_test.bin";
  auto out = OutputFile::create(path);
  CHECK(out.ok() && plan.write(*out, at).ok() && out->commit().ok());
  std::string bytes(as_text((*MappedFile::open(path))->bytes()));
  std::filesystem::remove(path);
  return bytes;
}

Result<Weight> lookup(std::string bytes, uint64_t offset, DType dtype, std::vector<int64_t> shape) {
  TRY(WeightFile file, WeightFile::open(MappedFile::from_bytes(std::move(bytes), "weight.bin")));
  return file.blob(offset, dtype, shape);
}

template <class T>
void poke(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

TEST(WeightFile, PacksBlobsOnAlignedPlaces) {
  WeightPlan plan;
  EXPECT_EQ(plan.bytes(), 0u);
  EXPECT_EQ(plan.add(test::ramp(DType::F16, {10})), 64u);
  EXPECT_EQ(plan.add(test::ramp(DType::F32, {10})), 192u);
  EXPECT_EQ(plan.add(test::ramp(DType::F16, {10})), 64u);  // known already
  EXPECT_EQ(plan.bytes(), 192u + 64 + 40);
  const std::string bytes = written(plan);
  ASSERT_EQ(bytes.size(), plan.bytes());
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x02\0\0\0\x02\0\0\0", 8));
  EXPECT_EQ(bytes.substr(64, 8), std::string("\xef\xbe\xad\xde\x01\0\0\0", 8));
  EXPECT_EQ(bytes.substr(128 + 20, 44), std::string(44, '\0'));
  EXPECT_EQ(lookup(bytes, 192, DType::F32, {2, 5})->to_floats(), test::ramp(DType::F32, {10}).to_floats());
}

// Packed elements as coremltools packs them, with the bits left over in the last byte counted.
TEST(WeightFile, CountsPaddingBits) {
  const struct {
    DType dtype;
    int64_t count;
    std::string bytes;
    char padding;
  } cases[] = {{DType::I4, 3, "\x78\x0f", 4},
               {DType::U1, 9, "\x8d\x01", 7},
               {DType::U2, 5, "\x93\x03", 6},
               {DType::U3, 7, "\xd1\x58\x1f", 3},
               {DType::U6, 3, std::string("\xc1\x1f\x02"), 6}};
  for (const auto& c : cases) {
    WeightPlan plan;
    plan.add(Weight::dense(c.dtype, {c.count}, c.bytes));
    const std::string bytes = written(plan);
    EXPECT_EQ(bytes[64 + 24], c.padding);
    EXPECT_EQ(bytes.substr(128), c.bytes);
    auto read = lookup(bytes, 64, c.dtype, {c.count});
    ASSERT_TRUE(read.ok()) << render(read.error());
    EXPECT_EQ(read->bytes(), c.bytes);
    EXPECT_FALSE(lookup(bytes, 64, c.dtype, {c.count + 1}).ok());
  }
}

TEST(WeightFile, WritesLargeWeightsInTilesAnywhere) {
  WeightPlan plan;
  const Weight plain = test::ramp(DType::F32, {3, 600000}, 0, 1), turned = plain.permute({1, 0}).cast(DType::F16);
  plan.add(plain);
  const uint64_t second = plan.add(turned);
  const std::string at_start = written(plan), shifted = written(plan, 100);
  EXPECT_EQ(shifted.substr(100), at_start);
  EXPECT_EQ(at_start.substr(128, plain.byte_size()), plain.bytes());
  EXPECT_EQ(at_start.substr(second + 64), turned.bytes());
  ContentHash a, b;
  ASSERT_TRUE(plan.fingerprint(a).ok() && plan.fingerprint(b).ok());
  EXPECT_EQ(a.uuid(), b.uuid());
}

TEST(WeightFile, SharesEqualContentsOfDifferentFiles) {
  WeightPlan plan;
  const Weight a = test::ramp(DType::F32, {1000, 1000}, 0, 1);
  const uint64_t first = plan.add(a);
  EXPECT_EQ(plan.add(Weight::dense(DType::F32, {1000, 1000}, a.bytes())), first);
  std::string other = a.bytes();
  other.back() ^= 1;
  EXPECT_NE(plan.add(Weight::dense(DType::F32, {1000, 1000}, other)), first);
  EXPECT_NE(plan.add(Weight::dense(DType::F32, {500, 2000}, a.bytes())), first);
  EXPECT_NE(plan.add(Weight::dense(DType::I32, {1000, 1000}, a.bytes())), first);
}

TEST(WeightFile, RefusesDamage) {
  WeightPlan plan;
  plan.add(test::ramp(DType::F16, {10}));
  const std::string good = written(plan);
  auto why = [&](const std::string& bytes, uint64_t offset = 64, DType dtype = DType::F16,
                 std::vector<int64_t> shape = {10}) {
    auto result = lookup(bytes, offset, dtype, std::move(shape));
    return result.ok() ? "fine" : result.error().what;
  };
  EXPECT_EQ(why(good), "fine");
  EXPECT_THAT(why(good.substr(0, 63)), HasSubstr("too short"));
  EXPECT_THAT(why(good, 128), HasSubstr("outside the file"));
  EXPECT_THAT(why(good, UINT64_MAX), HasSubstr("outside the file"));
  EXPECT_THAT(why(good, 0), HasSubstr("mark"));
  EXPECT_THAT(why(good, 64, DType::F32), HasSubstr("element type"));
  EXPECT_THAT(why(good, 64, DType::Bool), HasSubstr("element type"));
  EXPECT_THAT(why(good, 64, DType::F16, {11}), HasSubstr("20 bytes"));
  EXPECT_THAT(why(good, 64, DType::F16, {0, int64_t{1} << 40, int64_t{1} << 40}), HasSubstr("20 bytes"));
  EXPECT_THAT(why(good, 64, DType::F16, {int64_t{1} << 40, int64_t{1} << 40, int64_t{1} << 40}), HasSubstr("20 bytes"));
  EXPECT_THAT(why(good.substr(0, good.size() - 1)), HasSubstr("past the end"));
  auto damaged = [&](size_t at, uint64_t value) {
    std::string bytes = good;
    poke(bytes, at, value);
    return why(bytes);
  };
  EXPECT_THAT(damaged(0, 0x0000000300000001), HasSubstr("version 3"));
  EXPECT_THAT(damaged(72, UINT64_MAX), HasSubstr("past the end"));
  EXPECT_THAT(damaged(80, UINT64_MAX), HasSubstr("past the end"));
  EXPECT_THAT(damaged(72, 0), HasSubstr("0 bytes"));
  EXPECT_THAT(damaged(88, 8), HasSubstr("padding"));
  EXPECT_THAT(damaged(88, 4), HasSubstr("20 bytes"));
}

}  // namespace
}  // namespace cortland::coreml
