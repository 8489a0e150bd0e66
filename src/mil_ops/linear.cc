#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "mil_ops/elementwise.h"
#include "mil_ops/matrix.h"
#include "mil_ops/ops.h"
#include "mil_ops/shape_rules.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// Below this many rows, transposing the right operand costs more than it saves.
constexpr int64_t kFewRows = 4;

float dot(const float* a, const float* b, int64_t n) {
  constexpr int64_t kLanes = 16;
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t k = 0; k < kLanes; ++k) lanes[k] += a[i + k] * b[i + k];
  float sum = 0;
  for (float lane : lanes) sum += lane;
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// out[columns, rows] = in[rows, columns], both dense; in tiles that stay in the cache.
void transpose_matrix(const float* in, int64_t rows, int64_t columns, float* out) {
  constexpr int64_t kTile = 32;
  for (int64_t i = 0; i < rows; i += kTile)
    for (int64_t j = 0; j < columns; j += kTile)
      for (int64_t r = i; r < std::min(rows, i + kTile); ++r)
        for (int64_t s = j; s < std::min(columns, j + kTile); ++s) out[s * rows + r] = in[r * columns + s];
}

// Operands of one product after the rank-1 and transpose rules: x [m, k] times y [k, n].
struct Product {
  int64_t m, n, k;
  bool transpose_x, transpose_y;
};

// c[m, n] += x * y. `scratch` holds y when it is stored as [n, k].
void multiply(const Product& p, const float* x, const float* y, std::vector<float>& scratch, float* c) {
  const MatrixView a{x, p.transpose_x ? 1 : p.k, p.transpose_x ? p.m : 1};
  if (!p.transpose_y) return multiply_add(p.m, p.n, p.k, a, y, p.n, c, p.n);
  if (p.m < kFewRows && !p.transpose_x) {
    for (int64_t i = 0; i < p.m; ++i)
      for (int64_t j = 0; j < p.n; ++j) c[i * p.n + j] += dot(x + i * p.k, y + j * p.k, p.k);
    return;
  }
  scratch.resize(static_cast<size_t>(p.k * p.n));
  transpose_matrix(y, p.n, p.k, scratch.data());
  multiply_add(p.m, p.n, p.k, a, scratch.data(), p.n, c, p.n);
}

void multiply(const Product& p, const int32_t* x, const int32_t* y, std::vector<int32_t>&, int32_t* c) {
  const int64_t x_row = p.transpose_x ? 1 : p.k, x_column = p.transpose_x ? p.m : 1;
  const int64_t y_row = p.transpose_y ? 1 : p.n, y_column = p.transpose_y ? p.k : 1;
  for (int64_t i = 0; i < p.m; ++i)
    for (int64_t q = 0; q < p.k; ++q) {
      const auto w = static_cast<uint32_t>(x[i * x_row + q * x_column]);  // unsigned: wraps
      for (int64_t j = 0; j < p.n; ++j)
        c[i * p.n + j] = static_cast<int32_t>(static_cast<uint32_t>(c[i * p.n + j]) +
                                              w * static_cast<uint32_t>(y[q * y_row + j * y_column]));
    }
}

// --- matmul

template <class Context>
bool flag_fits(const Context& c, std::string_view flag, size_t rank) {
  return rank >= 2 || !c.boolean(flag);
}

Result<Shape> matmul_shape(InferContext& c) {
  Shape x = c.shape("x"), y = c.shape("y");
  if (x.empty() || y.empty()) return c.error("x and y must have rank 1 or more");
  if (!flag_fits(c, "transpose_x", x.size()) || !flag_fits(c, "transpose_y", y.size()))
    return c.error("a vector cannot be transposed");
  const bool row = x.size() == 1, column = y.size() == 1;
  if (c.boolean("transpose_x")) std::swap(x.end()[-1], x.end()[-2]);
  if (c.boolean("transpose_y")) std::swap(y.end()[-1], y.end()[-2]);
  if (row) x.insert(x.begin(), 1);
  if (column) y.push_back(1);
  if (!may_equal(x.end()[-1], y.end()[-2]))
    return c.error(fmt::format("x has {} columns, y has {} rows", c.dims.str(x.end()[-1]), c.dims.str(y.end()[-2])));
  TRY(Shape out, broadcast_dims(c, Shape(x.begin(), x.end() - 2), Shape(y.begin(), y.end() - 2)));
  if (!row) out.push_back(x.end()[-2]);
  if (!column) out.push_back(y.end()[-1]);
  return out;
}

