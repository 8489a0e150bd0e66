// weight.bin: a header, then for every blob a 64-byte record and its bytes, all 64-byte aligned. WeightPlan decides where
// each blob goes before a byte is read, then streams the contents; WeightFile looks blobs up without copying them.
// Neither is synchronised while it is filled; write() and fingerprint() run on several threads of their own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coreml/content_hash.h"
#include "tensor/weight_set.h"

namespace cortland::coreml {

class WeightPlan {
 public:
  // Offset of the record of `weight`, whose type has a blob form. Weights of equal contents share one.
  uint64_t add(const Weight& weight);

  uint64_t bytes() const { return blobs_.empty() ? 0 : end_; }  // 0: the package has no weight.bin
  const WeightSet& weights() const { return weights_; }
  // Writes bytes() bytes at `at`. The contents go into `hash` on the way, as fingerprint() adds them.
  Status write(OutputFile& out, uint64_t at, ContentHash* hash = nullptr) const;
  // Adds the contents of every blob to `hash`.
  Status fingerprint(ContentHash& hash) const;

 private:
  struct Blob {
    uint64_t record = 0;
    uint64_t gap = 0;  // zero bytes before the record
  };
  // What is read at a time: elements of one blob.
  struct Tile {
    size_t blob = 0;
    int64_t first = 0, count = 0;  // elements
  };
  // What is written at a time: tiles side by side in the file, with the records between them.
  struct Run {
    size_t first = 0, last = 0;    // tiles [first, last)
    uint64_t begin = 0, end = 0;   // bytes of the file
  };
  using RunWork = std::function<Status(uint64_t begin, Bytes)>;

  std::vector<Tile> tiles() const;
  std::vector<Run> runs(const std::vector<Tile>& tiles) const;
  uint64_t place_of(const Tile& tile) const;  // of its first element
  uint64_t begin_of(const Tile& tile) const;  // the same, but with what stands before a blob: the header, or a gap, and the record
  void put_record(size_t blob, std::byte* before, std::byte* elements) const;
  // Produces each run, in parallel, adds its tiles to `hash` and hands it on.
  Status for_each_run(ContentHash* hash, const RunWork& work) const;

  WeightSet weights_;
  std::vector<Blob> blobs_;  // one a weight
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
