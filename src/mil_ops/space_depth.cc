// Ops that move blocks between the spatial axes and the channels or the batch. Each is a permutation of six axes.
#include <array>

#include "mil_ops/arguments.h"
#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

using Six = std::array<size_t, 6>;

// x seen as `view` (six sizes), permuted: axis i of the result is axis perm[i] of the view.
Tensor permuted(const Tensor& x, const Sizes& view, const Six& perm, Sizes result) {
  Tensor out = Tensor::make(x.dtype, std::move(result));
  const Sizes dense = dense_strides(view);
  Sizes shape, strides;
  for (size_t axis : perm) {
    shape.push_back(view[axis]);
    strides.push_back(dense[axis]);
  }
  copy_strided(shape, byte_size(x.dtype, 1), x.data(), {0, strides}, out.mutable_data(), {0, dense_strides(shape)});
  return out;
}

// An exact quotient, or an error naming what does not divide.
template <class Context>
Result<Dim> quotient(const Context& c, DimTable& dims, Dim a, int64_t b, std::string_view what) {
  if (a.is_constant() && a.constant() % b != 0)
    return c.error(fmt::format("{} {} does not divide by {}", what, a.constant(), b));
  return dims.floordiv(a, b);
}

template <class Context>
Result<int64_t> block_of(const Context& c, std::string_view input) {
  TRY_DO(expect_rank(c, "x", 4, 4));
  const int64_t block = c.integer(input);
  if (block < 1 || block > 1 << 15) return c.error(fmt::format("{} must be positive and small, not {}", input, block));
  return block;
}

// depth_to_space and pixel_shuffle.
template <class Context>
Result<Shape> upscaled(const Context& c, DimTable& dims, std::string_view input) {
  TRY(const int64_t b, block_of(c, input));
  const Shape x = shape_of_input(c, "x");
  TRY(const Dim channels, quotient(c, dims, x[1], b * b, "channel count"));
  return Shape{x[0], channels, dims.mul(x[2], b), dims.mul(x[3], b)};
}

// space_to_depth and pixel_unshuffle.
template <class Context>
Result<Shape> downscaled(const Context& c, DimTable& dims, std::string_view input) {
  TRY(const int64_t b, block_of(c, input));
  const Shape x = shape_of_input(c, "x");
  TRY(const Dim height, quotient(c, dims, x[2], b, "height"));
  TRY(const Dim width, quotient(c, dims, x[3], b, "width"));
  return Shape{x[0], dims.mul(x[1], b * b), height, width};
}

Types infer_depth_to_space(InferContext& c) {
  TRY(Shape shape, upscaled(c, c.dims, "block_size"));
  return one({c.dtype("x"), std::move(shape)});
}
Types infer_pixel_shuffle(InferContext& c) {
  TRY(Shape shape, upscaled(c, c.dims, "upscale_factor"));
  return one({c.dtype("x"), std::move(shape)});
}
Types infer_space_to_depth(InferContext& c) {
  TRY(Shape shape, downscaled(c, c.dims, "block_size"));
  return one({c.dtype("x"), std::move(shape)});
}
Types infer_pixel_unshuffle(InferContext& c) {
  TRY(Shape shape, downscaled(c, c.dims, "downscale_factor"));
  return one({c.dtype("x"), std::move(shape)});
}

// The block index is the slow part of the channels.
Status eval_depth_to_space(EvalContext& c) {
  DimTable dims;
  TRY(const Shape out, upscaled(c, dims, "block_size"));
  const Tensor& x = c.tensor("x");
  const int64_t b = c.integer("block_size");
  c.set_output(0, permuted(x, {x.dim(0), b, b, x.dim(1) / (b * b), x.dim(2), x.dim(3)}, {0, 3, 4, 1, 5, 2}, sizes(out)));
  return {};
}

