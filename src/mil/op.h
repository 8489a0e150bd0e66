// MilOp: all that is known of one MIL operation. Descriptors are constant data in mil_ops/, one file a family; an op that
// changed between targets has one descriptor for each definition. Everything else (verifier, builder, engine, printer,
// documentation) reads these.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mil/target.h"
#include "mil/type.h"

namespace cortland::mil {

class InferContext;
class EvalContext;

// A set of element types.
struct DTypes {
  uint64_t bits = 0;
  constexpr bool has(DType t) const { return (bits >> static_cast<int>(t)) & 1; }
  friend constexpr DTypes operator|(DTypes a, DTypes b) { return {a.bits | b.bits}; }
};
constexpr DTypes one_of(std::initializer_list<DType> types) {
  DTypes set;
  for (DType t : types) set.bits |= uint64_t{1} << static_cast<int>(t);
  return set;
}
inline constexpr DTypes kAnyType{~uint64_t{0}};
inline constexpr DTypes kFloats = one_of({DType::F16, DType::F32});
inline constexpr DTypes kFp32 = one_of({DType::F32});
inline constexpr DTypes kInt32 = one_of({DType::I32});
inline constexpr DTypes kBools = one_of({DType::Bool});
inline constexpr DTypes kStrings = one_of({DType::String});
inline constexpr DTypes kNumbers = one_of({DType::F16, DType::F32, DType::I32});                // arithmetic
inline constexpr DTypes kNumbersBool = one_of({DType::F16, DType::F32, DType::I32, DType::Bool});
inline constexpr DTypes kSmallInts = one_of({DType::I8, DType::U8, DType::I16, DType::U16});
inline constexpr DTypes kIndexTypes = one_of({DType::I8, DType::I16, DType::I32});              // shapes at iOS17+
inline constexpr DTypes kMovable = kNumbersBool | kSmallInts;                                   // iOS17+ data movement

// The value an optional parameter takes when it is left out. `None` means absent is meaningful (conv without bias).
struct Default {
  enum class Kind : uint8_t { None, Int, Float, Bool, String } kind = Kind::None;
  double number = 0;
  const char* text = nullptr;
  constexpr Default() = default;
  constexpr Default(int v) : kind(Kind::Int), number(v) {}
  constexpr Default(double v) : kind(Kind::Float), number(v) {}
  constexpr Default(bool v) : kind(Kind::Bool), number(v) {}
  constexpr Default(const char* v) : kind(Kind::String), text(v) {}
};

enum class Need : uint8_t {
  Required,
  Optional,
  Variadic,  // one or more values bound to one name
};

struct Input {
  std::string_view name;
  DTypes types;
  bool constant = false;  // must trace to a const (or constexpr) op
  Need need = Need::Required;
  Default fallback = {};
  char group = 0;         // inputs with the same letter share one element type
};

// Shorthands for the tables: a required value of group 'T'; a required constant; an optional constant.
constexpr Input value(std::string_view name, DTypes types, char group = 'T') { return {name, types, false, Need::Required, {}, group}; }
constexpr Input optional_value(std::string_view name, DTypes types, char group = 'T') {
  return {name, types, false, Need::Optional, {}, group};
}
constexpr Input variadic(std::string_view name, DTypes types, char group = 'T') { return {name, types, false, Need::Variadic, {}, group}; }
constexpr Input constant(std::string_view name, DTypes types, char group = 0) { return {name, types, true, Need::Required, {}, group}; }
constexpr Input option(std::string_view name, DTypes types, Default fallback = {}, char group = 0) {
  return {name, types, true, Need::Optional, fallback, group};
}

struct Tolerance {
  double f16 = 2e-3, f32 = 1e-6;  // relative; how far a fast kernel may differ from `eval`
};

struct MilOp {
  std::string_view name;
  Target since = Target::iOS15;
  std::span<const Input> inputs;
  // Result types from the operand types and constant operands; also checks what the type letters cannot say.
  Result<std::vector<Type>> (*infer)(InferContext&) = nullptr;
  // Reference kernel: defines what the op computes. Null for ops that the engine itself must run (control flow, state).
  Status (*eval)(EvalContext&) = nullptr;
  bool pure = true;       // same inputs, same results, no effect: may be folded, shared, dropped
  bool constexpr_op = false;
  Tolerance tol = {};

  int slot(std::string_view input) const {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].name == input) return static_cast<int>(i);
    return -1;
  }
};

}  // namespace cortland::mil
