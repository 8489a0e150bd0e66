// The JSON texts of a Core ML delegate: metadata.json and the reference to a shared model.
#include <fmt/format.h>

#include "executorch/delegate_blob.h"
#include "executorch/json_text.h"

namespace cortland::executorch {
namespace {

constexpr std::string_view kReferenceMagic = "CMJR";

Diagnostic bad_metadata(std::string_view what) {
  return diag(DiagKind::BadPte, fmt::format("metadata.json of the delegate: {}", what));
}

void add_names(OrderedJson& to, const MethodNames& names) {
  to["inputNames"] = names.inputs;
  to["outputNames"] = names.outputs;
}

Result<MethodNames> parse_names(const Json& from) {
  auto inputs = strings(member(from, "inputNames", Json::value_t::array));
  auto outputs = strings(member(from, "outputNames", Json::value_t::array));
  if (!inputs || !outputs) return bad_metadata("inputNames or outputNames is not a list of names");
  if (outputs->empty()) return bad_metadata("there are no output names");
  return MethodNames{std::move(*inputs), std::move(*outputs)};
}

}  // namespace

std::string metadata_json(const BlobMetadata& metadata) {
  OrderedJson out = OrderedJson::object();
  if (metadata.methods.empty()) add_names(out, metadata.names);
  out["identifier"] = metadata.identifier;
  for (const auto& [method, names] : metadata.methods) add_names(out["methods"][method], names);
  return json_text(out);
}

Result<BlobMetadata> parse_metadata(Bytes text) {
  TRY(const auto from, parse_json(as_text(text), DiagKind::BadPte, "metadata.json of the delegate"));
  const auto* identifier = member(from, "identifier", Json::value_t::string);
  if (!identifier || identifier->get_ref<const std::string&>().empty()) return bad_metadata("there is no identifier");
  BlobMetadata out{identifier->get<std::string>(), {}, {}};
  if (const auto* methods = member(from, "methods", Json::value_t::object); methods && !methods->empty()) {
    for (const auto& [method, names] : methods->items()) {
      TRY(out.methods[method], parse_names(names));
    }
  } else {
    TRY(out.names, parse_names(from));
  }
  return out;
}

std::string multifunction_reference(const MultifunctionReference& reference) {
  OrderedJson out;
  out["version"] = 1;
  out["key"] = reference.key;
  out["functionName"] = reference.function;
  return std::string(kReferenceMagic) + json_text(out);
}

bool is_multifunction_reference(Bytes blob) { return as_text(blob).starts_with(kReferenceMagic); }

Result<MultifunctionReference> parse_multifunction_reference(Bytes blob) {
  if (!is_multifunction_reference(blob))
    return diag(DiagKind::BadPte, "the delegate's bytes are no reference to a shared model");
  auto text = as_text(blob).substr(kReferenceMagic.size());
  while (text.ends_with('\0')) text.remove_suffix(1);
  TRY(const auto from, parse_json(text, DiagKind::BadPte, "the reference to a shared model"));
  const auto* version = count_member(from, "version");
  const auto* key = member(from, "key", Json::value_t::string);
  if (!version || version->get<uint64_t>() != 1 || !key || key->get_ref<const std::string&>().empty())
    return diag(DiagKind::BadPte, "the reference to a shared model has no key, or a version other than 1");
  const auto* function = member(from, "functionName", Json::value_t::string);
  return MultifunctionReference{key->get<std::string>(), function ? function->get<std::string>() : std::string()};
}

}  // namespace cortland::executorch
