// Reading elements, rows and slices by index.
#include "mil_ops/indexing.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

template <class Context>
int64_t batch_dims_of(const Context& c) {
  return c.def.slot("batch_dims") >= 0 ? c.integer("batch_dims") : 0;
}

// Copies blocks of `bytes`: block positions[i] of `from` becomes block i of `to`.
void copy_blocks(const std::byte* from, const int64_t* positions, int64_t count, size_t bytes, std::byte* to) {
  switch (bytes) {  // a constant size makes each copy one load and one store
    case 1:
      for (int64_t i = 0; i < count; ++i) to[i] = from[positions[i]];
      return;
    case 2:
      for (int64_t i = 0; i < count; ++i) std::memcpy(to + 2 * i, from + 2 * positions[i], 2);
      return;
    case 4:
      for (int64_t i = 0; i < count; ++i) std::memcpy(to + 4 * i, from + 4 * positions[i], 4);
      return;
    default:
      for (int64_t i = 0; i < count; ++i)
        std::memcpy(to + static_cast<size_t>(i) * bytes, from + static_cast<size_t>(positions[i]) * bytes, bytes);
  }
}

struct GatherShape {
  size_t axis = 0, batch = 0;
  Shape out;
};

// out = x[:axis] + indices[batch_dims:] + x[axis + 1:]
template <class Context>
Result<GatherShape> gather_shape(const Context& c, const DimTable& dims) {
  const Shape x = shape_of_input(c, "x"), indices = shape_of_input(c, "indices");
  GatherShape g;
  TRY(g.axis, axis_in(c, c.integer("axis"), static_cast<int>(x.size())));
  const int64_t batch = batch_dims_of(c);
  if (batch < 0 || batch > static_cast<int64_t>(std::min(g.axis, indices.size())))
    return c.error(fmt::format("batch_dims {} does not go with axis {} and {} index axes", batch, g.axis, indices.size()));
  g.batch = static_cast<size_t>(batch);
  for (size_t i = 0; i < g.batch; ++i)
    if (!compatible(dims, x[i], indices[i]))
      return c.error(fmt::format("batch axis {} is {} in x and {} in indices", i, dims.str(x[i]), dims.str(indices[i])));
  const auto axis = static_cast<std::ptrdiff_t>(g.axis);
  g.out.assign(x.begin(), x.begin() + axis);
  g.out.insert(g.out.end(), indices.begin() + batch, indices.end());
  g.out.insert(g.out.end(), x.begin() + axis + 1, x.end());
  return g;
}

Types infer_gather(InferContext& c) {
  TRY(const GatherShape g, gather_shape(c, c.dims));
  return one({c.dtype("x"), g.out});
}

Status eval_gather(EvalContext& c) {
  TRY(const GatherShape g, gather_shape(c, DimTable()));
  const Tensor& x = c.tensor("x");
  TRY(const auto indices, checked_indices(c, "indices", x.shape[g.axis]));
  Tensor& out = c.output(0, sizes(g.out), x.dtype);
  if (out.elements() == 0) return {};
  const int64_t batches = product(x.shape, 0, g.batch), outer = product(x.shape, g.batch, g.axis);
  const auto count = static_cast<int64_t>(indices.size()) / batches;
  const size_t block = static_cast<size_t>(byte_size(x.dtype, product(x.shape, g.axis + 1, x.shape.size())));
  const size_t from_step = block * static_cast<size_t>(x.shape[g.axis]), to_step = block * static_cast<size_t>(count);
  for (int64_t o = 0; o < batches * outer; ++o)
    copy_blocks(x.data() + static_cast<size_t>(o) * from_step, indices.data() + o / outer * count, count, block,
                out.mutable_data() + static_cast<size_t>(o) * to_step);
  return {};
}

template <class Context>
Result<size_t> along_axis(const Context& c, const DimTable& dims) {
  const Shape x = shape_of_input(c, "x"), indices = shape_of_input(c, "indices");
  if (x.size() != indices.size())
    return c.error(fmt::format("x has rank {}, indices has rank {}", x.size(), indices.size()));
  TRY(const size_t axis, axis_in(c, c.integer("axis"), static_cast<int>(x.size())));
  for (size_t i = 0; i < x.size(); ++i)
    if (i != axis && !compatible(dims, x[i], indices[i]))
      return c.error(
          fmt::format("x {} and indices {} differ outside axis {}", describe(dims, x), describe(dims, indices), axis));
  return axis;
}

Types infer_gather_along_axis(InferContext& c) {
  TRY_DO(along_axis(c, c.dims));
  return one({c.dtype("x"), c.shape("indices")});
}

Status eval_gather_along_axis(EvalContext& c) {
  TRY(const size_t axis, along_axis(c, DimTable()));
  const Tensor& x = c.tensor("x");
  TRY(auto positions, checked_indices(c, "indices", x.shape[axis]));
  Tensor& out = c.output(0, c.tensor("indices").shape, x.dtype);
  const int64_t outer = product(out.shape, 0, axis), inner = product(out.shape, axis + 1, out.shape.size());
  int64_t* p = positions.data();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < out.shape[axis]; ++i)
      for (int64_t j = 0; j < inner; ++j, ++p) *p = (o * x.shape[axis] + *p) * inner + j;
  copy_blocks(x.data(), positions.data(), out.elements(), static_cast<size_t>(byte_size(x.dtype, 1)), out.mutable_data());
  return {};
}

struct GatherNdShape {
  size_t batch = 0, depth = 0;
  Shape out;
};

