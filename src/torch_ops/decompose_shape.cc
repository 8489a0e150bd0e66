// Operators that move, join, cut and repeat tensors, in terms of those with a CPU kernel.
#include <algorithm>
#include <numeric>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using torch::Arg;

static std::vector<V> tensors(Decomposition& d) {
  std::vector<V> list;
  if (const auto* items = d.arg("tensors").as<Arg::List>())
    for (const Arg& item : *items)
      if (const auto* v = item.as<V>()) list.push_back(*v);
  return list;
}

static std::vector<int64_t> in_order(int rank) {
  std::vector<int64_t> order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

Status unbind(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  if (!dim || s.rank(x) == 0) return d.reject("a dimension is out of range");
  const std::vector<V> parts = s.unbind(x, *dim);
  if (parts.size() != d.node().results.size()) return d.reject("the number of parts must be known");
  for (size_t i = 0; i < parts.size(); ++i)
    if (d.result_used(i)) TRY_DO(s.give(i, parts[i]));
  return {};
}

// ---- order of dimensions

static Status permuted(Steps& s, V x, const std::vector<int64_t>& order) { return s.give(s.permute(x, order)); }

Status reversed(Decomposition& d) {
  Steps s(d);
  auto order = in_order(s.rank(d.tensor("self")));
  std::reverse(order.begin(), order.end());
  return permuted(s, d.tensor("self"), order);
}

Status last_two(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  if (s.rank(x) < 2) return d.reject("a matrix is expected");
  return s.give(s.transpose(x, s.rank(x) - 2, s.rank(x) - 1));
}

static Status swap_axes(Decomposition& d, const char* first, const char* second) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto a = s.axis(d.integer(first).value_or(INT64_MAX), s.rank(x)), b = s.axis(d.integer(second).value_or(INT64_MAX), s.rank(x));
  if (!a || !b) return d.reject("a dimension is out of range");
  return s.give(s.rank(x) == 0 ? x : s.transpose(x, *a, *b));
}

Status swapaxes(Decomposition& d) { return swap_axes(d, "axis0", "axis1"); }
Status swapdims(Decomposition& d) { return swap_axes(d, "dim0", "dim1"); }

Status movedim(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto from = d.ints("source"), to = d.ints("destination");
  if (!from || !to || from->size() != to->size()) return d.reject("dimensions must be numbers");
  std::vector<int64_t> order(static_cast<size_t>(s.rank(x)), -1);
  std::vector<bool> moved(order.size());
  for (size_t i = 0; i < from->size(); ++i) {
    const auto a = s.axis((*from)[i], s.rank(x)), b = s.axis((*to)[i], s.rank(x));
    if (!a || !b || order.empty()) return d.reject("a dimension is out of range");
    order[static_cast<size_t>(*b)] = *a;
    moved[static_cast<size_t>(*a)] = true;
  }
  int64_t next = 0;
  for (int64_t& place : order) {
    if (place >= 0) continue;
    while (moved[static_cast<size_t>(next)]) ++next;
    place = next++;
  }
  return permuted(s, x, order);
}

Status rot90(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const auto k = d.integer("k");
  const auto dims = d.ints("dims");
  if (!k || !dims || dims->size() != 2) return d.reject("k and two dimensions must be numbers");
  const auto a = s.axis((*dims)[0], s.rank(x)), b = s.axis((*dims)[1], s.rank(x));
  if (!a || !b) return d.reject("a dimension is out of range");
  const int64_t turns = ((*k % 4) + 4) % 4;
  if (turns == 1) x = s.flip(s.transpose(x, *a, *b), *a);
  if (turns == 2) x = s.flip(s.flip(x, *a), *b);
  if (turns == 3) x = s.flip(s.transpose(x, *a, *b), *b);
  return s.give(x);
}

static Status flip_axis(Decomposition& d, int dim) {
  Steps s(d);
  return s.give(s.flip(d.tensor("self"), dim));
}

Status fliplr(Decomposition& d) { return flip_axis(d, 1); }
Status flipud(Decomposition& d) { return flip_axis(d, 0); }

Status channel_shuffle(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto groups = d.integer("groups");
  if (!groups || *groups < 1 || s.rank(x) < 3 || !s.size_of(x, 1).is_constant()) return d.reject("groups and channels must be numbers");
  Shape parts = s.shape(x);
  const int64_t channels = parts[1].constant();
  parts[1] = *groups;
  parts.insert(parts.begin() + 2, Dim(channels / *groups));
  return s.give(s.view(s.transpose(s.view(x, parts), 1, 2), s.shape(x)));
}

// ---- joining

Status cat(Decomposition& d) {
  Steps s(d);
  return s.give(d.op("aten.cat.default", {{"tensors", d.arg("tensors")}, {"dim", d.arg("dim")}}, d.result_type()));
}

