#include "torch/pt2_archive.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "archive/printable.h"

namespace cortland::torch {

using archive::JsonDocument;
using archive::printable;
using archive::ZipEntry;

namespace {

constexpr uint64_t kMaxText = 4096, kMaxJson = uint64_t{512} << 20;
constexpr int64_t kOldestMajor = 5, kNewestMajor = 8;
constexpr std::string_view kFlatProgram = "serialized_exported_program.json";

std::string_view folder(TensorSection section) { return section == TensorSection::Weights ? "weights" : "constants"; }

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

Status check_schema_version(const std::string& file, SchemaVersion version) {
  if (version.major >= kOldestMajor && version.major <= kNewestMajor) return {};
  const bool old = version.major < kOldestMajor;
  return diag(DiagKind::UnsupportedSchema,
              fmt::format("'{}' has schema version {}.{}; versions {} to {} are known", file, version.major, version.minor,
                          kOldestMajor, kNewestMajor),
              old ? "export the model again with torch 2.5 or newer" : "export with torch 2.13, or update this program");
}

Result<Pt2Archive> Pt2Archive::open_any(std::shared_ptr<const MappedFile> file) {
  TRY(auto zip, archive::ZipReader::open(file));
  Pt2Archive archive(std::move(file), std::move(zip));
  TRY_DO(archive.detect());
  return archive;
}

Result<Pt2Archive> Pt2Archive::open(std::shared_ptr<const MappedFile> file, const std::string& model_name) {
  TRY(auto archive, open_any(std::move(file)));
  TRY_DO(archive.choose_model(model_name));
  TRY_DO(archive.check_byte_order());
  return archive;
}

Result<std::vector<std::string>> program_names(std::shared_ptr<const MappedFile> file) {
  TRY(const auto archive, Pt2Archive::open_any(std::move(file)));
  return archive.models();
}

Result<std::string> Pt2Archive::small_text(const std::string& entry_name) const {
  const ZipEntry* entry = zip_.find(entry_name);
  if (!entry) return std::string();
  TRY(const auto text, zip_.read(*entry, kMaxText));
  return std::string(trim(text));
}

Status Pt2Archive::detect() {
  if (zip_.find(kFlatProgram)) {
    flat_ = true;
    return check_flat_version();
  }
  prefix_ = zip_.common_prefix();
  if (prefix_.empty() || !zip_.find(prefix_ + "archive_format")) return not_a_program();
  TRY(const auto format, small_text(prefix_ + "archive_format"));
  if (format != "pt2")
    return diag(DiagKind::BadArchive, fmt::format("'{}' is a '{}' archive, not a pt2", name(), printable(format)));
  TRY(const auto version, small_text(prefix_ + "archive_version"));
  if (!version.empty() && version != "0")
    return diag(DiagKind::UnsupportedSchema,
                fmt::format("'{}' has archive version '{}'; only 0 is known", name(), printable(version)));
  return {};
}

Diagnostic Pt2Archive::not_a_program() const {
  const auto ends_with = [&](std::string_view end) {
    const auto entries = zip_.entries();
    return std::any_of(entries.begin(), entries.end(), [&](const ZipEntry& e) { return e.name.ends_with(end); });
  };
  if (ends_with("data.pkl"))
    return diag(DiagKind::BadArchive,
                fmt::format("'{}' is a TorchScript or torch.save file, not an exported program", name()),
                "export the model with torch.export.export and torch.export.save");
  return diag(DiagKind::BadArchive, fmt::format("'{}' is a zip archive, but not an exported program", name()),
              "export the model with torch.export.export and torch.export.save");
}

Result<std::vector<std::string>> Pt2Archive::models() const {
  if (flat_) return std::vector{std::string(kUnnamedProgram)};
  const std::string start = prefix_ + "models/";
  constexpr std::string_view kEnd = ".json";
  std::vector<std::string> models;
  for (const ZipEntry& entry : zip_.entries()) {
    const std::string_view path = entry.name;
    if (path.size() > start.size() + kEnd.size() && path.starts_with(start) && path.ends_with(kEnd))
      models.emplace_back(path.substr(start.size(), path.size() - start.size() - kEnd.size()));
  }
  if (!models.empty()) return models;
  const auto inductor = prefix_ + "data/aotinductor/";
  const auto entries = zip_.entries();
  if (std::any_of(entries.begin(), entries.end(), [&](const ZipEntry& e) { return e.name.starts_with(inductor); }))
    return diag(DiagKind::BadArchive,
                fmt::format("'{}' is an AOTInductor package: compiled code without a program", name()),
                "save the exported program itself with torch.export.save");
  return diag(DiagKind::BadArchive, fmt::format("'{}' holds no program; writing it probably failed half way", name()));
}

Status Pt2Archive::choose_model(const std::string& wanted) {
  if (flat_) {
    if (wanted.empty() || wanted == kUnnamedProgram) return {};
    return diag(DiagKind::BadOption, fmt::format("'{}' holds one program without a name, not '{}'", name(), printable(wanted)));
  }
  TRY(auto names, models());
  const bool any = wanted.empty();
  model_ = !any ? wanted : names.size() == 1 ? names[0] : std::string(kUnnamedProgram);
  if (std::find(names.begin(), names.end(), model_) != names.end()) return {};
  for (auto& model : names) model = printable(model);
  return diag(DiagKind::BadOption,
              any ? fmt::format("'{}' holds several programs: {}", name(), fmt::join(names, ", "))
                  : fmt::format("'{}' has no program '{}', only {}", name(), printable(wanted), fmt::join(names, ", ")),
              "name one of them");
}

Status Pt2Archive::check_byte_order() const {
  TRY(const auto order, small_text(prefix_ + "byteorder"));
  if (order.empty() || order == "little") return {};
  return diag(DiagKind::BadArchive, fmt::format("'{}' was written with byte order '{}'", name(), printable(order)),
              "export the model on a little-endian machine");
}

// The oldest files have a bare integer as version and JSON of another shape, so this comes before the JSON is looked at.
Status Pt2Archive::check_flat_version() {
  TRY(const auto text, small_text("version"));
  if (text.empty()) return {};
  SchemaVersion version;
  const char* const end = text.data() + text.size();
  const auto major = std::from_chars(text.data(), end, version.major);
  if (major.ec == std::errc() && major.ptr != end && *major.ptr == '.') std::from_chars(major.ptr + 1, end, version.minor);
  bare_non_finite_ = version.major < 8 || (version.major == 8 && version.minor < 7);
  return check_schema_version(name(), version);
}

Result<JsonDocument> Pt2Archive::program() const {
  const std::string entry_name = flat_ ? std::string(kFlatProgram) : prefix_ + "models/" + model_ + ".json";
  TRY(const ZipEntry* const entry, zip_.require(entry_name));
  TRY(const auto text, zip_.read(*entry, kMaxJson));
  archive::JsonOptions options;
  options.bare_non_finite = bare_non_finite_;
  return archive::parse_json(text, name(), options);
}

const ZipEntry* Pt2Archive::config(TensorSection section) const {
  if (flat_) return nullptr;
  return zip_.find(fmt::format("{}data/{}/{}_{}_config.json", prefix_, folder(section), model_, folder(section)));
}

const ZipEntry* Pt2Archive::pickle(TensorSection section) const {
  if (flat_) return zip_.find(section == TensorSection::Weights ? "serialized_state_dict.pt" : "serialized_constants.pt");
  return zip_.find(fmt::format("{}data/{}/{}.pt", prefix_, folder(section), model_));
}

Result<const ZipEntry*> Pt2Archive::payload(TensorSection section, std::string_view path_name) const {
  if (!is_plain_name(path_name))
    return diag(DiagKind::BadArchive, fmt::format("'{}': '{}' is no name of a payload", name(), printable(path_name)));
  return zip_.require(fmt::format("{}data/{}/{}", prefix_, folder(section), path_name));
}

}  // namespace cortland::torch
