// The closed set of nodes that weights are made of. Internal to this layer.
#pragma once

#include "tensor/codes.h"
#include "tensor/weight.h"

namespace cortland {

inline constexpr int64_t kTile = 16384;  // elements converted at a time by nodes that need a buffer; it stays in the caches

struct Weight::Node {
  enum class Kind {
    View,
    Cast,
    Reshape,
    Gather,
    Scale,
    Concat,
    Quantize,
    Palettize,
    Prune,
    Nonzero,
    Select,
    PackedBytes,  // weight_codes.cc
  } kind = Kind::View;
  DType dtype = DType::Unknown;
  std::vector<int64_t> shape;
  std::shared_ptr<const MappedFile> file;            // View
  uint64_t offset = 0;                               // View: bytes
  std::vector<int64_t> strides;                      // View, Gather: elements of the source
  std::vector<Weight> sources;                       // Select: what to select from, then the mask
  std::vector<float> factors;                        // Scale
  int64_t axis = 0;                                  // Scale, Concat
  std::shared_ptr<const LinearCode> linear;          // Quantize
  std::shared_ptr<const TableCode> table;            // Palettize
  Pruning pruning;                                   // Prune
  std::shared_ptr<const std::vector<int64_t>> ones;  // Select: of the mask before each tile, and at its end

  Bytes extent() const;  // View: from its first to its last element
  static void put_key(std::string& key, const Weight& w);  // Weight::key(), appended
};

// Fields of `bits` bits side by side, first in the low bits; unused bits of the last byte are 0.
void pack_codes(const uint8_t* codes, int64_t count, int bits, std::byte* out);

}  // namespace cortland
