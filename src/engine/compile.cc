#include "engine/compile.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "engine/fuse.h"
#include "engine/heads.h"
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
    c.set_output(0, wide(c.tensor("x")));
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

Type with_channels_last(Type type) {
  type.tensor.shape = channels_last(std::move(type.tensor.shape));
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

// Scatters combine what is there with the updates, or replace it.
bool replaces_values(const Step& step) {
  if (!step.op->name.starts_with("scatter")) return false;
  const auto mode = static_cast<size_t>(step.op->slot("mode"));
  if (step.inputs[mode].empty()) return std::string_view(step.op->inputs[mode].fallback.text) == "update";
  return !step.inputs[mode][0].is_register() && step.arguments[mode][0].strings.at(0) == "update";
}

class Compiler {
 public:
  Compiler(Plan& plan, Precision precision) : plan_(plan), exact_(precision == Precision::Exact), layouts_(plan) {
    computed_.resize(plan.types.size());
    for (int32_t r : plan.inputs) computed_[at(r)] = true;
  }

  const Status& status() const { return status_; }

  void block(int32_t index) {
    std::vector<Step> steps = std::move(plan_.blocks[at(index)].steps);
    plan_.blocks[at(index)].steps.clear();
    for (int32_t r : plan_.blocks[at(index)].inputs) computed_[at(r)] = true;
    share_heads(plan_, steps);
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
    layouts_.set(r, last);
    computed_.push_back(true);
    return r;
  }

  Source wide_constant(Source s) {
    if (constant(s).tensor.dtype != DType::F16) return s;
    const auto [it, added] = wide_.try_emplace(s.index, -1);
    if (added) it->second = plan_.new_constant({wide(constant(s).tensor), {}, nullptr});
    return {Source::Kind::Constant, it->second};
  }

  // The register that holds the value of `s` in the layout; a step that converts it where there is none yet.
  Source in_layout(Scope& scope, Source s, bool last) {
    if (layouts_.lies_last(s) == last || type(s.index).rank() < 3) return s;
    if (const auto it = scope.converted.find(s.index); it != scope.converted.end()) return {Source::Kind::Register, it->second};
    const int32_t r = add_register(type(s.index), scope.index, last);
    Step step;
    step.op = mil_ops::find("transpose", mil::Target::iOS15);
    step.name = last ? "to_channels_last" : "to_channels_first";
    step.inputs.resize(step.op->inputs.size());
    step.inputs[static_cast<size_t>(step.op->slot("x"))] = {s};
    step.arguments.resize(step.inputs.size());
    step.arguments[static_cast<size_t>(step.op->slot("x"))].resize(1);
    step.result_types = {wide(last ? with_channels_last(type(r)) : type(r))};
    step.results = {r};
    step.kernel = std::make_unique<Relayout>(last);
    scope.steps.push_back(std::move(step));
    scope.converted.emplace(s.index, r);
    return {Source::Kind::Register, r};
  }

  // --- kernels

  // The kernel that runs `step` in this form with the first `count` followers in it; null when none does.
  std::unique_ptr<Kernel> find_kernel(const Step& step, const Form& form, const std::vector<Follower>& followers, size_t count) {
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
    for (size_t i = 0; i < count; ++i) site.manner.post.push_back(followers[i].op);
    return make_kernel(site);
  }

  Type register_type(int32_t r, bool last) const { return last ? with_channels_last(wide(type(r))) : wide(type(r)); }

  Type constant_type(Source s) const {
    const RuntimeValue& value = plan_.constants[at(s.index)];
    return value.strings.empty() ? Type(value.tensor.dtype, shape_of(value.tensor.shape)) : Type(DType::String, {});
  }

  void place(Scope& scope, std::vector<Step>& steps, size_t i, const Readers& readers, std::vector<bool>& done) {
    Step& step = steps[i];
    if (step.kind != Step::Kind::Kernel) return finish(scope, step, layouts_.row_major(step), true);
    if (!keeps_constants(step.op->name))
      for (auto& slot : step.inputs)
        for (Source& s : slot)
          if (!s.is_register()) s = wide_constant(s);
    std::vector<Follower> followers;
    if (step.results.size() == 1) followers = find_followers(plan_, steps, readers, step.results[0], computed_, exact_);
    std::vector<Form> forms;
    if (auto form = layouts_.channels_last(step)) forms.push_back(std::move(*form));
    forms.push_back(layouts_.row_major(step));
    for (const Form& form : forms) {
      size_t count = followers.size();
      while (!(step.kernel = find_kernel(step, form, followers, count)) && count > 0) --count;
      if (!step.kernel && form.native) continue;
      followers.resize(count);
      fuse(scope, step, form, followers, done);
      return finish(scope, step, form, !step.kernel && step.op->name != "gather");
    }
  }

  // Takes the followers in: their last result becomes the step's.
  void fuse(Scope& scope, Step& step, const Form& form, const std::vector<Follower>& followers, std::vector<bool>& done) {
    std::vector<Source> addends;
    for (const auto& follower : followers) {
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
      layouts_.set(r, form.results_last[i]);
      computed_[at(r)] = true;
      step.result_types.push_back(register_type(r, form.results_last[i]));
      if (exact_ && step.kind == Step::Kind::Kernel && type(r).dtype() == DType::F16 && !keeps_values(step.op->name) && !replaces_values(step))
        step.rounds = true;
    }
    scope.steps.push_back(std::move(step));
  }

  Plan& plan_;
  const bool exact_;
  Status status_;
  Layouts layouts_;
  std::vector<bool> computed_;  // by register: has a value
  std::unordered_map<int32_t, int32_t> wide_;
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