Types infer_matmul(InferContext& c) {
  TRY(Shape shape, matmul_shape(c));
  return one({c.dtype("x"), std::move(shape)});
}

// From iOS17 on a constant operand may have its own type; the other one gives the result's.
Types infer_matmul_ios17(InferContext& c) {
  const bool x_const = c.operand("x").is_const(), y_const = c.operand("y").is_const();
  if (x_const == y_const && c.dtype("x") != c.dtype("y"))
    return c.error("x and y may differ in type only when exactly one is a constant");
  TRY(Shape shape, matmul_shape(c));
  return one({c.dtype(x_const && !y_const ? "y" : "x"), std::move(shape)});
}

template <class T>
void multiply_batches(const Product& p, const Tensor& x, const Tensor& y, const Sizes& batch, T* out) {
  const auto batch_strides = [&](const Tensor& t, int64_t matrix) {
    Sizes strides = broadcast_strides(Sizes(t.shape.begin(), t.shape.end() - std::min<std::ptrdiff_t>(2, t.rank())), batch);
    for (int64_t& s : strides) s *= matrix;
    return strides;
  };
  Sizes out_strides = dense_strides(batch);
  for (int64_t& s : out_strides) s *= p.m * p.n;
  StridedWalk walk(batch, {batch_strides(x, p.m * p.k), batch_strides(y, p.k * p.n), out_strides});
  std::vector<T> scratch;
  for (; !walk.done(); walk.next())
    for (int64_t i = 0; i < walk.length(); ++i)
      multiply(p, x.data<T>() + walk.at(0) + i * walk.step(0), y.data<T>() + walk.at(1) + i * walk.step(1), scratch,
               out + walk.at(2) + i * walk.step(2));
}

template <class T>
Tensor zeros(DType dtype, const Sizes& shape) {
  Tensor t = Tensor::make(dtype, shape);
  std::fill_n(t.mutable_data<T>(), t.elements(), T{0});
  return t;
}

Status eval_matmul(EvalContext& c) {
  Tensor x = c.tensor("x"), y = c.tensor("y");
  if (x.rank() == 0 || y.rank() == 0) return c.error("x and y must have rank 1 or more");
  if (!flag_fits(c, "transpose_x", x.shape.size()) || !flag_fits(c, "transpose_y", y.shape.size()))
    return c.error("a vector cannot be transposed");
  Product p{1, 1, 0, c.boolean("transpose_x"), c.boolean("transpose_y")};
  p.k = x.dim(p.transpose_x ? -2 : -1);
  if (x.rank() > 1) p.m = x.dim(p.transpose_x ? -1 : -2);
  if (y.rank() > 1) p.n = y.dim(p.transpose_y ? -2 : -1);
  const int64_t y_rows = y.rank() == 1 ? y.dim(0) : y.dim(p.transpose_y ? -1 : -2);
  if (p.k != y_rows) return c.error(fmt::format("x has {} columns, y has {} rows", p.k, y_rows));
  const auto batch_of = [](const Tensor& t) {
    return Sizes(t.shape.begin(), t.shape.end() - std::min<std::ptrdiff_t>(2, t.rank()));
  };
  TRY(Sizes batch, broadcast(batch_of(x), batch_of(y)));
  Sizes shape = batch;
  if (x.rank() > 1) shape.push_back(p.m);
  if (y.rank() > 1) shape.push_back(p.n);
  TRY_DO(check_sizes(c, shape));
  // One matrix for all batches: they are rows of one product.
  if (y.rank() <= 2 && x.rank() > 2 && !p.transpose_x) {
    for (int64_t d : batch) p.m *= d;
    x = x.reshaped({p.m, p.k});
    batch.clear();
  }
  if (x.dtype == DType::I32 && y.dtype == DType::I32) {
    Tensor out = zeros<int32_t>(DType::I32, shape);
    multiply_batches<int32_t>(p, x, y, batch, out.mutable_data<int32_t>());
    c.set_output(0, std::move(out));
    return {};
  }
  Tensor out = zeros<float>(DType::F32, shape);
  multiply_batches<float>(p, x.cast(DType::F32), y.cast(DType::F32), batch, out.mutable_data<float>());
  const DType dtype = c.result_types[0].dtype();
  if (dtype != x.dtype && dtype != y.dtype) return c.error("the result has neither operand's type");
  c.set_output(0, out.cast(dtype));
  return {};
}

