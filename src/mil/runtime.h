// What the engine computes with: dense row-major tensors on the heap, lists of them, and strings.
// EvalContext is what an op's reference kernel sees. A kernel runs on one thread; tensors it reads are immutable.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mil/op.h"

namespace cortland::mil {

// Shares its bytes when copied; write only through mutable_data() of a tensor you made.
struct Tensor {
  DType dtype = DType::Unknown;
  std::vector<int64_t> shape;
  std::shared_ptr<std::byte> storage;  // aliases a larger owner when it views one

  static Tensor make(DType dtype, std::vector<int64_t> shape);  // uninitialised
  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
  int64_t dim(int64_t axis) const { return shape[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis)]; }
  int rank() const { return static_cast<int>(shape.size()); }
  size_t bytes() const { return static_cast<size_t>(byte_size(dtype, elements())); }
  template <class T = std::byte>
  const T* data() const { return reinterpret_cast<const T*>(storage.get()); }
  template <class T = std::byte>
  T* mutable_data() { return reinterpret_cast<T*>(storage.get()); }
  Tensor reshaped(std::vector<int64_t> to) const { return {dtype, std::move(to), storage}; }
  Tensor cast(DType to) const;
  // Element-wise copies in the widest type of each kind, for kernels where clarity beats speed.
  std::vector<float> floats() const;
  std::vector<int64_t> ints() const;
  static Tensor from(DType dtype, std::vector<int64_t> shape, const std::vector<float>& values);
  static Tensor from(DType dtype, std::vector<int64_t> shape, const std::vector<int64_t>& values);
};

// A run-time value: a tensor, a list of tensors, or strings.
struct RuntimeValue {
  Tensor tensor;
  std::vector<std::string> strings;
  std::shared_ptr<std::vector<Tensor>> list;
};

// What a kernel is given. Inputs are found by the names in the op's descriptor; an absent optional one yields its default.
class EvalContext {
 public:
  EvalContext(const MilOp& def, std::span<const std::vector<RuntimeValue>> inputs, std::span<const Type> result_types)
      : def(def), result_types(result_types), inputs_(inputs), results_(result_types.size()) {}

  const MilOp& def;
  std::span<const Type> result_types;  // as inferred; dims may be unknown, element types never are

  bool has(std::string_view input) const;
  const Tensor& tensor(std::string_view input) const;
  std::vector<Tensor> tensors(std::string_view input) const;  // variadic
  const RuntimeValue& value(std::string_view input) const;
  std::vector<float> floats(std::string_view input) const { return tensor(input).floats(); }
  std::vector<int64_t> ints(std::string_view input) const;
  int64_t integer(std::string_view input) const;
  double number(std::string_view input) const;
  bool boolean(std::string_view input) const;
  std::string str(std::string_view input) const;

  // Whether every operand is there and has an element type the descriptor allows, and there is a result. Whoever runs ops of a file asks first:
  // kernels rely on it.
  Status check_operands() const;

  // Makes result `i`, of the inferred element type unless one is given.
  Tensor& output(size_t i, std::vector<int64_t> shape, DType dtype = DType::Unknown);
  void set_output(size_t i, Tensor tensor) { result(i).tensor = std::move(tensor); }
  void set_output(size_t i, RuntimeValue value) { result(i) = std::move(value); }
  std::vector<RuntimeValue> take_results() { return std::move(results_); }

  // result 0 = f(element of input), computed in float and rounded to the result type.
  void map(std::string_view input, const std::function<float(float)>& f);
  // The same with broadcasting over two inputs; ints stay exact in the second form.
  void map2(std::string_view x, std::string_view y, const std::function<float(float, float)>& f);
  void map2_int(std::string_view x, std::string_view y, const std::function<int64_t(int64_t, int64_t)>& f);

  Diagnostic error(std::string why) const;  // DiagKind::BadInput, with the op's name

 private:
  RuntimeValue& result(size_t i);

  std::span<const std::vector<RuntimeValue>> inputs_;  // by slot
  std::vector<RuntimeValue> results_;
};

// Shape of two operands broadcast together, aligned right; an error names both.
Result<std::vector<int64_t>> broadcast(const std::vector<int64_t>& a, const std::vector<int64_t>& b);

}  // namespace cortland::mil
