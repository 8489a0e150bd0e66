#include "engine/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_map>

#include "engine/fuse.h"
#include "engine/layout.h"
#include "mil_ops/ops.h"

namespace cortland::engine {
namespace {

using mil::RuntimeValue;
using mil::Type;

size_t at(int32_t i) { return static_cast<size_t>(i); }

// The same tensor, laid out alike.
class Same final : public Kernel {
 public:
  Status run(KernelContext& c) override {
    c.set_output(0, c.tensor("x").cast(DType::F32));
    return {};
  }
};

class Relayout final : public Kernel {
 public:
  explicit Relayout(bool last) : last_(last) {}
  Status run(KernelContext& c) override {
    c.set_output(0, last_ ? to_channels_last(c.tensor("x")) : to_channels_first(c.tensor("x")));
    return {};
  }

 private:
  bool last_;
};

Type widened(Type type) {
  if (type.tensor.dtype == DType::F16) type.tensor.dtype = DType::F32;
  return type;
}

Type with_channels_last(Type type) {
  auto& shape = type.tensor.shape;
  if (shape.size() > 2) std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  return type;
}

// Kernels of these keep their constants as they are stored; weights are most of a model.
bool keeps_constants(std::string_view op) {
  constexpr std::string_view kOps[] = {"conv", "conv_transpose", "gather", "gru", "linear", "lstm", "matmul", "rnn"};
  return std::find(std::begin(kOps), std::end(kOps), op) != std::end(kOps);
}

// Results of these are elements of their operands.
bool keeps_values(std::string_view op) {
  constexpr std::string_view kOps[] = {
      "concat", "crop",     "depth_to_space", "expand_dims", "gather",         "gather_along_axis", "gather_nd", "identity", "max_pool",
      "maximum", "minimum", "pixel_shuffle",  "reduce_max",  "reduce_min",     "relu",              "reshape",   "reshape_like", "reverse",
      "select", "slice_by_index", "slice_by_size", "sliding_windows", "space_to_batch", "space_to_depth", "split", "squeeze", "stack",
      "tile", "transpose"};
  return std::find(std::begin(kOps), std::end(kOps), op) != std::end(kOps);
}

// A step's operands in one layout. Registers are named by what the program computes, whichever way they lie.
struct Form {
  struct Operand {
    Source source;
    bool last = false;
  };
  std::vector<std::vector<Operand>> inputs;
  std::vector<bool> results_last;
  bool native = false;  // nothing but a kernel that knows the layout can run it
  bool same = false;    // the result is the operand
};

class Compiler {
 public:
  Compiler(Plan& plan, Precision precision) : plan_(plan), exact_(precision == Precision::Exact) {
    last_.resize(plan.types.size());
    computed_.resize(plan.types.size());
    for (int32_t r : plan.inputs) computed_[at(r)] = true;
  }

  const Status& status() const { return status_; }

  void block(int32_t index) {
    std::vector<Step> steps = std::move(plan_.blocks[at(index)].steps);
    plan_.blocks[at(index)].steps.clear();
    for (int32_t r : plan_.blocks[at(index)].inputs) computed_[at(r)] = true;
    Scope scope{index, {}, {}};
    const Readers readers = Readers::of(plan_, steps);
    std::vector<bool> done(steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      if (done[i]) continue;
      for (int32_t nested : steps[i].blocks) block(nested);
      place(scope, steps, i, readers, done);
    }
    for (Source& out : plan_.blocks[at(index)].outputs) out = out.is_register() ? in_layout(scope, out, false) : wide_constant(out);
    plan_.blocks[at(index)].steps = std::move(scope.steps);
  }

 private:
  struct Scope {
    int32_t index;
    std::vector<Step> steps;
    std::unordered_map<int32_t, int32_t> converted;  // to the other layout
  };

  const Type& type(int32_t r) const { return plan_.types[at(r)]; }

  // With its elements, so computed when it is pending.
  const RuntimeValue& constant(Source s) {
    RuntimeValue& value = plan_.constants[at(s.index)];
    if (Status expanded = plan_.expand(s.index); !expanded.ok()) {
      if (status_.ok()) status_ = std::move(expanded);
      // The plan will not run, but whoever asked may look at the elements.
      value.tensor = mil::Tensor::make(value.tensor.dtype, value.tensor.shape);
      std::memset(value.tensor.mutable_data(), 0, value.tensor.bytes());
      plan_.pending.erase(s.index);
    }
    return value;
  }

  int32_t add_register(const Type& type, int32_t block, bool last) {
    const int32_t r = plan_.new_register(type, block);
    last_.push_back(last);
    computed_.push_back(true);
    return r;
  }

