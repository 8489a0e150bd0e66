// The layout of a .pt2 file: which entries of the zip hold the program and its weights. Two layouts exist: the PT2 archive
// of torch 2.8 and newer (one folder, several programs) and the flat zip before it. Immutable once opened; owns the zip.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive/json.h"
#include "archive/zip_reader.h"

namespace cortland::torch {

// What torch.export.save calls the program it writes.
inline constexpr std::string_view kUnnamedProgram = "model";

// Names of the programs in a .pt2 file, in the order of the file; never empty.
Result<std::vector<std::string>> program_names(std::shared_ptr<const MappedFile> file);

// The two places where tensors lie: parameters and persistent buffers, or everything else.
enum class TensorSection { Weights, Constants };

class Pt2Archive {
 public:
  // `model_name` may be empty when there is one program, or one named "model".
  static Result<Pt2Archive> open(std::shared_ptr<const MappedFile> file, const std::string& model_name);

  const std::string& name() const { return zip_.name(); }
  const archive::ZipReader& zip() const { return zip_; }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

  Result<archive::JsonDocument> program() const;
  // The table of raw payloads; null when this version keeps its tensors in one pickle.
  const archive::ZipEntry* config(TensorSection section) const;
  // That pickle; null when absent.
  const archive::ZipEntry* pickle(TensorSection section) const;
  // The payload that a config calls `path_name`.
  Result<const archive::ZipEntry*> payload(TensorSection section, std::string_view path_name) const;

 private:
  Pt2Archive(std::shared_ptr<const MappedFile> file, archive::ZipReader zip)
      : file_(std::move(file)), zip_(std::move(zip)) {}
  friend Result<std::vector<std::string>> program_names(std::shared_ptr<const MappedFile> file);
  static Result<Pt2Archive> open_any(std::shared_ptr<const MappedFile> file);
  Status detect();
  Result<std::vector<std::string>> models() const;
  Status choose_model(const std::string& wanted);
  Status check_byte_order() const;
  Status check_flat_version();
  Diagnostic not_a_program() const;
  Result<std::string> small_text(const std::string& entry_name) const;  // empty when absent

  std::shared_ptr<const MappedFile> file_;
  archive::ZipReader zip_;
  std::string prefix_;  // "name/"; empty in the flat layout
  std::string model_;
  bool flat_ = false;
  bool bare_non_finite_ = false;
};

// torch's JSON schema, "8.20". Refuses versions whose meaning is not known.
struct SchemaVersion {
  int64_t major = 0, minor = 0;
};
Status check_schema_version(const std::string& file, SchemaVersion version);

}  // namespace cortland::torch
