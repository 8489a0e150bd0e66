#include "cli/methods.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <set>

namespace cortland::cli {
namespace {

// "name=rest"; both parts have something in them.
Result<std::pair<std::string, std::string>> split(const std::string& text, std::string_view what, std::string_view example) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return diag(DiagKind::BadOption, fmt::format("cannot read the {} '{}'", what, text),
                fmt::format("write it as {}", example));
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

template <class T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<edge::Literal> number(std::string_view text) {
  if (const auto i = parse<int64_t>(text)) return edge::Literal(*i);
  if (const auto d = parse<double>(text)) return edge::Literal(*d);
  return std::nullopt;
}

// Empty unless all of `text` is numbers between commas.
std::vector<edge::Literal> numbers(std::string_view text) {
  std::vector<edge::Literal> all;
  for (size_t end = 0; end != std::string_view::npos;) {
    end = text.find(',');
    const auto item = number(text.substr(0, end));
    if (!item) return {};
    all.push_back(*item);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return all;
}

Result<std::vector<Method>> named_methods(const std::string& input, const std::vector<std::string>& named,
                                          const CoreMLPartitioner& partitioner) {
  std::vector<Method> methods;
  if (named.empty()) {
    if (input.empty())
      return diag(DiagKind::BadOption, "there is no program to read",
                  "name a .pt2 file, or methods with --method decode=decode.pt2");
    methods.push_back({{}, ExportedProgram(input), partitioner});  // whatever is in it
  }
  for (const auto& text : named) {
    TRY(const auto parts, split(text, "method", "--method decode=decode.pt2"));
    methods.push_back({parts.first, ExportedProgram(parts.second), partitioner});
  }
  return methods;
}

// The methods one by one, each under its name.
Status name_methods(std::vector<Method>& methods) {
  std::vector<Method> all;
  for (const auto& method : methods) {
    std::vector<std::string> names{method.name};
    if (method.name.empty()) {
      TRY(names, method.program.method_names());
    }
    for (const auto& name : names) all.push_back({name, method.program, method.partitioner});
  }
  methods = std::move(all);
  return {};
}

Status assign_shapes(const EnumeratedShapes& shapes, std::vector<Method>& methods) {
  if (shapes.empty()) return {};
  TRY_DO(name_methods(methods));
  std::set<std::string> unknown;
  for (const auto& [name, lists] : shapes)
    if (name.find(':') != std::string::npos) unknown.insert(name.substr(0, name.find(':')));
  for (auto& method : methods) {
    unknown.erase(method.name);
    EnumeratedShapes own;
    for (const auto& [name, lists] : shapes) {
      const size_t colon = name.find(':');
      if (colon == std::string::npos || name.substr(0, colon) == method.name) own[name.substr(colon + 1)] = lists;
    }
    if (own.empty()) continue;
    TRY(auto spec, CoreMLBackend::generate_enumerated_shapes_compile_spec(method.program, own, method.name));
    method.partitioner->compile_specs.push_back(std::move(spec));
  }
  if (unknown.empty()) return {};
  return diag(DiagKind::BadOption, fmt::format("enumerated shapes: there is no method '{}'", *unknown.begin()),
              "write them as decode:x=1x8,1x16");
}

}  // namespace

Result<std::vector<Method>> methods_from(const std::string& input, const std::vector<std::string>& named,
                                         const CoreMLPartitioner& partitioner, const EnumeratedShapes& shapes) {
  TRY(auto methods, named_methods(input, named, partitioner));
  TRY_DO(assign_shapes(shapes, methods));
  return methods;
}

Result<edge::ConstantMethod> constant_method(const std::string& text) {
  TRY(const auto parts, split(text, "constant method", "--constant-method get_max_seq_len=128"));
  edge::ConstantMethod method{parts.first, numbers(parts.second), {}};
  if (!method.values.empty()) return method;
  if (parts.second == "true" || parts.second == "false")
    method.values.emplace_back(parts.second == "true");
  else
    method.values.emplace_back(parts.second);
  return method;
}

}  // namespace cortland::cli
