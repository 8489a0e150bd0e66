#include "edge/kernel_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "edge/kernel_choice.h"

namespace cortland::edge {
namespace {

using executorch::KernelArg;
using torch::Arg;
using torch::ValueId;

// "int[2]?" taken apart.
struct ArgType {
  std::string_view base;      // "Tensor", "int", ...
  bool list = false;
  bool optional_items = false;  // "Tensor?[]"
  size_t count = 0;             // "int[2]": one number stands for this many
};

ArgType parse_type(std::string_view text) {
  ArgType type;
  if (text.ends_with('?')) text.remove_suffix(1);
  if (text.ends_with(']')) {
    const size_t open = text.rfind('[');
    const auto digits = text.substr(open + 1, text.size() - open - 2);
    std::from_chars(digits.data(), digits.data() + digits.size(), type.count);
    type.list = true;
    text = text.substr(0, open);
  }
  type.optional_items = text.ends_with('?');
  if (type.optional_items) text.remove_suffix(1);
  type.base = text;
  return type;
}

// The defaults of kernel schemas: "None", "True", "1", "2.", "[]", "'none'".
Arg parse_default(std::string_view text) {
  if (text == "None") return {};
  if (text == "True" || text == "False") return Arg(text == "True");
  if (text == "[]") return Arg(Arg::List{});
  if (text.starts_with('\'')) return Arg(std::string(text.substr(1, text.size() - 2)));
  const auto number = [&](auto value) {  // whatever the host's locale
    std::from_chars(text.data(), text.data() + text.size(), value);
    return Arg(value);
  };
  return text.find_first_of(".e") != std::string_view::npos ? number(0.0) : number(int64_t{0});
}

// Arguments that the result's type tells, or that change no value.
bool may_be_left_out(std::string_view name) {
  constexpr std::string_view kNames[] = {"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "copy", "implicit", "requires_grad"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

class Caller {
 public:
  Caller(PlanBuilder& plan, Sizes& sizes, const torch::Node& node, const KernelChoice& choice)
      : plan_(plan), sizes_(sizes), graph_(plan.graph()), node_(node), kernel_(*choice.kernel), form_(choice.form) {}

  Status run() {
    if (form_ == Form::Number) return read_number();
    TRY_DO(check_leftovers());
    const auto formals = executorch::kernel_args(kernel_);
    std::vector<ValueIndex> args, written;
    for (size_t i = 0; i < formals.size(); ++i) {
      if (formals[i].written) {
        TRY_DO(add_results(formals[i], args, written));
        continue;
      }
      TRY(args.emplace_back(), argument(formals[i], i));
    }
    switch (executorch::kernel_result(kernel_)) {
      case executorch::KernelResult::SameValue: args.push_back(written.at(0)); break;
      case executorch::KernelResult::OutList: args.push_back(plan_.add(executorch::TensorList{written})); break;
      default: return no_kernel("its kernel returns nothing that can be used");
    }
    plan_.call(std::string(kernel_.name), std::string(kernel_.overload), std::move(args));
    for (const ValueId v : node_.results) sizes_.add_tensor(v);
    return {};
  }

 private:
  Diagnostic no_kernel(std::string why) const { return diag(DiagKind::NoCpuKernel, std::move(why)); }

  bool is_tensor(ValueId v) const { return v && graph_.values[v].kind == torch::Value::Kind::Tensor; }
  TensorType result_type() const { return node_.results.empty() || !is_tensor(node_.results[0]) ? TensorType{} : graph_.type(node_.results[0]); }

  Status read_number() {
    const ValueId from = *node_.args[0].arg.as<ValueId>();
    TRY(const ValueIndex tensor, plan_.tensor(from));
    const ValueIndex slot = plan_.add(executorch::Int{0});
    plan_.call(std::string(kernel_.name), std::string(kernel_.overload), {tensor, slot});
    if (!node_.results.empty() && node_.results[0]) sizes_.define(node_.results[0], slot);
    return {};
  }

  // An argument that the kernel does not have must not matter.
  Status check_leftovers() const {
    if (form_ != Form::Call) return {};
    const auto formals = executorch::kernel_args(kernel_);
    for (const auto& given : node_.args) {
      if (given.name.empty() || given.arg.is_none() || may_be_left_out(given.name)) continue;
      const bool known = std::any_of(formals.begin(), formals.end(), [&](const KernelArg& f) { return f.name == given.name; });
      const auto* flag = given.arg.as<bool>();
      if (!known && !(flag && !*flag)) return no_kernel(fmt::format("its kernel has no argument '{}'", given.name));
    }
    return {};
  }

  // ---- results

  Status add_results(const KernelArg& formal, std::vector<ValueIndex>& args, std::vector<ValueIndex>& written) {
    const bool list = formal.type.ends_with("[]");
    if (!list) {
      TRY(args.emplace_back(), result(written.size()));
      written.push_back(args.back());
      return {};
    }
    for (size_t i = 0; i < node_.results.size(); ++i) {
      TRY(written.emplace_back(), result(i));
    }
    args.push_back(plan_.add(executorch::TensorList{written}));
    return {};
  }

  Result<ValueIndex> result(size_t i) {
    if (i < node_.results.size() && node_.results[i]) return plan_.tensor(node_.results[i]);
    return no_kernel(fmt::format("the program does not describe result {}, which its kernel writes", i));
  }

  // ---- arguments

  const Arg* given(const KernelArg& formal, size_t position) const {
    if (const Arg* named = node_.find(formal.name)) return named;
    // Edge dialect programs leave names out.
    const bool positional = position < node_.args.size() && node_.args[position].name.empty();
    return positional ? &node_.args[position].arg : nullptr;
  }

  Result<ValueIndex> argument(const KernelArg& formal, size_t position) {
    if (formal.name == "dim_order") return row_major(result_type().rank());
    if (form_ == Form::View && formal.name == "size") return view_sizes();
    if (form_ == Form::Expand && formal.name == "size") return expand_sizes();
    const bool copies = form_ != Form::Call;
    const Arg* arg = copies && position > 0 ? nullptr : copies ? &node_.args[0].arg : given(formal, position);
    if (!arg && formal.default_value) return bind(formal, parse_default(*formal.default_value));
    if (!arg && formal.type.find('?') == std::string_view::npos)
      return no_kernel(fmt::format("the program gives no argument '{}', which its kernel needs", formal.name));
    // ExecuTorch's narrow_copy ends the process when the axis is counted from the end.
    const auto* axis = arg && formal.name == "dim" && kernel_.name == "aten::narrow_copy" ? arg->as<int64_t>() : nullptr;
    if (axis && *axis < 0) return bind(formal, Arg(*axis + result_type().rank()));
    return bind(formal, arg ? *arg : Arg());
  }

  Result<ValueIndex> bind(const KernelArg& formal, const Arg& arg) {
    const ArgType type = parse_type(formal.type);
    if (type.base == "MemoryFormat" || (arg.is_none() && !type.optional_items)) return plan_.null();
    auto bound = type.base == "Tensor" ? (type.list ? tensor_list(type, arg) : tensor(formal.name, arg))
                 : type.list           ? list(type, arg)
                                       : scalar(type.base, arg);
    if (bound.ok()) return bound;
    Diagnostic d = bound.error();
    d.what = fmt::format("argument '{}': {}", formal.name, d.what);
    return d;
  }

  Result<ValueIndex> scalar(std::string_view base, const Arg& arg) {
    if (base == "str") {
      if (const auto* s = arg.as<std::string>()) return plan_.text(*s);
    }
    if (const auto* dtype = arg.as<DType>()) {
      if (const auto code = executorch::scalar_type(*dtype)) return plan_.integer(static_cast<int64_t>(*code));
      return no_kernel(fmt::format("a .pte cannot hold the element type {}", torch_name(*dtype)));
    }
    const auto* i = arg.as<int64_t>();
    const auto* b = arg.as<bool>();
    const auto* v = arg.as<ValueId>();
    if (base == "float" && i) return plan_.real(static_cast<double>(*i));
    if (base == "bool" && i) return plan_.boolean(*i != 0);
    if (base == "int" && b) return plan_.integer(*b);
    // A number that only a tensor holds is read out of it.
    if (v && is_tensor(*v)) return no_kernel("a number is wanted, and it is a tensor");
    return sizes_.scalar(arg);
  }

  Result<ValueIndex> list(const ArgType& type, const Arg& arg) {
    Arg::List items;
    if (const auto* given = arg.as<Arg::List>()) items = *given;
    else items.assign(std::max<size_t>(type.count, 1), arg);
    if (type.base == "float") {
      executorch::DoubleList list;
      for (const Arg& item : items) {
        const auto* f = item.as<double>();
        const auto* i = item.as<int64_t>();
        if (!f && !i) return no_kernel("kernels take no list of symbolic numbers that are not integers");
        list.items.push_back(f ? *f : static_cast<double>(*i));
      }
      return plan_.add(std::move(list));
    }
    if (type.base == "bool") {
      executorch::BoolList list;
      for (const Arg& item : items) list.items.push_back(item.as<bool>() && *item.as<bool>());
      return plan_.add(std::move(list));
    }
    executorch::IntList list;
    for (const Arg& item : items) {
      TRY(list.items.emplace_back(), sizes_.scalar(item));
    }
    return plan_.add(std::move(list));
  }

  Result<ValueIndex> tensor_list(const ArgType& type, const Arg& arg) {
    const auto* items = arg.as<Arg::List>();
    if (!items) return no_kernel("a list of tensors is wanted");
    std::vector<ValueIndex> slots;
    for (const Arg& item : *items) {
      if (type.optional_items && item.is_none()) {
        slots.push_back(-1);
        continue;
      }
      TRY(slots.emplace_back(), tensor("tensors", item));
    }
    if (type.optional_items) return plan_.add(executorch::OptionalTensorList{std::move(slots)});
    return plan_.add(executorch::TensorList{std::move(slots)});
  }

  Result<ValueIndex> tensor(std::string_view name, const Arg& arg) {
    const auto* v = arg.as<ValueId>();
    if (!v || !is_tensor(*v)) return number_as_tensor(arg);
    const DType want = result_type().dtype, have = graph_.type(*v).dtype;
    if (!converts(name) || have == want || want == DType::Unknown) return plan_.tensor(*v);
    constexpr int64_t kSmall = 1024;
    if (const Weight* data = plan_.constant_data(*v); data && data->elements() <= kSmall)
      return plan_.constant(data->cast(want), graph_.values[*v].name);
    TRY(const ValueIndex from, plan_.tensor(*v));
    return copy_tensor(plan_, from, graph_.type(*v), want, graph_.values[*v].name);
  }

  bool converts(std::string_view argument) const {
    return converts_operands(kernel_) && argument != "condition";
  }

  // A Python number where a tensor is wanted takes the tensors' element type if that can hold its kind, as in torch.
  DType number_type(const Arg& arg) const {
    const auto* v = arg.as<ValueId>();
    const auto kind = v ? graph_.values[*v].kind : torch::Value::Kind::Other;
    const bool real = arg.as<double>() || kind == torch::Value::Kind::SymFloat;
    const bool truth = arg.as<bool>() || kind == torch::Value::Kind::SymBool;
    const DType own = real ? DType::F32 : truth ? DType::Bool : DType::I64;
    if (converts_operands(kernel_) && result_type().dtype != DType::Unknown) return result_type().dtype;
    for (const auto& a : node_.args) {
      const auto* other = a.arg.as<ValueId>();
      if (!other || !is_tensor(*other)) continue;
      const DType dtype = graph_.type(*other).dtype;
      if (is_float(dtype) || (is_integer(dtype) && !real) || truth) return dtype;
    }
    return own;
  }

  Result<ValueIndex> number_as_tensor(const Arg& arg) {
    const DType dtype = number_type(arg);
    if (arg.as<ValueId>()) {
      TRY(const ValueIndex number, sizes_.scalar(arg));
      TRY(const ValueIndex out, plan_.scratch({dtype, {}}, node_.name));
      plan_.call("aten::scalar_tensor", "out", {number, out, out});
      return out;
    }
    if (const auto* i = arg.as<int64_t>()) return plan_.constant(Weight::of<int64_t>(DType::I64, {}, {*i}).cast(dtype), node_.name);
    if (const auto* f = arg.as<double>()) return plan_.constant(Weight::of<double>(DType::F64, {}, {*f}).cast(dtype), node_.name);
    if (const auto* b = arg.as<bool>()) return plan_.constant(Weight::of<uint8_t>(DType::Bool, {}, {*b}).cast(dtype), node_.name);
    return no_kernel("neither a tensor nor a number");
  }

  // ---- shapes

  Result<ValueIndex> row_major(int rank) {
    std::vector<int64_t> order(static_cast<size_t>(rank));
    std::iota(order.begin(), order.end(), 0);
    return plan_.ints(order);
  }

  // Sizes of the result; one that is not known before the call may be left to the kernel.
  Result<ValueIndex> view_sizes() {
    const Shape shape = result_type().shape;
    const auto unknown = std::count_if(shape.begin(), shape.end(), [](Dim d) { return !d.is_constant(); });
    const bool empty = std::find(shape.begin(), shape.end(), Dim(0)) != shape.end();
    executorch::IntList list;
    for (const Dim d : shape) {
      if (!d.is_constant() && unknown == 1 && !empty) {
        list.items.push_back(plan_.integer(-1));
        continue;
      }
      TRY(list.items.emplace_back(), sizes_.size(d));
    }
    return plan_.add(std::move(list));
  }

  Result<ValueIndex> expand_sizes() {
    const Shape shape = result_type().shape;
    const Shape& from = graph_.type(*node_.args[0].arg.as<ValueId>()).shape;
    executorch::IntList list;
    for (size_t i = 0; i < shape.size(); ++i) {
      const size_t lead = shape.size() - from.size();
      if (i >= lead && from[i - lead] == shape[i]) {
        list.items.push_back(plan_.integer(-1));
        continue;
      }
      TRY(list.items.emplace_back(), sizes_.size(shape[i]));
    }
    return plan_.add(std::move(list));
  }

  PlanBuilder& plan_;
  Sizes& sizes_;
  const torch::Graph& graph_;
  const torch::Node& node_;
  const executorch::Kernel& kernel_;
  const Form form_;
};

}  // namespace

Status call_kernel(PlanBuilder& plan, Sizes& sizes, torch::NodeId id) {
  const torch::Node& node = plan.graph().nodes[id];
  TRY(const KernelChoice choice, choose_kernel(plan.graph(), node));
  // The same elements in another shape are the same memory.
  if ((choice.form == Form::View || choice.form == Form::Copy) && node.results.size() == 1 && node.results[0]) {
    TRY(const bool aliased, plan.alias(node.results[0], *node.args[0].arg.as<torch::ValueId>()));
    if (aliased) return {};
  }
  return Caller(plan, sizes, node, choice).run();
}

void copy_tensor_to(PlanBuilder& plan, ValueIndex from, const TensorType& type, ValueIndex to, DType to_dtype) {
  const executorch::Kernel& kernel = *executorch::find_kernel(type.dtype == to_dtype ? "aten::clone" : "aten::_to_copy");
  std::vector<int64_t> order(type.shape.size());
  std::iota(order.begin(), order.end(), 0);
  plan.call(std::string(kernel.name), std::string(kernel.overload), {from, plan.boolean(false), plan.ints(order), to, to});
}

Result<ValueIndex> copy_tensor(PlanBuilder& plan, ValueIndex from, const TensorType& type, DType to, const std::string& name) {
  TRY(const ValueIndex out, plan.scratch({to, type.shape}, name));
  copy_tensor_to(plan, from, type, out, to);
  return out;
}

}  // namespace cortland::edge
