#include "edge/constant_method.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <numeric>

#include "edge/stored_weights.h"

namespace cortland::edge {
namespace {

using executorch::EValue;

struct ToValue {
  executorch::PteProgram& program;
  const std::string& method;

  Result<EValue> operator()(bool v) const { return EValue(executorch::Bool{v}); }
  Result<EValue> operator()(int64_t v) const { return EValue(executorch::Int{v}); }
  Result<EValue> operator()(double v) const { return EValue(executorch::Double{v}); }
  Result<EValue> operator()(const std::string& v) const { return EValue(executorch::String{v}); }
  Result<EValue> operator()(const Weight& v) const {
    const auto type = executorch::scalar_type(v.dtype());
    if (!type)
      return diag(DiagKind::UnsupportedDtype,
                  fmt::format("method '{}' returns {}, which a .pte cannot hold", method, torch_name(v.dtype())));
    executorch::TensorValue tensor;
    tensor.type = *type;
    for (const int64_t size : v.shape()) {
      if (size > INT32_MAX)
        return diag(DiagKind::UnsupportedShape,
                    fmt::format("method '{}' returns a tensor with the dimension {}", method, size));
      tensor.dim_order.push_back(static_cast<uint8_t>(tensor.sizes.size()));
      tensor.sizes.push_back(static_cast<int32_t>(size));
    }
    tensor.constant = store_weight(v, program.constants);
    return EValue(std::move(tensor));
  }
};

std::string structure_of(size_t values) {
  const std::string leaf = R"({"type": null, "context": null, "children_spec": []})";
  if (values == 1) return "[1, " + leaf + "]";
  return fmt::format(R"([1, {{"type": "builtins.list", "context": "null", "children_spec": [{}]}}])",
                     fmt::join(std::vector<std::string>(values, leaf), ", "));
}

}  // namespace

Status add_constant_method(executorch::PteProgram& program, const ConstantMethod& method) {
  executorch::Plan plan;
  plan.name = method.name;
  plan.encoded_outputs = method.structure.empty() ? structure_of(method.values.size()) : method.structure;
  for (const Literal& literal : method.values) {
    TRY(plan.values.emplace_back(), std::visit(ToValue{program, method.name}, literal));
  }
  plan.outputs.resize(plan.values.size());
  std::iota(plan.outputs.begin(), plan.outputs.end(), 0);
  program.plans.push_back(std::move(plan));
  return executorch::validate(program);
}

}  // namespace cortland::edge
