#include "coreml/proto_values.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "coreml/data_type.h"

namespace cortland::coreml {
namespace {

Diagnostic bad(std::string why) { return diag(DiagKind::BadPackage, "a constant of the program " + std::move(why)); }

Status encode_numbers(const Weight& weight, milspec::TensorValue* out) {
  switch (data_type(weight.dtype()).immediate) {
    case Immediate::Bytes:
      *out->mutable_bytes()->mutable_values() = weight.bytes();
      return {};
    case Immediate::Floats: {
      const auto values = weight.to_floats();
      out->mutable_floats()->mutable_values()->Add(values.begin(), values.end());
      return {};
    }
    case Immediate::Doubles: {
      const std::string raw = weight.bytes();
      auto* values = out->mutable_doubles()->mutable_values();
      values->Resize(static_cast<int>(weight.elements()), 0);
      std::memcpy(values->mutable_data(), raw.data(), raw.size());
      return {};
    }
    case Immediate::Ints: {
      auto* values = out->mutable_ints()->mutable_values();
      for (int64_t v : weight.to_ints()) values->Add(static_cast<int32_t>(v));
      return {};
    }
    case Immediate::LongInts: {
      const auto values = weight.to_ints();
      out->mutable_longints()->mutable_values()->Add(values.begin(), values.end());
      return {};
    }
    case Immediate::Bools: {
      const std::string raw = weight.bytes();
      auto* values = out->mutable_bools()->mutable_values();
      for (char c : raw) values->Add(c != 0);
      return {};
    }
    default:
      return diag(DiagKind::UnsupportedDtype,
                  fmt::format("Core ML has no constants of type {}", torch_name(weight.dtype())));
  }
}

// Numbers stored one by one, as elements of `dtype`; every one must fit.
template <class To, class Values>
Result<std::string> narrow(const Values& values) {
  std::string bytes(static_cast<size_t>(values.size()) * sizeof(To), '\0');
  for (int i = 0; i < values.size(); ++i) {
    const auto v = values[i];
    if constexpr (std::is_integral_v<To>) {
      if (static_cast<int64_t>(v) < static_cast<int64_t>(std::numeric_limits<To>::min()) ||
          (sizeof(To) < 8 && static_cast<int64_t>(v) > static_cast<int64_t>(std::numeric_limits<To>::max())))
        return bad("has an element that its type cannot hold");
    }
    const To element = static_cast<To>(v);
    std::memcpy(bytes.data() + static_cast<size_t>(i) * sizeof(To), &element, sizeof(To));
  }
  return bytes;
}

template <class Values>
Result<std::string> narrow_integers(const Values& values, DType dtype) {
  switch (dtype) {
    case DType::I8:
      return narrow<int8_t>(values);
    case DType::U8:
      return narrow<uint8_t>(values);
    case DType::I16:
      return narrow<int16_t>(values);
    case DType::U16:
      return narrow<uint16_t>(values);
    case DType::I32:
      return narrow<int32_t>(values);
    case DType::U32:
      return narrow<uint32_t>(values);
    case DType::I64:
    case DType::U64: {
      std::string bytes(static_cast<size_t>(values.size()) * 8, '\0');
      for (int i = 0; i < values.size(); ++i) {
        const auto v = static_cast<int64_t>(values[i]);
        std::memcpy(bytes.data() + static_cast<size_t>(i) * 8, &v, 8);
      }
      return bytes;
    }
    default:
      return bad(fmt::format("of type {} is stored as integers", mil_name(dtype)));
  }
}

Result<std::string> decode_numbers(const milspec::TensorValue& in, DType dtype) {
  auto mismatch = [&] { return bad(fmt::format("of type {} is stored as another type", mil_name(dtype))); };
  switch (in.value_case()) {
    case milspec::TensorValue::kFloats:
      return dtype == DType::F32 ? narrow<float>(in.floats().values()) : Result<std::string>(mismatch());
    case milspec::TensorValue::kDoubles:
      return dtype == DType::F64 ? narrow<double>(in.doubles().values()) : Result<std::string>(mismatch());
    case milspec::TensorValue::kInts:
      return narrow_integers(in.ints().values(), dtype);
    case milspec::TensorValue::kLongInts:
      return narrow_integers(in.longints().values(), dtype);
    case milspec::TensorValue::kBools:
      return dtype == DType::Bool ? narrow<uint8_t>(in.bools().values()) : Result<std::string>(mismatch());
    case milspec::TensorValue::kBytes:
      if (dtype == DType::Bool || dtype == DType::String) return mismatch();
      return in.bytes().values();
    default:
      return bad(fmt::format("of type {} has no value", mil_name(dtype)));
  }
}

Result<mil::ConstId> decode_strings(const milspec::TensorValue& in, const TensorType& type, mil::Program& program) {
  if (!in.has_strings()) return bad("of type string is stored as another type");
  const auto& values = in.strings().values();
  if (type.rank() > 1) return bad("is a matrix of strings");
  if (values.size() != type.elements())
    return bad(fmt::format("has {} strings, but its type says {}", values.size(), *type.elements()));
  if (type.rank() == 0) return program.constant(values[0]);
  return program.constant(std::vector<std::string>(values.begin(), values.end()));
}

Result<mil::ConstId> decode_tensor(const milspec::Value& in, const TensorType& type, mil::Program& program,
                                   const WeightFiles& files) {
  if (!type.is_static()) return bad("has an open size");
  const auto elements = type.elements();
  if (!elements || *elements > (int64_t{1} << 48)) return bad("has too many elements");
  if (in.has_blobfilevalue()) {
    TRY(const WeightFile* file, files(in.blobfilevalue().filename()));
    TRY(Weight weight, file->blob(in.blobfilevalue().offset(), type.dtype, sizes(type.shape)));
    return program.constant(std::move(weight));
  }
  const milspec::TensorValue& tensor = in.immediatevalue().tensor();
  if (type.dtype == DType::String) return decode_strings(tensor, type, program);
  TRY(std::string bytes, decode_numbers(tensor, type.dtype));
  if (static_cast<int64_t>(bytes.size()) != byte_size(type.dtype, *elements))
    return bad(
        fmt::format("has {} bytes of elements, but its type says {}", bytes.size(), byte_size(type.dtype, *elements)));
  return program.constant(Weight::dense(type.dtype, sizes(type.shape), std::move(bytes)));
}

// Each element is a whole value, with a type of its own.
Result<mil::ConstId> decode_list(const milspec::Value& in, mil::Program& program) {
  const auto& values = in.immediatevalue().list().values();
  std::vector<std::string> strings;
  std::vector<int64_t> numbers;
  for (const milspec::Value& value : values) {
    const milspec::TensorValue& tensor = value.immediatevalue().tensor();
    if (tensor.has_strings() && tensor.strings().values_size() == 1)
      strings.push_back(tensor.strings().values(0));
    else if (tensor.has_longints() && tensor.longints().values_size() == 1)
      numbers.push_back(tensor.longints().values(0));
    else
      return bad("is a list of something other than strings and int64 numbers");
  }
  if (!strings.empty() && !numbers.empty()) return bad("is a list of both strings and numbers");
  if (!numbers.empty()) return program.constant(Weight::of(DType::I64, {static_cast<int64_t>(numbers.size())}, numbers));
  return program.constant(strings);
}

}  // namespace

Status encode_value(const mil::Const& value, mil::Target target, WeightPlan& weights, milspec::Value* out) {
  const TensorType& type = value.type.tensor;
  if (data_type(type.dtype).program == 0)
    return diag(DiagKind::UnsupportedDtype, fmt::format("Core ML has no constants of type {}", torch_name(type.dtype)));
  encode_tensor_type(type, out->mutable_type()->mutable_tensortype());
  if (type.dtype == DType::String) {
    auto* strings = out->mutable_immediatevalue()->mutable_tensor()->mutable_strings();
    for (const std::string& s : value.strings) strings->add_values(s);
    return {};
  }
  if (!stored_as_blob(type.dtype, value.data.elements(), target))
    return encode_numbers(value.data, out->mutable_immediatevalue()->mutable_tensor());
  auto* blob = out->mutable_blobfilevalue();
  blob->set_filename(std::string(kWeightFileName));
  blob->set_offset(weights.add(value.data));
  return {};
}

Status encode_list(const mil::Const& value, milspec::Value* out) {
  const bool text = value.type.dtype() == DType::String;
  if (!text && value.type.dtype() != DType::I64)
    return diag(DiagKind::UnsupportedDtype, "class labels must be strings or int64 numbers");
  const TensorType element{value.type.dtype(), {}};
  encode_type(mil::Type::list(element, value.type.tensor.elements().value_or(0)), out->mutable_type());
  auto* list = out->mutable_immediatevalue()->mutable_list();
  auto add = [&] {
    milspec::Value* item = list->add_values();
    encode_tensor_type(element, item->mutable_type()->mutable_tensortype());
    return item->mutable_immediatevalue()->mutable_tensor();
  };
  if (text) {
    for (const std::string& s : value.strings) add()->mutable_strings()->add_values(s);
  } else {
    for (int64_t v : value.data.to_ints()) add()->mutable_longints()->add_values(v);
  }
  return {};
}

void encode_text(std::string_view text, milspec::Value* out) {
  encode_tensor_type({DType::String, {}}, out->mutable_type()->mutable_tensortype());
  out->mutable_immediatevalue()->mutable_tensor()->mutable_strings()->add_values(std::string(text));
}

void encode_text_map(const std::map<std::string, std::string>& entries, milspec::Value* out) {
  auto* type = out->mutable_type()->mutable_dictionarytype();
  encode_tensor_type({DType::String, {}}, type->mutable_keytype()->mutable_tensortype());
  encode_tensor_type({DType::String, {}}, type->mutable_valuetype()->mutable_tensortype());
  auto* dictionary = out->mutable_immediatevalue()->mutable_dictionary();
  for (const auto& [key, value] : entries) {
    auto* pair = dictionary->add_values();
    encode_text(key, pair->mutable_key());
    encode_text(value, pair->mutable_value());
  }
}

Result<mil::ConstId> decode_value(const milspec::Value& in, mil::Program& program, const WeightFiles& files) {
  if (in.type().has_listtype() && in.immediatevalue().has_list()) return decode_list(in, program);
  if (!in.type().has_tensortype()) return bad("is neither a tensor nor a list");
  TRY(mil::Type type, decode_type(in.type()));
  return decode_tensor(in, type.tensor, program, files);
}

}  // namespace cortland::coreml
