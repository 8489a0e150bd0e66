#include "compression/compress.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/parallel.h"
#include "compression/form.h"
#include "compression/positive.h"
#include "mil/names.h"

namespace cortland::compression {
namespace {

// An op that reads a constant, and the op of the function's own block that it belongs to.
struct Reader {
  mil::OpId op;
  uint32_t binding = 0;
  mil::OpId top;
  size_t function = 0;
};

struct Candidate {
  mil::ConstId id;
  std::string name;  // as the uncompressed package has it: "conv_1_weight"
  std::vector<Reader> readers;
  Plan plan;
  std::variant<Form, Skip> form = Skip{};
  bool wanted() const { return plan.prune || plan.palettize || plan.quantize; }
};

bool may_compress(const mil::Const& constant) {
  const DType type = constant.type.dtype();
  return (type == DType::F16 || type == DType::F32) && constant.data.shape().size() > 1 && constant.data.elements() >= 10;
}

class Finder {
 public:
  Finder(const mil::Program& program, size_t function)
      : program_(program), function_(function), names_(program, program.functions[function]) {}

  void run(std::map<mil::ConstId, Candidate>& found) {
    const mil::Function& f = program_.functions[function_];
    for (mil::OpId id : program_.blocks[f.body].ops) visit(id, id, found);
  }

  const std::string& op_name(mil::OpId id) const { return names_.op(id); }

 private:
  void visit(mil::OpId id, mil::OpId top, std::map<mil::ConstId, Candidate>& found) {
    const mil::Op& op = program_.ops[id];
    for (uint32_t b = 0; b < op.operands.size(); ++b) {
      const mil::ConstId constant = op.operands[b].operand.constant();
      if (!constant || !may_compress(program_.consts[constant])) continue;
      Candidate& candidate = found[constant];
      candidate.id = constant;
      if (candidate.name.empty()) candidate.name = name_of(id, b);
      candidate.readers.push_back({id, b, top, function_});
    }
    for (mil::BlockId nested : op.blocks)
      for (mil::OpId inner : program_.blocks[nested].ops) visit(inner, top, found);
  }

  // As the package writer names constants.
  std::string name_of(mil::OpId id, uint32_t binding) const {
    const mil::Op& op = program_.ops[id];
    const mil::Input& input = op.def->inputs[op.operands[binding].slot];
    const std::string name = fmt::format("{}_{}", names_.op(id), input.name);
    uint32_t first = binding;
    while (first > 0 && op.operands[first - 1].slot == op.operands[binding].slot) --first;
    return input.need == mil::Need::Variadic ? fmt::format("{}_{}", name, binding - first) : name;
  }

