// The compressed form of one weight: what is stored in its place, and the constexpr ops that make it a tensor again.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "compression/config.h"
#include "mil/program.h"
#include "tensor/codes.h"

namespace cortland::compression {

// What is asked for. Several together make a joint form, which iOS18 has.
struct Plan {
  std::optional<std::variant<OpThresholdPrunerConfig, OpMagnitudePrunerConfig>> prune;
  std::optional<OpPalettizerConfig> palettize;
  std::optional<OpLinearQuantizerConfig> quantize;  // of the tables, when palettized
  bool is_joint() const { return int{prune.has_value()} + int{palettize.has_value()} + int{quantize.has_value()} > 1; }
};

// Axes of a weight that its readers take for input and output channels; nothing where they differ.
struct ChannelAxes {
  std::optional<size_t> input, output;
  bool positive_inputs = false;  // what all readers multiply it with is positive on the whole
};

// Computed from the weight, with the values themselves still to be read. For one thread at a time.
struct Form {
  Weight codes;  // indices, integers or floats; only those that are not pruned when there is a mask
  Weight mask;   // may be empty
  std::vector<int64_t> shape;
  DType type = DType::F16;  // of the weight
  std::shared_ptr<const LinearCode> linear;
  std::shared_ptr<const TableCode> table;
  std::shared_ptr<const LinearCode> table_code;  // how the entries of the tables are stored
  std::string not_pruned;                        // why a joint form does without pruning; else empty
  uint64_t bytes() const;
};

// Why a weight stays as it is.
struct Skip {
  std::string reason;
};

// Reads the weight once or a few times, a tile at a time.
std::variant<Form, Skip> make_form(const Weight& weight, const Plan& plan, ChannelAxes axes, mil::Target target);

// Puts the ops at `position` of a block and gives the weight as a value.
Result<mil::ValueId> emit_form(mil::Program& program, mil::BlockId block, int position, const Form& form,
                               const std::string& name);

}  // namespace cortland::compression
