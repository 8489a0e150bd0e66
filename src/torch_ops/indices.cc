#include "torch_ops/indices.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "mil_ops/ops.h"
#include "torch_ops/data_movement.h"

namespace cortland::torch_ops {

Result<Operand> wrap_indices(Lowering& in, Operand indices, Dim size) {
  if (auto values = in.const_ints(indices); values && size.is_constant()) {
    for (int64_t& v : *values) {
      if (v < -size.constant() || v >= size.constant())
        return in.reject(DiagKind::UnsupportedArgument, fmt::format("index {} is out of bounds for size {}", v, size.constant()));
      if (v < 0) v += size.constant();
    }
    return in.constant(Weight::of<int64_t>(DType::I64, sizes(in.shape_of(indices)), *values).cast(DType::I32));
  }
  TRY(Operand whole, in.size(size));
  TRY(Operand from_end, add(in, indices, whole));
  TRY(Operand negative, in.op(mil_ops::less, {{"x", indices}, {"y", 0}}));
  return in.op(mil_ops::select, {{"cond", negative}, {"a", from_end}, {"b", indices}});
}

Shape broadcast_shape(const Lowering& in, const std::vector<Operand>& operands) {
  size_t rank = 0;
  for (Operand o : operands) rank = std::max(rank, in.shape_of(o).size());
  Shape out(rank, 1);
  for (Operand o : operands) {
    const Shape& s = in.shape_of(o);
    for (size_t i = 0; i < s.size(); ++i) {
      Dim& d = out[rank - s.size() + i];
      if (d == Dim(1) || (s[i].is_constant() && s[i] != Dim(1))) d = s[i];
    }
  }
  return out;
}

namespace {

// A mask that selects axes [0, rank) becomes one list of places for each of them.
Result<std::vector<Operand>> places_of_mask(Lowering& in, Operand mask) {
  const auto bits = in.const_ints(mask);
  if (!bits)
    return in.reject(DiagKind::UnsupportedShape, "indexes with a boolean mask: the size of the result depends on the data",
                     "use torch.where or multiply by the mask");
  const auto shape = sizes(in.shape_of(mask));
  std::vector<std::vector<int64_t>> places(shape.size());
  for (size_t i = 0; i < bits->size(); ++i) {
    if (!(*bits)[i]) continue;
    auto rest = static_cast<int64_t>(i);
    for (size_t k = shape.size(); k-- > 0; rest /= shape[k]) places[k].push_back(rest % shape[k]);
  }
  if (shape.empty()) return in.reject(DiagKind::UnsupportedArgument, "indexes with a boolean number", "use unsqueeze");
  if (places[0].empty()) return in.reject(DiagKind::UnsupportedShape, "the mask selects nothing");
  std::vector<Operand> out;
  for (const auto& p : places) out.push_back(in.constant(p));
  return out;
}

// One entry for each axis of x: an index, or nothing.
Result<std::vector<Operand>> index_of_each_axis(Lowering& in, std::string_view name, size_t rank) {
  TRY(const std::vector<Operand> given, in.tensors(name));
  const auto& list = *in.arg(name).as<torch::Arg::List>();
  std::vector<Operand> out;
  for (size_t i = 0; i < given.size(); ++i) {
    if (!given[i]) {
      out.push_back({});
      continue;
    }
    const DType type = in.graph().type(*list[i].as<torch::ValueId>()).dtype;
    if (type == DType::Bool || type == DType::U8) {
      TRY(const auto places, places_of_mask(in, given[i]));
      out.insert(out.end(), places.begin(), places.end());
    } else {
      out.push_back(given[i]);
    }
  }
  if (out.size() > rank) return in.reject(DiagKind::UnsupportedArgument, fmt::format("{} indices for a tensor of rank {}", out.size(), rank));
  out.resize(rank);
  return out;
}

}  // namespace

Result<FlatIndex> flat_index(Lowering& in, std::string_view name, const Shape& x) {
  TRY(std::vector<Operand> indices, index_of_each_axis(in, name, x.size()));
  std::vector<int64_t> indexed, others;
  for (size_t i = 0; i < x.size(); ++i) (indices[i] ? indexed : others).push_back(static_cast<int64_t>(i));
  if (indexed.empty()) return in.reject(DiagKind::UnsupportedArgument, "there is no index", "drop the indexing");
  FlatIndex f;
  f.count = indexed.size();
  // Index tensors side by side stay where they are; else their axes come first.
  const bool adjacent = indexed.back() - indexed.front() + 1 == static_cast<int64_t>(indexed.size());
  f.axis = adjacent ? static_cast<size_t>(indexed.front()) : 0;
  if (adjacent) {
    f.perm.resize(x.size());
    std::iota(f.perm.begin(), f.perm.end(), 0);
  } else {
    f.perm = indexed;
    f.perm.insert(f.perm.end(), others.begin(), others.end());
  }
  std::vector<Operand> wrapped;
  Dim places = 1;
  for (int64_t axis : indexed) {
    const Dim size = x[static_cast<size_t>(axis)];
    TRY(Operand index, wrap_indices(in, indices[static_cast<size_t>(axis)], size));
    wrapped.push_back(index);
    places = in.dim_table().mul(places, size);
  }
  if (places.is_constant() && places.constant() > INT32_MAX)
    return in.reject(DiagKind::UnsupportedShape, "the indexed dimensions hold more elements than 32 bits can count");
  f.shape = broadcast_shape(in, wrapped);
  f.index = wrapped[0];
  for (size_t i = 1; i < wrapped.size(); ++i) {
    TRY(Operand size, in.size(x[static_cast<size_t>(indexed[i])]));
    TRY(f.index, multiply(in, f.index, size));
    TRY(f.index, add(in, f.index, wrapped[i]));
  }
  in.with_shape(f.index, f.shape);
  return f;
}

Shape with_axes(const Shape& x, size_t axis, size_t count, const Shape& middle) {
  Shape out(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(axis));
  out.insert(out.end(), middle.begin(), middle.end());
  out.insert(out.end(), x.begin() + static_cast<std::ptrdiff_t>(axis + count), x.end());
  return out;
}

Result<Operand> merge_axes(Lowering& in, Operand x, size_t axis, size_t count) {
  if (count == 1) return x;
  const Shape shape = in.shape_of(x);
  return in.reshape(x, with_axes(shape, axis, count, {product(in, shape, axis, axis + count)}));
}

Result<Operand> gather(Lowering& in, Operand x, int64_t axis, Operand indices) {
  const bool was_bool = in.dtype_of(x) == DType::Bool;
  TRY(Operand numbers, as_numbers(in, x));
  const Shape shape = in.shape_of(indices), from = in.shape_of(x);
  // Apple's compiler counts the ranks of both together, and takes no scalar index off axis 0.
  const bool direct = !shape.empty() && shape.size() + from.size() <= 5;
  Operand list = indices;
  if (!direct) {
    TRY(list, in.reshape(indices, {product(in, shape, 0, shape.size())}));
  }
  TRY(Operand result, in.op(mil_ops::gather, {{"x", numbers}, {"indices", list}, {"axis", axis}}));
  if (!direct) {
    const Shape to = with_axes(from, static_cast<size_t>(axis), 1, shape);
    if (to.size() > 5) return in.reject(DiagKind::UnsupportedRank, fmt::format("the result has rank {}, Core ML allows 5", to.size()));
    TRY(result, in.reshape(result, to));
  }
  return was_bool ? as_bool(in, result) : Result<Operand>(result);
}

}  // namespace cortland::torch_ops
