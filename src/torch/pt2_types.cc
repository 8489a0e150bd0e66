#include "torch/pt2_types.h"

#include <fmt/format.h>

namespace cortland::torch {

using archive::Json;

namespace {

constexpr size_t kMaxRank = 64;
constexpr int64_t kStrided = 7;

// A SymInt that must be a number, 0 or more.
Result<int64_t> fixed_size(const Json& json) {
  TRY(const auto only, json.only_field());
  if (only.first != "as_int") return json.error("a number is expected, not an expression");
  TRY(const int64_t value, only.second.as_int64());
  if (value < 0) return only.second.error("a size or stride must not be negative");
  return value;
}

Result<std::vector<int64_t>> fixed_sizes(const Json& json) {
  TRY(const auto items, json.items());
  if (items.size() > kMaxRank) return json.error("a tensor has at most 64 dimensions");
  std::vector<int64_t> sizes;
  for (const Json item : items) {
    TRY(sizes.emplace_back(), fixed_size(item));
  }
  return sizes;
}

}  // namespace

Result<DType> read_dtype(const Json& json) {
  TRY(const int64_t code, json.as_int64());
  switch (code) {
    case 0: return DType::Unknown;
    case 1: return DType::U8;
    case 2: return DType::I8;
    case 3: return DType::I16;
    case 4: return DType::I32;
    case 5: return DType::I64;
    case 6: return DType::F16;
    case 7: return DType::F32;
    case 8: return DType::F64;
    case 9: return DType::C32;
    case 10: return DType::C64;
    case 11: return DType::C128;
    case 12: return DType::Bool;
    case 13: return DType::BF16;
    case 28: return DType::U16;
    case 29: return DType::F8E4M3FN;
    case 30: return DType::F8E5M2;
    case 31: return DType::F8E4M3FNUZ;
    case 32: return DType::F8E5M2FNUZ;
    case 33: return DType::F8E8M0FNU;
    case 34: return DType::U32;
    case 35: return DType::U64;
    default: return json.error(fmt::format("{} is no element type", code));
  }
}

Result<StoredMeta> read_stored_meta(const Json& json) {
  StoredMeta meta;
  TRY(const Json dtype, json.field("dtype"));
  TRY(meta.dtype, read_dtype(dtype));
  TRY(const Json sizes, json.field("sizes"));
  TRY(meta.sizes, fixed_sizes(sizes));
  TRY(const Json strides, json.field("strides"));
  TRY(meta.strides, fixed_sizes(strides));
  if (meta.sizes.size() != meta.strides.size()) return json.error("sizes and strides do not match");
  TRY(const Json offset, json.field("storage_offset"));
  TRY(meta.storage_offset, fixed_size(offset));
  TRY(const Json layout, json.field("layout"));
  TRY(const int64_t layout_code, layout.as_int64());
  if (layout_code != kStrided) return layout.error("only strided tensors can be stored");
  return meta;
}

// {"expr_str", "hint"}: of a plain symbol the hint is its value; of expressions it says nothing new. Advisory, so anything
// unexpected is no hint.
Status MetaReader::note_hint(const Json& expression, Dim dim) {
  if (!dims_.is_symbol(dim)) return {};
  TRY(const auto hint, expression.optional_field("hint"));
  if (!hint || !hint->is_object()) return {};
  const auto only = hint->only_field();
  if (!only.ok() || only->first != "as_int" || !only->second.is_integer()) return {};
  if (const auto value = only->second.as_int64(); value.ok()) hints_.emplace(dims_.symbols(dim)[0], value.value());
  return {};
}

Result<Shape> MetaReader::shape(const Json& json) {
  TRY(const auto items, json.items());
  if (items.size() > kMaxRank) return json.error("a tensor has at most 64 dimensions");
  Shape shape;
  shape.reserve(items.size());
  for (const Json item : items) {
    TRY(const auto only, item.only_field());
    if (only.first == "as_expr") {
      TRY(const Json expr, only.second.field("expr_str"));
      TRY(const auto text, expr.as_string());
      TRY(shape.emplace_back(), sizes_.parse_size(text));
      TRY_DO(note_hint(only.second, shape.back()));
      continue;
    }
    TRY(shape.emplace_back(), fixed_size(item));
  }
  return shape;
}

Result<TensorMeta> MetaReader::tensor(const Json& json) {
  TensorMeta meta;
  TRY(const Json dtype, json.field("dtype"));
  TRY(meta.type.dtype, read_dtype(dtype));
  TRY(const Json sizes, json.field("sizes"));
  TRY(meta.type.shape, shape(sizes));
  TRY(const auto strides, json.optional_field("strides"));
  if (!strides) return meta;
  TRY(meta.strides, shape(*strides));
  if (meta.strides.size() != meta.type.shape.size()) return json.error("sizes and strides do not match");
  return meta;
}

Result<std::optional<Dim>> MetaReader::sym_int(const Json& json) {
  TRY(const auto only, json.only_field());
  if (only.first == "as_expr") {
    TRY(const Json expr, only.second.field("expr_str"));
    TRY(const auto text, expr.as_string());
    TRY(const auto dim, sizes_.parse(text));
    if (dim) TRY_DO(note_hint(only.second, *dim));
    return dim;
  }
  if (only.first != "as_int") return json.error(fmt::format("'{}' is not an integer", only.first));
  TRY(const int64_t value, only.second.as_int64());
  return std::optional(dims_.constant(value));
}

}  // namespace cortland::torch