// --- linear

Types infer_linear(InferContext& c) {
  Shape shape = c.shape("x");
  const Shape& weight = c.shape("weight");
  if (shape.empty() || weight.size() != 2) return c.error("x must have rank 1 or more, weight rank 2");
  if (!may_equal(shape.back(), weight[1]))
    return c.error(fmt::format("x has {} features, weight takes {}", c.dims.str(shape.back()), c.dims.str(weight[1])));
  if (c.has("bias") && (c.rank("bias") != 1 || !may_equal(c.shape("bias")[0], weight[0])))
    return c.error("bias must be a vector with one value for each output feature");
  shape.back() = weight[0];
  return one({c.dtype("x"), std::move(shape)});
}

template <class T>
Tensor linear_product(const Tensor& x, const Tensor& weight, const Tensor* bias, const Sizes& shape) {
  Tensor out = zeros<T>(x.dtype, shape);
  const int64_t features = weight.dim(0), rows = features == 0 ? 0 : out.elements() / features;
  if (bias)
    for (int64_t i = 0; i < rows; ++i) std::copy_n(bias->data<T>(), features, out.mutable_data<T>() + i * features);
  std::vector<T> scratch;
  multiply(Product{rows, features, weight.dim(1), false, true}, x.data<T>(), weight.data<T>(), scratch,
           out.mutable_data<T>());
  return out;
}

Status eval_linear(EvalContext& c) {
  const Tensor& x = c.tensor("x");
  const Tensor& weight = c.tensor("weight");
  if (x.rank() == 0 || weight.rank() != 2 || x.dim(-1) != weight.dim(1)) return c.error("x and weight do not fit");
  if (c.has("bias") && c.tensor("bias").shape != Sizes{weight.dim(0)}) return c.error("bias and weight do not fit");
  Sizes shape = x.shape;
  shape.back() = weight.dim(0);
  const DType compute = x.dtype == DType::I32 && weight.dtype == DType::I32 ? DType::I32 : DType::F32;
  const Tensor bias = c.has("bias") ? c.tensor("bias").cast(compute) : Tensor();
  const Tensor* added = c.has("bias") ? &bias : nullptr;
  const Tensor out = compute == DType::I32 ? linear_product<int32_t>(x, weight, added, shape)
                                           : linear_product<float>(x.cast(compute), weight.cast(compute), added, shape);
  c.set_output(0, out.cast(x.dtype));
  return {};
}

// --- einsum

// "nchw,nwhu->nchu" or "chw,whr->chr" under any letters.
bool is_supported_equation(const std::string& equation) {
  std::string canonical;
  std::map<char, char> letters;
  for (char ch : equation) {
    if (ch == ' ') continue;
    const bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
    canonical += letter ? letters.try_emplace(ch, static_cast<char>('a' + letters.size())).first->second : ch;
  }
  return canonical == "abcd,adce->abce" || canonical == "abc,cbd->abd";
}

Types infer_einsum(InferContext& c) {
  if (!is_supported_equation(c.str("equation")))
    return c.error(fmt::format("equation '{}' is not supported", c.str("equation")));
  const auto values = c.types("values");
  if (values.size() != 2) return c.error("two values are needed");
  const Shape &x = values[0].shape(), &y = values[1].shape();
  const size_t rank = c.str("equation").find(',') == 4 ? 4 : 3;
  if (x.size() != rank || y.size() != rank) return c.error("the equation does not fit the ranks");
  if (!may_equal(x.back(), y[rank - 3])) return c.error("the contracted sizes differ");
  TRY(Shape shape, broadcast_dims(c, {x[rank - 2]}, {y[rank - 2]}));
  shape.insert(shape.begin(), x[rank - 3]);
  shape.push_back(y.back());
  if (rank == 4) {
    TRY(const Shape batch, broadcast_dims(c, {x[0]}, {y[0]}));
    shape.insert(shape.begin(), batch[0]);
  }
  return one({values[0].dtype(), std::move(shape)});
}