  const mil::Program& program_;
  size_t function_;
  mil::Names names_;
};

bool flag(const mil::Program& program, const mil::Op& op, std::string_view input) {
  const mil::Operand o = program.operand(op, input);
  return o.is_const() && program.consts[o.constant()].data.to_ints()[0] != 0;
}

// Input and output channels as one reader takes them.
std::pair<size_t, size_t> channels(const mil::Program& program, const Reader& reader, size_t rank) {
  const mil::Op& op = program.ops[reader.op];
  if (op.def->name == "conv_transpose") return {0, 1};
  if (op.def->name != "matmul") return {1, 0};
  const bool is_y = op.def->inputs[op.operands[reader.binding].slot].name == "y";
  const bool turned = flag(program, op, is_y ? "transpose_y" : "transpose_x");
  // The shared axis of y comes before the last, that of x is the last, unless it is turned.
  return is_y != turned ? std::pair(rank - 2, rank - 1) : std::pair(rank - 1, rank - 2);
}

// Whether a reader sums products with values that are positive on the whole, one sum an output channel.
bool sums_positive(const mil::Program& program, const Reader& reader) {
  const mil::Op& op = program.ops[reader.op];
  const std::string_view name = op.def->name, input = op.def->inputs[op.operands[reader.binding].slot].name;
  if (name == "matmul") return is_mostly_positive(program, program.operand(op, input == "y" ? "x" : "y"));
  if (input != "weight" || (name != "linear" && name != "conv" && name != "conv_transpose")) return false;
  // The channels of a transposed convolution's groups lie under one index.
  const mil::Operand groups = program.operand(op, "groups");
  if (name == "conv_transpose" && groups.is_const() && program.consts[groups.constant()].data.to_ints()[0] != 1) return false;
  return is_mostly_positive(program, program.operand(op, "x"));
}

ChannelAxes axes_of(const mil::Program& program, const Candidate& c) {
  const size_t rank = program.consts[c.id].data.shape().size();
  ChannelAxes axes;
  for (size_t i = 0; i < c.readers.size(); ++i) {
    const auto [input, output] = channels(program, c.readers[i], rank);
    if (i == 0) axes = {input, output};
    if (axes.input != input) axes.input.reset();
    if (axes.output != output) axes.output.reset();
  }
  axes.positive_inputs =
      std::all_of(c.readers.begin(), c.readers.end(), [&](const Reader& r) { return sums_positive(program, r); });
  return axes;
}

Diagnostic needs(mil::Target target, std::string_view what) {
  return diag(DiagKind::UnsupportedTarget,
              fmt::format("{} needs a deployment target from {} on", what, mil::target_name(target)),
              fmt::format("set the minimum deployment target to {}", mil::target_name(target)));
}

class Compressor {
 public:
  Compressor(mil::Program& program, const Config& config, const Options& options)
      : program_(program), config_(config), options_(options) {}

  Result<Report> run() {
    if (program_.target < mil::Target::iOS16) return needs(mil::Target::iOS16, "weight compression");
    for (size_t f = 0; f < program_.functions.size(); ++f) finders_.emplace_back(program_, f).run(candidates_);
    std::erase_if(candidates_, [&](const auto& entry) { return already_compressed(entry.second); });
    for (const OptimizationConfig& step : config_.steps) TRY_DO(plan(step));
    std::erase_if(candidates_, [](const auto& entry) { return !entry.second.wanted(); });
    for (const auto& [id, c] : candidates_) TRY_DO(check_target(c));
    TRY_DO(make_forms());
    for (auto& [id, c] : candidates_) TRY_DO(replace(c));
    finish_warnings();
    TRY_DO(mil::verify(program_));
    return std::move(report_);
  }

 private:
  bool already_compressed(const Candidate& c) const {
    return std::any_of(c.readers.begin(), c.readers.end(),
                       [&](const Reader& r) { return program_.ops[r.op].def->constexpr_op; });
  }

  Status plan(const OptimizationConfig& step) {
    std::set<std::string> unused;
    for (const auto& [name, config] : step.op_name_configs) unused.insert(name);
    for (auto& [id, c] : candidates_) {
      for (const Reader& r : c.readers) unused.erase(finders_[r.function].op_name(r.op));
      unused.erase(c.name);
      TRY(const auto* config, config_of(step, c));
      if (config && *config) TRY_DO(add(c, **config, step.op_name_configs.count(c.name) > 0));
    }
    for (const std::string& name : unused)
      report_.warnings.push_back(fmt::format("no op with a large weight, and no weight, is named '{}'", name));
    return {};
  }

  // By the constant's name, else what the readers agree on: by name, by type, or the global one.
  Result<const std::optional<OpConfig>*> config_of(const OptimizationConfig& step, const Candidate& c) const {
    if (const auto it = step.op_name_configs.find(c.name); it != step.op_name_configs.end()) return &it->second;
    const std::optional<OpConfig>* agreed = nullptr;
    const Reader* first = nullptr;
    const auto follows = [&](const Reader& r) {
      return step.following_op_type && program_.ops[r.op].def->name == *step.following_op_type;
    };
    const bool all_follow = std::all_of(c.readers.begin(), c.readers.end(), follows);
    for (const Reader& r : c.readers) {
      if (follows(r) && !all_follow) continue;
      const std::optional<OpConfig>* config = config_of(step, r);
      if (!first) {
        first = &r;
        agreed = config;
      } else if (*agreed != *config) {
        return diag(
            DiagKind::BadOption,
            fmt::format("the weight '{}' is read by '{}' and by '{}', for which the configuration says different things",
                        c.name, finders_[first->function].op_name(first->op), finders_[r.function].op_name(r.op)),
            fmt::format("add an entry '{}' to op_name_configs", c.name));
      }
    }
    return agreed;
  }

