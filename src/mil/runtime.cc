#include "mil/runtime.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <new>

#include "mil/buffer_pool.h"
#include "tensor/weight.h"

namespace cortland::mil {

Tensor Tensor::make(DType dtype, std::vector<int64_t> shape) {
  Tensor t{dtype, std::move(shape), nullptr};
  if (BufferPool* pool = BufferPool::current()) {
    t.storage = pool->take(t.bytes());
    return t;
  }
  // 64-byte alignment suits vector loads; the size is rounded up because aligned_alloc wants a multiple.
  const size_t size = (t.bytes() + 63) / 64 * 64;
  void* memory = std::aligned_alloc(64, size ? size : 64);
  if (!memory) throw std::bad_alloc();
  t.storage = std::shared_ptr<std::byte>(static_cast<std::byte*>(memory), [](std::byte* p) { std::free(p); });
  return t;
}

Tensor Tensor::cast(DType to) const {
  if (to == dtype) return *this;
  Tensor t = make(to, shape);
  convert_elements(dtype, data(), to, t.mutable_data(), elements());
  return t;
}

std::vector<float> Tensor::floats() const {
  std::vector<float> out(static_cast<size_t>(elements()));
  convert_elements(dtype, data(), DType::F32, reinterpret_cast<std::byte*>(out.data()), elements());
  return out;
}

std::vector<int64_t> Tensor::ints() const {
  std::vector<int64_t> out(static_cast<size_t>(elements()));
  convert_elements(dtype, data(), DType::I64, reinterpret_cast<std::byte*>(out.data()), elements());
  return out;
}

Tensor Tensor::from(DType dtype, std::vector<int64_t> shape, const std::vector<float>& values) {
  Tensor t = make(dtype, std::move(shape));
  CHECK(t.elements() == static_cast<int64_t>(values.size()));
  convert_elements(DType::F32, reinterpret_cast<const std::byte*>(values.data()), dtype, t.mutable_data(), t.elements());
  return t;
}

Tensor Tensor::from(DType dtype, std::vector<int64_t> shape, const std::vector<int64_t>& values) {
  Tensor t = make(dtype, std::move(shape));
  CHECK(t.elements() == static_cast<int64_t>(values.size()));
  convert_elements(DType::I64, reinterpret_cast<const std::byte*>(values.data()), dtype, t.mutable_data(), t.elements());
  return t;
}

// --- EvalContext

bool EvalContext::has(std::string_view input) const {
  const int slot = def.slot(input);
  return slot >= 0 && !inputs_[static_cast<size_t>(slot)].empty();
}

const RuntimeValue& EvalContext::value(std::string_view input) const {
  CHECK(has(input), fmt::format("{} reads absent input {}", def.name, input));
  return inputs_[static_cast<size_t>(def.slot(input))][0];
}

const Tensor& EvalContext::tensor(std::string_view input) const { return value(input).tensor; }

std::vector<Tensor> EvalContext::tensors(std::string_view input) const {
  std::vector<Tensor> out;
  const int slot = def.slot(input);
  CHECK(slot >= 0);
  for (const RuntimeValue& v : inputs_[static_cast<size_t>(slot)]) out.push_back(v.tensor);
  return out;
}

std::vector<int64_t> EvalContext::ints(std::string_view input) const {
  if (has(input)) return tensor(input).ints();
  return {static_cast<int64_t>(def.inputs[static_cast<size_t>(def.slot(input))].fallback.number)};
}

int64_t EvalContext::integer(std::string_view input) const {
  const auto all = ints(input);
  return all.empty() ? 0 : all[0];
}

double EvalContext::number(std::string_view input) const {
  if (has(input)) {
    const auto all = tensor(input).floats();
    return all.empty() ? 0 : static_cast<double>(all[0]);
  }
  return def.inputs[static_cast<size_t>(def.slot(input))].fallback.number;
}

bool EvalContext::boolean(std::string_view input) const { return number(input) != 0; }

std::string EvalContext::str(std::string_view input) const {
  if (has(input)) {
    const auto& strings = value(input).strings;
    return strings.empty() ? std::string() : strings[0];
  }
  const char* text = def.inputs[static_cast<size_t>(def.slot(input))].fallback.text;
  return text ? text : "";
}

RuntimeValue& EvalContext::result(size_t i) {
  CHECK(i < results_.size(), fmt::format("{} has more results than the program says", def.name));
  return results_[i];
}

Tensor& EvalContext::output(size_t i, std::vector<int64_t> shape, DType dtype) {
  Tensor& t = result(i).tensor;
  t = Tensor::make(dtype == DType::Unknown ? result_types[i].dtype() : dtype, std::move(shape));
  return t;
}

Status EvalContext::check_operands() const {
  if (result_types.empty()) return error("the program gives it no result");
  std::map<char, DType> groups;
  for (size_t slot = 0; slot < def.inputs.size(); ++slot) {
    const Input& input = def.inputs[slot];
    if (inputs_[slot].empty() && input.need != Need::Optional) return error(fmt::format("'{}' is missing", input.name));
    for (const RuntimeValue& v : inputs_[slot]) {
      if (v.list && input.types.bits == kAnyType.bits) continue;
      const DType dtype = v.strings.empty() ? v.tensor.dtype : DType::String;
      if (v.list || dtype == DType::Unknown || !input.types.has(dtype) || (dtype != DType::String && !v.tensor.storage))
        return error(fmt::format("'{}' cannot be {}", input.name, v.list ? "a list" : mil_name(dtype)));
      if (!input.group) continue;
      const DType first = groups.try_emplace(input.group, dtype).first->second;
      if (first != dtype) return error(fmt::format("'{}' is {} but must be {} like the other operands", input.name, mil_name(dtype), mil_name(first)));
    }
  }
  return {};
}

void EvalContext::map(std::string_view input, const std::function<float(float)>& f) {
  auto values = floats(input);
  for (float& v : values) v = f(v);
  set_output(0, Tensor::from(result_types[0].dtype(), tensor(input).shape, values));
}

namespace {

// Walks two broadcast operands together, calling f(index into a, index into b) for each element in order.
template <class F>
void walk_broadcast(const std::vector<int64_t>& a, const std::vector<int64_t>& b, const std::vector<int64_t>& out, const F& f) {
  const size_t rank = out.size();
  std::vector<int64_t> sa(rank, 0), sb(rank, 0), index(rank, 0);
  auto strides = [&](const std::vector<int64_t>& shape, std::vector<int64_t>& s) {
    int64_t step = 1;
    for (size_t i = shape.size(); i-- > 0;) {
      s[rank - shape.size() + i] = shape[i] == 1 ? 0 : step;
      step *= shape[i];
    }
  };
  strides(a, sa);
  strides(b, sb);
  int64_t total = 1, ia = 0, ib = 0;
  for (int64_t d : out) total *= d;
  const int64_t inner = rank ? out[rank - 1] : 1, da = rank ? sa[rank - 1] : 0, db = rank ? sb[rank - 1] : 0;
  for (int64_t done = 0; done < total; done += inner) {
    for (int64_t k = 0; k < inner; ++k) f(ia + k * da, ib + k * db);
    for (size_t i = rank; i-- > 0;) {
      if (i + 1 == rank) continue;
      ia += sa[i];
      ib += sb[i];
      if (++index[i] < out[i]) break;
      ia -= sa[i] * out[i];
      ib -= sb[i] * out[i];
      index[i] = 0;
    }
  }
}

}  // namespace

Result<std::vector<int64_t>> broadcast(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<int64_t> out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1)
      return diag(DiagKind::BadInput, fmt::format("shapes [{}] and [{}] do not broadcast", fmt::join(a, ", "), fmt::join(b, ", ")));
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

void EvalContext::map2(std::string_view x, std::string_view y, const std::function<float(float, float)>& f) {
  const auto a = floats(x), b = floats(y);
  auto shape = broadcast(tensor(x).shape, tensor(y).shape);
  CHECK(shape.ok(), shape.ok() ? "" : shape.error().what);
  std::vector<float> out;
  walk_broadcast(tensor(x).shape, tensor(y).shape, *shape, [&](int64_t i, int64_t j) { out.push_back(f(a[static_cast<size_t>(i)], b[static_cast<size_t>(j)])); });
  set_output(0, Tensor::from(result_types[0].dtype(), *shape, out));
}

void EvalContext::map2_int(std::string_view x, std::string_view y, const std::function<int64_t(int64_t, int64_t)>& f) {
  const auto a = ints(x), b = ints(y);
  auto shape = broadcast(tensor(x).shape, tensor(y).shape);
  CHECK(shape.ok(), shape.ok() ? "" : shape.error().what);
  std::vector<int64_t> out;
  walk_broadcast(tensor(x).shape, tensor(y).shape, *shape, [&](int64_t i, int64_t j) { out.push_back(f(a[static_cast<size_t>(i)], b[static_cast<size_t>(j)])); });
  set_output(0, Tensor::from(result_types[0].dtype(), *shape, out));
}

Diagnostic EvalContext::error(std::string why) const { return diag(DiagKind::BadInput, fmt::format("MIL op {}: {}", def.name, why)); }

}  // namespace cortland::mil
