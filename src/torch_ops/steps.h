// Steps: the vocabulary that decompositions are written in, core ATen operators by short names. Result types are inferred, so
// that a decomposition reads like the formula it stands for. Programs may lie about ranks and sizes: a step that does not fit
// its operands does nothing and spoils the result, which give() then refuses. Lives while one node is taken apart; one thread.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "torch_ops/decompose.h"

namespace cortland::torch_ops {

class Steps {
 public:
  using V = torch::ValueId;
  using Arg = torch::Arg;

  explicit Steps(Decomposition& d) : d(d) {}
  Decomposition& d;

  // A tensor argument; a number becomes a constant of rank 0. Invalid when there is neither.
  V tensor(std::string_view name);
  const TensorType& type(V v) const { return v ? d.type(v) : none_; }
  const Shape& shape(V v) const { return type(v).shape; }
  int rank(V v) const { return type(v).rank(); }
  DType dtype(V v) const { return type(v).dtype; }
  // One size; counted from the end when negative.
  Dim size_of(V v, int axis);
  // The same where only a number will do.
  int64_t number_of(V v, int axis);
  // False, and the decomposition fails, unless the condition holds.
  bool expect(bool condition);
  bool fits() const { return !spoiled_; }  // nothing was expected in vain so far
  // A dimension made non-negative; nullopt when it is out of range.
  std::optional<int> axis(int64_t dim, int rank) const;
  // "dim" arguments: one or many; None and an empty list mean all.
  std::optional<std::vector<int64_t>> axes(std::string_view name, int rank) const;
  // A size as an argument: a number, or a value that stands for the symbolic size.
  Arg size(Dim dim);
  Arg::List sizes(const Shape& shape);
  static Arg::List list(const std::vector<int64_t>& values) { return {values.begin(), values.end()}; }
  static Arg::List list(const std::vector<V>& values) { return {values.begin(), values.end()}; }

  // Makes `v` result i, converted to the type that torch recorded if it differs.
  Status give(size_t i, V v);
  Status give(V v) { return give(0, v); }

  // ---- element by element. `b` is a tensor or a number; types are promoted as torch does.
  V unary(const std::string& op, V a) { return unary(op, a, dtype(a)); }
  V unary(const std::string& op, V a, DType result) { return d.op("aten." + op + ".default", {{"self", a}}, {result, shape(a)}); }
  V binary(const std::string& op, V a, Arg b);               // add, sub, mul, div
  V add(V a, Arg b) { return binary("add", a, std::move(b)); }
  V sub(V a, Arg b) { return binary("sub", a, std::move(b)); }
  V mul(V a, Arg b) { return binary("mul", a, std::move(b)); }
  V div(V a, Arg b) { return binary("div", a, std::move(b)); }
  V floor_div(V a, Arg b);                                   // rounds down
  V maximum(V a, V b);
  V minimum(V a, V b);
  V pow(V a, Arg exponent);                                  // a number
  V polynomial(V x, std::span<const double> rising);         // coefficients by rising power, two or more
  V polynomial(V x, std::initializer_list<double> rising) { return polynomial(x, std::span(rising.begin(), rising.size())); }
  V compare(const std::string& op, V a, Arg b);              // eq, ne, lt, le, gt, ge
  V both(V a, V b) { return logical("logical_and", a, b); }
  V either(V a, V b) { return logical("logical_or", a, b); }
  V negate(V a) { return unary("logical_not", a, DType::Bool); }
  V where(V condition, Arg a, Arg b, DType result);
  V clamp(V a, Arg low, Arg high);                           // numbers or None
  V cast(V a, DType to);

  // ---- shapes
  V view(V a, const Shape& to);                              // nothing if equal
  V expand(V a, const Shape& to);
  V permute(V a, const std::vector<int64_t>& order);
  V transpose(V a, int first, int second);
  V unsqueeze(V a, int dim);
  V squeeze(V a, int dim);
  V select(V a, int dim, int64_t index);
  V slice(V a, int dim, int64_t begin, int64_t end, int64_t step = 1);  // static size along dim
  V cat(const std::vector<V>& parts, int dim);
  V flip(V a, int dim);
  std::vector<V> unbind(V a, int dim);
  std::vector<V> split(V a, const std::vector<int64_t>& parts, int dim);
  V pad(V a, const std::vector<int64_t>& amounts, Arg value);  // constant; last dimension first, as torch counts

  // ---- reductions; `dims` are non-negative
  V reduce(const std::string& op, V a, const std::vector<int64_t>& dims, bool keep);  // sum, mean
  V extreme(const std::string& op, V a, const std::vector<int64_t>& dims, bool keep);  // amax, amin
  V any(V a, const std::vector<int64_t>& dims, bool keep);
  Shape reduced(V a, const std::vector<int64_t>& dims, bool keep) const;

  // ---- matrices
  V mm(V a, V b);
  V bmm(V a, V b);
  V linear(V a, V weight, V bias);  // a weight^T + bias; `bias` may be invalid

  // ---- new tensors
  V full(const Shape& to, Arg value, DType dtype);
  V number(double value, DType dtype);              // rank 0
  V range(Dim count);                               // int64: 0, 1, ...
  V floats(std::vector<int64_t> shape, const std::vector<float>& values, DType dtype);
  V ints(std::vector<int64_t> shape, const std::vector<int64_t>& values);

  Dim product(const Shape& shape, size_t begin, size_t end);
  Dim product(const Shape& s) { return product(s, 0, s.size()); }
  // Shapes broadcast against each other; sizes that differ and are not 1 take the first.
  Shape broadcast(const Shape& a, const Shape& b) const;
  DType promote(V a, const Arg& b) const;

 private:
  bool spoiled_ = false;
  TensorType none_;
  std::vector<std::pair<V, V>> given_;  // value, and the result it became
  V logical(const std::string& op, V a, V b);
  bool is_tensor(const Arg& a) const;
};

}  // namespace cortland::torch_ops
