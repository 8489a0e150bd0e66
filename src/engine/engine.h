// Engine: runs one function of a MIL program on the CPU. Compiled once; what it needs of the program it keeps, so the program
// may go away. States start at zero and persist from run to run. One run at a time: not synchronised.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/inputs.h"
#include "mil/buffer_pool.h"
#include "mil/program.h"

namespace cortland::engine {

struct Plan;
struct BlockPlan;
struct Step;

// Exact: each result of type float16 is rounded to it, as a device that computes in float16 stores it. Fast: the program is
// computed in float32 throughout, which is nearer to the model it was made from.
enum class Precision { Exact, Fast };

struct EngineOptions {
  int threads = 0;           // 0: as many as the machine has
  bool fast_kernels = true;  // false: the reference kernels only, on the program as it is
  Precision precision = Precision::Exact;
};

// What a hook is told after each op.
struct StepTrace {
  const mil::MilOp& op;
  std::string_view name;
  std::span<const mil::RuntimeValue> results;
  double seconds;
  bool fast;  // not the reference kernel
};

class Engine {
 public:
  static Result<Engine> compile(const mil::Program& program, std::string_view function = "main", EngineOptions options = {});
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  const std::vector<Feature>& inputs() const { return inputs_; }
  const std::vector<Feature>& outputs() const { return outputs_; }
  const DimTable& dims() const { return *dims_; }

  // Inputs by position; the outputs in order. A run that fails may have written states.
  Result<std::vector<mil::Tensor>> run(std::span<const mil::Tensor> inputs);
  void reset();  // states back to zero
  void set_hook(std::function<void(const StepTrace&)> hook) { hook_ = std::move(hook); }

 private:
  using Values = std::vector<mil::RuntimeValue>;

  Engine();
  Status run_block(BlockPlan& block, Values& outputs);
  Status run_step(Step& step);
  Status execute(Step& step, Values& results);
  Status run_kernel(Step& step, Values& results);
  Status run_cond(Step& step, Values& results);
  Status run_while_loop(Step& step, Values& results);
  Status write_state(Step& step, Values& results);
  void settle(const Step& step, Values& results);

  std::unique_ptr<Plan> plan_;
  std::shared_ptr<DimTable> dims_;
  std::vector<Feature> inputs_, outputs_;
  Values registers_, states_;
  mil::BufferPool buffers_;
  std::vector<std::vector<int64_t>> shapes_;  // of the inputs of the last run
  std::function<void(const StepTrace&)> hook_;
  int threads_ = 0;
};

}  // namespace cortland::engine