// Stacks along `dim` after every tensor has got at least `rank` dimensions (of size 1, in the places numpy puts them).
static Status stack_along(Decomposition& d, int dim, int rank) {
  Steps s(d);
  std::vector<V> parts = tensors(d);
  if (parts.empty()) return d.reject("there is nothing to join");
  const bool vectors = s.rank(parts[0]) <= 1;
  for (V& part : parts) {
    if (s.rank(part) == 0) part = s.view(part, {1});
    if (rank == 2 && s.rank(part) == 1) part = s.unsqueeze(part, 0);
    if (rank == 3 && s.rank(part) == 1) part = s.unsqueeze(part, 0);
    if (rank == 3 && s.rank(part) == 2) part = s.unsqueeze(part, 2);
  }
  if (rank == 1) dim = vectors ? 0 : 1;
  return s.give(d.op("aten.cat.default", {{"tensors", Steps::list(parts)}, {"dim", int64_t{dim}}}, d.result_type()));
}

Status hstack(Decomposition& d) { return stack_along(d, 1, 1); }
Status vstack(Decomposition& d) { return stack_along(d, 0, 2); }
Status dstack(Decomposition& d) { return stack_along(d, 2, 3); }

Status column_stack(Decomposition& d) {
  Steps s(d);
  std::vector<V> parts = tensors(d);
  for (V& part : parts)
    if (s.rank(part) <= 1) part = s.view(part, {s.product(s.shape(part)), 1});
  if (parts.empty()) return d.reject("there is nothing to join");
  return s.give(d.op("aten.cat.default", {{"tensors", Steps::list(parts)}, {"dim", int64_t{1}}}, d.result_type()));
}

Status broadcast_tensors(Decomposition& d) {
  Steps s(d);
  const std::vector<V> parts = tensors(d);
  for (size_t i = 0; i < parts.size() && i < d.node().results.size(); ++i) TRY_DO(s.give(i, s.expand(parts[i], d.result_type(i).shape)));
  return {};
}

Status meshgrid(Decomposition& d) {
  Steps s(d);
  const std::vector<V> parts = tensors(d);
  const bool xy = d.node().find("indexing") && d.str("indexing") == "xy" && parts.size() > 1;
  for (size_t i = 0; i < parts.size() && i < d.node().results.size(); ++i) {
    const Shape to = d.result_type(i).shape;
    Shape alone(to.size(), Dim(1));
    if (to.size() != parts.size()) return d.reject("the grids do not fit their axes");
    alone[xy && i < 2 ? 1 - i : i] = s.product(s.shape(parts[i]));
    TRY_DO(s.give(i, s.expand(s.view(parts[i], alone), to)));
  }
  return {};
}

// ---- cutting

// Pieces along a dimension, as long as torch says.
Status cut(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  if (!dim || s.rank(x) == 0) return d.reject("a dimension is out of range");
  Arg::List lengths;
  std::vector<TensorType> types;
  for (size_t i = 0; i < d.node().results.size(); ++i) {
    types.push_back(d.result_type(i));
    if (types.back().shape.size() != s.shape(x).size()) return d.reject("the pieces are not described");
    lengths.push_back(s.size(types.back().shape[static_cast<size_t>(*dim)]));
  }
  const auto pieces = d.multi("aten.split_with_sizes.default", {{"self", x}, {"split_sizes", lengths}, {"dim", int64_t{*dim}}}, types);
  d.graph().nodes[d.added.back()].returns_list = true;
  for (size_t i = 0; i < pieces.size(); ++i) TRY_DO(s.give(i, pieces[i]));
  return {};
}

// Differences of neighbours, n times.
Status diff(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const auto n = d.integer("n");
  const auto dim = s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x));
  if (!n || !dim || *n < 0 || *n > 64 || s.rank(x) == 0) return d.reject("n and dim must be numbers");
  std::vector<V> parts = {x};
  if (d.has("prepend")) parts.insert(parts.begin(), d.tensor("prepend"));
  if (d.has("append")) parts.push_back(d.tensor("append"));
  x = s.cat(parts, *dim);
  if (!s.size_of(x, *dim).is_constant()) return d.reject("the size along the dimension is not a number");
  for (int64_t i = 0; i < *n; ++i) {
    const int64_t size = s.number_of(x, *dim);
    const V next = s.slice(x, *dim, 1, size), before = s.slice(x, *dim, 0, std::max<int64_t>(size - 1, 0));
    if (size < 1) break;
    x = s.dtype(x) == DType::Bool ? d.op("aten.ne.Tensor", {{"self", next}, {"other", before}}, s.type(next)) : s.sub(next, before);
  }
  return s.give(x);
}

