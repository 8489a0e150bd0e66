#include "engine/kernel.h"

namespace cortland::engine {

const mil::Tensor* Expression::tensor(std::string_view input) const {
  const int slot = op->slot(input);
  if (slot < 0 || arguments[static_cast<size_t>(slot)].empty()) return nullptr;
  return &arguments[static_cast<size_t>(slot)].front().tensor;
}

bool Site::boolean(std::string_view input) const {
  if (is_constant(input)) return tensor(input).ints()[0] != 0;
  return op.inputs[slot(input)].fallback.number != 0;
}

std::string Site::str(std::string_view input) const {
  if (is_constant(input)) return constants[slot(input)].front().strings.at(0);
  const char* text = op.inputs[slot(input)].fallback.text;
  return text ? text : "";
}

std::unique_ptr<Kernel> make_kernel(const Site& site) {
  for (std::span<const KernelRow> table : kernel_tables())
    for (const KernelRow& row : table)
      if (row.op == site.op.name)
        if (auto kernel = row.make(site)) return kernel;
  return nullptr;
}

}  // namespace cortland::engine