  Source wide_constant(Source s) {
    if (constant(s).tensor.dtype != DType::F16) return s;
    const auto [it, added] = wide_.try_emplace(s.index, -1);
    if (added) it->second = plan_.new_constant({constant(s).tensor.cast(DType::F32), {}, nullptr});
    return {Source::Kind::Constant, it->second};
  }

  // The register that holds the value of `s` in the layout; a step that converts it where there is none yet.
  Source in_layout(Scope& scope, Source s, bool last) {
    if (last_[at(s.index)] == last || type(s.index).rank() < 3) return s;
    if (const auto it = scope.converted.find(s.index); it != scope.converted.end()) return {Source::Kind::Register, it->second};
    const int32_t r = add_register(type(s.index), scope.index, last);
    Step step;
    step.op = mil_ops::find("transpose", mil::Target::iOS15);
    step.name = last ? "to_channels_last" : "to_channels_first";
    step.inputs.resize(step.op->inputs.size());
    step.inputs[static_cast<size_t>(step.op->slot("x"))] = {s};
    step.arguments.resize(step.inputs.size());
    step.arguments[static_cast<size_t>(step.op->slot("x"))].resize(1);
    step.result_types = {widened(last ? with_channels_last(type(r)) : type(r))};
    step.results = {r};
    step.kernel = std::make_unique<Relayout>(last);
    scope.steps.push_back(std::move(step));
    scope.converted.emplace(s.index, r);
    return {Source::Kind::Register, r};
  }

  // --- forms

  Form row_major(const Step& step) const {
    Form form;
    for (const auto& slot : step.inputs) {
      form.inputs.emplace_back();
      for (Source s : slot) form.inputs.back().push_back({s, false});
    }
    form.results_last.assign(step.results.size(), false);
    form.same = is_float_cast(step);
    return form;
  }

  bool is_float_cast(const Step& step) const {
    if (step.op->name != "cast") return false;
    const Source x = step.inputs[slot(step, "x")].at(0);
    return x.is_register() && is_float(type(x.index).dtype()) && is_float(step.result_types[0].dtype());
  }

  static size_t slot(const Step& step, std::string_view name) { return static_cast<size_t>(step.op->slot(name)); }
  bool lies_last(Source s) const { return s.is_register() && last_[at(s.index)]; }

  bool any_last(const Step& step) const {
    for (const auto& slot : step.inputs)
      if (std::any_of(slot.begin(), slot.end(), [&](Source s) { return lies_last(s); })) return true;
    return false;
  }

  // With channels last; nothing where the step cannot or should not run so.
  std::optional<Form> channels_last_form(const Step& step) {
    const LayoutRule rule = layout_rule(step.op->name);
    if (rule == LayoutRule::None) return std::nullopt;
    if (rule == LayoutRule::Native) return native_form(step);
    if (rule == LayoutRule::Transpose) return transpose_form(step);
    if (!any_last(step)) return std::nullopt;
    if (rule == LayoutRule::Elementwise) return elementwise_form(step);
    return axis_form(step, rule);
  }

  std::optional<Form> native_form(const Step& step) const {
    const Source x = step.inputs[slot(step, "x")].at(0);
    if (!x.is_register() || type(x.index).rank() < 3) return std::nullopt;
    if (step.op->name.ends_with("pool") && !lies_last(x)) return std::nullopt;
    Form form = row_major(step);
    form.inputs[slot(step, "x")][0].last = true;
    form.results_last = {true};
    form.native = true;
    return form;
  }

  std::optional<Form> elementwise_form(const Step& step) {
    const int rank = step.result_types[0].rank();
    Form form = row_major(step);
    for (size_t i = 0; i < form.inputs.size(); ++i)
      for (auto& operand : form.inputs[i]) {
        const std::string_view name = step.op->inputs[i].name;
        if (operand.source.is_register()) {
          const int r = type(operand.source.index).rank();
          if (r != rank && r != 0) return std::nullopt;
          operand.last = r == rank;
        } else if (name == "x" || name == "y") {
          operand.source = constant_channels_last(operand.source, rank);
        }
      }
    form.results_last.assign(step.results.size(), true);
    return form;
  }

