#include "torch/pt2_weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "archive/printable.h"
#include "torch/pt2_types.h"

namespace cortland::torch {

using archive::Json;
using archive::printable;
using archive::SavedValue;
using archive::TorchSave;
using archive::ZipEntry;

namespace {

constexpr uint64_t kMaxConfig = uint64_t{512} << 20;
// All inflated payloads of a file together: this, and so many times the size of the file.
constexpr uint64_t kFreeBytes = uint64_t{64} << 20, kMaxRatio = 200;
// Strides of 0 describe more elements than are stored; this many bytes more.
constexpr __int128 kMaxBroadcast = __int128{4} << 30;

Diagnostic bad(const std::string& tensor, std::string_view why) {
  return diag(DiagKind::BadProgram, fmt::format("the tensor '{}' {}", printable(tensor), why));
}

Diagnostic missing(const std::string& tensor) {
  return diag(DiagKind::WeightsMissing, fmt::format("the tensor '{}' has no data in the file", printable(tensor)));
}

// Elements of `meta` in the storage that fills [offset, offset + bytes) of `file`.
Result<Weight> view_storage(const std::string& name, std::shared_ptr<const MappedFile> file, uint64_t offset, uint64_t bytes,
                            const StoredMeta& meta) {
  const uint64_t width = static_cast<uint64_t>(bit_width(meta.dtype)) / 8;
  if (width == 0) return bad(name, "has an unknown element type");
  __int128 elements = 1;
  for (const int64_t size : meta.sizes) elements = std::min<__int128>(elements * size, __int128{1} << 62);
  if (elements == 0) return Weight::view(std::move(file), offset, 0, meta.dtype, meta.sizes, meta.strides);
  if (bytes == 0) return missing(name);
  if (bytes % width != 0) return bad(name, fmt::format("has {} bytes, which is no multiple of its element size", bytes));
  if (elements * width > bytes + kMaxBroadcast) return bad(name, "describes far more elements than the file has");
  const auto first = static_cast<uint64_t>(meta.storage_offset);
  if (first >= bytes / width) return bad(name, "starts past the end of its data");
  auto view =
      Weight::view(std::move(file), offset + first * width, bytes - first * width, meta.dtype, meta.sizes, meta.strides);
  if (!view) return bad(name, fmt::format("cannot be read: {}", view.error().what));
  return view;
}

}  // namespace

Result<Pt2Weights> Pt2Weights::open(const Pt2Archive& archive, const std::map<std::string, Weight>& elsewhere) {
  Pt2Weights weights(archive, elsewhere);
  TRY_DO(weights.open_section(TensorSection::Weights));
  TRY_DO(weights.open_section(TensorSection::Constants));
  return weights;
}

Status Pt2Weights::open_section(TensorSection which) {
  Section& section = which == TensorSection::Weights ? weights_ : constants_;
  if (const ZipEntry* config = archive_->config(which)) return read_config(section, *config);
  // Written even when there is nothing to store, except that old files leave the constants out.
  if (const ZipEntry* pickle = archive_->pickle(which); pickle && pickle->size > 0) return read_pickle(section, *pickle);
  return {};
}

Status Pt2Weights::read_config(Section& section, const ZipEntry& entry) {
  TRY(const auto text, archive_->zip().read(entry, kMaxConfig));
  TRY(auto document, archive::parse_json(text, fmt::format("{}:{}", archive_->name(), printable(entry.name))));
  section.config = std::make_unique<archive::JsonDocument>(std::move(document));
  TRY(const Json config, section.config->root().field("config"));
  TRY(const auto fields, config.fields());
  section.raw.reserve(fields.size());
  for (const auto [name, tensor] : fields) section.raw.emplace(name, tensor);
  return {};
}

Status Pt2Weights::read_pickle(Section& section, const ZipEntry& entry) {
  TRY(const auto file, inflated(entry));
  TRY(auto save, TorchSave::open(file));
  section.save = std::make_shared<const TorchSave>(std::move(save));
  const SavedValue& root = section.save->root();
  if (root.kind != SavedValue::Kind::Dict)
    return diag(DiagKind::BadPickle, fmt::format("'{}' holds no table of tensors", file->name()));
  section.pickled.reserve(root.entries.size());
  for (const auto& [key, value] : root.entries) {
    const SavedValue& name = (*section.save)[key];
    if (name.kind == SavedValue::Kind::Str) section.pickled.emplace(name.text, &(*section.save)[value]);
  }
  return {};
}

Result<StoredTensor> Pt2Weights::find(TensorSection which, const std::string& name) {
  if (const auto it = elsewhere_->find(name); it != elsewhere_->end()) return StoredTensor{it->second, {}, nullptr};
  const Section& section = which == TensorSection::Weights ? weights_ : constants_;
  if (const auto it = section.raw.find(name); it != section.raw.end()) return raw_tensor(which, name, it->second);
  if (const auto it = section.pickled.find(name); it != section.pickled.end())
    return saved_tensor(name, section.save, *it->second);
  return bad(name, fmt::format("is not among the {} of '{}'", which == TensorSection::Weights ? "weights" : "constants",
                               archive_->name()));
}

Result<StoredTensor> Pt2Weights::raw_tensor(TensorSection section, const std::string& name, const Json& json) {
  TRY(const Json path, json.field("path_name"));
  TRY(const auto path_name, path.as_string());
  TRY(const ZipEntry* const payload, archive_->payload(section, path_name));
  TRY(const auto use_pickle, json.optional_field("use_pickle"));
  if (use_pickle) {
    TRY(const bool pickled, use_pickle->as_bool());
    if (pickled) {
      if (payload->size == 0) return missing(name);
      return pickled_payload(*payload);
    }
  }
  TRY(const auto meta_json, json.optional_field("tensor_meta"));
  if (!meta_json) return bad(name, "is an object, not a tensor");
  TRY(const StoredMeta meta, read_stored_meta(*meta_json));
  StoredTensor tensor;
  if (payload->deflated) {
    TRY(auto file, inflated(*payload));
    TRY(tensor.data, view_storage(name, std::move(file), 0, payload->size, meta));
  } else {
    TRY(tensor.data, view_storage(name, archive_->file(), payload->offset, payload->size, meta));
  }
  return tensor;
}

Result<StoredTensor> Pt2Weights::pickled_payload(const ZipEntry& payload) {
  auto& save = saves_[&payload];
  if (!save) {
    TRY(const auto file, inflated(payload));
    TRY(auto opened, TorchSave::open(file));
    save = std::make_shared<const TorchSave>(std::move(opened));
  }
  return saved_tensor(payload.name, save, save->root());
}

Result<StoredTensor> Pt2Weights::saved_tensor(const std::string& name, const std::shared_ptr<const TorchSave>& save,
                                              const SavedValue& value) const {
  if (value.kind == SavedValue::Kind::Object) return StoredTensor{{}, save, &value};
  if (value.kind != SavedValue::Kind::Tensor) return bad(name, "is pickled as something that is no tensor");
  const archive::SavedTensor& saved = value.tensor;
  if (saved.conjugate || saved.negative) return bad(name, "is stored with a conjugation or negation still to be done");
  if (!saved.storage) return missing(name);
  const StoredMeta meta{saved.dtype, saved.sizes, saved.strides, saved.storage_offset};
  StoredTensor tensor;
  TRY(tensor.data, view_storage(name, saved.storage, 0, saved.storage->bytes().size(), meta));
  return tensor;
}

Result<StoredTensor> Pt2Weights::inner(const StoredTensor& outer, const std::string& name,
                                       std::string_view attribute) const {
  CHECK(outer.subclass != nullptr);
  const SavedValue* value = outer.save->find(*outer.subclass, attribute);
  if (!value)
    return bad(name, fmt::format("is a {} without the attribute '{}'", printable(outer.save->class_name(*outer.subclass)),
                                 printable(attribute)));
  const std::string full_name = fmt::format("{}.{}", name, attribute);
  if (const auto it = elsewhere_->find(full_name); it != elsewhere_->end()) return StoredTensor{it->second, {}, nullptr};
  return saved_tensor(full_name, outer.save, *value);
}

Result<std::shared_ptr<const MappedFile>> Pt2Weights::inflated(const ZipEntry& entry) {
  if (!entry.deflated) return archive_->zip().open_entry(entry, entry.size);
  auto& file = inflated_[&entry];
  if (file) return file;
  const uint64_t file_bytes = archive_->file()->bytes().size();
  const uint64_t budget = kFreeBytes + (file_bytes < (uint64_t{1} << 50) ? file_bytes * kMaxRatio : 0);
  TRY(file, archive_->zip().open_entry(entry, budget - std::min(budget, inflated_bytes_)));
  inflated_bytes_ += entry.size;
  return file;
}

}  // namespace cortland::torch