  const std::optional<OpConfig>* config_of(const OptimizationConfig& step, const Reader& r) const {
    if (const auto it = step.op_name_configs.find(finders_[r.function].op_name(r.op)); it != step.op_name_configs.end())
      return &it->second;
    if (const auto it = step.op_type_configs.find(std::string(program_.ops[r.op].def->name));
        it != step.op_type_configs.end())
      return &it->second;
    return &step.global_config;
  }

  Status add(Candidate& c, const OpConfig& config, bool by_name) {
    if (program_.consts[c.id].data.elements() <= weight_threshold(config)) return {};
    Plan& p = c.plan;
    if (const auto* quantizer = std::get_if<OpLinearQuantizerConfig>(&config)) {
      if (p.quantize) return repeated(c, "quantised");
      p.quantize = *quantizer;
      return {};
    }
    if (p.quantize) return wrong_order(c);
    if (const auto* palettizer = std::get_if<OpPalettizerConfig>(&config)) {
      if (p.palettize) return repeated(c, "palettized");
      p.palettize = *palettizer;
      return {};
    }
    if (p.palettize) return wrong_order(c);
    if (p.prune) return repeated(c, "pruned");
    if (const auto* pruner = std::get_if<OpMagnitudePrunerConfig>(&config)) {
      if (pruner->is_structural() && !by_name && !takes_structure(c)) {
        skipped_["block sparsity and n:m pruning are for the weights of conv and linear"].push_back(c.name);
        return {};
      }
      p.prune = *pruner;
    } else {
      p.prune = std::get<OpThresholdPrunerConfig>(config);
    }
    return {};
  }

  bool takes_structure(const Candidate& c) const {
    return std::all_of(c.readers.begin(), c.readers.end(), [&](const Reader& r) {
      const mil::Op& op = program_.ops[r.op];
      return (op.def->name == "conv" || op.def->name == "linear") &&
             op.def->inputs[op.operands[r.binding].slot].name == "weight";
    });
  }

  static Diagnostic repeated(const Candidate& c, std::string_view what) {
    return diag(DiagKind::BadOption, fmt::format("the weight '{}' would be {} twice", c.name, what),
                "give each kind of compression once");
  }
  static Diagnostic wrong_order(const Candidate& c) {
    return diag(DiagKind::BadOption,
                fmt::format("the configurations for the weight '{}' are in an order that is not supported", c.name),
                "prune first, then palettize, then quantize");
  }

  Status check_target(const Candidate& c) const {
    const Plan& p = c.plan;
    if (p.palettize && p.palettize->enable_per_channel_scale)
      return diag(DiagKind::BadOption,
                  "'enable_per_channel_scale' is not supported: Core ML fails to load such weights on macOS 26",
                  "palettize with the granularity per_grouped_channel instead");
    if (p.quantize && p.palettize && p.quantize->granularity != Granularity::PerTensor)
      return diag(DiagKind::BadOption,
                  "the tables of palettized weights can only be quantised with the granularity 'per_tensor'",
                  "set 'granularity' to 'per_tensor'");
    if (program_.target >= mil::Target::iOS18) return {};
    if (p.is_joint()) return needs(mil::Target::iOS18, "joint compression");
    if (p.quantize && bit_width(p.quantize->dtype) == 4) return needs(mil::Target::iOS18, "4-bit quantization");
    if (p.quantize && p.quantize->granularity == Granularity::PerBlock)
      return needs(mil::Target::iOS18, "per_block quantization");
    if (p.palettize && p.palettize->granularity == Granularity::PerGroupedChannel)
      return needs(mil::Target::iOS18, "per_grouped_channel palettization");
    if (p.palettize && p.palettize->nbits == 3)
      return diag(DiagKind::UnsupportedTarget, "Core ML rejects 3-bit palettized weights before iOS18",
                  "set the minimum deployment target to iOS18, or 'nbits' to 4");
    return {};
  }