// x [B, C, H, W] times y [B, W, H, U] for every B and H.
Status eval_einsum(EvalContext& c) {
  const std::vector<Tensor> values = c.tensors("values");
  if (values.size() != 2 || values[0].rank() != values[1].rank() || values[0].rank() < 3 || values[0].rank() > 4)
    return c.error("two values of rank 3 or 4 are needed");
  Tensor x = values[0].cast(DType::F32), y = values[1].cast(DType::F32);
  const bool batched = x.rank() == 4;
  const int64_t xb = batched ? x.dim(0) : 1, yb = batched ? y.dim(0) : 1, xh = x.dim(-2), yh = y.dim(-2);
  const int64_t channels = x.dim(-3), k = x.dim(-1), n = y.dim(-1);
  TRY(const Sizes both, broadcast({xb, xh}, {yb, yh}));
  if (y.dim(-3) != k) return c.error("the contracted sizes differ");
  const int64_t height = both[1];
  Sizes shape = {channels, height, n};
  if (batched) shape.insert(shape.begin(), both[0]);
  Tensor out = zeros<float>(DType::F32, shape);
  for (int64_t b = 0; b < both[0]; ++b)
    for (int64_t h = 0; h < height; ++h) {
      const float* left = x.data<float>() + ((xb == 1 ? 0 : b) * channels * xh + (xh == 1 ? 0 : h)) * k;
      const float* right = y.data<float>() + ((yb == 1 ? 0 : b) * k * yh + (yh == 1 ? 0 : h)) * n;
      multiply_add(channels, n, k, {left, xh * k, 1}, right, yh * n,
                   out.mutable_data<float>() + (b * channels * height + h) * n, height * n);
    }
  c.set_output(0, out.cast(values[0].dtype));
  return {};
}

constexpr Input kMatmul[] = {value("x", kNumbers), value("y", kNumbers), option("transpose_x", kBools, false),
                             option("transpose_y", kBools, false)};
constexpr Input kMatmulIos17[] = {value("x", kNumbers), value("y", kNumbers, 'U'), option("transpose_x", kBools, false),
                                  option("transpose_y", kBools, false)};
constexpr Input kLinear[] = {value("x", kNumbers), constant("weight", kNumbers, 'T'), option("bias", kNumbers, {}, 'T')};
constexpr Input kLinearIos17[] = {value("x", kNumbers), constant("weight", kNumbers, 'U'),
                                  option("bias", kNumbers, {}, 'U')};
constexpr Input kEinsum[] = {variadic("values", kFloats), constant("equation", kStrings)};

// Long sums in another order differ in the last bits.
constexpr Tolerance kSums{.f16 = 2e-3, .f32 = 1e-5};

}  // namespace

const MilOp einsum{.name = "einsum", .inputs = kEinsum, .infer = infer_einsum, .eval = eval_einsum, .tol = kSums};
const MilOp linear{.name = "linear", .inputs = kLinear, .infer = infer_linear, .eval = eval_linear, .tol = kSums};
const MilOp linear_ios17{.name = "linear",
                         .since = Target::iOS17,
                         .inputs = kLinearIos17,
                         .infer = infer_linear,
                         .eval = eval_linear,
                         .tol = kSums};
const MilOp matmul{.name = "matmul", .inputs = kMatmul, .infer = infer_matmul, .eval = eval_matmul, .tol = kSums};
const MilOp matmul_ios17{.name = "matmul",
                         .since = Target::iOS17,
                         .inputs = kMatmulIos17,
                         .infer = infer_matmul_ios17,
                         .eval = eval_matmul,
                         .tol = kSums};

}  // namespace cortland::mil_ops
