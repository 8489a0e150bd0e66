// Where the large bytes of a .pte go: segments behind the program table, equal bytes once. Internal to the writer; views
// the program it was made from.
#pragma once

#include "executorch/program.h"

namespace cortland::executorch {

struct PteSegment {
  uint64_t offset = 0, size = 0;  // offset from the segment base
  uint64_t alignment = 1;
};

struct PtePiece {
  uint64_t offset = 0;  // from the segment base
  const ByteSource* bytes = nullptr;
};

// Buffers inside one segment. Index 0 of `offsets` is reserved, so buffer numbers start at 1.
struct PteBuffers {
  uint32_t segment = 0;
  std::vector<uint64_t> offsets = {0};
  std::vector<uint32_t> number;  // of each entry of PteProgram::constants or ::initial_values
};

struct PteLayout {
  std::vector<PteSegment> segments;
  std::vector<PtePiece> pieces;
  PteBuffers constants, initial_values;
  std::vector<int64_t> blob_segments;  // one a blob; -1 for an empty one, which has no segment
  std::vector<uint32_t> named_segments;
  uint64_t alignment = 128;  // of the segment base
  uint64_t data_size = 0;    // from the segment base to the end of the file
};

PteLayout lay_out(const PteProgram& program);

}  // namespace cortland::executorch
