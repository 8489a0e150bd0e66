// Runs the methods of a .pte file in the unmodified ExecuTorch runtime: its loader, its planner's memory, its CPU kernels, and
// whatever backends are registered. Not synchronised.
#pragma once

#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/runtime/executor/program.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "executorch/runner_abi.h"

namespace cortland::et_runner {

namespace et = ::executorch::runtime;

// Says what the runtime's code means, after what the runtime logged about it.
Diagnostic runtime_error(std::string what, et::Error code);

// A loaded method with its memory. Its program must outlive it.
class LoadedMethod {
 public:
  static Result<std::unique_ptr<LoadedMethod>> load(const et::Program& program, const std::string& name);

  size_t input_count() const { return method_->inputs_size(); }
  size_t output_count() const { return method_->outputs_size(); }
  Status run(std::span<const CortlandValue> inputs);
  Result<CortlandValue> output(size_t index);

 private:
  struct FreeMemory {
    void operator()(void* p) const { std::free(p); }
  };
  using Memory = std::unique_ptr<void, FreeMemory>;

  LoadedMethod() = default;
  Status allocate(const et::MethodMeta& meta);
  Result<void*> add_memory(size_t bytes);  // zeros, aligned
  Status provide_attributes(const et::MethodMeta& meta);
  Status provide_outputs(const et::MethodMeta& meta);
  Result<std::vector<uint8_t>> dim_order(size_t index, size_t rank) const;
  Status set_input(size_t index, const CortlandValue& value);

  std::vector<Memory> memory_;
  std::vector<et::Span<uint8_t>> planned_;
  std::optional<et::HierarchicalAllocator> planned_allocator_;
  ::executorch::extension::MallocMemoryAllocator method_allocator_, temporary_allocator_;
  std::optional<et::MemoryManager> memory_manager_;
  std::optional<et::Method> method_;  // last: it is destroyed before its memory
  std::vector<std::vector<std::byte>> laid_out_;  // inputs that are not row-major in the program
  std::vector<int64_t> sizes_;        // what output() gives out
  int64_t int_ = 0;
  bool bool_ = false;
  double double_ = 0;
};

class LoadedProgram {
 public:
  static Result<std::unique_ptr<LoadedProgram>> open(const std::string& path);
  Status load(const std::string& method);
  LoadedMethod* method() const { return method_.get(); }

 private:
  explicit LoadedProgram(::executorch::extension::MmapDataLoader loader) : loader_(std::move(loader)) {}

  ::executorch::extension::MmapDataLoader loader_;
  std::optional<et::Program> program_;
  std::unique_ptr<LoadedMethod> method_;
};

}  // namespace cortland::et_runner