// out = indices[:-1] + x[batch_dims + depth:]
template <class Context>
Result<GatherNdShape> gather_nd_shape(const Context& c, const DimTable& dims) {
  const Shape x = shape_of_input(c, "x"), indices = shape_of_input(c, "indices");
  const int64_t batch = batch_dims_of(c);
  if (batch < 0 || batch > static_cast<int64_t>(x.size()) ||
      batch >= static_cast<int64_t>(std::max<size_t>(indices.size(), 1)))
    return c.error(fmt::format("batch_dims {} is too large", batch));
  GatherNdShape g;
  g.batch = static_cast<size_t>(batch);
  TRY(g.depth, index_depth(c, x.size() - g.batch));
  for (size_t i = 0; i < g.batch; ++i)
    if (!compatible(dims, x[i], indices[i]))
      return c.error(fmt::format("batch axis {} is {} in x and {} in indices", i, dims.str(x[i]), dims.str(indices[i])));
  g.out.assign(indices.begin(), indices.end() - 1);
  g.out.insert(g.out.end(), x.begin() + static_cast<std::ptrdiff_t>(g.batch + g.depth), x.end());
  return g;
}

Types infer_gather_nd(InferContext& c) {
  TRY(const GatherNdShape g, gather_nd_shape(c, c.dims));
  return one({c.dtype("x"), g.out});
}

Status eval_gather_nd(EvalContext& c) {
  TRY(const GatherNdShape g, gather_nd_shape(c, DimTable()));
  const Tensor& x = c.tensor("x");
  TRY(auto positions, checked_positions(c, "indices", x.shape, g.batch, g.depth));
  Tensor& out = c.output(0, sizes(g.out), x.dtype);
  if (out.elements() == 0) return {};
  const int64_t batches = product(x.shape, 0, g.batch), plane = product(x.shape, g.batch, g.batch + g.depth);
  const auto count = static_cast<int64_t>(positions.size()) / batches;
  for (int64_t i = 0; i < batches * count; ++i) positions[static_cast<size_t>(i)] += i / count * plane;
  copy_blocks(x.data(), positions.data(), batches * count,
              static_cast<size_t>(byte_size(x.dtype, product(x.shape, g.batch + g.depth, x.shape.size()))),
              out.mutable_data());
  return {};
}

constexpr DTypes kIndices16 = one_of({DType::I32, DType::I16, DType::U16});
constexpr DTypes kIndices17 = kIndices16 | one_of({DType::I8, DType::U8});
constexpr DTypes kGathered17 = kNumbers | kSmallInts;

constexpr Input kGather[] = {value("x", kNumbers), value("indices", kInt32, 'I'), option("axis", kInt32, 0)};
constexpr Input kGather16[] = {value("x", kNumbers), value("indices", kIndices16, 'I'), option("axis", kInt32, 0),
                               option("batch_dims", kInt32, 0)};
constexpr Input kGather17[] = {value("x", kGathered17), value("indices", kIndices17, 'I'), option("axis", kInt32, 0),
                               option("batch_dims", kInt32, 0), option("validate_indices", kBools, false)};
constexpr Input kAlongAxis16[] = {value("x", kNumbers), value("indices", kIndices16, 'I'), option("axis", kInt32, 0)};
constexpr Input kAlongAxis17[] = {value("x", kGathered17), value("indices", kIndices17, 'I'), option("axis", kInt32, 0),
                                  option("validate_indices", kBools, false)};
constexpr Input kGatherNd[] = {value("x", kNumbers), value("indices", kInt32, 'I')};
constexpr Input kGatherNd16[] = {value("x", kNumbers), value("indices", kIndices16, 'I'), option("batch_dims", kInt32, 0)};
constexpr Input kGatherNd17[] = {value("x", kGathered17), value("indices", kIndices17, 'I'), option("batch_dims", kInt32, 0),
                                 option("validate_indices", kBools, false)};

}  // namespace

const MilOp gather{.name = "gather", .inputs = kGather, .infer = infer_gather, .eval = eval_gather};
const MilOp gather_ios16{
    .name = "gather", .since = Target::iOS16, .inputs = kGather16, .infer = infer_gather, .eval = eval_gather};
const MilOp gather_ios17{
    .name = "gather", .since = Target::iOS17, .inputs = kGather17, .infer = infer_gather, .eval = eval_gather};

const MilOp gather_along_axis{
    .name = "gather_along_axis", .inputs = kGather, .infer = infer_gather_along_axis, .eval = eval_gather_along_axis};
const MilOp gather_along_axis_ios16{.name = "gather_along_axis",
                                    .since = Target::iOS16,
                                    .inputs = kAlongAxis16,
                                    .infer = infer_gather_along_axis,
                                    .eval = eval_gather_along_axis};
const MilOp gather_along_axis_ios17{.name = "gather_along_axis",
                                    .since = Target::iOS17,
                                    .inputs = kAlongAxis17,
                                    .infer = infer_gather_along_axis,
                                    .eval = eval_gather_along_axis};

const MilOp gather_nd{.name = "gather_nd", .inputs = kGatherNd, .infer = infer_gather_nd, .eval = eval_gather_nd};
const MilOp gather_nd_ios16{
    .name = "gather_nd", .since = Target::iOS16, .inputs = kGatherNd16, .infer = infer_gather_nd, .eval = eval_gather_nd};
const MilOp gather_nd_ios17{
    .name = "gather_nd", .since = Target::iOS17, .inputs = kGatherNd17, .infer = infer_gather_nd, .eval = eval_gather_nd};

}  // namespace cortland::mil_ops
