#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "engine/compile.h"
#include "engine/plan.h"
#include "engine/simd/functions.h"
#include "engine/threads.h"

namespace cortland::engine {
namespace {

Feature feature(const mil::Program& program, const mil::Function& function, mil::ValueId v) {
  const mil::Value& value = program.values[v];
  Feature feature{value.name, value.type.tensor, {}};
  if (const auto it = function.enumerated_shapes.find(value.name); it != function.enumerated_shapes.end()) feature.shapes = it->second;
  return feature;
}

const mil::Function* find_function(const mil::Program& program, std::string_view name) {
  for (const mil::Function& f : program.functions)
    if (f.name == name) return &f;
  return nullptr;
}

Result<bool> truth(const std::vector<mil::RuntimeValue>& values, const std::string& op) {
  if (values.size() != 1 || values[0].tensor.dtype != DType::Bool || values[0].tensor.elements() != 1)
    return diag(DiagKind::BadMil, fmt::format("the condition of '{}' is not one bool", op));
  return *values[0].tensor.data<uint8_t>() != 0;
}

// Registers keep no values between runs, whatever way a run ends.
struct ClearOnExit {
  std::vector<mil::RuntimeValue>& values;
  ~ClearOnExit() {
    for (auto& v : values) v = {};
  }
};

}  // namespace

Engine::Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Result<Engine> Engine::compile(const mil::Program& program, std::string_view name, EngineOptions options) {
  const mil::Function* function = find_function(program, name);
  if (!function) return diag(DiagKind::BadInput, fmt::format("the model has no function '{}'", name));
  Engine engine;
  engine.dims_ = program.dims;
  engine.threads_ = options.threads;
  for (mil::ValueId v : function->inputs)
    if (program.type(v).kind == mil::Type::Kind::Tensor) engine.inputs_.push_back(feature(program, *function, v));
  for (const mil::Output& out : function->outputs) {
    const mil::Type& type = program.type(out.operand);
    if (type.kind != mil::Type::Kind::Tensor || type.dtype() == DType::String)
      return diag(DiagKind::UnsupportedOp, fmt::format("output '{}' is not a tensor", out.name), "return tensors from the model");
    engine.outputs_.push_back({out.name, type.tensor, {}});
  }
  const ThreadLimit limit(options.threads);
  TRY(Plan plan, make_plan(program, *function, options.fast_kernels));
  if (options.fast_kernels) TRY_DO(engine::compile(plan, options.precision));
  plan_lifetimes(plan);
  engine.plan_ = std::make_unique<Plan>(std::move(plan));
  engine.registers_.resize(engine.plan_->owner.size());
  engine.states_.resize(engine.plan_->states.size());
  engine.reset();
  return engine;
}

void Engine::reset() {
  for (size_t i = 0; i < states_.size(); ++i) {
    const StatePlan& state = plan_->states[i];
    states_[i].tensor = mil::Tensor::make(state.dtype, state.shape);
    std::memset(states_[i].tensor.mutable_data(), 0, states_[i].tensor.bytes());
  }
}

Result<std::vector<mil::Tensor>> Engine::run(std::span<const mil::Tensor> inputs) {
  const ThreadLimit limit(threads_);
  TRY(auto tensors, check_inputs(inputs_, inputs, *dims_));
  std::vector<std::vector<int64_t>> shapes;
  for (const mil::Tensor& t : tensors) shapes.push_back(t.shape);
  if (shapes != shapes_) buffers_.trim();  // what other sizes needed
  shapes_ = std::move(shapes);
  const mil::BufferPool::Use use(buffers_);
  const ClearOnExit clear{registers_};
  for (size_t i = 0; i < tensors.size(); ++i) {
    registers_[static_cast<size_t>(plan_->inputs[i])].tensor = plan_->wide ? wide(std::move(tensors[i])) : std::move(tensors[i]);
  }
  std::vector<mil::RuntimeValue> outputs;
  TRY_DO(run_block(plan_->blocks.back(), outputs));
  std::vector<mil::Tensor> result;
  for (size_t i = 0; i < outputs.size(); ++i) result.push_back(outputs[i].tensor.cast(outputs_[i].type.dtype));
  return result;
}

Status Engine::run_block(BlockPlan& block, Values& outputs) {
  for (Step& step : block.steps) TRY_DO(run_step(step));
  outputs.clear();
  for (Source out : block.outputs)
    outputs.push_back(out.kind == Source::Kind::Constant ? plan_->constants[static_cast<size_t>(out.index)]
                                                         : registers_[static_cast<size_t>(out.index)]);
  for (int32_t r : block.releases) registers_[static_cast<size_t>(r)] = {};
  return {};
}

Status Engine::run_step(Step& step) {
  const auto start = std::chrono::steady_clock::now();
  for (size_t slot = 0; slot < step.inputs.size(); ++slot)
    for (size_t i = 0; i < step.inputs[slot].size(); ++i)
      if (const Source from = step.inputs[slot][i]; from.is_register()) {
        mil::RuntimeValue& value = registers_[static_cast<size_t>(from.index)];
        step.arguments[slot][i] = from.last ? std::move(value) : value;
      }
  Values results;
  Status status = execute(step, results);
  for (size_t slot = 0; slot < step.inputs.size(); ++slot)
    for (size_t i = 0; i < step.inputs[slot].size(); ++i)
      if (step.inputs[slot][i].is_register()) step.arguments[slot][i] = {};
  if (!status.ok()) {
    if (status.error().node.empty()) status.error().node = step.name;
    return status;
  }
  CHECK(results.size() == step.results.size(), step.name);
  if (plan_->wide) settle(step, results);
  if (hook_) {
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    hook_({*step.op, step.name, results, time.count(), step.kernel != nullptr});
  }
  for (size_t i = 0; i < results.size(); ++i) registers_[static_cast<size_t>(step.results[i])] = std::move(results[i]);
  for (int32_t r : step.releases) registers_[static_cast<size_t>(r)] = {};
  return {};
}

Status Engine::execute(Step& step, Values& results) {
  switch (step.kind) {
    case Step::Kind::Kernel: return run_kernel(step, results);
    case Step::Kind::Cond: return run_cond(step, results);
    case Step::Kind::WhileLoop: return run_while_loop(step, results);
    case Step::Kind::WriteState: return write_state(step, results);
    case Step::Kind::ReadState: break;
  }
  // A snapshot for free: a later write replaces the state's tensor and leaves this one alone.
  results = {states_[static_cast<size_t>(step.state)]};
  return {};
}

Status Engine::run_kernel(Step& step, Values& results) {
  const size_t slots = step.op->inputs.size();
  const std::span<const mil::RuntimeValue> addends =
      step.arguments.size() > slots ? std::span<const mil::RuntimeValue>(step.arguments[slots]) : std::span<const mil::RuntimeValue>();
  KernelContext context(*step.op, step.arguments, step.result_types, addends);
  context.updates_state = step.updates_state;
  if (step.kernel) {
    TRY_DO(step.kernel->run(context));
  } else {
    TRY_DO(context.check_operands());
    TRY_DO(step.op->eval(context));
  }
  results = context.take_results();
  return {};
}

// Floating-point registers hold float32; those of float16 values, unless precision is to be fast, rounded ones.
void Engine::settle(const Step& step, Values& results) {
  for (mil::RuntimeValue& value : results) {
    mil::Tensor& tensor = value.tensor;
    if (tensor.dtype == DType::F16) {
      tensor = tensor.cast(DType::F32);
    } else if (step.rounds && tensor.dtype == DType::F32) {
      if (tensor.storage.use_count() > 1) {
        mil::Tensor own = mil::Tensor::make(DType::F32, tensor.shape);
        std::memcpy(own.mutable_data(), tensor.data(), tensor.bytes());
        tensor = std::move(own);
      }
      float* values = tensor.mutable_data<float>();
      parallel_for(tensor.elements(), 1 << 15, [&](int64_t first, int64_t last) { simd::functions().round_to_f16(values + first, last - first); });
    }
  }
}

Status Engine::run_cond(Step& step, Values& results) {
  TRY(const bool taken, truth(step.arguments[0], step.name));
  return run_block(plan_->blocks[static_cast<size_t>(step.blocks[taken ? 0 : 1])], results);
}

Status Engine::run_while_loop(Step& step, Values& results) {
  BlockPlan &condition = plan_->blocks[static_cast<size_t>(step.blocks[0])], &body = plan_->blocks[static_cast<size_t>(step.blocks[1])];
  results = step.arguments[0];
  auto enter = [&](const BlockPlan& block) {
    for (size_t i = 0; i < results.size(); ++i) registers_[static_cast<size_t>(block.inputs[i])] = results[i];
  };
  for (Values verdict;;) {
    enter(condition);
    TRY_DO(run_block(condition, verdict));
    TRY(const bool more, truth(verdict, step.name));
    if (!more) return {};
    enter(body);
    TRY_DO(run_block(body, results));
  }
}

Status Engine::write_state(Step& step, Values& results) {
  const StatePlan& state = plan_->states[static_cast<size_t>(step.state)];
  const Values& written = step.arguments.back();
  if (written.size() != 1 || written[0].tensor.dtype != state.dtype || written[0].tensor.shape != state.shape)
    return diag(DiagKind::BadMil, fmt::format("what is written to state '{}' has another type", state.name));
  states_[static_cast<size_t>(step.state)] = written[0];
  if (!step.results.empty()) results = written;  // coreml_update_state yields the new value
  return {};
}

}  // namespace cortland::engine
