// Constants between the IR and the protobuf messages: immediate values, and references into weight.bin. Free functions.
#pragma once

#include "coreml/proto_types.h"
#include "coreml/weight_file.h"

namespace cortland::coreml {

inline constexpr std::string_view kWeightFileName = "@model_path/weights/weight.bin";

// A tensor; large ones go to `weights`.
Status encode_value(const mil::Const& value, mil::Target target, WeightPlan& weights, milspec::Value* out);
// A list of scalars, the form that class labels have.
Status encode_list(const mil::Const& value, milspec::Value* out);
void encode_text(std::string_view text, milspec::Value* out);
// dictionary<string, string>
void encode_text_map(const std::map<std::string, std::string>& entries, milspec::Value* out);

// Opens the weight files a program names, each once.
using WeightFiles = std::function<Result<const WeightFile*>(const std::string& file_name)>;

// A tensor, or a list of scalars as a tensor of rank 1.
Result<mil::ConstId> decode_value(const milspec::Value& in, mil::Program& program, const WeightFiles& files);

}  // namespace cortland::coreml
