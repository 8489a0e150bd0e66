// What to do with which weights: coremltools' OptimizationConfig, under its names and with its defaults. Plain values.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace cortland::compression {

enum class Granularity { PerTensor, PerChannel, PerGroupedChannel, PerBlock };

struct OpLinearQuantizerConfig {
  bool symmetric = true;  // mode: "linear_symmetric" or "linear"
  DType dtype = DType::I8;
  Granularity granularity = Granularity::PerChannel;
  // One size for the input channels, or one for each axis of the weight; 0 means the whole axis.
  std::vector<int64_t> block_size = {32};
  bool block_size_is_list = false;
  int64_t weight_threshold = 2048;
  friend bool operator==(const OpLinearQuantizerConfig&, const OpLinearQuantizerConfig&) = default;
};

struct OpPalettizerConfig {
  enum class Mode { KMeans, Uniform, Unique } mode = Mode::KMeans;
  int nbits = 0;  // not for Unique
  Granularity granularity = Granularity::PerTensor;
  int64_t group_size = 32;
  std::optional<int64_t> channel_axis;
  bool enable_per_channel_scale = false;
  int64_t weight_threshold = 2048;
  friend bool operator==(const OpPalettizerConfig&, const OpPalettizerConfig&) = default;
};

struct OpThresholdPrunerConfig {
  double threshold = 1e-12;
  double minimum_sparsity_percentile = 0.5;
  int64_t weight_threshold = 2048;
  friend bool operator==(const OpThresholdPrunerConfig&, const OpThresholdPrunerConfig&) = default;
};

struct OpMagnitudePrunerConfig {
  std::optional<double> target_sparsity;
  std::optional<int64_t> block_size;
  std::optional<std::pair<int64_t, int64_t>> n_m_ratio;
  int64_t dim = 0;
  int64_t weight_threshold = 2048;
  bool is_structural() const { return block_size || n_m_ratio; }
  friend bool operator==(const OpMagnitudePrunerConfig&, const OpMagnitudePrunerConfig&) = default;
};

using OpConfig = std::variant<OpLinearQuantizerConfig, OpPalettizerConfig, OpThresholdPrunerConfig, OpMagnitudePrunerConfig>;
int64_t weight_threshold(const OpConfig& config);

// An entry without config leaves what it names alone.
struct OptimizationConfig {
  std::optional<OpConfig> global_config;
  std::map<std::string, std::optional<OpConfig>> op_type_configs;  // "conv"
  std::map<std::string, std::optional<OpConfig>> op_name_configs;  // of an op or of a constant: "conv_1", "conv_1_weight"
  // Which ops of a left-alone type follow the other readers of their weight instead of disagreeing with them.
  std::optional<std::string> following_op_type;
};

// Applied one after the other to the same weights, in the order prune, palettize, quantize; several make the joint forms.
struct Config {
  std::vector<OptimizationConfig> steps;
};

// The content of a configuration file: the dictionary of OptimizationConfig.from_dict as JSON, or a list of them.
// `name` is what errors call it.
Result<Config> parse_config(std::string_view json, const std::string& name);

// The value of the compile spec `op_linear_quantizer_config`: one quantizer for everything but embedding tables, which are
// quantised only where another op reads them too.
Result<Config> parse_quantizer(std::string_view json, const std::string& name);

}  // namespace cortland::compression
