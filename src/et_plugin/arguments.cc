#include "et_plugin/arguments.h"

#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "executorch/program.h"
#include "tensor/weight.h"

namespace cortland::et_plugin {
namespace {

using EtTensor = ::executorch::aten::Tensor;
using ::executorch::runtime::EValue;

DType element_type(const EtTensor& tensor) { return executorch::dtype(static_cast<executorch::ScalarType>(tensor.scalar_type())); }

std::vector<int64_t> shape_of(const EtTensor& tensor) { return {tensor.sizes().begin(), tensor.sizes().end()}; }

// Copies between dense rows and a tensor's own layout, an element at a time; dense layouts never come here.
void copy_strided(const EtTensor& tensor, std::byte* dense, bool into_tensor) {
  const auto shape = shape_of(tensor);
  const size_t width = tensor.element_size(), rank = shape.size();
  std::vector<int64_t> index(rank, 0);
  auto* base = static_cast<std::byte*>(tensor.mutable_data_ptr());
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    int64_t at = 0;
    for (size_t d = 0; d < rank; ++d) at += index[d] * tensor.strides()[d];
    std::byte* element = base + static_cast<size_t>(at) * width;
    into_tensor ? std::memcpy(element, dense, width) : std::memcpy(dense, element, width);
    dense += width;
    for (size_t d = rank; d-- > 0 && ++index[d] == shape[d];) index[d] = 0;
  }
}

bool is_dense(const EtTensor& tensor) {
  int64_t expected = 1;
  for (size_t d = static_cast<size_t>(tensor.dim()); d-- > 0;) {
    if (tensor.size(static_cast<ssize_t>(d)) != 1 && tensor.strides()[d] != expected) return false;
    expected *= tensor.size(static_cast<ssize_t>(d));
  }
  return true;
}

template <class T>
mil::Tensor number(DType dtype, T value) {
  mil::Tensor t = mil::Tensor::make(dtype, {});
  std::memcpy(t.mutable_data(), &value, sizeof value);
  return t;
}

Diagnostic bad_argument(const std::string& name, std::string_view why) {
  return diag(DiagKind::BadInput, fmt::format("argument '{}' of a Core ML delegate: {}", name, why));
}

Status resize(const EtTensor& tensor, const std::vector<int64_t>& shape, const std::string& name) {
  const auto now = shape_of(tensor);
  if (now == shape || (now.size() + shape.size() == 1 && tensor.numel() == 1)) return {};  // [] and [1] are the same
  std::vector<EtTensor::SizesType> sizes(shape.begin(), shape.end());
  if (::executorch::runtime::resize_tensor(tensor, {sizes.data(), sizes.size()}) == ::executorch::runtime::Error::Ok) return {};
  return bad_argument(name, fmt::format("the model gives the shape [{}], the program has room for [{}] only", fmt::join(shape, ", "),
                                        fmt::join(now, ", ")));
}

Status to_number(const mil::Tensor& tensor, EValue& value, const std::string& name) {
  if (tensor.elements() != 1) return bad_argument(name, fmt::format("{} values for one number", tensor.elements()));
  if (value.isInt())
    value = EValue(tensor.ints()[0]);
  else if (value.isBool())
    value = EValue(tensor.ints()[0] != 0);
  else
    value = EValue(static_cast<double>(tensor.floats()[0]));
  return {};
}

}  // namespace

Result<mil::Tensor> from_argument(const EValue& value, int rank, const std::string& name) {
  mil::Tensor result;
  if (value.isTensor()) {
    const EtTensor& tensor = value.toTensor();
    const DType dtype = element_type(tensor);
    if (dtype == DType::Unknown) return bad_argument(name, "its element type has no counterpart");
    result = mil::Tensor::make(dtype, shape_of(tensor));
    if (result.bytes() > 0 && !tensor.const_data_ptr()) return bad_argument(name, "it has no memory");
    if (is_dense(tensor))
      std::memcpy(result.mutable_data(), tensor.const_data_ptr(), result.bytes());
    else
      copy_strided(tensor, result.mutable_data(), false);
  } else if (value.isInt()) {
    result = number(DType::I64, value.toInt());
  } else if (value.isBool()) {
    result = number(DType::Bool, value.toBool());
  } else if (value.isDouble()) {
    result = number(DType::F64, value.toDouble());
  } else {
    return bad_argument(name, "it is neither a tensor nor a number");
  }
  if (result.elements() == 1 && result.rank() + rank == 1) result.shape.assign(static_cast<size_t>(rank), 1);
  return result;
}

Status to_argument(const mil::Tensor& from, EValue& value, const std::string& name) {
  if (value.isInt() || value.isBool() || value.isDouble()) return to_number(from, value, name);
  if (!value.isTensor()) return bad_argument(name, "it is neither a tensor nor a number");
  const EtTensor tensor = value.toTensor();
  const DType dtype = element_type(tensor);
  if (dtype == DType::Unknown) return bad_argument(name, "its element type has no counterpart");
  TRY_DO(resize(tensor, from.shape, name));
  auto* out = static_cast<std::byte*>(tensor.mutable_data_ptr());
  if (tensor.numel() > 0 && !out) return bad_argument(name, "it has no memory");
  if (is_dense(tensor)) {
    convert_elements(from.dtype, from.data(), dtype, out, from.elements());
  } else {
    mil::Tensor converted = from.cast(dtype);
    copy_strided(tensor, const_cast<std::byte*>(converted.data()), true);
  }
  return {};
}

}  // namespace cortland::et_plugin
