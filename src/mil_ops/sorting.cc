// Ops that look along one axis: argsort, topk, cumsum.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "mil_ops/arguments.h"
#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// Lines of a tensor along one axis, as [outer, size, inner].
struct Lines {
  int64_t outer, size, inner;
  int64_t begin(int64_t line) const { return line / inner * size * inner + line % inner; }
  int64_t count() const { return outer * inner; }
};

Lines lines_along(const Sizes& shape, size_t axis) {
  return {product(shape, 0, axis), shape[axis], product(shape, axis + 1, shape.size())};
}

// The indices of the first `k` elements of each line in sorted order, as [outer, k, inner]. Equal elements keep their
// order; NaN counts as the largest, as in torch.
template <class T>
std::vector<int64_t> sorted_indices(const std::vector<T>& x, const Lines& lines, int64_t k, bool ascending) {
  std::vector<int64_t> out(static_cast<size_t>(lines.count() * k));
  std::vector<int64_t> order(static_cast<size_t>(lines.size));
  std::vector<T> line(order.size());
  const auto less = [](T a, T b) { return a < b || (a == a && b != b); };
  const auto before = [&](int64_t i, int64_t j) {
    const T a = line[static_cast<size_t>(i)], b = line[static_cast<size_t>(j)];
    if (less(a, b)) return ascending;
    if (less(b, a)) return !ascending;
    return i < j;
  };
  for (int64_t l = 0; l < lines.count(); ++l) {
    for (int64_t i = 0; i < lines.size; ++i)
      line[static_cast<size_t>(i)] = x[static_cast<size_t>(lines.begin(l) + i * lines.inner)];
    std::iota(order.begin(), order.end(), 0);
    if (k == lines.size)
      std::sort(order.begin(), order.end(), before);
    else
      std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
    const int64_t at = l / lines.inner * k * lines.inner + l % lines.inner;
    for (int64_t i = 0; i < k; ++i) out[static_cast<size_t>(at + i * lines.inner)] = order[static_cast<size_t>(i)];
  }
  return out;
}

std::vector<int64_t> sorted_indices(const Tensor& x, const Lines& lines, int64_t k, bool ascending) {
  return is_float(x.dtype) ? sorted_indices(x.floats(), lines, k, ascending) : sorted_indices(x.ints(), lines, k, ascending);
}

// --- argsort

Types infer_argsort(InferContext& c) {
  TRY_DO(axis_in(c, c.integer("axis"), c.rank("x")));
  return one({DType::I32, c.shape("x")});
}

