#include "cli/inspect.h"

#include <fmt/format.h>

#include <map>

#include "cli/command.h"
#include "cli/model_file.h"
#include "coreml/package_reader.h"
#include "mil/text.h"

namespace cortland::cli {
namespace {

struct InspectOptions {
  std::string model;
  bool json = false, mil = false;
};

std::string shape_text(const Json& shape) {
  std::string text;
  for (const Json& size : shape) {
    if (!text.empty()) text += ", ";
    if (size.is_number())
      text += std::to_string(size.get<int64_t>());
    else if (size.is_string())
      text += size.get<std::string>();
    else if (size["min"] == 0 && size.contains("max"))
      text += fmt::format("up to {}", size["max"].get<int64_t>());
    else
      text += fmt::format("{}..{}", size["min"].get<int64_t>(), size.contains("max") ? std::to_string(size["max"].get<int64_t>()) : "");
  }
  return "[" + text + "]";
}

std::string scalar_text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// Objects that describe a tensor go on one line; other objects and lists are indented.
void print(const Json& value, const std::string& key, int indent, std::string& out) {
  const std::string margin(static_cast<size_t>(indent) * 2, ' ');
  if (value.is_object() && value.contains("dtype") && value.contains("shape")) {
    out += fmt::format("{}{}: {} {}", margin, value.value("name", key), value["dtype"].get<std::string>(), shape_text(value["shape"]));
    for (const auto& [k, v] : value.items())
      if (k != "name" && k != "dtype" && k != "shape") out += fmt::format(", {} {}", k, scalar_text(v));
    out += "\n";
  } else if (value.is_structured()) {
    const bool unnamed = key.empty() && value.is_object();
    if (!key.empty()) out += fmt::format("{}{}{}\n", margin, key, value.empty() ? ": none" : "");
    if (unnamed && value.contains("name")) out += fmt::format("{}{}\n", margin, scalar_text(value["name"]));
    for (const auto& [k, v] : value.items()) {
      if (unnamed && k == "name") continue;
      print(v, value.is_array() ? "" : k, indent + (indent == 0 && key.empty() && !value.contains("name") ? 0 : 1), out);
    }
  } else {
    out += key.empty() ? fmt::format("{}{}\n", margin, scalar_text(value)) : fmt::format("{}{}: {}\n", margin, key, scalar_text(value));
  }
}

Status inspect(const InspectOptions& options) {
  TRY(const ModelKind kind, model_kind(options.model));
  if (options.mil) {
    if (kind == ModelKind::Pt2)
      return diag(DiagKind::BadOption, "--mil shows Core ML programs, and a .pt2 has none", "name an .mlpackage or a .pte");
    std::string text;
    if (kind == ModelKind::Pte) {
      TRY(text, pte_mil(options.model));
    } else {
      TRY(const auto program, coreml::read_package(options.model));
      text = mil::print(program);
    }
    fmt::print("{}", text);
    return {};
  }
  auto inspected = kind == ModelKind::Pt2   ? inspect_pt2(options.model)
                   : kind == ModelKind::Pte ? inspect_pte(options.model)
                                            : inspect_package(options.model);
  if (!inspected.ok()) return std::move(inspected).error();
  fmt::print("{}", options.json ? inspected->dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : inspection_text(*inspected));
  return {};
}

std::function<Status()> add_inspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  app.add_option("model", options->model, "a .pt2, .pte or .mlpackage")->required();
  auto* json = app.add_flag("--json", options->json, "as JSON");
  app.add_flag("--mil", options->mil, "print the MIL program of an .mlpackage, or those of the delegates of a .pte")->excludes(json);
  return [options] { return inspect(*options); };
}

Json describe_size(Dim dim, const DimTable& dims) {
  if (dim.is_constant()) return dim.constant();
  if (!dims.is_symbol(dim)) return dims.str(dim);
  const DimRange range = dims.range(dim);
  Json size{{"min", range.low}};
  if (range.high < INT32_MAX) size["max"] = range.high;
  return size;
}

}  // namespace

Json describe_tensor(const std::string& name, const TensorType& type, const DimTable& dims) {
  Json shape = Json::array();
  for (Dim d : type.shape) shape.push_back(describe_size(d, dims));
  return {{"name", name}, {"dtype", torch_name(type.dtype)}, {"shape", std::move(shape)}};
}

Json count_names(const std::vector<std::string>& names) {
  std::map<std::string, int> counts;
  for (const auto& name : names) ++counts[name];
  return counts.empty() ? Json::object() : Json(counts);
}

std::string inspection_text(const Json& inspection) {
  std::string out;
  print(inspection, "", 0, out);
  return out;
}

const Command kInspect{"inspect", "Say what is in a .pt2, .pte or .mlpackage", add_inspect};

}  // namespace cortland::cli