Status linalg_diagonal(Decomposition& d) {
  Steps s(d);
  return s.give(d.op("aten.diagonal.default",
                     {{"self", d.tensor("A")}, {"offset", d.arg("offset")}, {"dim1", d.arg("dim1")}, {"dim2", d.arg("dim2")}}, d.result_type()));
}

Status trace(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const Shape shape = s.shape(x);
  if (shape.size() != 2) return d.reject("a matrix is expected");
  if (!shape[0].is_constant() || !shape[1].is_constant()) {
    const V on = s.compare("eq", s.unsqueeze(s.range(shape[0]), 1), s.unsqueeze(s.range(shape[1]), 0));
    return s.give(s.reduce("sum", s.where(on, x, 0.0, s.dtype(x)), {0, 1}, false));
  }
  const TensorType line{s.dtype(x), {std::min(shape[0].constant(), shape[1].constant())}};
  return s.give(s.reduce("sum", d.op("aten.diagonal.default", {{"self", x}}, line), {0}, false));
}

// ---- repeating

Status tile(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  Arg::List repeats;
  if (const auto* given = d.arg("dims").as<Arg::List>()) repeats = *given;
  while (static_cast<int>(repeats.size()) < s.rank(x)) repeats.insert(repeats.begin(), Arg(int64_t{1}));
  return s.give(d.op("aten.repeat.default", {{"self", x}, {"repeats", repeats}}, d.result_type()));
}

Status repeat_interleave(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const auto repeats = d.integer("repeats");
  if (!repeats || *repeats < 0) return d.reject("the number of repeats must be known");
  if (!d.has("dim")) x = s.view(x, {s.product(s.shape(x))});
  const auto dim = d.has("dim") ? s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x)) : std::optional(0);
  if (!dim || s.rank(x) == 0) return d.reject("a dimension is out of range");
  const V apart = s.unsqueeze(x, *dim + 1);
  Shape to = s.shape(apart);
  to[static_cast<size_t>(*dim) + 1] = *repeats;
  return s.give(s.view(s.expand(apart, to), d.result_type().shape));
}

Status repeat_interleave_each(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const V repeats = d.tensor("repeats");
  if (!d.has("dim")) x = s.view(x, {s.product(s.shape(x))});
  const auto dim = d.has("dim") ? s.axis(d.integer("dim").value_or(INT64_MAX), s.rank(x)) : std::optional(0);
  if (!dim || !repeats || s.rank(repeats) != 1 || s.rank(x) == 0) return d.reject("one number of repeats for each slice is expected");
  if (d.result_type().rank() != s.rank(x)) return d.reject("the result does not fit its input");
  const TensorType places{DType::I64, {d.result_type().shape[static_cast<size_t>(*dim)]}};
  const V index = d.op("aten.repeat_interleave.Tensor", {{"repeats", s.cast(repeats, DType::I64)}, {"output_size", d.arg("output_size")}}, places);
  return s.give(d.op("aten.index_select.default", {{"self", x}, {"dim", int64_t{*dim}}, {"index", index}}, d.result_type()));
}

// ---- padding

static Status pad_by_kernel(Steps& s, const char* kind, const std::vector<int64_t>& amounts) {
  const V x = s.d.tensor("self");
  const size_t spatial = amounts.size() / 2;
  if (spatial < 1 || spatial > 3) return s.d.reject("ExecuTorch pads one to three dimensions this way");
  const std::string target = std::string("aten.") + kind + "_pad" + std::to_string(spatial) + "d.default";
  return s.give(s.d.op(target, {{"self", x}, {"padding", Steps::list(amounts)}}, s.d.result_type()));
}

// Each dimension becomes its end, itself, its beginning.
static Status pad_circular(Steps& s, const std::vector<int64_t>& amounts) {
  V x = s.d.tensor("self");
  for (size_t i = 0; 2 * i + 1 < amounts.size(); ++i) {
    const int dim = s.rank(x) - 1 - static_cast<int>(i);
    if (dim < 0 || !s.size_of(x, dim).is_constant()) return s.d.reject("the padded size must be a number");
    const int64_t size = s.number_of(x, dim), before = amounts[2 * i], after = amounts[2 * i + 1];
    if (before < 0 || after < 0 || before > size || after > size) return s.d.reject("circular padding wraps around once");
    std::vector<V> parts;
    if (before > 0) parts.push_back(s.slice(x, dim, size - before, size));
    parts.push_back(x);
    if (after > 0) parts.push_back(s.slice(x, dim, 0, after));
    x = s.cat(parts, dim);
  }
  return s.give(x);
}