  std::optional<Form> axis_form(const Step& step, LayoutRule rule) {
    const std::string_view name = rule == LayoutRule::Axis ? "axis" : "axes";
    Form form = row_major(step);
    int rank = 0;
    for (size_t i = 0; i < form.inputs.size(); ++i)
      if (const auto given = step.op->inputs[i].name; given == "x" || given == "values")
        for (auto& operand : form.inputs[i]) {
          if (!operand.source.is_register()) return std::nullopt;
          rank = type(operand.source.index).rank();
          operand.last = true;
        }
    const auto parameter = slot(step, name);
    std::vector<int64_t> axes;
    if (!step.inputs[parameter].empty()) {
      if (step.inputs[parameter][0].is_register()) return std::nullopt;
      axes = constant(step.inputs[parameter][0]).tensor.ints();
    } else if (rule == LayoutRule::Axis) {
      axes = {static_cast<int64_t>(step.op->inputs[parameter].fallback.number)};
    } else {
      return std::nullopt;
    }
    const bool keeps_rank = step.result_types[0].rank() == rank;
    if (rank < 3 || (!keeps_rank && !keeps_order(axes, rank)) || (step.op->name == "layer_norm" && axes.size() != 1)) return std::nullopt;
    const bool is_list = step.inputs[parameter].empty() ? false : constant(step.inputs[parameter][0]).tensor.rank() == 1;
    for (int64_t& axis : axes) axis = axis_channels_last(axis, rank);
    const std::vector<int64_t> shape = is_list ? std::vector<int64_t>{static_cast<int64_t>(axes.size())} : std::vector<int64_t>{};
    form.inputs[parameter] = {{new_constant(mil::Tensor::from(DType::I32, shape, axes)), false}};
    form.results_last.assign(step.results.size(), keeps_rank);
    return form;
  }

  // Whether what a reduction leaves, in the order of channels-last axes, is in the order of the program's.
  static bool keeps_order(std::vector<int64_t> axes, int rank) {
    for (int64_t& a : axes) a = a < 0 ? a + rank : a;
    auto gone = [&](int64_t axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); };
    if (gone(1)) return true;
    for (int64_t axis = 2; axis < rank; ++axis)
      if (!gone(axis)) return false;
    return true;
  }

  std::optional<Form> transpose_form(const Step& step) {
    const Source x = step.inputs[slot(step, "x")].at(0), given = step.inputs[slot(step, "perm")].at(0);
    if (!x.is_register() || given.is_register()) return std::nullopt;
    auto perm = constant(given).tensor.ints();
    const auto rank = static_cast<int64_t>(perm.size());
    if (rank < 3 || rank != type(x.index).rank()) return std::nullopt;
    for (int64_t& p : perm) p = p < 0 ? p + rank : p;
    Form form = row_major(step);
    if (!lies_last(x)) {
      // A result that is the operand with its last axis moved to the channels lies there already, channels last.
      std::vector<int64_t> from_last = {0, rank - 1};
      for (int64_t axis = 1; axis < rank - 1; ++axis) from_last.push_back(axis);
      if (perm != from_last) return std::nullopt;
      form.results_last = {true};
      form.same = true;
      return form;
    }
    for (int64_t& p : perm) p = axis_channels_last(p, rank);
    form.inputs[slot(step, "x")][0].last = true;
    std::vector<int64_t> order(perm.size());
    std::iota(order.begin(), order.end(), 0);
    form.same = perm == order;
    form.inputs[slot(step, "perm")] = {{new_constant(mil::Tensor::from(DType::I32, {rank}, perm)), false}};
    return form;
  }

  Source new_constant(mil::Tensor tensor) { return {Source::Kind::Constant, plan_.new_constant({std::move(tensor), {}, nullptr})}; }

  Source constant_channels_last(Source s, int rank) {
    const mil::Tensor& tensor = constant(s).tensor;
    if (!tensor.storage || tensor.elements() == 1) return s;
    const auto [it, added] = moved_.try_emplace({s.index, rank}, -1);
    if (added) {
      std::vector<int64_t> shape(static_cast<size_t>(rank) - tensor.shape.size(), 1);
      shape.insert(shape.end(), tensor.shape.begin(), tensor.shape.end());
      const mil::Tensor moved = to_channels_last(tensor.reshaped(shape));
      it->second = plan_.new_constant({moved, {}, nullptr});
    }
    return {Source::Kind::Constant, it->second};
  }

  // --- kernels

  // The kernel that runs `step` in this form with the first `count` followers in it; null when none does.
  std::unique_ptr<Kernel> find_kernel(const Step& step, const Form& form, const Followers& followers, size_t count) {
    if (form.same) return count == 0 ? std::make_unique<Same>() : nullptr;
    std::vector<std::vector<RuntimeValue>> constants(step.op->inputs.size());
    std::vector<std::vector<Type>> types(step.op->inputs.size());
    std::vector<std::shared_ptr<const Expression>> expressions(step.op->inputs.size());
    for (size_t i = 0; i < types.size(); ++i) {
      bool all = true;
      for (const auto& [source, last] : form.inputs[i]) {
        all = all && !source.is_register();
        types[i].push_back(source.is_register() ? register_type(source.index, last) : constant_type(source));
      }
      if (!all) continue;
      const auto pending = form.inputs[i].size() == 1 ? plan_.pending.find(form.inputs[i][0].source.index) : plan_.pending.end();
      if (pending != plan_.pending.end()) expressions[i] = pending->second;
      for (const auto& operand : form.inputs[i])
        constants[i].push_back(expressions[i] ? plan_.constants[at(operand.source.index)] : constant(operand.source));
    }
    std::vector<Type> results;
    for (size_t i = 0; i < step.results.size(); ++i) results.push_back(register_type(step.results[i], form.results_last[i]));
    Site site{*step.op, constants, types, results, {form.native, {}}, expressions, [&](size_t i) {
                constants[i][0] = constant(form.inputs[i][0].source);
              }};
    for (size_t i = 0; i < count; ++i) site.manner.post.push_back(followers.followers[i].op);
    return make_kernel(site);
  }

