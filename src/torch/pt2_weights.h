// The tensors of a .pt2 file by fully qualified name, whichever way its version stores them: raw payloads that a config
// describes (torch 2.9 and newer), one pickle (before), or pickled tensor subclasses. Bytes stay in the mapped file. Tensors
// that lie elsewhere go before those of the file. Used by the reader of one program, after which the Weights live on; not
// synchronised. The archive and the table of other tensors outlive it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "archive/torch_save.h"
#include "tensor/weight.h"
#include "torch/pt2_archive.h"

namespace cortland::torch {

// A plain tensor, or a tensor subclass: an object whose attributes are tensors.
struct StoredTensor {
  Weight data;  // empty for a subclass
  std::shared_ptr<const archive::TorchSave> save;
  const archive::SavedValue* subclass = nullptr;  // lives in `save`
};

class Pt2Weights {
 public:
  static Result<Pt2Weights> open(const Pt2Archive& archive, const std::map<std::string, Weight>& elsewhere);

  Result<StoredTensor> find(TensorSection section, const std::string& name);
  // The tensor that a subclass keeps under `attribute`.
  Result<StoredTensor> inner(const StoredTensor& outer, const std::string& name, std::string_view attribute) const;

 private:
  struct Section {
    std::unique_ptr<archive::JsonDocument> config;
    std::unordered_map<std::string_view, archive::Json> raw;  // by name, views of `config`
    std::shared_ptr<const archive::TorchSave> save;
    std::unordered_map<std::string_view, const archive::SavedValue*> pickled;  // by name, in `save`
  };

  Pt2Weights(const Pt2Archive& archive, const std::map<std::string, Weight>& elsewhere) : archive_(&archive), elsewhere_(&elsewhere) {}
  Status open_section(TensorSection section);
  Status read_config(Section& section, const archive::ZipEntry& entry);
  Status read_pickle(Section& section, const archive::ZipEntry& entry);
  Result<StoredTensor> raw_tensor(TensorSection section, const std::string& name, const archive::Json& entry);
  Result<StoredTensor> pickled_payload(const archive::ZipEntry& payload);
  Result<StoredTensor> saved_tensor(const std::string& name, const std::shared_ptr<const archive::TorchSave>& save,
                                    const archive::SavedValue& value) const;
  Result<std::shared_ptr<const MappedFile>> inflated(const archive::ZipEntry& entry);

  const Pt2Archive* archive_;
  const std::map<std::string, Weight>* elsewhere_;
  Section weights_, constants_;
  std::unordered_map<const archive::ZipEntry*, std::shared_ptr<const MappedFile>> inflated_;
  std::unordered_map<const archive::ZipEntry*, std::shared_ptr<const archive::TorchSave>> saves_;
  uint64_t inflated_bytes_ = 0;
};

}  // namespace cortland::torch
