#include "executorch/program.h"

namespace cortland::executorch {
namespace {

struct ScalarInfo {
  ScalarType type;
  int size;
  DType dtype;
};

constexpr ScalarInfo kScalars[] = {
    {ScalarType::U8, 1, DType::U8},           {ScalarType::I8, 1, DType::I8},
    {ScalarType::I16, 2, DType::I16},         {ScalarType::I32, 4, DType::I32},
    {ScalarType::I64, 8, DType::I64},         {ScalarType::F16, 2, DType::F16},
    {ScalarType::F32, 4, DType::F32},         {ScalarType::F64, 8, DType::F64},
    {ScalarType::Bool, 1, DType::Bool},       {ScalarType::QI8, 1, DType::Unknown},
    {ScalarType::QU8, 1, DType::Unknown},     {ScalarType::QI32, 4, DType::Unknown},
    {ScalarType::BF16, 2, DType::BF16},       {ScalarType::QU4X2, 1, DType::Unknown},
    {ScalarType::QU2X4, 1, DType::Unknown},   {ScalarType::Bits16, 2, DType::Unknown},
    {ScalarType::F8E5M2, 1, DType::F8E5M2},   {ScalarType::F8E4M3FN, 1, DType::F8E4M3FN},
    {ScalarType::F8E5M2FNUZ, 1, DType::F8E5M2FNUZ}, {ScalarType::F8E4M3FNUZ, 1, DType::F8E4M3FNUZ},
    {ScalarType::U16, 2, DType::U16},         {ScalarType::U32, 4, DType::U32},
    {ScalarType::U64, 8, DType::U64},
};

const ScalarInfo* find(ScalarType type) {
  for (const auto& info : kScalars)
    if (info.type == type) return &info;
  return nullptr;
}

}  // namespace

std::optional<ScalarType> scalar_type(DType type) {
  if (type == DType::Unknown) return std::nullopt;
  for (const auto& info : kScalars)
    if (info.dtype == type) return info.type;
  return std::nullopt;
}

DType dtype(ScalarType type) {
  const auto* info = find(type);
  return info ? info->dtype : DType::Unknown;
}

int element_size(ScalarType type) {
  const auto* info = find(type);
  return info ? info->size : 0;
}

std::optional<uint64_t> byte_size(const TensorValue& tensor) {
  auto bytes = static_cast<uint64_t>(element_size(tensor.type));
  if (bytes == 0) return std::nullopt;
  for (const int32_t size : tensor.sizes) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) return std::nullopt;
    if (bytes > INT64_MAX) return std::nullopt;
  }
  return bytes;
}

std::string_view value_kind(const EValue& value) {
  constexpr std::string_view kNames[] = {"Null",       "Int",      "Bool",       "Double",
                                         "Tensor",     "String",   "IntList",    "DoubleList",
                                         "BoolList",   "TensorList", "OptionalTensorList"};
  static_assert(std::size(kNames) == std::variant_size_v<EValue>);
  return kNames[value.index()];
}

}  // namespace cortland::executorch