  Type register_type(int32_t r, bool last) const { return last ? with_channels_last(widened(type(r))) : widened(type(r)); }

  Type constant_type(Source s) const {
    const RuntimeValue& value = plan_.constants[at(s.index)];
    return value.strings.empty() ? Type(value.tensor.dtype, shape_of(value.tensor.shape)) : Type(DType::String, {});
  }

  void place(Scope& scope, std::vector<Step>& steps, size_t i, const Readers& readers, std::vector<bool>& done) {
    Step& step = steps[i];
    if (step.kind != Step::Kind::Kernel) return finish(scope, step, row_major(step), true);
    if (!keeps_constants(step.op->name))
      for (auto& slot : step.inputs)
        for (Source& s : slot)
          if (!s.is_register()) s = wide_constant(s);
    Followers followers;
    if (step.results.size() == 1) followers = find_followers(plan_, steps, readers, step.results[0], computed_, exact_);
    std::vector<Form> forms;
    if (auto form = channels_last_form(step)) forms.push_back(std::move(*form));
    forms.push_back(row_major(step));
    for (const Form& form : forms) {
      size_t count = followers.followers.size();
      while (!(step.kernel = find_kernel(step, form, followers, count)) && count > 0) --count;
      if (!step.kernel && form.native) continue;
      followers.followers.resize(count);
      fuse(scope, step, form, followers, done);
      return finish(scope, step, form, !step.kernel && step.op->name != "gather");
    }
  }

  // Takes the followers in: their last result becomes the step's.
  void fuse(Scope& scope, Step& step, const Form& form, const Followers& followers, std::vector<bool>& done) {
    std::vector<Source> addends;
    for (const auto& follower : followers.followers) {
      for (size_t taken : follower.steps) done[taken] = true;
      if (follower.addend) addends.push_back(in_layout(scope, *follower.addend, form.results_last[0]));
      step.results[0] = follower.result;
    }
    if (addends.empty()) return;
    step.arguments.emplace_back(addends.size());
    step.inputs.push_back(std::move(addends));
  }

  void finish(Scope& scope, Step& step, const Form& form, bool widen) {
    for (size_t i = 0; i < form.inputs.size(); ++i) {
      step.inputs[i].clear();
      step.arguments[i].clear();
      for (const auto& [source, last] : form.inputs[i]) {
        const Source s = source.is_register() ? in_layout(scope, source, last) : widen ? wide_constant(source) : source;
        const bool reads = !step.kernel || step.kernel->reads(step.op->inputs[i].name);
        step.inputs[i].push_back(s);
        step.arguments[i].push_back(s.is_register() ? RuntimeValue{} : reads ? constant(s) : plan_.constants[at(s.index)]);
      }
    }
    step.result_types.clear();
    for (size_t i = 0; i < step.results.size(); ++i) {
      const int32_t r = step.results[i];
      last_[at(r)] = form.results_last[i];
      computed_[at(r)] = true;
      step.result_types.push_back(register_type(r, form.results_last[i]));
      if (exact_ && step.kind == Step::Kind::Kernel && type(r).dtype() == DType::F16 && !keeps_values(step.op->name)) step.rounds = true;
    }
    scope.steps.push_back(std::move(step));
  }

  struct MovedKey {
    int32_t constant;
    int rank;
    bool operator==(const MovedKey&) const = default;
  };
  struct MovedHash {
    size_t operator()(const MovedKey& k) const { return std::hash<int64_t>()(int64_t{k.constant} * 8 + k.rank); }
  };

  Plan& plan_;
  const bool exact_;
  Status status_;
  std::vector<bool> last_, computed_;  // by register: lies with channels last; has a value
  std::unordered_map<int32_t, int32_t> wide_;
  std::unordered_map<MovedKey, int32_t, MovedHash> moved_;
};

}  // namespace

Status compile(Plan& plan, Precision precision) {
  plan.wide = true;
  for (StatePlan& state : plan.states)
    if (state.dtype == DType::F16) state.dtype = DType::F32;
  Compiler compiler(plan, precision);
  compiler.block(static_cast<int32_t>(plan.blocks.size()) - 1);
  plan.pending.clear();  // what is left is read by nobody
  return compiler.status();
}

}  // namespace cortland::engine