  Status make_forms() {
    std::vector<Candidate*> work;
    for (auto& [id, c] : candidates_) work.push_back(&c);
    // The longest first, so that no thread is left alone with it at the end.
    std::stable_sort(work.begin(), work.end(), [&](const Candidate* a, const Candidate* b) {
      return program_.consts[a->id].data.elements() > program_.consts[b->id].data.elements();
    });
    return for_each_parallel(work.size(), [&](size_t i) -> Status {
      Candidate& c = *work[i];
      if (c.plan.prune && c.plan.quantize && read_by(c, "lstm"))
        c.form = Skip{"Core ML computes LSTMs wrongly whose weights are both pruned and quantised"};
      else
        c.form = make_form(program_.consts[c.id].data, c.plan, axes_of(program_, c), program_.target);
      return {};
    });
  }

  bool read_by(const Candidate& c, std::string_view type) const {
    return std::any_of(c.readers.begin(), c.readers.end(),
                       [&](const Reader& r) { return program_.ops[r.op].def->name == type; });
  }

  // In each function the ops that make the weight stand before the first that reads it.
  Status replace(Candidate& c) {
    if (const auto* skip = std::get_if<Skip>(&c.form)) {
      skipped_[skip->reason].push_back(c.name);
      return {};
    }
    const Form& form = std::get<Form>(c.form);
    if (!form.not_pruned.empty()) not_pruned_[form.not_pruned].push_back(c.name);
    std::map<size_t, mil::ValueId> made;
    for (const Reader& r : c.readers) {
      if (!made.count(r.function)) {
        const mil::BlockId body = program_.functions[r.function].body;
        const auto& ops = program_.blocks[body].ops;
        const auto position = static_cast<int>(std::find(ops.begin(), ops.end(), r.top) - ops.begin());
        TRY(made[r.function], emit_form(program_, body, position, form, c.name));
      }
      program_.set_operand(r.op, r.binding, made.at(r.function));
    }
    ++report_.weights;
    report_.bytes_before += program_.consts[c.id].data.byte_size();
    report_.bytes_after += form.bytes();
    blocks_ = blocks_ || (c.plan.quantize && c.plan.quantize->granularity == Granularity::PerBlock);
    return {};
  }

  using Named = std::map<std::string, std::vector<std::string>>;

  void say(const Named& weights, std::string_view what) {
    for (const auto& [reason, names] : weights) {
      std::string list = names[0];
      for (size_t i = 1; i < std::min<size_t>(names.size(), 3); ++i) list += ", " + names[i];
      if (names.size() > 3) list += fmt::format(" and {} more", names.size() - 3);
      report_.warnings.push_back(fmt::format("{} {}: {}", list, what, reason));
    }
  }

  void finish_warnings() {
    say(skipped_, "not compressed");
    say(not_pruned_, "not pruned");
    if (blocks_ && options_.neural_engine)
      report_.warnings.push_back(
          "weights quantised per_block do not run on the Neural Engine, which computes wrongly with them: "
          "use per_channel or palettization for it, or the compute unit cpu_and_gpu");
  }

  mil::Program& program_;
  const Config& config_;
  const Options& options_;
  std::vector<Finder> finders_;
  std::map<mil::ConstId, Candidate> candidates_;
  Named skipped_, not_pruned_;  // names by reason
  bool blocks_ = false;
  Report report_;
};

}  // namespace

Result<Report> compress(mil::Program& program, const Config& config, const Options& options) {
  return Compressor(program, config, options).run();
}

void merge(Report& into, Report&& from) {
  into.weights += from.weights;
  into.bytes_before += from.bytes_before;
  into.bytes_after += from.bytes_after;
  for (std::string& warning : from.warnings)
    if (std::find(into.warnings.begin(), into.warnings.end(), warning) == into.warnings.end())
      into.warnings.push_back(std::move(warning));
}

}  // namespace cortland::compression
