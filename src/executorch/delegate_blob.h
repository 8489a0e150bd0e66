// The bytes a Core ML delegate gets from a .pte: a directory flattened into one blob, the small JSON texts in it, and the
// reference that stands in for it when several methods share one model. Free functions over plain values; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "executorch/byte_source.h"

namespace cortland::executorch {

inline constexpr std::string_view kCoreMLBackendId = "CoreMLBackend";

struct BlobFile {
  std::string path;  // relative to the root, "model.mlpackage/Manifest.json"
  ByteSource bytes;
};

struct FlattenedDirectory {
  ByteSource bytes;
  uint64_t alignment = 1;  // of the blob in its file: whole pages for models above 1 GiB
};

// Content first, then the index written backwards. Empty files are left out: readers take them for missing or crash.
Result<FlattenedDirectory> flatten_directory(std::string_view root_name, std::vector<BlobFile> files);

struct BlobView {
  std::string path;
  Bytes bytes;  // inside the blob
};

// Files in the order of their paths. Every path is relative and stays below the root.
Result<std::vector<BlobView>> unflatten_directory(Bytes blob);

// metadata.json: names of the model's features, in the order of the delegate's arguments.
struct MethodNames {
  std::vector<std::string> inputs, outputs;
  friend bool operator==(const MethodNames&, const MethodNames&) = default;
};

struct BlobMetadata {
  std::string identifier;                      // "executorch_<uuid>": the key of the device's model cache
  MethodNames names;                           // of the only method, when `methods` is empty
  std::map<std::string, MethodNames> methods;  // of a multifunction model
  friend bool operator==(const BlobMetadata&, const BlobMetadata&) = default;
};

std::string metadata_json(const BlobMetadata& metadata);
Result<BlobMetadata> parse_metadata(Bytes text);

// What a delegate of a multifunction model holds instead of the blob; the blob is named data under `key`.
struct MultifunctionReference {
  std::string key;       // "coreml_<identifier>"
  std::string function;  // name of the method
  friend bool operator==(const MultifunctionReference&, const MultifunctionReference&) = default;
};

std::string multifunction_reference(const MultifunctionReference& reference);
bool is_multifunction_reference(Bytes blob);
Result<MultifunctionReference> parse_multifunction_reference(Bytes blob);

}  // namespace cortland::executorch