Status eval_space_to_depth(EvalContext& c) {
  DimTable dims;
  TRY(const Shape out, downscaled(c, dims, "block_size"));
  const Tensor& x = c.tensor("x");
  const int64_t b = c.integer("block_size");
  c.set_output(0, permuted(x, {x.dim(0), x.dim(1), x.dim(2) / b, b, x.dim(3) / b, b}, {0, 3, 5, 1, 2, 4}, sizes(out)));
  return {};
}

// The block index is the fast part of the channels, as in torch.
Status eval_pixel_shuffle(EvalContext& c) {
  DimTable dims;
  TRY(const Shape out, upscaled(c, dims, "upscale_factor"));
  const Tensor& x = c.tensor("x");
  const int64_t f = c.integer("upscale_factor");
  c.set_output(0, permuted(x, {x.dim(0), x.dim(1) / (f * f), f, f, x.dim(2), x.dim(3)}, {0, 1, 4, 2, 5, 3}, sizes(out)));
  return {};
}

Status eval_pixel_unshuffle(EvalContext& c) {
  DimTable dims;
  TRY(const Shape out, downscaled(c, dims, "downscale_factor"));
  const Tensor& x = c.tensor("x");
  const int64_t f = c.integer("downscale_factor");
  c.set_output(0, permuted(x, {x.dim(0), x.dim(1), x.dim(2) / f, f, x.dim(3) / f, f}, {0, 1, 3, 5, 2, 4}, sizes(out)));
  return {};
}

// --- batch

struct Blocks {
  int64_t size[2];
  int64_t edge[4];  // paddings or crops: top, bottom, left, right
};

template <class Context>
Result<Blocks> read_blocks(const Context& c, std::string_view edges) {
  TRY_DO(expect_rank(c, "x", 4, 4));
  const std::vector<int64_t> block = c.ints("block_shape"), edge = c.ints(edges);
  if (block.size() != 2 || edge.size() != 4) return c.error(fmt::format("block_shape must have 2 values, {} 2 x 2", edges));
  Blocks out{};
  for (size_t i = 0; i < 2; ++i) {
    if (block[i] < 1 || block[i] > 1 << 15) return c.error("block sizes must be positive and small");
    out.size[i] = block[i];
  }
  for (size_t i = 0; i < 4; ++i) {
    if (edge[i] < 0) return c.error(fmt::format("{} must not be negative", edges));
    out.edge[i] = edge[i];
  }
  return out;
}

template <class Context>
Result<Shape> space_to_batch_shape(const Context& c, DimTable& dims, const Blocks& b) {
  Shape out = shape_of_input(c, "x");
  out[0] = dims.mul(out[0], b.size[0] * b.size[1]);
  for (size_t i = 0; i < 2; ++i) {
    TRY(out[2 + i], quotient(c, dims, dims.add(out[2 + i], b.edge[2 * i] + b.edge[2 * i + 1]), b.size[i], "padded size"));
  }
  return out;
}

template <class Context>
Result<Shape> batch_to_space_shape(const Context& c, DimTable& dims, const Blocks& b) {
  Shape out = shape_of_input(c, "x");
  TRY(out[0], quotient(c, dims, out[0], b.size[0] * b.size[1], "batch size"));
  for (size_t i = 0; i < 2; ++i) {
    const Dim grown = dims.mul(out[2 + i], b.size[i]);
    const int64_t cropped = b.edge[2 * i] + b.edge[2 * i + 1];
    if (grown.is_constant() && grown.constant() < cropped) return c.error("more is cropped than there is");
    out[2 + i] = dims.sub(grown, cropped);
  }
  return out;
}

Types infer_space_to_batch(InferContext& c) {
  TRY(const Blocks blocks, read_blocks(c, "paddings"));
  TRY(Shape shape, space_to_batch_shape(c, c.dims, blocks));
  return one({c.dtype("x"), std::move(shape)});
}

Types infer_batch_to_space(InferContext& c) {
  TRY(const Blocks blocks, read_blocks(c, "crops"));
  TRY(Shape shape, batch_to_space_shape(c, c.dims, blocks));
  return one({c.dtype("x"), std::move(shape)});
}