Status pad(Decomposition& d) {
  Steps s(d);
  const std::string mode = d.str("mode");
  if (mode == "constant") {
    const Arg value = d.has("value") ? d.arg("value") : Arg(0.0);
    return s.give(d.op("aten.constant_pad_nd.default", {{"self", d.tensor("self")}, {"pad", d.arg("pad")}, {"value", value}}, d.result_type()));
  }
  const auto amounts = d.ints("pad");
  if (!amounts || amounts->size() % 2) return d.reject("the amounts of padding must be numbers");
  if (mode == "reflect") return pad_by_kernel(s, "reflection", *amounts);
  if (mode == "replicate") return pad_by_kernel(s, "replication", *amounts);
  if (mode == "circular") return pad_circular(s, *amounts);
  return d.reject("the padding mode is unknown");
}

// The kernel adds; amounts below zero take away.
Status pad_or_crop(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  auto amounts = d.ints("pad");
  const Shape to = d.result_type().shape;
  if (std::find(to.begin(), to.end(), Dim(0)) != to.end()) return s.give(s.full(to, 0.0, s.dtype(x)));
  if (!amounts || std::all_of(amounts->begin(), amounts->end(), [](int64_t n) { return n >= 0; })) return d.reject("");
  if (std::any_of(amounts->begin(), amounts->end(), [](int64_t n) { return n < INT32_MIN; })) return d.reject("more is cropped than can be there");
  for (size_t i = 0; 2 * i + 1 < amounts->size(); ++i) {
    const int dim = s.rank(x) - 1 - static_cast<int>(i);
    int64_t &low = (*amounts)[2 * i], &high = (*amounts)[2 * i + 1];
    if (low >= 0 && high >= 0) continue;
    if (dim < 0 || !s.size_of(x, dim).is_constant()) return d.reject("the size of what is cropped must be a number");
    const int64_t size = s.number_of(x, dim);
    const int64_t begin = std::clamp<int64_t>(-low, 0, size), end = std::clamp<int64_t>(size + std::min<int64_t>(high, 0), 0, size);
    x = s.slice(x, dim, begin, std::max(begin, end));
    low = std::max<int64_t>(low, 0), high = std::max<int64_t>(high, 0);
  }
  return s.give(s.pad(x, *amounts, d.arg("value")));
}

// The kernel rolls along dimensions; without any, the tensor rolls as one row.
Status roll(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("self");
  const auto dims = d.ints("dims");
  if (!dims || !dims->empty()) return d.reject("");
  const V row = s.view(x, {s.product(s.shape(x))});
  const V rolled = d.op("aten.roll.default", {{"self", row}, {"shifts", d.arg("shifts")}, {"dims", Steps::list(std::vector<int64_t>{0})}}, s.type(row));
  return s.give(s.view(rolled, s.shape(x)));
}

// ---- windows

// Sliding windows as columns: [N, C, H, W] -> [N, C * kh * kw, windows].
Status im2col(Decomposition& d) {
  Steps s(d);
  V x = d.tensor("self");
  const auto kernel = d.ints("kernel_size"), dilation = d.ints("dilation"), padding = d.ints("padding"), stride = d.ints("stride");
  if (!kernel || !dilation || !padding || !stride || s.rank(x) != 4 || !s.type(x).is_static()) return d.reject("an image of known size is expected");
  auto pair = [](const std::vector<int64_t>& v) {
    return (v.size() == 1 || v.size() == 2) && std::all_of(v.begin(), v.end(), [](int64_t n) { return n >= 0 && n < (1 << 20); });
  };
  if (!pair(*kernel) || !pair(*dilation) || !pair(*padding) || !pair(*stride)) return d.reject("the window must be one or two numbers");
  auto at = [](const std::vector<int64_t>& v, size_t i) { return v.size() == 1 ? v[0] : v[i]; };
  x = s.pad(x, {at(*padding, 1), at(*padding, 1), at(*padding, 0), at(*padding, 0)}, 0.0);
  const int64_t h = s.number_of(x, 2), w = s.number_of(x, 3);
  const int64_t kh = at(*kernel, 0), kw = at(*kernel, 1), sh = at(*stride, 0), sw = at(*stride, 1), dh = at(*dilation, 0), dw = at(*dilation, 1);
  constexpr int64_t kMaxParts = 1024;
  if (sh < 1 || sw < 1 || kh < 1 || kw < 1 || kh * kw > kMaxParts) return d.reject("the window must be one or two numbers, and not too large");
  const int64_t rows = (h - (kh - 1) * dh - 1) / sh + 1, columns = (w - (kw - 1) * dw - 1) / sw + 1;
  std::vector<V> parts;
  for (int64_t i = 0; i < kh; ++i)
    for (int64_t j = 0; j < kw; ++j) {
      const V band = s.slice(x, 2, i * dh, i * dh + (rows - 1) * sh + 1, sh);
      const V part = s.slice(band, 3, j * dw, j * dw + (columns - 1) * sw + 1, sw);
      parts.push_back(s.unsqueeze(part, 2));
    }
  return s.give(s.view(s.cat(parts, 2), d.result_type().shape));
}

}  // namespace cortland::torch_ops::decompositions
