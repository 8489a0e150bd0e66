#include "edge/kernel_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

namespace cortland::edge {
namespace {

using executorch::find_kernel;
using executorch::Kernel;
using torch::Graph;
using torch::Node;
using torch::ValueId;

struct FormOf {
  std::string_view target;
  Form form;
};

// Operators whose result is told by its type alone. Memory formats are left out: a plan keeps every tensor in row-major
// order, which changes no value.
constexpr FormOf kForms[] = {
    {"aten._to_copy.default", Form::Copy},     {"aten.to.dtype", Form::Copy},
    {"aten.to.dtype_layout", Form::Copy},      {"aten.to.device", Form::Copy},
    {"aten.to.other", Form::Copy},             {"aten.to.prim_Device", Form::Copy},
    {"aten.to.prim_dtype", Form::Copy},        {"aten.to.prim_other", Form::Copy},
    {"aten.type_as.default", Form::Copy},      {"aten.contiguous.default", Form::Copy},
    {"aten.clone.default", Form::Copy},        {"aten.alias.default", Form::Copy},
    {"aten.alias_copy.default", Form::Copy},   {"aten.detach.default", Form::Copy},
    {"aten.detach_copy.default", Form::Copy},  {"aten.lift_fresh.default", Form::Copy},
    {"aten.lift_fresh_copy.default", Form::Copy}, {"aten.positive.default", Form::Copy},
    {"aten.resolve_conj.default", Form::Copy}, {"aten.resolve_neg.default", Form::Copy},
    {"dim_order_ops._to_dim_order_copy.default", Form::Copy},
    {"dim_order_ops._clone_dim_order.default", Form::Copy},
    {"aten.view.default", Form::View},         {"aten._unsafe_view.default", Form::View},
    {"aten.view_copy.default", Form::View},    {"aten.reshape.default", Form::View},
    {"aten.view_as.default", Form::View},      {"aten.reshape_as.default", Form::View},
    {"aten._reshape_alias.default", Form::View}, {"aten._reshape_copy.default", Form::View},
    {"aten.flatten.using_ints", Form::View},   {"aten.unflatten.int", Form::View},
    {"aten.ravel.default", Form::View},        {"aten.squeeze.default", Form::View},
    {"aten.squeeze.dim", Form::View},          {"aten.squeeze.dims", Form::View},
    {"aten.squeeze_copy.default", Form::View}, {"aten.squeeze_copy.dim", Form::View},
    {"aten.squeeze_copy.dims", Form::View},    {"aten.unsqueeze.default", Form::View},
    {"aten.unsqueeze_copy.default", Form::View}, {"aten.atleast_1d.default", Form::View},
    {"aten.atleast_2d.default", Form::View},   {"aten.atleast_3d.default", Form::View},
    {"aten.expand.default", Form::Expand},     {"aten.expand_copy.default", Form::Expand},
    {"aten.expand_as.default", Form::Expand},  {"aten.broadcast_to.default", Form::Expand},
    {"aten.item.default", Form::Number},       {"aten._local_scalar_dense.default", Form::Number},
};

ValueId first_tensor(const Graph& graph, const Node& node) {
  const auto* v = node.args.empty() ? nullptr : node.args[0].arg.as<ValueId>();
  return v && *v && graph.values[*v].kind == torch::Value::Kind::Tensor ? *v : ValueId{};
}

const Kernel* kernel_of_form(Form form, const Graph& graph, const Node& node) {
  switch (form) {
    case Form::Copy: {
      const ValueId from = first_tensor(graph, node);
      const bool converts = from && !node.results.empty() && node.results[0] && graph.type(from).dtype != graph.type(node.results[0]).dtype;
      return find_kernel(converts ? "aten::_to_copy" : "aten::clone");
    }
    case Form::View: return find_kernel("aten::view_copy");
    case Form::Expand: return find_kernel("aten::expand_copy");
    case Form::Number: return find_kernel("aten::_local_scalar_dense");
    case Form::Call: break;
  }
  return nullptr;
}

// "aten.select.int" -> "aten::select", "int".
struct Name {
  std::string name, overload;
};

std::optional<Name> split(const std::string& target) {
  const size_t first = target.find('.'), last = target.rfind('.');
  if (first == std::string::npos || last == first) return std::nullopt;
  return Name{target.substr(0, first) + "::" + target.substr(first + 1, last - first - 1), target.substr(last + 1)};
}

Diagnostic no_kernel(std::string why, std::string help = {}) { return diag(DiagKind::NoCpuKernel, std::move(why), std::move(help)); }

// What the kernels refuse only when they run.
Status check_limits(const Kernel& kernel, const Graph& graph, const Node& node) {
  const ValueId input = first_tensor(graph, node);
  const int rank = input ? graph.type(input).rank() : 0;
  if (kernel.name == "aten::convolution" && rank > 4)
    return no_kernel("ExecuTorch's convolution kernel knows one and two spatial dimensions only");
  constexpr std::string_view kOfAxes[] = {"aten::cumsum", "aten::sum", "aten::unfold_copy"};
  if (input && rank == 0 && std::find(std::begin(kOfAxes), std::end(kOfAxes), kernel.name) != std::end(kOfAxes))
    return no_kernel("ExecuTorch's kernel takes no tensor of rank 0");
  const auto is_dynamic = [](Dim d) { return !d.is_constant(); };
  if (kernel.name == "aten::unbind_copy" && input && std::any_of(graph.type(input).shape.begin(), graph.type(input).shape.end(), is_dynamic))
    return no_kernel("ExecuTorch's unbind kernel knows fixed sizes only");
  const auto is_empty = [&](ValueId v) { return v && std::count(graph.type(v).shape.begin(), graph.type(v).shape.end(), Dim(0)) > 0; };
  constexpr std::string_view kProducts[] = {"aten::bmm", "aten::linear", "aten::mm"};
  if (rank > 0 && graph.type(input).shape.back() == Dim(0) && std::find(std::begin(kProducts), std::end(kProducts), kernel.name) != std::end(kProducts))
    return no_kernel("ExecuTorch's kernel writes nothing where there is nothing to add up");
  if (kernel.name == "aten::constant_pad_nd" && !node.results.empty() && is_empty(node.results[0]))
    return no_kernel("ExecuTorch's kernel takes no result without elements");
  for (const ValueId v : node.results)
    if (v && is_complex(graph.type(v).dtype)) return no_kernel("ExecuTorch has no complex tensors");
  return {};
}

}  // namespace

Result<KernelChoice> choose_kernel(const Graph& graph, const Node& node) {
  const auto* form = std::find_if(std::begin(kForms), std::end(kForms), [&](const FormOf& f) { return f.target == node.target; });
  if (form != std::end(kForms) && first_tensor(graph, node)) {
    const KernelChoice choice{kernel_of_form(form->form, graph, node), form->form};
    TRY_DO(check_limits(*choice.kernel, graph, node));
    return choice;
  }
  const auto name = split(node.target);
  const Kernel* kernel = name ? find_kernel(name->name, name->overload) : nullptr;
  // Views have kernels that copy: there are no views between kernels.
  if (name && !kernel) kernel = find_kernel(name->name + "_copy", name->overload);
  if (!kernel) return no_kernel("ExecuTorch has no kernel for this operator");
  TRY_DO(check_limits(*kernel, graph, node));
  return KernelChoice{kernel, Form::Call};
}

bool converts_operands(const Kernel& kernel) {
  constexpr std::string_view kNames[] = {"aten::add",  "aten::atan2", "aten::cat",     "aten::div", "aten::floor_divide", "aten::fmod", "aten::maximum",
                                         "aten::minimum", "aten::mul", "aten::pow", "aten::remainder", "aten::stack", "aten::sub", "aten::where"};
  return std::find(std::begin(kNames), std::end(kNames), kernel.name) != std::end(kNames);
}

}  // namespace cortland::edge
