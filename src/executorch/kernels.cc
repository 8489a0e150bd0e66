#include "executorch/kernels.h"

#include <algorithm>
#include <array>

namespace cortland::executorch {
namespace {

constexpr Kernel kernel(KernelLibrary library, std::string_view functional_overload, std::string_view schema) {
  const auto qualified = schema.substr(0, schema.find('('));
  const auto dot = qualified.find('.');
  const bool plain = dot == std::string_view::npos;
  return {qualified.substr(0, dot), plain ? "" : qualified.substr(dot + 1), functional_overload, schema, library};
}

constexpr auto kKernels = std::to_array<Kernel>({
#define KERNEL(library, functional_overload, schema) kernel(KernelLibrary::library, functional_overload, schema),
#include "executorch/kernels.def"
#undef KERNEL
});

constexpr auto by_name = [](const Kernel& a, const Kernel& b) {
  return a.name != b.name ? a.name < b.name : a.overload < b.overload;
};
static_assert(std::is_sorted(kKernels.begin(), kKernels.end(), by_name));

struct Alias {
  std::string_view name, functional_overload, kernel_name, kernel_overload;
};

// Copies and new tensors state their memory layout as a dim_order; arange's kernel has a step with a default.
constexpr Alias kAliases[] = {
    {"aten::_to_copy", "", "dim_order_ops::_to_dim_order_copy", "out"},
    {"aten::clone", "", "dim_order_ops::_clone_dim_order", "out"},
    {"aten::empty", "memory_format", "dim_order_ops::_empty_dim_order", "out"},
    {"aten::arange", "start", "aten::arange", "start_out"},
};

std::span<const Kernel> named(std::string_view name) {
  const auto before = [](const Kernel& kernel, std::string_view n) { return kernel.name < n; };
  const auto first = std::lower_bound(kKernels.begin(), kKernels.end(), name, before);
  return {first, std::find_if(first, kKernels.end(), [&](const Kernel& kernel) { return kernel.name != name; })};
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// Up to the next comma outside brackets; `text` keeps the rest.
std::string_view take_argument(std::string_view& text) {
  int depth = 0;
  size_t end = 0;
  for (; end < text.size() && (depth > 0 || text[end] != ','); ++end) {
    if (text[end] == '(' || text[end] == '[') ++depth;
    if (text[end] == ')' || text[end] == ']') --depth;
  }
  const auto argument = trim(text.substr(0, end));
  text.remove_prefix(std::min(text.size(), end + 1));
  return argument;
}

// What stands between the outermost parentheses; the result type follows them.
struct SchemaParts {
  std::string_view arguments, result;
};

SchemaParts split(std::string_view schema) {
  const auto arrow = schema.rfind(" -> ");
  const auto head = schema.substr(0, arrow);
  const auto open = head.find('(');
  return {head.substr(open + 1, head.rfind(')') - open - 1),
          arrow == std::string_view::npos ? std::string_view{} : schema.substr(arrow + 4)};
}

KernelArg parse_argument(std::string_view text) {
  KernelArg arg;
  const auto equals = text.find('=');
  if (equals != std::string_view::npos) arg.default_value = text.substr(equals + 1);
  const auto declaration = text.substr(0, equals);
  const auto space = declaration.rfind(' ');
  arg.type = declaration.substr(0, space);
  arg.name = declaration.substr(space + 1);
  arg.written = arg.type.find('!') != std::string_view::npos;
  return arg;
}

}  // namespace

std::span<const Kernel> kernels() { return kKernels; }

const Kernel* find_registered_kernel(std::string_view name, std::string_view overload) {
  for (const auto& kernel : named(name))
    if (kernel.overload == overload) return &kernel;
  return nullptr;
}

const Kernel* find_kernel(std::string_view name, std::string_view overload) {
  if (overload == "default") overload = "";
  for (const auto& alias : kAliases)
    if (alias.name == name && alias.functional_overload == overload)
      return find_registered_kernel(alias.kernel_name, alias.kernel_overload);
  for (const auto& kernel : named(name))
    if (kernel.functional_overload == overload) return &kernel;
  // executorch_prim::et_view spells its overload out.
  return overload.empty() ? find_registered_kernel(name, "default") : nullptr;
}

const Kernel* find_kernel(std::string_view qualified_name) {
  const auto dot = qualified_name.find('.');
  if (dot == std::string_view::npos) return find_kernel(qualified_name, "");
  return find_kernel(qualified_name.substr(0, dot), qualified_name.substr(dot + 1));
}

std::vector<KernelArg> kernel_args(const Kernel& kernel) {
  std::vector<KernelArg> args;
  bool keyword_only = false;
  for (auto rest = split(kernel.schema).arguments; !rest.empty();) {
    const auto text = take_argument(rest);
    if (text == "*") {
      keyword_only = true;
      continue;
    }
    args.push_back(parse_argument(text));
    args.back().keyword_only = keyword_only;
  }
  return args;
}

KernelResult kernel_result(const Kernel& kernel) {
  if (split(kernel.schema).result.empty()) return KernelResult::Nothing;
  int written = 0;
  for (const auto& arg : kernel_args(kernel)) {
    if (!arg.written) continue;
    if (arg.type.ends_with("[]")) return KernelResult::OutList;
    ++written;
  }
  return written == 0 ? KernelResult::Slot : written == 1 ? KernelResult::SameValue : KernelResult::OutList;
}

}  // namespace cortland::executorch