// [n, C, H, b0, W, b1] -> [b0, b1, n, C, H, W]
Status eval_space_to_batch(EvalContext& c) {
  TRY(const Blocks b, read_blocks(c, "paddings"));
  DimTable dims;
  TRY(const Shape shape, space_to_batch_shape(c, dims, b));
  const Tensor& x = c.tensor("x");
  const Sizes out = sizes(shape);
  TRY_DO(check_sizes(c, out));
  Tensor padded = Tensor::make(x.dtype, {x.dim(0), x.dim(1), out[2] * b.size[0], out[3] * b.size[1]});
  std::memset(padded.mutable_data(), 0, padded.bytes());
  const Sizes dense = dense_strides(padded.shape);
  copy_strided(x.shape, byte_size(x.dtype, 1), x.data(), {0, dense_strides(x.shape)}, padded.mutable_data(),
               {b.edge[0] * dense[2] + b.edge[2], dense});
  c.set_output(0, permuted(padded, {x.dim(0), x.dim(1), out[2], b.size[0], out[3], b.size[1]}, {3, 5, 0, 1, 2, 4}, out));
  return {};
}

Status eval_batch_to_space(EvalContext& c) {
  TRY(const Blocks b, read_blocks(c, "crops"));
  DimTable dims;
  TRY(const Shape shape, batch_to_space_shape(c, dims, b));
  const Tensor& x = c.tensor("x");
  const Sizes grown = {x.dim(0) / (b.size[0] * b.size[1]), x.dim(1), x.dim(2) * b.size[0], x.dim(3) * b.size[1]};
  const Tensor whole =
      permuted(x, {b.size[0], b.size[1], grown[0], x.dim(1), x.dim(2), x.dim(3)}, {2, 3, 4, 0, 5, 1}, grown);
  Tensor& out = c.output(0, sizes(shape), x.dtype);
  const Sizes dense = dense_strides(grown);
  copy_strided(out.shape, byte_size(x.dtype, 1), whole.data(), {b.edge[0] * dense[2] + b.edge[2], dense}, out.mutable_data(),
               {0, dense_strides(out.shape)});
  return {};
}

constexpr Input kBlockSize[] = {value("x", kFloats), constant("block_size", kInt32)};
constexpr Input kPixelShuffle[] = {value("x", kFloats), constant("upscale_factor", kInt32)};
constexpr Input kPixelUnshuffle[] = {value("x", kFloats), constant("downscale_factor", one_of({DType::U32}))};
constexpr Input kSpaceToBatch[] = {value("x", kFloats), constant("block_shape", kInt32), constant("paddings", kInt32)};
constexpr Input kBatchToSpace[] = {value("x", kFloats), constant("block_shape", kInt32), constant("crops", kInt32)};

}  // namespace

const MilOp batch_to_space{
    .name = "batch_to_space", .inputs = kBatchToSpace, .infer = infer_batch_to_space, .eval = eval_batch_to_space};
const MilOp depth_to_space{
    .name = "depth_to_space", .inputs = kBlockSize, .infer = infer_depth_to_space, .eval = eval_depth_to_space};
const MilOp pixel_shuffle{
    .name = "pixel_shuffle", .inputs = kPixelShuffle, .infer = infer_pixel_shuffle, .eval = eval_pixel_shuffle};
const MilOp pixel_unshuffle{.name = "pixel_unshuffle",
                            .since = Target::iOS16,
                            .inputs = kPixelUnshuffle,
                            .infer = infer_pixel_unshuffle,
                            .eval = eval_pixel_unshuffle};
const MilOp space_to_batch{
    .name = "space_to_batch", .inputs = kSpaceToBatch, .infer = infer_space_to_batch, .eval = eval_space_to_batch};
const MilOp space_to_depth{
    .name = "space_to_depth", .inputs = kBlockSize, .infer = infer_space_to_depth, .eval = eval_space_to_depth};

}  // namespace cortland::mil_ops
