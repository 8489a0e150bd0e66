// weight.bin: a header, then for every blob a 64-byte record and its bytes, all 64-byte aligned. WeightPlan decides where
// each blob goes before a byte is read, then streams the contents; WeightFile looks blobs up without copying them.
// Neither is synchronised while it is filled; write() and fingerprint() run on several threads of their own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "coreml/content_hash.h"
#include "tensor/weight.h"

namespace cortland::coreml {

class WeightPlan {
 public:
  // Offset of the record of `weight`, whose type has a blob form. Equal weights share one, also when their bytes come from
  // different files; only those that begin alike are compared in full.
  uint64_t add(const Weight& weight);

  uint64_t bytes() const { return blobs_.empty() ? 0 : end_; }  // 0: the package has no weight.bin
  Status write(OutputFile& out, uint64_t at) const;
  // Adds the contents of every blob to `hash`.
  Status fingerprint(ContentHash& hash) const;

 private:
  struct Blob {
    Weight weight;
    uint64_t record = 0;
    uint64_t gap = 0;  // zero bytes before the record
  };
  struct Tile {
    size_t blob = 0;
    int64_t first = 0, count = 0;  // elements
  };
  static std::vector<Tile> tiles_of(const Weight& weight, size_t blob);
  static bool same_contents(const Weight& a, const Weight& b);
  std::vector<Tile> tiles() const;
  Status write_records(OutputFile& out, uint64_t at) const;

  std::vector<Blob> blobs_;
  struct Known {
    uint64_t record = 0;
    Weight weight;  // kept, since a key names its file by address
  };
  std::unordered_map<std::string, Known> known_;                   // by Weight::key()
  std::unordered_map<std::string, std::vector<size_t>> by_start_;  // blobs by type and first elements
  uint64_t end_ = 64;
};

class WeightFile {
 public:
  static Result<WeightFile> open(std::shared_ptr<const MappedFile> file);

  // The blob whose record is at `offset`, seen as a tensor of that type.
  Result<Weight> blob(uint64_t offset, DType dtype, const std::vector<int64_t>& shape) const;

 private:
  explicit WeightFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {}
  std::shared_ptr<const MappedFile> file_;
};

}  // namespace cortland::coreml
