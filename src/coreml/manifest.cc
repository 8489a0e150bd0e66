#include "coreml/manifest.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "coreml/content_hash.h"

namespace cortland::coreml {
namespace {

using nlohmann::json;

json item(std::string_view name, std::string_view description) {
  return {{"author", "com.apple.CoreML"},
          {"name", name},
          {"path", fmt::format("com.apple.CoreML/{}", name)},
          {"description", description}};
}

std::string identifier(std::string_view model, std::string_view name) {
  ContentHash hash;
  hash.add(as_bytes(name));
  hash.add(as_bytes(model));
  return hash.uuid();
}

// "a.b.c", not above 1.0.0.
bool known_version(const std::string& version) {
  unsigned major = 0, minor = 0, patch = 0;
  int length = 0;
  if (std::sscanf(version.c_str(), "%5u.%5u.%5u%n", &major, &minor, &patch, &length) != 3 ||
      static_cast<size_t>(length) != version.size())
    return false;
  return major == 0 || (major == 1 && minor == 0 && patch == 0);
}

std::string text_field(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool stays_below(const std::filesystem::path& path) {
  if (path.empty() || path.is_absolute()) return false;
  for (const auto& part : path)
    if (part == ".." || part == "." || part.empty()) return false;
  return true;
}

}  // namespace

std::string write_manifest(std::string_view model, bool has_weights) {
  const std::string root = identifier(model, "model");
  json items;
  items[root] = item("model.mlmodel", "CoreML Model Specification");
  if (has_weights) items[identifier(model, "weights")] = item("weights", "CoreML Model Weights");
  return json{{"fileFormatVersion", "1.0.0"}, {"itemInfoEntries", items}, {"rootModelIdentifier", root}}.dump(4) + "\n";
}

Result<std::string> model_path(Bytes manifest, const std::string& name) {
  auto bad = [&](std::string why) { return diag(DiagKind::BadPackage, fmt::format("'{}' {}", name, why)); };
  const std::string_view text = as_text(manifest);
  const json root = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return bad("is not a JSON object");
  const std::string version = text_field(root, "fileFormatVersion");
  if (!known_version(version)) return bad(fmt::format("is of format version '{}'; versions up to 1.0.0 are known", version));
  const auto items = root.find("itemInfoEntries");
  if (items == root.end() || !items->is_object()) return bad("has no itemInfoEntries");
  const auto model = items->find(text_field(root, "rootModelIdentifier"));
  if (model == items->end() || !model->is_object()) return bad("does not say which item is the model");
  const std::string path = text_field(*model, "path");
  if (!stays_below(path)) return bad(fmt::format("places the model at '{}', which is not inside the package", path));
  return "Data/" + path;
}

}  // namespace cortland::coreml
