// For tests: reads the raw messages and bytes of a package that was just written and lists every rule of the format they
// break, and compares programs by structure. Independent of the reader and of the writer's own tables of names and scopes.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "coreml/data_type.h"
#include "coreml/package_writer.h"
#include "coreml/proto_types.h"
#include "mil/program.h"
#include "mil_ops/ops.h"

namespace cortland::coreml::test {

inline std::string weight_bytes_of(const PackagePlan& plan) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("cortland_weights_{}.bin", static_cast<const void*>(&plan));
  std::string bytes;
  {
    auto file = OutputFile::create(path);
    CHECK(file.ok() && plan.write_weights(*file).ok() && file->commit().ok());
    bytes = as_text((*MappedFile::open(path))->bytes());
  }
  std::filesystem::remove(path);
  return bytes;
}

class PackageCheck {
 public:
  PackageCheck(const PackagePlan& plan, std::string weights) : weights_(std::move(weights)) {
    expect(model_.ParseFromString(plan.model), "the model does not parse");
    expect(weights_.size() == plan.weight_bytes(), "weight.bin is not of the planned size");
    check_header();
    check_model();
  }
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  template <class... Args>
  void expect(bool ok, fmt::format_string<Args...> format, Args&&... args) {
    if (!ok) problems_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  template <class T>
  T at(uint64_t offset) const {
    T value{};
    if (offset + sizeof(T) <= weights_.size()) std::memcpy(&value, weights_.data() + offset, sizeof(T));
    return value;
  }

  // Walks the records by their own sizes; the header's count must end exactly at the end of the file.
  void check_header() {
    if (weights_.empty()) return;
    expect(at<uint32_t>(4) == 2, "weight.bin is not of version 2");
    uint64_t offset = 64;
    for (uint32_t i = 0; i < at<uint32_t>(0); ++i) {
      expect(at<uint32_t>(offset) == 0xDEADBEEF, "record {} has no mark", i);
      records_.insert(offset);
      const uint64_t end = at<uint64_t>(offset + 16) + at<uint64_t>(offset + 8);
      if (i + 1 == at<uint32_t>(0)) expect(end == weights_.size(), "weight.bin goes on after its last blob");
      const uint64_t next = (end + 63) / 64 * 64;
      for (uint64_t k = end; k < next && k < weights_.size(); ++k) expect(weights_[k] == 0, "a gap is not zero");
      offset = next;
    }
  }

  void check_identifier(const std::string& name) {
    static const std::regex pattern("[A-Za-z_][A-Za-z0-9_]*");
    static const std::set<std::string> reserved = {
        "any",  "bool", "program", "func", "tensor", "list",  "dict",  "tuple", "true",   "false",  "string", "bf16",
        "fp16", "fp32", "fp64",    "int8", "int16",  "int32", "int64", "uint8", "uint16", "uint32", "uint64", "state"};
    expect(std::regex_match(name, pattern) && !reserved.count(name), "'{}' is not an identifier", name);
  }

  void check_model() {
    version_ = model_.specificationversion();
    expect(version_ >= 6 && version_ <= 10, "specification version {}", version_);
    expect(model_.has_mlprogram() && model_.mlprogram().version() == 1, "not an ML Program of version 1");
    const auto& description = model_.description();
    const bool multi = description.functions_size() > 0;
    if (multi) {
      expect(version_ >= 9, "several functions before iOS18");
      expect(description.input_size() + description.output_size() + description.state_size() == 0,
             "both kinds of description");
      bool has_default = false;
      for (const auto& f : description.functions()) {
        has_default |= f.name() == description.defaultfunctionname();
        check_function(f.name(), f.input(), f.output(), f.state());
      }
      expect(has_default, "the default function is not listed");
      expect(description.functions_size() == static_cast<int>(model_.mlprogram().functions().size()),
             "functions are missing from the description");
    } else {
      expect(description.defaultfunctionname().empty(), "a default without functions");
      check_function("main", description.input(), description.output(), description.state());
    }
  }

  using Features = google::protobuf::RepeatedPtrField<spec::FeatureDescription>;

  void check_function(const std::string& name, const Features& inputs, const Features& outputs, const Features& states) {
    const auto found = model_.mlprogram().functions().find(name);
    if (found == model_.mlprogram().functions().end()) return expect(false, "no function '{}'", name);
    const milspec::Function& function = found->second;
    expect(function.opset() == mil::opset_name(*mil::target_from_version(version_)), "op set {} in version {}",
           function.opset(), version_);
    expect(function.block_specializations().size() == 1 && function.block_specializations().contains(function.opset()),
           "wrong blocks");
    names_.clear();
    op_names_.clear();
    states_.clear();
    constants_.clear();
    int next_input = 0, next_state = 0;
    for (const auto& input : function.inputs()) {
      define(input.name(), input.type());
      const bool is_state = input.type().has_statetype();
      const Features& list = is_state ? states : inputs;
      int& next = is_state ? next_state : next_input;
      if (is_state) states_.insert(input.name());
      if (next >= list.size()) return expect(false, "'{}' is not described", input.name());
      check_feature(list[next++], input.name(), is_state ? input.type().statetype().wrappedtype() : input.type(),
                    /*output=*/false);
    }
    expect(next_input == inputs.size() && next_state == states.size(), "more inputs described than there are");
    const milspec::Block& body = function.block_specializations().at(function.opset());
    expect(body.inputs_size() == 0, "the function's block has inputs");
    check_block(body);
    expect(body.outputs_size() == outputs.size() && !outputs.empty(), "{} outputs, {} described", body.outputs_size(),
           outputs.size());
    std::set<std::string> seen;
    for (int i = 0; i < body.outputs_size() && i < outputs.size(); ++i) {
      expect(seen.insert(body.outputs(i)).second, "two outputs are named '{}'", body.outputs(i));
      if (const auto* type = find(body.outputs(i))) check_feature(outputs[i], body.outputs(i), *type, /*output=*/true);
    }
  }

  void check_feature(const spec::FeatureDescription& feature, const std::string& name, const milspec::ValueType& type,
                     bool output) {
    expect(feature.name() == name, "'{}' is described as '{}'", name, feature.name());
    if (!type.has_tensortype() || feature.type().has_stringtype() || feature.type().has_int64type()) return;
    const auto& tensor = type.tensortype();
    const auto& array =
        feature.type().has_statetype() ? feature.type().statetype().arraytype() : feature.type().multiarraytype();
    const auto dtype = dtype_from_program(tensor.datatype());
    expect(dtype && data_type(*dtype).array == array.datatype(), "'{}' is described with another element type", name);
    if (!feature.type().has_statetype()) {
      const auto since = interface_since(*dtype);
      expect(since && mil::specification_version(*since) <= version_, "'{}' is {} at version {}", name, mil_name(*dtype),
             version_);
    }
    bool open = false;
    for (const auto& d : tensor.dimensions()) open |= d.has_unknown();
    if (output && (open || tensor.rank() == 0))
      return expect(array.shape_size() == 0, "'{}' has a shape though it is open", name);
    expect(array.shape_size() == std::max<int>(tensor.dimensions_size(), 1), "'{}' is described with rank {}", name,
           array.shape_size());
    expect(open == (array.has_shaperange() || array.has_enumeratedshapes()), "'{}' is flexible in one place only", name);
    for (int i = 0; i < tensor.dimensions_size() && i < array.shape_size(); ++i) {
      if (tensor.dimensions(i).has_constant())
        expect(static_cast<int64_t>(tensor.dimensions(i).constant().size()) == array.shape(i),
               "'{}' has another size in dimension {}", name, i);
      if (!array.has_shaperange()) continue;
      const auto& range = array.shaperange().sizeranges(i);
      expect(static_cast<int64_t>(range.lowerbound()) <= array.shape(i) && array.shape(i) <= range.upperbound() &&
                 range.upperbound() > 0,
             "'{}' has a bad range", name);
    }
  }

  void define(const std::string& name, const milspec::ValueType& type) {
    check_identifier(name);
    expect(names_.emplace(name, &type).second, "'{}' is defined twice", name);
    if (!type.has_tensortype()) return;
    const auto& tensor = type.tensortype();
    expect(tensor.rank() == tensor.dimensions_size(), "'{}' has rank {} and {} dimensions", name, tensor.rank(),
           tensor.dimensions_size());
    for (const auto& d : tensor.dimensions())
      expect(d.has_constant() || d.has_unknown(), "'{}' has an unset dimension", name);
  }
  const milspec::ValueType* find(const std::string& name) {
    const auto it = names_.find(name);
    expect(it != names_.end(), "'{}' is used but not defined", name);
    return it == names_.end() ? nullptr : it->second;
  }

  void check_block(const milspec::Block& block) {
    for (const auto& op : block.operations()) check_op(op);
    for (const auto& name : block.outputs()) find(name);
  }

  void check_op(const milspec::Operation& op) {
    const auto name = op.attributes().find("name");
    expect(name != op.attributes().end(), "{} has no name", op.type());
    if (name != op.attributes().end()) {
      const std::string& text = name->second.immediatevalue().tensor().strings().values(0);
      check_identifier(text);
      expect(op_names_.insert(text).second, "two ops are named '{}'", text);
      check_value(name->second);
    }
    if (op.type() == "const") {
      expect(op.inputs().empty() && op.blocks_size() == 0 && op.outputs_size() == 1 && op.attributes().contains("val"),
             "a malformed const");
      check_value(op.attributes().at("val"));
      expect(op.outputs(0).type().SerializeAsString() == op.attributes().at("val").type().SerializeAsString(),
             "a const of two types");
      constants_.insert(op.outputs(0).name());
    } else {
      check_bindings(op);
    }
    for (const auto& block : op.blocks()) {
      const auto outer = names_;
      for (const auto& input : block.inputs()) define(input.name(), input.type());
      check_block(block);
      names_ = outer;
    }
    for (const auto& output : op.outputs()) {
      define(output.name(), output.type());
      expect(output.type().tensortype().rank() <= 5 || op.type() == "const" || op.type().rfind("constexpr_", 0) == 0,
             "'{}' is of rank {}", output.name(), output.type().tensortype().rank());
    }
  }

  void check_bindings(const milspec::Operation& op) {
    const mil::MilOp* def = mil_ops::find(op.type(), *mil::target_from_version(version_));
    if (!def) return expect(false, "no op {} at version {}", op.type(), version_);
    const bool is_constexpr = op.type().rfind("constexpr_", 0) == 0;
    for (const auto& [name, value] : op.attributes()) {
      expect(name == "name" || (is_constexpr && version_ < 9 && def->slot(name) >= 0), "{} has the attribute '{}'",
             op.type(), name);
      check_value(value);
    }
    std::set<std::string> given;
    for (const auto& [name, argument] : op.inputs()) {
      given.insert(name);
      const int slot = def->slot(name);
      if (slot < 0) return expect(false, "{} has no parameter '{}'", op.type(), name);
      const mil::Input& input = def->inputs[static_cast<size_t>(slot)];
      expect(argument.arguments_size() == 1 || input.need == mil::Need::Variadic, "'{}' is bound {} times", name,
             argument.arguments_size());
      for (const auto& binding : argument.arguments()) {
        if (binding.has_value()) {
          check_value(binding.value());
          continue;
        }
        find(binding.name());
        expect(!input.constant || constants_.count(binding.name()), "{} of {} is not a constant", name, op.type());
        expect(
            !states_.count(binding.name()) || (name == "input" && (op.type() == "read_state" || op.type() == "write_state")),
            "{} reads a state", op.type());
      }
    }
    for (const mil::Input& input : def->inputs)
      expect(input.need == mil::Need::Optional || given.count(std::string(input.name)) ||
                 (is_constexpr && op.attributes().contains(std::string(input.name))),
             "{} lacks '{}'", op.type(), input.name);
    if (is_constexpr)
      for (const auto& output : op.outputs()) constants_.insert(output.name());
  }

  void check_value(const milspec::Value& value) {
    if (!value.type().has_tensortype()) return;
    const auto& type = value.type().tensortype();
    const auto dtype = dtype_from_program(type.datatype());
    if (!dtype) return expect(false, "a value of unknown type");
    int64_t elements = 1;
    for (const auto& d : type.dimensions()) elements *= static_cast<int64_t>(d.constant().size());
    expect(value.has_blobfilevalue() == stored_as_blob(*dtype, elements, *mil::target_from_version(version_)),
           "a {} of {} elements is in the wrong place", mil_name(*dtype), elements);
    if (value.has_blobfilevalue()) return check_blob(value.blobfilevalue(), *dtype, elements);
    const auto& tensor = value.immediatevalue().tensor();
    int64_t stored = -1;
    switch (data_type(*dtype).immediate) {
      case Immediate::Floats:
        stored = tensor.floats().values_size();
        break;
      case Immediate::Ints:
        stored = tensor.ints().values_size();
        break;
      case Immediate::Bools:
        stored = tensor.bools().values_size();
        break;
      case Immediate::Strings:
        stored = tensor.strings().values_size();
        break;
      case Immediate::LongInts:
        stored = tensor.longints().values_size();
        break;
      case Immediate::Doubles:
        stored = tensor.doubles().values_size();
        break;
      case Immediate::Bytes:
        stored = static_cast<int64_t>(tensor.bytes().values().size()) == byte_size(*dtype, elements) ? elements : -1;
        break;
      case Immediate::None:
        break;
    }
    expect(stored == elements, "an immediate {} of {} elements holds {}", mil_name(*dtype), elements, stored);
  }

  void check_blob(const milspec::Value::BlobFileValue& blob, DType dtype, int64_t elements) {
    expect(blob.filename() == "@model_path/weights/weight.bin", "blob in '{}'", blob.filename());
    const uint64_t offset = blob.offset();
    expect(records_.count(offset) == 1 && offset % 64 == 0, "no blob at {}", offset);
    expect(at<uint32_t>(offset + 4) == data_type(dtype).blob, "the blob at {} is of another type", offset);
    expect(at<uint64_t>(offset + 16) == offset + 64, "the data of the blob at {} is elsewhere", offset);
    expect(static_cast<int64_t>(at<uint64_t>(offset + 8) * 8 - at<uint64_t>(offset + 24)) == elements * bit_width(dtype),
           "the blob at {} has another size", offset);
  }

  spec::Model model_;
  std::string weights_;
  int version_ = 0;
  std::set<uint64_t> records_;
  std::map<std::string, const milspec::ValueType*> names_;
  std::set<std::string> op_names_, states_, constants_;
  std::vector<std::string> problems_;
};

// What breaks the format's rules in the package of `program`; empty is good.
inline std::vector<std::string> problems_of(const mil::Program& program, const WriteOptions& options = {}) {
  auto plan = plan_package(program, options);
  if (!plan.ok()) return {render(plan.error())};
  return PackageCheck(*plan, weight_bytes_of(*plan)).problems();
}

}  // namespace cortland::coreml::test
