// A .pte program as plain data, independent of its encoding. pte_writer.h writes one, pte_reader.h reads one, validate()
// tells whether the ExecuTorch runtime would accept it. Values own their names and lists; large bytes are ByteSources.
// Nothing here is synchronised.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "executorch/byte_source.h"
#include "executorch/compile_spec.h"
#include "tensor/dtype.h"

namespace cortland::executorch {

// The numbers are torch's, as the file stores them.
enum class ScalarType : uint8_t {
  U8 = 0, I8 = 1, I16 = 2, I32 = 3, I64 = 4, F16 = 5, F32 = 6, F64 = 7, Bool = 11, QI8 = 12, QU8 = 13, QI32 = 14,
  BF16 = 15, QU4X2 = 16, QU2X4 = 17, Bits16 = 22, F8E5M2 = 23, F8E4M3FN = 24, F8E5M2FNUZ = 25, F8E4M3FNUZ = 26,
  U16 = 27, U32 = 28, U64 = 29,
};

std::optional<ScalarType> scalar_type(DType type);  // empty when a .pte cannot hold the type
DType dtype(ScalarType type);                       // Unknown for the quantised and bit types
int element_size(ScalarType type);                  // bytes; 0 when the number names no type

using ValueIndex = int32_t;

enum class Dynamism : uint8_t { Static = 0, UpperBound = 1, Unbounded = 2 };

// Where a planned tensor lives: pool `memory_id` (1 or more) at `offset`. Values with equal allocations share memory.
struct Allocation {
  uint32_t memory_id = 1;
  uint64_t offset = 0;
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

// A constant has `constant`; an activation or planned input has `allocation`; a planned buffer that starts with given
// bytes has `allocation` and `initial`; with none of them the caller sets the pointer at run time.
struct TensorValue {
  ScalarType type = ScalarType::F32;
  std::vector<int32_t> sizes;      // upper bounds when the shape is dynamic
  std::vector<uint8_t> dim_order;  // outermost first; as long as `sizes`
  Dynamism dynamism = Dynamism::Static;
  int32_t constant = -1;           // index in PteProgram::constants
  int32_t initial = -1;            // index in PteProgram::initial_values
  std::optional<Allocation> allocation;
  std::string fqn;                 // name of a buffer, or of bytes kept in a .ptd file
  bool external = false;           // bytes come from a .ptd file under `fqn`
};

struct Null {};
struct Int { int64_t value = 0; };
struct Bool { bool value = false; };
struct Double { double value = 0; };
struct String { std::string value; };
struct IntList { std::vector<ValueIndex> items; };             // boxed: indices of Int values
struct DoubleList { std::vector<double> items; };
struct BoolList { std::vector<uint8_t> items; };
struct TensorList { std::vector<ValueIndex> items; };          // only values that stand earlier
struct OptionalTensorList { std::vector<ValueIndex> items; };  // -1 for None

// Bytes of the (largest) tensor; empty for an unknown type, a negative size, or more than an int64 can count.
std::optional<uint64_t> byte_size(const TensorValue& tensor);

// In the order of the file's type numbers.
using EValue = std::variant<Null, Int, Bool, Double, TensorValue, String, IntList, DoubleList, BoolList, TensorList,
                            OptionalTensorList>;

std::string_view value_kind(const EValue& value);  // "Int", "Tensor", ...

struct Operator {
  std::string name;      // "aten::add"
  std::string overload;  // "out"; may be empty
  friend bool operator==(const Operator&, const Operator&) = default;
};

struct Delegate {
  std::string id;         // "CoreMLBackend"
  int32_t blob = -1;      // index in PteProgram::blobs; -1 for no bytes
  std::vector<CompileSpec> compile_specs;
};

// `args` are the schema's arguments in order, then the result once more (an out value, or a list of them).
struct KernelCall { int32_t op = 0; std::vector<ValueIndex> args; };
struct DelegateCall { int32_t delegate = 0; std::vector<ValueIndex> args; };  // inputs, then outputs
struct MoveCall { ValueIndex from = 0, to = 0; };
struct JumpFalseCall { ValueIndex condition = 0; int32_t destination = 0; };  // destination: index of an instruction
struct FreeCall { ValueIndex value = 0; };
using Instruction = std::variant<KernelCall, DelegateCall, MoveCall, JumpFalseCall, FreeCall>;

struct Plan {
  std::string name;
  std::string encoded_inputs, encoded_outputs;  // pytree texts; both empty: not stored
  std::vector<EValue> values;
  std::vector<ValueIndex> inputs, outputs;
  std::vector<Operator> operators;
  std::vector<Delegate> delegates;
  std::vector<Instruction> instructions;
  std::vector<int64_t> non_const_buffer_sizes = {0};  // element k is the size of pool k; element 0 is reserved
};

// Bytes stored once for all that use them. Entries with the same non-empty key are the same bytes and share their place.
struct Data {
  std::string key;  // identity of the content (a hash, say); not stored
  ByteSource bytes;
  uint64_t alignment = 1;  // beyond what the format asks for anyway; a power of two; blobs and named data only
};

struct NamedData {
  std::string name;  // what a delegate asks for at load time
  Data data;
};

struct PteProgram {
  std::vector<Plan> plans;
  std::vector<Data> constants;
  std::vector<Data> initial_values;  // of mutable buffers
  std::vector<Data> blobs;           // of delegates
  std::vector<NamedData> named_data;
};

// True of what the runtime checks at load, and of indices it does not check: it would read out of bounds instead.
Status validate(const PteProgram& program);

}  // namespace cortland::executorch
