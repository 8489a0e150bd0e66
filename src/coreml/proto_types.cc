#include "coreml/proto_types.h"

#include <fmt/format.h>

#include "coreml/data_type.h"

namespace cortland::coreml {
namespace {

constexpr int kMaxRank = 64;
constexpr uint64_t kMaxSize = uint64_t{1} << 40;

Diagnostic bad(std::string why) { return diag(DiagKind::BadPackage, "a type in the program " + std::move(why)); }

void encode_dim(Dim dim, milspec::Dimension* out) {
  if (dim.is_constant())
    out->mutable_constant()->set_size(static_cast<uint64_t>(dim.constant()));
  else
    out->mutable_unknown();
}

Result<Dim> decode_dim(const milspec::Dimension& in) {
  if (in.has_unknown()) {
    if (in.unknown().variadic()) return bad("has a variable number of dimensions, which no model may have");
    return open_dim();
  }
  if (!in.has_constant()) return bad("has a dimension without a size");
  if (in.constant().size() > kMaxSize) return bad(fmt::format("has a dimension of size {}", in.constant().size()));
  return Dim(static_cast<int64_t>(in.constant().size()));
}

Result<TensorType> decode_tensor_type(const milspec::TensorType& in) {
  const auto dtype = dtype_from_program(in.datatype());
  if (!dtype) return bad(fmt::format("has the unknown element type {}", static_cast<int>(in.datatype())));
  if (in.rank() < 0) return bad("has no fixed rank, which no model may have");
  if (in.rank() != in.dimensions_size())
    return bad(fmt::format("is of rank {} but has {} dimensions", in.rank(), in.dimensions_size()));
  if (in.rank() > kMaxRank) return bad(fmt::format("is of rank {}", in.rank()));
  TensorType type{*dtype, {}};
  for (const auto& dimension : in.dimensions()) {
    TRY(Dim d, decode_dim(dimension));
    type.shape.push_back(d);
  }
  return type;
}

Result<TensorType> decode_inner(const milspec::ValueType& in, std::string_view what) {
  if (!in.has_tensortype()) return bad(fmt::format("is {} of something that is not a tensor", what));
  return decode_tensor_type(in.tensortype());
}

}  // namespace

void encode_tensor_type(const TensorType& type, milspec::TensorType* out) {
  out->set_datatype(static_cast<milspec::DataType>(data_type(type.dtype).program));
  out->set_rank(type.rank());
  for (Dim d : type.shape) encode_dim(d, out->add_dimensions());
}

void encode_type(const mil::Type& type, milspec::ValueType* out) {
  switch (type.kind) {
    case mil::Type::Kind::Tensor:
      return encode_tensor_type(type.tensor, out->mutable_tensortype());
    case mil::Type::Kind::State:
      return encode_tensor_type(type.tensor, out->mutable_statetype()->mutable_wrappedtype()->mutable_tensortype());
    case mil::Type::Kind::List:
      encode_tensor_type(type.tensor, out->mutable_listtype()->mutable_type()->mutable_tensortype());
      return encode_dim(type.length, out->mutable_listtype()->mutable_length());
    case mil::Type::Kind::Dictionary: {
      auto* dictionary = out->mutable_dictionarytype();
      encode_tensor_type(type.tensor, dictionary->mutable_keytype()->mutable_tensortype());
      return encode_tensor_type({DType::F64, {}}, dictionary->mutable_valuetype()->mutable_tensortype());
    }
  }
}

Result<mil::Type> decode_type(const milspec::ValueType& in) {
  switch (in.type_case()) {
    case milspec::ValueType::kTensorType: {
      TRY(TensorType tensor, decode_tensor_type(in.tensortype()));
      return mil::Type(std::move(tensor));
    }
    case milspec::ValueType::kStateType: {
      TRY(TensorType tensor, decode_inner(in.statetype().wrappedtype(), "a state"));
      if (!tensor.is_static()) return bad("is a state of open size");
      return mil::Type::state(std::move(tensor));
    }
    case milspec::ValueType::kListType: {
      TRY(TensorType tensor, decode_inner(in.listtype().type(), "a list"));
      TRY(Dim length, decode_dim(in.listtype().length()));
      return mil::Type::list(std::move(tensor), length);
    }
    case milspec::ValueType::kDictionaryType: {
      TRY(TensorType key, decode_inner(in.dictionarytype().keytype(), "a dictionary"));
      mil::Type type(std::move(key));
      type.kind = mil::Type::Kind::Dictionary;
      return type;
    }
    default:
      return bad("is neither tensor, list, state nor dictionary");
  }
}

void close_dims(mil::Type& type, DimTable& dims) {
  for (Dim& d : type.tensor.shape)
    if (d == open_dim()) d = dims.unknown();
  if (type.kind == mil::Type::Kind::List && type.length == open_dim()) type.length = dims.unknown();
}

}  // namespace cortland::coreml
