#include <gtest/gtest.h>

#include <cmath>

#include "mil_ops/op_test.h"

namespace cortland::mil_ops {
namespace {

using namespace test;

Tensor wave(std::vector<int64_t> shape, int shift = 0) {
  std::vector<float> v(static_cast<size_t>(Tensor{DType::F32, shape, nullptr}.elements()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((static_cast<int>(i) * 37 + 11 + shift) % 23 - 11) / 8;
  return f32(std::move(shape), v);
}

Tensor u32(int64_t v) { return Tensor::from(DType::U32, {}, std::vector<int64_t>{v}); }

// Two elements to five or six points, as the op's documentation tabulates them.
TEST(Resize, SamplingModes) {
  const auto five = [](const char* mode) {
    return run(resize_bilinear, {{"x", f32({1, 1, 2}, {0, 1})}, {"target_size_width", 5}, {"sampling_mode", mode}});
  };
  expect_near(five("UNALIGN_CORNERS"), {0, 0.1f, 0.5f, 0.9f, 1});
  expect_near(five("STRICT_ALIGN_CORNERS"), {0, 0.25f, 0.5f, 0.75f, 1});
  expect_near(five("ALIGN_CORNERS"), {0, 0.25f, 0.5f, 0.75f, 1});
  expect_near(five("DEFAULT"), {0, 0.4f, 0.8f, 1, 1});
  expect_near(five("OFFSET_CORNERS"), {0.1f, 0.3f, 0.5f, 0.7f, 0.9f});
  const Tensor x = f32({1, 1, 3}, {0, 1, 2});
  expect_near(run(resize_bilinear, {{"x", x}, {"sampling_mode", "ALIGN_CORNERS"}}), {1});
  expect_near(run(resize_bilinear, {{"x", x}, {"sampling_mode", "STRICT_ALIGN_CORNERS"}}), {0});
  EXPECT_TRUE(refuses(resize_bilinear, {{"x", x}, {"sampling_mode", "CENTER"}}));
  EXPECT_TRUE(refuses(resize_bilinear, {{"x", x}, {"target_size_width", 0}}));
  EXPECT_TRUE(refuses(resize_bilinear, {{"x", f32({2}, {0, 1})}}));
}

TEST(Resize, UpsampleBilinearAsPyTorch) {
  expect_near(
      run(upsample_bilinear, {{"x", wave({1, 1, 3, 4})},
                              {"scale_factor_height", 2.5f},
                              {"scale_factor_width", 1.5f},
                              {"align_corners", false}}),
      {0,           -0.5625f,    -0.8333332f,  0.3333334f,  0.0625f,    -0.5f,       0.1785714f,  -0.3839286f,  -0.7232142f,
       0.1696429f,  0.03571428f, -0.3214286f,  0.7142857f,  0.1517857f, -0.3928571f, -0.3214286f, -0.04464287f, 0.2142857f,
       1.25f,       0.6875f,     -0.06250009f, -0.8125001f, -0.125f,    0.75f,       0.5535713f,  0.6071429f,   0.4732143f,
       -0.2767857f, -0.2053571f, 0.05357136f,  -0.1428573f, 0.5267857f, 1.008929f,   0.2589286f,  -0.2857143f,  -0.6428573f,
       -0.375f,     0.5f,        1.1875f,      0.4374999f,  -0.3125f,   -0.875f});
  expect_near(run(resize_bilinear, {{"x", wave({1, 1, 3, 4})},
                                    {"target_size_height", 5},
                                    {"target_size_width", 3},
                                    {"sampling_mode", "STRICT_ALIGN_CORNERS"}}),
              {0, -0.25f, -0.5f, 0.625f, -0.34375f, 0.125f, 1.25f, -0.4375f, 0.75f, 0.4375f, 0.1875f, -0.0625f, -0.375f,
               0.8125f, -0.875f});
  const Tensor x = f32({1, 1, 1, 2}, {1, 2});
  expect_near(run(upsample_bilinear_ios16, {{"x", x},
                                            {"scale_factor_width", 3},
                                            {"scale_factor_height", 1},
                                            {"align_corners", false},
                                            {"half_pixel_centers", false}}),
              {1, 4.0f / 3, 5.0f / 3, 2, 2, 2});
  EXPECT_TRUE(refuses(upsample_bilinear_ios16, {{"x", x}, {"align_corners", true}, {"half_pixel_centers", true}}));
  EXPECT_TRUE(refuses(upsample_bilinear, {{"x", x}, {"scale_factor_width", 0.25f}, {"scale_factor_height", 1.0f}}));
}

TEST(Resize, NearestAsPyTorch) {
  const std::vector<float> expected = {0,       0,       -1.125f, -1.125f, 0.625f, 0.625f, -0.5f,  0,      0,
                                       -1.125f, -1.125f, 0.625f,  0.625f,  -0.5f,  1.25f,  1.25f,  0.125f, 0.125f,
                                       -1,      -1,      0.75f,   1.25f,   1.25f,  0.125f, 0.125f, -1,     -1,
                                       0.75f,   -0.375f, -0.375f, 1.375f,  1.375f, 0.25f,  0.25f,  -0.875f};
  EXPECT_EQ(
      floats(run(resize_nearest_neighbor, {{"x", wave({1, 1, 3, 4})}, {"target_size_height", 5}, {"target_size_width", 7}})),
      expected);
  // Factors only set the size: 3 * 0.67 and 3 * 1.12 elements, spread evenly. These numbers are Core ML's.
  const Tensor x = f32({1, 1, 3}, {1.5f, -2.5f, 3.5f});
  EXPECT_EQ(
      floats(run(upsample_nearest_neighbor, {{"x", x}, {"scale_factor_height", 3.17f}, {"scale_factor_width", 0.67f}})),
      (std::vector<float>{1.5f, -2.5f, 1.5f, -2.5f, 1.5f, -2.5f}));
  EXPECT_EQ(floats(run(upsample_nearest_neighbor, {{"x", x}, {"scale_factor_height", 1.0f}, {"scale_factor_width", 1.12f}})),
            (std::vector<float>{1.5f, -2.5f, 3.5f}));
}

TEST(Resize, FromAShapeTensor) {
  // Core ML's numbers.
  const Tensor x = f32({1, 1, 2, 1}, {-6.174f, 9.371f});
  EXPECT_EQ(
      floats(run(
          resize,
          {{"x", x}, {"shape", ints({1, 1, 3, 2})}, {"resized_dims", u32(2)}, {"interpolation_mode", "NEAREST_NEIGHBOR"}})),
      (std::vector<float>{-6.174f, -6.174f, 9.371f, 9.371f, 9.371f, 9.371f}));
  expect_near(run(resize, {{"x", f32({1, 1, 1, 2}, {0, 1})}, {"shape", ints({3, 1, 5})}, {"resized_dims", u32(2)}}),
              {0, 0.4f, 0.8f, 1, 1});
  const Tensor kept = run(resize, {{"x", wave({2, 3, 4})}, {"shape", ints({7, 0, 8})}, {"resized_dims", u32(2)}});
  EXPECT_EQ(kept.shape, (std::vector<int64_t>{2, 3, 8}));
  EXPECT_EQ(integers(run(resize, {{"x", i32({2}, {INT32_MAX, 3})},
                                  {"shape", ints({4})},
                                  {"resized_dims", u32(1)},
                                  {"interpolation_mode", "NEAREST_NEIGHBOR"}})),
            (std::vector<int64_t>{INT32_MAX, INT32_MAX, 3, 3}));
  EXPECT_TRUE(refuses(resize, {{"x", x}, {"shape", ints({3, 2})}, {"resized_dims", u32(3)}}));
  EXPECT_TRUE(refuses(resize, {{"x", x}, {"shape", ints({1, 1, 1, 3, 2})}, {"resized_dims", u32(2)}}));
}

TEST(Crop, CutsHeightAndWidth) {
  EXPECT_EQ(floats(run(
                crop, {{"x", iota(DType::F32, {1, 1, 4, 4})}, {"crop_height", ints({0, 1})}, {"crop_width", ints({1, 1})}})),
            (std::vector<float>{1, 2, 5, 6, 9, 10}));
  EXPECT_TRUE(
      refuses(crop, {{"x", iota(DType::F32, {1, 4, 4})}, {"crop_height", ints({2, 2})}, {"crop_width", ints({0, 0})}}));
}

std::vector<Arg> grid(Tensor x, Tensor points, const char* sampling, const char* padding, float value, const char* mode,
                      bool align) {
  return {{"x", std::move(x)},       {"coordinates", std::move(points)}, {"sampling_mode", sampling},
          {"padding_mode", padding}, {"padding_value", value},           {"coordinates_mode", mode},
          {"align_corners", align}};
}

TEST(Resample, AsGridSample) {
  const Tensor x = wave({1, 1, 3, 4}), points = f32({1, 2, 2, 2}, {-1.2f, -0.4f, 0.3f, 0.9f, 1.7f, -2.5f, 0.05f, 0.55f});
  const auto sample = [&](const char* sampling, const char* padding, bool align) {
    return run(resample, grid(x, points, sampling, padding, 0, "normalized_minus_one_to_one", align));
  };
  expect_near(sample("bilinear", "constant", true), {0.525f, 0.18125f, 0, 0.165625f});
  expect_near(sample("bilinear", "constant", false), {0.04999996f, 0.08937509f, 0, 0.48125f});
  expect_near(sample("bilinear", "border", true), {0.75f, 0.18125f, -0.5f, 0.165625f});
  expect_near(sample("bilinear", "border", false), {0.5f, 0.1375f, -0.5f, 0.48125f});
  expect_near(sample("bilinear", "reflection", true), {0.4125f, 0.18125f, -0.31875f, 0.165625f});
  expect_near(sample("bilinear", "symmetric", false), {0.5f, 0.1375f, -0.103125f, 0.48125f});  // PyTorch calls it reflection
  expect_near(sample("nearest", "constant", true), {1.25f, 0.25f, 0, 0.25f});
  expect_near(sample("nearest", "symmetric", false), {0, 0.25f, 0.25f, 0.25f});
}

TEST(Resample, AsCoreMl) {
  const Tensor x = f32({1, 1, 2, 2}, {11, 22, 33, 44}), points = f32({1, 2, 2, 2}, {-1, -2, -3.7f, -1, 0, 0, 3.5f, 1.2f});
  expect_near(run(resample, grid(x, points, "bilinear", "constant", 6.17f, "normalized_minus_one_to_one", true)),
              {8.585f, 6.17f, 27.5f, 6.17f});
  expect_near(run(resample, grid(x, points, "nearest", "border", -1, "unnormalized", false)), {11, 11, 11, 44});
  expect_near(run(resample, grid(x, points, "bilinear", "reflection", -1, "normalized_zero_to_one", true)),
              {22, 36.3f, 11, 34.1f});
  expect_near(run(resample, grid(x, points, "nearest", "symmetric", -1, "normalized_zero_to_one", false)), {22, 33, 11, 33});
  const Tensor bytes = Tensor::from(DType::U8, {1, 1, 2, 2}, std::vector<int64_t>{0, 0, 1, 1});
  expect_near(run(resample_ios17, grid(x, bytes, "bilinear", "constant", 6.17f, "normalized_minus_one_to_one", true)),
              {27.5f, 44});
}

TEST(Resample, SurvivesPointsThatAreNowhere) {
  const Tensor x = f32({1, 1, 2, 2}, {11, 22, 33, 44}), points = f32({1, 1, 3, 2}, {NAN, 0, INFINITY, 0, 1e30f, -1e30f});
  for (const char* padding : {"constant", "border", "reflection", "symmetric"}) {
    EXPECT_EQ(floats(run(resample, grid(x, points, "nearest", padding, 5, "unnormalized", false))).size(), 3u) << padding;
  }
  EXPECT_EQ(floats(run(resample, grid(x, points, "bilinear", "constant", 5, "unnormalized", false))),
            (std::vector<float>{5, 5, 5}));
}

TEST(Affine, AsCoreMl) {
  const Tensor x = f32({1, 1, 2, 2}, {11, 22, 33, 44}), matrix = f32({1, 6}, {-1, -2, -3.7f, -1, 3.5f, 1.2f});
  const auto to = [&](int height, int width, const char* sampling) -> std::vector<Arg> {
    return {{"x", x},
            {"transform_matrix", matrix},
            {"output_height", height},
            {"output_width", width},
            {"sampling_mode", sampling},
            {"padding_mode", "constant"},
            {"padding_value", 0.0f},
            {"coordinates_mode", "normalized_minus_one_to_one"},
            {"align_corners", true}};
  };
  expect_near(run(affine, to(3, 3, "bilinear")), {10.7525f, 2.5025f, 0, 1.98f, 0, 0, 0, 0, 0}, 1e-5);
  expect_near(run(affine, to(2, 5, "bilinear")), {10.7525f, 5.94f, 2.5025f, 0.44f, 0, 0, 0, 0, 0, 0}, 1e-5);
  EXPECT_TRUE(refuses(affine, to(2, 2, "nearest")));
}

TEST(CropResize, RoisAsCoreMl) {
  const Tensor x = f32({1, 1, 4, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  const auto crops = [&](Tensor roi, int size, bool normalised) {
    return run(crop_resize, {{"x", x},
                             {"roi", std::move(roi)},
                             {"target_height", size},
                             {"target_width", size},
                             {"normalized_coordinates", normalised},
                             {"sampling_mode", "ALIGN_CORNERS"}});
  };
  const Tensor box = f32({1, 1, 4, 1, 1}, {1, 1, 2, 2});
  EXPECT_EQ(crops(box, 2, false).shape, (std::vector<int64_t>{1, 1, 1, 2, 2}));
  expect_near(crops(box, 2, false), {6, 7, 10, 11});
  expect_near(crops(box, 1, false), {8.5f});
  expect_near(crops(f32({1, 1, 5, 1, 1}, {0, 0, 0, 1.0f / 3, 1.0f / 3}), 2, true), {1, 2, 5, 6});
  expect_near(crops(f32({1, 1, 4, 1, 1}, {2, 2, 1, 1}), 2, false), {11, 10, 7, 6});
  EXPECT_TRUE(refuses(crop_resize, {{"x", x}, {"roi", f32({1, 1, 5, 1, 1}, {1, 0, 0, 1, 1})}}));  // there is no image 1
  EXPECT_TRUE(refuses(crop_resize, {{"x", x}, {"roi", f32({1, 4}, {0, 0, 1, 1})}}));
}

TEST(CropResize, BoxesAsCoreMl) {
  const Tensor x = f32({1, 1, 4, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  const std::vector<float> boxes = {0.1f, 0.3f, 1.3f, 1, 0.5f, 1.8f, 1, 0.3f, 0, 0.4f, 0.6f, 0.7f};
  const std::vector<float> expected = {3.1f, 5.2f, 10, 10, 10, 7.9f, 10, 13.9f, 2.2f, 3.1f, 9.4f, 10.3f};
  const std::vector<Arg> modes = {{"x", x},
                                  {"target_height", 2},
                                  {"target_width", 2},
                                  {"normalized_coordinates", true},
                                  {"sampling_mode", "ALIGN_CORNERS"},
                                  {"pad_value", 10.0f}};
  auto args = modes;
  args.emplace_back("boxes", f32({3, 4}, boxes));
  args.emplace_back("box_indices", ints({0, 0, 0}));
  expect_near(run(crop_resize_ios17, args), expected, 1e-5);
  args.pop_back();
  EXPECT_TRUE(refuses(crop_resize_ios17, args));  // three boxes, one image
  args = modes;
  std::vector<float> rois;
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (i % 4 == 0) rois.push_back(0);
    rois.push_back(boxes[i]);
  }
  args.emplace_back("roi", f32({3, 1, 5, 1, 1}, rois));
  expect_near(run(crop_resize_ios16, args), expected, 1e-5);
  // Centre and size, width first: the box [1, 1, 2, 2] again.
  expect_near(run(crop_resize_ios17, {{"x", x},
                                      {"boxes", f32({1, 4}, {1.5f, 1.5f, 1, 1})},
                                      {"target_height", 2},
                                      {"target_width", 2},
                                      {"box_coordinate_mode", "CENTER_SIZE_WIDTH_FIRST"},
                                      {"sampling_mode", "ALIGN_CORNERS"}}),
              {6, 7, 10, 11});
}

}  // namespace
}  // namespace cortland::mil_ops