Status eval_argsort(EvalContext& c) {
  const Tensor& x = c.tensor("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), x.rank()));
  const Lines lines = lines_along(x.shape, axis);
  c.set_output(0, Tensor::from(DType::I32, x.shape, sorted_indices(x, lines, lines.size, c.boolean("ascending"))));
  return {};
}

// --- topk

// -1 takes all, from iOS17 on.
template <class Context>
Result<Dim> top_count(const Context& c, Dim size) {
  const int64_t k = c.integer("k");
  if (k == -1 && c.def.since >= Target::iOS17) return size;
  if (k < 0 || (size.is_constant() && k > size.constant())) return c.error(fmt::format("cannot take {} elements", k));
  return Dim(k);
}

template <class Context>
Result<DType> index_type(const Context& c) {
  if (c.def.slot("output_indices_dtype") < 0) return DType::I32;
  const std::string name = c.str("output_indices_dtype");
  if (name != "int32" && name != "uint16") return c.error(fmt::format("indices cannot be '{}'", name));
  return name == "int32" ? DType::I32 : DType::U16;
}

template <class Context>
bool gives_indices(const Context& c) {
  return c.def.slot("return_indices") < 0 || c.boolean("return_indices");
}

Types infer_topk(InferContext& c) {
  Shape shape = c.shape("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), c.rank("x")));
  TRY(shape[axis], top_count(c, shape[axis]));
  TRY(const DType index, index_type(c));
  std::vector<Type> types = {{c.dtype("x"), shape}};
  if (gives_indices(c)) types.push_back({index, shape});
  return types;
}

Status eval_topk(EvalContext& c) {
  const Tensor x = c.tensor("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), x.rank()));
  TRY(const Dim count, top_count(c, Dim(x.shape[axis])));
  const Lines lines = lines_along(x.shape, axis);
  const int64_t k = count.constant();
  const std::vector<int64_t> indices = sorted_indices(x, lines, k, c.boolean("ascending"));
  Sizes shape = x.shape;
  shape[axis] = k;
  Tensor& values = c.output(0, shape, x.dtype);
  const auto element = static_cast<size_t>(byte_size(x.dtype, 1));
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto n = static_cast<int64_t>(i);
    const int64_t from = (n / (k * lines.inner) * lines.size + indices[i]) * lines.inner + n % lines.inner;
    std::memcpy(element_at(values, n), element_at(x, from), element);
  }
  if (!gives_indices(c)) return {};
  TRY(const DType index, index_type(c));
  c.set_output(1, Tensor::from(index, shape, indices));
  return {};
}

// --- cumsum

Types infer_cumsum(InferContext& c) {
  TRY_DO(axis_in(c, c.integer("axis"), c.rank("x")));
  return same_as_x(c);
}

// Runs down the lines; neighbouring lines together, so that memory is read in order. Acc is double or int64_t.
template <class T, class Acc>
void cumulate(const Tensor& x, Tensor& out, const Lines& lines, bool exclusive, bool reverse) {
  std::vector<Acc> sums(static_cast<size_t>(lines.inner));
  for (int64_t o = 0; o < lines.outer; ++o) {
    std::fill(sums.begin(), sums.end(), Acc{0});
    for (int64_t i = 0; i < lines.size; ++i) {
      const int64_t row = (o * lines.size + (reverse ? lines.size - 1 - i : i)) * lines.inner;
      for (int64_t k = 0; k < lines.inner; ++k) {
        Acc& sum = sums[static_cast<size_t>(k)];
        const Acc before = sum;
        sum += static_cast<Acc>(x.data<T>()[row + k]);
        out.mutable_data<T>()[row + k] = static_cast<T>(exclusive ? before : sum);
      }
    }
  }
}

Status eval_cumsum(EvalContext& c) {
  const Tensor& x = c.tensor("x");
  TRY(const size_t axis, axis_in(c, c.integer("axis"), x.rank()));
  const Lines lines = lines_along(x.shape, axis);
  const bool exclusive = c.boolean("exclusive"), reverse = c.boolean("reverse");
  if (x.dtype == DType::I32) {
    cumulate<int32_t, int64_t>(x, c.output(0, x.shape, DType::I32), lines, exclusive, reverse);
    return {};
  }
  Tensor out = Tensor::make(DType::F32, x.shape);
  cumulate<float, double>(x.cast(DType::F32), out, lines, exclusive, reverse);
  c.set_output(0, out.cast(x.dtype));
  return {};
}

constexpr DTypes kSortable = kNumbers | kSmallInts;
constexpr Input kArgsort[] = {value("x", kNumbers), option("axis", kInt32, -1), option("ascending", kBools, false)};
constexpr Input kCumsum[] = {value("x", kNumbers), option("axis", kInt32, 0), option("exclusive", kBools, false),
                             option("reverse", kBools, false)};
constexpr Input kTopk[] = {value("x", kNumbers), option("k", kInt32, 1), option("axis", kInt32, -1),
                           option("ascending", kBools, false)};
constexpr Input kTopkIos16[] = {value("x", kNumbers),         option("k", kInt32, 1),
                                option("axis", kInt32, -1),   option("ascending", kBools, false),
                                option("sort", kBools, true), option("return_indices", kBools, true)};
constexpr Input kTopkIos17[] = {value("x", kSortable),
                                option("k", kIndexTypes, 1),
                                option("axis", kInt32, -1),
                                option("ascending", kBools, false),
                                option("sort", kBools, true),
                                option("return_indices", kBools, true),
                                option("output_indices_dtype", kStrings, "int32")};

}  // namespace

const MilOp argsort{.name = "argsort", .inputs = kArgsort, .infer = infer_argsort, .eval = eval_argsort};
const MilOp cumsum{.name = "cumsum", .inputs = kCumsum, .infer = infer_cumsum, .eval = eval_cumsum};
const MilOp topk{.name = "topk", .inputs = kTopk, .infer = infer_topk, .eval = eval_topk};
const MilOp topk_ios16{.name = "topk", .since = Target::iOS16, .inputs = kTopkIos16, .infer = infer_topk, .eval = eval_topk};
const MilOp topk_ios17{.name = "topk", .since = Target::iOS17, .inputs = kTopkIos17, .infer = infer_topk, .eval = eval_topk};

}  // namespace cortland::mil_ops
