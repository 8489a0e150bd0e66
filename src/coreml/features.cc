#include "coreml/features.h"

#include <fmt/format.h>

#include <algorithm>

#include "coreml/data_type.h"

namespace cortland::coreml {
namespace {

using Array = spec::ArrayFeatureType;
constexpr int64_t kLargestSize = INT32_MAX;  // coremltools refuses "no bound" in ML Programs
constexpr int64_t kMaxSize = int64_t{1} << 40;

Status check_interface_type(const std::string& name, DType dtype, mil::Target target) {
  const auto since = interface_since(dtype);
  if (!since)
    return diag(DiagKind::UnsupportedDtype,
                fmt::format("'{}' is {}, which a Core ML model cannot take or return", name, mil_name(dtype)),
                "cast it inside the model; fp16, fp32 and int32 are allowed");
  if (*since > target)
    return diag(DiagKind::UnsupportedTarget,
                fmt::format("'{}' is {}, which needs {} on a model's interface, but the target is {}", name, mil_name(dtype),
                            mil::target_name(*since), mil::target_name(target)));
  return {};
}

void set_array_type(const TensorType& type, Array* out) {
  out->set_datatype(static_cast<Array::ArrayDataType>(data_type(type.dtype).array));
}

Status encode_enumerated(const std::string& name, const TensorType& type, const ShapeList& shapes, mil::Target target,
                         Array* out) {
  auto bad = [&](std::string why) {
    return diag(DiagKind::UnsupportedShape, fmt::format("the enumerated shapes of '{}' {}", name, why));
  };
  ShapeList listed;
  for (const auto& shape : shapes) {
    if (shape.empty() || static_cast<int>(shape.size()) != type.rank())
      return bad(fmt::format("are not all of rank {}", type.rank()));
    for (size_t i = 0; i < shape.size(); ++i)
      if (type.shape[i].is_constant() && type.shape[i].constant() != shape[i])
        return bad(
            fmt::format("have {} in dimension {}, which the program fixes to {}", shape[i], i, type.shape[i].constant()));
    // From iOS18 on a repeated shape counts: position ties several inputs together.
    if (target >= mil::Target::iOS18 || std::find(listed.begin(), listed.end(), shape) == listed.end())
      listed.push_back(shape);
  }
  if (listed.empty()) return bad("are none");
  out->mutable_shape()->Add(listed[0].begin(), listed[0].end());
  for (const auto& shape : listed)
    out->mutable_enumeratedshapes()->add_shapes()->mutable_shape()->Add(shape.begin(), shape.end());
  return {};
}

void encode_ranges(const TensorType& type, const DimTable& dims, Array* out) {
  for (Dim d : type.shape) {
    const DimRange range = dims.range(d);
    const int64_t low = d.is_constant() ? d.constant() : std::max<int64_t>(range.low, 1);
    const int64_t high = d.is_constant() ? d.constant() : std::max(low, std::min(range.high, kLargestSize));
    out->add_shape(low);
    auto* size = out->mutable_shaperange()->add_sizeranges();
    size->set_lowerbound(static_cast<uint64_t>(low));
    size->set_upperbound(high);
  }
}

Diagnostic bad_feature(const spec::FeatureDescription& in, std::string why) {
  return diag(DiagKind::BadPackage, fmt::format("the description of '{}' {}", in.name(), why));
}

Result<DimRange> decode_range(const spec::FeatureDescription& in, const spec::SizeRange& range) {
  if (range.lowerbound() > static_cast<uint64_t>(kMaxSize)) return bad_feature(in, "has a size range that begins too high");
  DimRange out{static_cast<int64_t>(range.lowerbound()), DimRange::kUnbounded};
  if (range.upperbound() >= 0) out.high = range.upperbound();
  if (out.high < out.low) return bad_feature(in, "has a size range that ends before it begins");
  return out;
}

// An image is a tensor [1, channels, height, width].
Result<FlexibleShape> decode_image(const spec::FeatureDescription& in, const TensorType& type) {
  const auto& image = in.type().imagetype();
  FlexibleShape out;
  if (type.rank() != 4) return bad_feature(in, "calls a tensor of another rank than 4 an image");
  if (image.has_imagesizerange()) {
    TRY(DimRange height, decode_range(in, image.imagesizerange().heightrange()));
    TRY(DimRange width, decode_range(in, image.imagesizerange().widthrange()));
    out.ranges = {{}, {}, height, width};
  }
  for (const auto& size : image.enumeratedsizes().sizes()) {
    if (size.height() > kMaxSize || size.width() > kMaxSize) return bad_feature(in, "has an image size that is too large");
    if (!type.shape[0].is_constant() || !type.shape[1].is_constant())
      return bad_feature(in, "has an open number of channels");
    out.enumerated.push_back({type.shape[0].constant(), type.shape[1].constant(), static_cast<int64_t>(size.height()),
                              static_cast<int64_t>(size.width())});
  }
  return out;
}

}  // namespace

Status encode_input(const std::string& name, const mil::Type& type, const ShapeList* enumerated, const DimTable& dims,
                    mil::Target target, spec::FeatureDescription* out) {
  if (type.kind != mil::Type::Kind::Tensor)
    return diag(DiagKind::BadMil, fmt::format("the input '{}' is not a tensor", name));
  TRY_DO(check_interface_type(name, type.dtype(), target));
  out->set_name(name);
  Array* array = out->mutable_type()->mutable_multiarraytype();
  set_array_type(type.tensor, array);
  if (enumerated) return encode_enumerated(name, type.tensor, *enumerated, target, array);
  if (!type.tensor.is_static()) {
    encode_ranges(type.tensor, dims, array);
    return {};
  }
  for (Dim d : type.shape()) array->add_shape(d.constant());
  if (type.rank() == 0) array->add_shape(1);
  return {};
}

Status encode_output(const std::string& name, const mil::Type& type, mil::Target target, spec::FeatureDescription* out) {
  out->set_name(name);
  auto* feature = out->mutable_type();
  if (type.kind == mil::Type::Kind::Dictionary) {
    if (type.dtype() == DType::String)
      feature->mutable_dictionarytype()->mutable_stringkeytype();
    else
      feature->mutable_dictionarytype()->mutable_int64keytype();
    return {};
  }
  if (type.kind != mil::Type::Kind::Tensor)
    return diag(DiagKind::BadMil, fmt::format("the output '{}' is not a tensor", name));
  if (type.rank() == 0 && type.dtype() == DType::String) return feature->mutable_stringtype(), Status();
  if (type.rank() == 0 && type.dtype() == DType::I64) return feature->mutable_int64type(), Status();
  TRY_DO(check_interface_type(name, type.dtype(), target));
  Array* array = feature->mutable_multiarraytype();
  set_array_type(type.tensor, array);
  // No shape at all when a size is open: a shape that does not fit pads what the caller gets.
  if (type.tensor.is_static())
    for (Dim d : type.shape()) array->add_shape(d.constant());
  return {};
}

Status encode_state(const std::string& name, const mil::Type& type, spec::FeatureDescription* out) {
  if (data_type(type.dtype()).array == 0 || !type.tensor.is_static() || type.rank() == 0)
    return diag(DiagKind::UnsupportedDtype,
                fmt::format("the state '{}' is {}, but a state is an array of fixed size", name, mil_name(type.dtype())),
                "states hold fp16");
  out->set_name(name);
  Array* array = out->mutable_type()->mutable_statetype()->mutable_arraytype();
  set_array_type(type.tensor, array);
  for (Dim d : type.shape()) array->add_shape(d.constant());
  return {};
}

Result<FlexibleShape> decode_shape(const spec::FeatureDescription& in, const TensorType& type) {
  if (in.type().has_imagetype()) return decode_image(in, type);
  FlexibleShape out;
  const Array& array = in.type().multiarraytype();
  if (array.has_shaperange()) {
    if (array.shaperange().sizeranges_size() != type.rank())
      return bad_feature(
          in, fmt::format("has {} size ranges for a tensor of rank {}", array.shaperange().sizeranges_size(), type.rank()));
    for (const auto& size : array.shaperange().sizeranges()) {
      TRY(DimRange range, decode_range(in, size));
      out.ranges.push_back(range);
    }
  }
  for (const auto& shape : array.enumeratedshapes().shapes()) {
    if (shape.shape_size() != type.rank())
      return bad_feature(in,
                         fmt::format("lists a shape of {} sizes for a tensor of rank {}", shape.shape_size(), type.rank()));
    std::vector<int64_t> sizes(shape.shape().begin(), shape.shape().end());
    for (int64_t size : sizes)
      if (size < 0 || size > kMaxSize) return bad_feature(in, fmt::format("lists a shape with the size {}", size));
    out.enumerated.push_back(std::move(sizes));
  }
  for (const auto& shape : out.enumerated) {
    out.ranges.resize(shape.size(), {INT64_MAX, 0});
    for (size_t i = 0; i < shape.size(); ++i)
      out.ranges[i] = {std::min(out.ranges[i].low, shape[i]), std::max(out.ranges[i].high, shape[i])};
  }
  return out;
}

}  // namespace cortland::coreml
