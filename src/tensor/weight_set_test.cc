#include "tensor/weight_set.h"

#include <gtest/gtest.h>

#include <numeric>

namespace cortland {
namespace {

// Of `count` numbers that count up, in a file of its own; above the size whose contents are part of the key.
Weight counting(int64_t count, float last = -1) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0f);
  if (last >= 0) values.back() = last;
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  const auto file = MappedFile::from_bytes(std::move(bytes), "weights");
  return *Weight::view(file, 0, values.size() * sizeof(float), DType::F32, {count}, {1});
}

TEST(WeightSet, SameContentsOfTwoFilesAreOne) {
  WeightSet set;
  EXPECT_EQ(set.add(counting(1000)), 0u);
  EXPECT_EQ(set.add(counting(1000)), 0u);
  EXPECT_EQ(set.size(), 1u);
}

TEST(WeightSet, TellsApartWhatDiffersLateInTypeOrInShape) {
  WeightSet set;
  const Weight weight = counting(600000);  // more than one tile
  set.add(weight);
  EXPECT_EQ(set.add(counting(600000, 7)), 1u);
  EXPECT_EQ(set.add(weight.reshape({600, 1000})), 2u);
  EXPECT_EQ(set.add(weight.cast(DType::F16)), 3u);
  EXPECT_EQ(set.add(weight), 0u);
  EXPECT_EQ(set.size(), 4u);
}

TEST(WeightSet, ExpressionsOverTwoFilesMeet) {
  WeightSet set;
  EXPECT_EQ(set.add(counting(1000).reshape({10, 100}).permute({1, 0}).cast(DType::F16)), 0u);
  EXPECT_EQ(set.add(counting(1000).reshape({10, 100}).permute({1, 0}).cast(DType::F16)), 0u);
  EXPECT_EQ(set.add(counting(1000).reshape({10, 100}).permute({1, 0})), 1u);
}

TEST(WeightSet, EmptyAndPackedWeights) {
  WeightSet set;
  EXPECT_EQ(set.add(Weight::dense(DType::F32, {0, 3}, "")), 0u);
  EXPECT_EQ(set.add(Weight::dense(DType::F32, {0, 3}, "")), 0u);
  const Weight packed = Weight::dense(DType::U4, {4000}, std::string(2000, '\x21'));
  EXPECT_EQ(set.add(packed), 1u);
  EXPECT_EQ(set.add(Weight::dense(DType::U4, {4000}, std::string(2000, '\x21'))), 1u);
  EXPECT_EQ(set.add(Weight::dense(DType::U4, {4000}, std::string(1999, '\x21') + '\x22')), 2u);
}

}  // namespace
}  // namespace cortland
