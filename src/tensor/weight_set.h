// WeightSet: which weights hold the same numbers, whatever files they come from. Keeps every weight it was given, since a
// weight's key names its file by address. Not synchronised.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "tensor/weight.h"

namespace cortland {

class WeightSet {
 public:
  // The index of the first weight of this type with these contents: size() as it was before the call for one that is new.
  // Equal expressions are recognised unread; of the others only those that begin alike are compared in full.
  size_t add(const Weight& weight);

  size_t size() const { return weights_.size(); }
  const Weight& operator[](size_t i) const { return weights_[i]; }

 private:
  struct Known {
    size_t index = 0;
    Weight weight;
  };
  std::vector<Weight> weights_;
  std::unordered_map<std::string, Known> known_;                   // by Weight::key()
  std::unordered_map<std::string, std::vector<size_t>> by_start_;  // by type and first elements
};

// The bytes of a run of elements: in place where they lie dense, else produced into `buffer`.
Bytes element_bytes(const Weight& weight, int64_t first, int64_t count, std::string& buffer);

// How many elements make a tile of about 256 KiB: it stays in the second cache, and memory for it costs little. Packed types start tiles at whole bytes.
int64_t tile_elements(DType dtype);

}  // namespace cortland
