#include "compression/config.h"

#include <fmt/format.h>

#include <functional>

#include "archive/json.h"

namespace cortland::compression {
namespace {

using archive::Json;

Diagnostic bad(const Json& at, std::string_view what, std::string help = {}) {
  Diagnostic d = at.error(what);
  d.kind = DiagKind::BadOption;
  d.help = help.empty() ? "see docs/compression.md" : std::move(help);
  return d;
}

template <class T>
Result<T> as_option(const Json& at, Result<T> value) {
  if (!value.ok()) return bad(at, fmt::format("has a value of the wrong type"));
  return value;
}

Result<int64_t> integer(const Json& at, int64_t low, int64_t high) {
  TRY(const int64_t v, as_option(at, at.as_int64()));
  if (v < low || v > high) return bad(at, fmt::format("is {}, not a number from {} to {}", v, low, high));
  return v;
}

Result<double> number(const Json& at, double low, double high) {
  TRY(const double v, as_option(at, at.as_double()));
  if (!(v >= low && v <= high)) return bad(at, fmt::format("is {}, not a number from {} to {}", v, low, high));
  return v;
}

Result<bool> boolean(const Json& at) { return as_option(at, at.as_bool()); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// One of a list of names, whatever their case.
template <class T>
Result<T> choice(const Json& at, std::initializer_list<std::pair<std::string_view, T>> choices) {
  TRY(const std::string_view text, as_option(at, at.as_string()));
  std::string names;
  for (const auto& [name, value] : choices) {
    if (lower(text) == name) return value;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return bad(at, fmt::format("is '{}', which is none of {}", text, names));
}

constexpr int64_t kMost = int64_t{1} << 48;

// The members of a config that were set. Each reader takes its own; what is left over at the end is an error.
class Members {
 public:
  static Result<Members> of(const Json& at) {
    TRY(const auto fields, as_option(at, at.fields()));
    Members m(at);
    for (auto [key, value] : fields)
      if (key != "config_type") m.members_.emplace(std::string(key), value);
    return m;
  }

  // Calls read(value) if the member is there and not null.
  template <class F>
  Status take(const char* key, const F& read) {
    const auto it = members_.find(key);
    if (it == members_.end()) return {};
    const Json value = it->second;
    members_.erase(it);
    return value.is_null() ? Status() : read(value);
  }

  Status nothing_left(std::string_view type) const {
    if (members_.empty()) return {};
    return bad(at_, fmt::format("'{}' is no option of {}", members_.begin()->first, type));
  }

 private:
  explicit Members(const Json& at) : at_(at) {}
  Json at_;
  std::map<std::string, Json> members_;
};

Status take_threshold(Members& m, int64_t& threshold) {
  return m.take("weight_threshold", [&](const Json& v) -> Status {
    TRY(threshold, integer(v, 0, kMost));
    return {};
  });
}

Status read_block_size(const Json& v, OpLinearQuantizerConfig& c) {
  if (!v.is_array()) {
    TRY(const int64_t size, integer(v, 0, kMost));
    c.block_size = {size};
    return {};
  }
  c.block_size.clear();
  c.block_size_is_list = true;
  TRY(const auto items, v.items());
  for (const Json item : items) {
    TRY(const int64_t size, integer(item, 0, kMost));
    c.block_size.push_back(size);
  }
  return {};
}

Result<OpConfig> quantizer(const Json& at) {
  TRY(Members m, Members::of(at));
  OpLinearQuantizerConfig c;
  TRY_DO(m.take("mode", [&](const Json& v) -> Status {
    TRY(c.symmetric, choice<bool>(v, {{"linear_symmetric", true}, {"linear", false}}));
    return {};
  }));
  TRY_DO(m.take("dtype", [&](const Json& v) -> Status {
    TRY(c.dtype, choice<DType>(v, {{"int8", DType::I8}, {"uint8", DType::U8}, {"int4", DType::I4}, {"uint4", DType::U4}}));
    return {};
  }));
  TRY_DO(m.take("granularity", [&](const Json& v) -> Status {
    TRY(c.granularity, choice<Granularity>(v, {{"per_tensor", Granularity::PerTensor},
                                               {"per_channel", Granularity::PerChannel},
                                               {"per_block", Granularity::PerBlock}}));
    return {};
  }));
  TRY_DO(m.take("block_size", [&](const Json& v) { return read_block_size(v, c); }));
  TRY_DO(take_threshold(m, c.weight_threshold));
  TRY_DO(m.nothing_left("OpLinearQuantizerConfig"));
  return OpConfig(c);
}

Status read_palette_shape(Members& m, OpPalettizerConfig& c) {
  TRY_DO(m.take("granularity", [&](const Json& v) -> Status {
    TRY(c.granularity, choice<Granularity>(v, {{"per_tensor", Granularity::PerTensor},
                                               {"per_grouped_channel", Granularity::PerGroupedChannel}}));
    return {};
  }));
  TRY_DO(m.take("group_size", [&](const Json& v) -> Status {
    TRY(c.group_size, integer(v, 0, kMost));
    return {};
  }));
  TRY_DO(m.take("channel_axis", [&](const Json& v) -> Status {
    TRY(c.channel_axis, integer(v, -5, 4));
    return {};
  }));
  return m.take("cluster_dim", [&](const Json& v) -> Status {
    TRY(const int64_t dim, integer(v, 1, kMost));
    return dim == 1 ? Status() : Status(bad(v, "asks for vector palettization, which is not supported", "use 1"));
  });
}

Result<OpConfig> palettizer(const Json& at) {
  using Mode = OpPalettizerConfig::Mode;
  TRY(Members m, Members::of(at));
  OpPalettizerConfig c;
  TRY_DO(m.take("mode", [&](const Json& v) -> Status {
    if (v.as_string().ok() && lower(v.as_string().value()) == "custom")
      return bad(v, "asks for a Python function, which cannot run here", "use kmeans, uniform or unique");
    TRY(c.mode, choice<Mode>(v, {{"kmeans", Mode::KMeans}, {"uniform", Mode::Uniform}, {"unique", Mode::Unique}}));
    return {};
  }));
  TRY_DO(m.take("nbits", [&](const Json& v) -> Status {
    TRY(const int64_t bits, integer(v, 1, 8));
    if (bits == 5 || bits == 7) return bad(v, fmt::format("is {}, which is none of 1, 2, 3, 4, 6, 8", bits));
    c.nbits = static_cast<int>(bits);
    return {};
  }));
  if (c.nbits == 0 && c.mode != Mode::Unique) return bad(at, "'nbits' is missing; it is 1, 2, 3, 4, 6 or 8");
  if (c.nbits != 0 && c.mode == Mode::Unique) return bad(at, "'nbits' does not go with the mode 'unique', which finds it");
  TRY_DO(read_palette_shape(m, c));
  TRY_DO(m.take("enable_per_channel_scale", [&](const Json& v) -> Status {
    TRY(c.enable_per_channel_scale, boolean(v));
    return {};
  }));
  // How many processes coremltools may use; threads are used here anyway.
  TRY_DO(m.take("num_kmeans_workers", [&](const Json& v) -> Status {
    TRY_DO(integer(v, 1, kMost));
    return {};
  }));
  TRY_DO(m.take("lut_function",
                [&](const Json& v) -> Status { return bad(v, "is a Python function, which cannot run here"); }));
  TRY_DO(take_threshold(m, c.weight_threshold));
  TRY_DO(m.nothing_left("OpPalettizerConfig"));
  return OpConfig(c);
}

Result<OpConfig> threshold_pruner(const Json& at) {
  TRY(Members m, Members::of(at));
  OpThresholdPrunerConfig c;
  TRY_DO(m.take("threshold", [&](const Json& v) -> Status {
    TRY(c.threshold, number(v, 0, 1e300));
    return {};
  }));
  TRY_DO(m.take("minimum_sparsity_percentile", [&](const Json& v) -> Status {
    TRY(c.minimum_sparsity_percentile, number(v, 0, 1));
    return {};
  }));
  TRY_DO(take_threshold(m, c.weight_threshold));
  TRY_DO(m.nothing_left("OpThresholdPrunerConfig"));
  return OpConfig(c);
}

Result<std::pair<int64_t, int64_t>> ratio(const Json& v) {
  TRY(const auto items, as_option(v, v.items()));
  std::vector<int64_t> pair;
  for (const Json item : items) {
    TRY(const int64_t n, integer(item, 0, 1 << 16));
    pair.push_back(n);
  }
  if (pair.size() != 2 || pair[0] > pair[1] || pair[1] < 1) return bad(v, "is no pair [n, m] with n <= m");
  return std::pair(pair[0], pair[1]);
}

Result<OpConfig> magnitude_pruner(const Json& at) {
  TRY(Members m, Members::of(at));
  OpMagnitudePrunerConfig c;
  std::optional<int64_t> dim;
  TRY_DO(m.take("target_sparsity", [&](const Json& v) -> Status {
    TRY(c.target_sparsity, number(v, 0, 1));
    return {};
  }));
  TRY_DO(m.take("block_size", [&](const Json& v) -> Status {
    TRY(c.block_size, integer(v, 2, kMost));
    return {};
  }));
  TRY_DO(m.take("n_m_ratio", [&](const Json& v) -> Status {
    TRY(c.n_m_ratio, ratio(v));
    return {};
  }));
  TRY_DO(m.take("dim", [&](const Json& v) -> Status {
    TRY(dim, integer(v, 0, 1));
    return {};
  }));
  if (c.target_sparsity.has_value() == c.n_m_ratio.has_value())
    return bad(at, "either 'target_sparsity' or 'n_m_ratio' must be set");
  if (c.block_size && c.n_m_ratio) return bad(at, "'block_size' and 'n_m_ratio' exclude each other");
  if (dim && !c.is_structural()) return bad(at, "'dim' goes with 'block_size' or 'n_m_ratio' only");
  c.dim = dim.value_or(c.n_m_ratio ? 1 : 0);
  TRY_DO(take_threshold(m, c.weight_threshold));
  TRY_DO(m.nothing_left("OpMagnitudePrunerConfig"));
  return OpConfig(c);
}

using Reader = Result<OpConfig> (*)(const Json&);

Result<Reader> reader(const Json& type) {
  return choice<Reader>(type, {{"oplinearquantizerconfig", quantizer},
                               {"oppalettizerconfig", palettizer},
                               {"opthresholdprunerconfig", threshold_pruner},
                               {"opmagnitudeprunerconfig", magnitude_pruner}});
}

// Null leaves ops alone; a config_type of its own overrides that of the file.
Result<std::optional<OpConfig>> op_config(const Json& at, Reader read) {
  if (at.is_null()) return std::optional<OpConfig>();
  TRY(const auto type, as_option(at, at.optional_field("config_type")));
  if (type) {
    TRY(read, reader(*type));
  }
  TRY(OpConfig config, read(at));
  return std::optional<OpConfig>(std::move(config));
}

Status read_entries(const Json& at, Reader read, std::map<std::string, std::optional<OpConfig>>& entries) {
  if (at.is_null()) return {};
  TRY(const auto fields, as_option(at, at.fields()));
  for (auto [name, value] : fields) {
    TRY(entries[std::string(name)], op_config(value, read));
  }
  return {};
}

Result<OptimizationConfig> optimization(const Json& at) {
  TRY(const auto fields, as_option(at, at.fields()));
  TRY(const auto type, at.optional_field("config_type"));
  if (!type)
    return bad(at, "'config_type' is missing",
               "use OpLinearQuantizerConfig, OpPalettizerConfig, OpThresholdPrunerConfig or OpMagnitudePrunerConfig");
  TRY(const Reader read, reader(*type));
  OptimizationConfig config;
  for (auto [key, value] : fields) {
    if (key == "config_type") continue;
    if (key == "global_config") {
      TRY(config.global_config, op_config(value, read));
    } else if (key == "op_type_configs") {
      TRY_DO(read_entries(value, read, config.op_type_configs));
    } else if (key == "op_name_configs") {
      TRY_DO(read_entries(value, read, config.op_name_configs));
    } else {
      return bad(value, "is none of config_type, global_config, op_type_configs and op_name_configs");
    }
  }
  for (const auto& [op, entry] : config.op_type_configs) {
    const auto* pruner = entry ? std::get_if<OpMagnitudePrunerConfig>(&*entry) : nullptr;
    if (pruner && pruner->is_structural() && op != "conv" && op != "linear")
      return bad(at, fmt::format("block sparsity and n:m pruning are for conv and linear, not for {}", op));
  }
  return config;
}

Diagnostic not_json(Diagnostic d, const std::string& name) {
  d.kind = DiagKind::BadOption;
  const bool yaml = name.ends_with(".yaml") || name.ends_with(".yml");
  d.help = yaml ? "write it as JSON: python -c 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))'"
                : "see docs/compression.md";
  return d;
}

}  // namespace

int64_t weight_threshold(const OpConfig& config) {
  return std::visit([](const auto& c) { return c.weight_threshold; }, config);
}

Result<Config> parse_config(std::string_view json, const std::string& name) {
  auto document = archive::parse_json(json, name);
  if (!document.ok()) return not_json(std::move(document).error(), name);
  const Json root = document->root();
  Config config;
  if (!root.is_array()) {
    TRY(auto step, optimization(root));
    config.steps.push_back(std::move(step));
    return config;
  }
  TRY(const auto items, root.items());
  for (const Json item : items) {
    TRY(auto step, optimization(item));
    config.steps.push_back(std::move(step));
  }
  return config;
}

Result<Config> parse_quantizer(std::string_view json, const std::string& name) {
  auto document = archive::parse_json(json, name);
  if (!document.ok()) return not_json(std::move(document).error(), name);
  OptimizationConfig step;
  TRY(step.global_config, quantizer(document->root()));
  step.op_type_configs["gather"] = std::nullopt;
  step.following_op_type = "gather";
  return Config{{std::move(step)}};
}

}  // namespace cortland::compression
