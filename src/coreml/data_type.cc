#include "coreml/data_type.h"

namespace cortland::coreml {
namespace {

constexpr DataTypeInfo kTypes[] = {
    {DType::Bool, 1, Immediate::Bools},
    {DType::String, 2, Immediate::Strings},
    {DType::F16, 10, Immediate::Bytes, 1, 65552},
    {DType::F32, 11, Immediate::Floats, 2, 65568},
    {DType::F64, 12, Immediate::Doubles, 0, 65600},
    {DType::BF16, 13, Immediate::Bytes, 5},
    {DType::I8, 21, Immediate::Bytes, 4, 131080},
    {DType::I16, 22, Immediate::Ints, 6},
    {DType::I32, 23, Immediate::Ints, 14, 131104},
    {DType::I64, 24, Immediate::LongInts},
    {DType::I4, 25, Immediate::Bytes, 8},
    {DType::U8, 31, Immediate::Bytes, 3},
    {DType::U16, 32, Immediate::Ints, 7},
    {DType::U32, 33, Immediate::Bytes, 15},
    {DType::U64, 34, Immediate::LongInts},
    {DType::U4, 35, Immediate::Bytes, 11},
    {DType::U2, 36, Immediate::Bytes, 10},
    {DType::U1, 37, Immediate::Bytes, 9},
    {DType::U6, 38, Immediate::Bytes, 13},
    {DType::U3, 39, Immediate::Bytes, 12},
    {DType::F8E4M3FN, 40, Immediate::Bytes, 16},
    {DType::F8E5M2, 41, Immediate::Bytes, 17},
};

}  // namespace

const DataTypeInfo& data_type(DType type) {
  static constexpr DataTypeInfo kNone{};
  for (const DataTypeInfo& info : kTypes)
    if (info.type == type) return info;
  return kNone;
}

std::optional<DType> dtype_from_program(int number) {
  for (const DataTypeInfo& info : kTypes)
    if (info.program == number) return info.type;
  return std::nullopt;
}

std::optional<DType> dtype_from_array(int number) {
  for (const DataTypeInfo& info : kTypes)
    if (info.array != 0 && info.array == number) return info.type;
  return std::nullopt;
}

std::optional<mil::Target> interface_since(DType type) {
  switch (type) {
    case DType::F32:
    case DType::F64:
    case DType::I32:
      return mil::Target::iOS15;
    case DType::F16:
      return mil::Target::iOS16;
    case DType::I8:
      return mil::Target::iOS26;
    default:
      return std::nullopt;
  }
}

bool stored_as_blob(DType type, int64_t elements, mil::Target target) {
  if (elements < 10 || data_type(type).blob == 0) return false;
  const bool wide_integer = type == DType::I16 || type == DType::U16 || type == DType::I32 || type == DType::U32;
  return !wide_integer || target >= mil::Target::iOS18;
}

}  // namespace cortland::coreml
