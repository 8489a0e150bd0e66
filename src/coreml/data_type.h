// How each element type is numbered and stored in the three places a package has for it: the program's types and
// immediate values, weight.bin, and the interface description. Constant data.
#pragma once

#include <cstdint>
#include <optional>

#include "mil/target.h"
#include "tensor/dtype.h"

namespace cortland::coreml {

// The field of a TensorValue that holds elements of a type.
enum class Immediate : uint8_t { None, Floats, Ints, Bools, Strings, LongInts, Doubles, Bytes };

struct DataTypeInfo {
  DType type = DType::Unknown;
  int program = 0;  // MILSpec.DataType; 0: not in MIL
  Immediate immediate = Immediate::None;
  uint32_t blob = 0;  // number in weight.bin; 0: never there
  int array = 0;      // ArrayFeatureType.ArrayDataType; 0: not on the interface
};

const DataTypeInfo& data_type(DType type);
std::optional<DType> dtype_from_program(int number);
std::optional<DType> dtype_from_array(int number);

// The first target whose interface may have arrays of the type.
std::optional<mil::Target> interface_since(DType type);
// Where coremltools puts a constant: in weight.bin, or in the program.
bool stored_as_blob(DType type, int64_t elements, mil::Target target);

}  // namespace cortland::coreml
