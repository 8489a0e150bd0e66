// The kernels that the ExecuTorch 1.5.1 wheel registers, and which functional ATen operator each one computes.
// Constant tables, valid for the life of the process; any thread.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace cortland::executorch {

enum class KernelLibrary : uint8_t {
  Core,       // libexecutorch: prim operators and symbolic sizes
  Optimized,  // libexecutorch_kernels_optimized: the portable set with faster replacements
  Quantized,  // libexecutorch_kernels_quantized: loaded only when a program needs it
};

struct Kernel {
  std::string_view name;                 // "aten::add", in a file and in torch
  std::string_view overload;             // "out", in a file; may be empty
  std::string_view functional_overload;  // "Tensor": the overload it computes; "" for the default one; `overload` itself
                                         // for prim and in-place operators
  std::string_view schema;               // "aten::add.out(Tensor self, ..., Tensor(a!) out) -> Tensor(a!)"
  KernelLibrary library;
};

// All kernels, sorted by name and overload.
std::span<const Kernel> kernels();

// By functional operator ("aten::add", "Tensor"), overload "default" and "" being the same. aten::_to_copy, aten::clone
// and aten::empty.memory_format give their dim_order_ops kernels: those take dim_order where ATen takes memory_format,
// and no dtype, layout, device or pin_memory. Null when the wheel has none.
const Kernel* find_kernel(std::string_view name, std::string_view overload);
// The same in one string: "aten::add.Tensor", "aten::relu", "aten::relu.default".
const Kernel* find_kernel(std::string_view qualified_name);
// By the name in a file ("aten::add", "out").
const Kernel* find_registered_kernel(std::string_view name, std::string_view overload);

struct KernelArg {
  std::string_view type;                          // "Tensor", "int[2]", "Tensor(a!)"
  std::string_view name;                          // "self"
  std::optional<std::string_view> default_value;  // "1", "None", "[]", "'none'"
  bool keyword_only = false;
  bool written = false;                          // an out or in-place argument
};

// The schema's arguments, in the order a KernelCall passes them. Mostly one more entry follows: see kernel_result.
std::vector<KernelArg> kernel_args(const Kernel& kernel);

// The entry after the arguments.
enum class KernelResult : uint8_t {
  SameValue,  // the single written value again
  OutList,    // a TensorList of all written values, or the written list again
  Slot,       // a value that the kernel fills: prim operators
  Nothing,    // no such entry
};
KernelResult kernel_result(const Kernel& kernel);

}  // namespace cortland::executorch
