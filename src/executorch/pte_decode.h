// The program table of a .pte back to plain data. Internal to the reader.
#pragma once

#include <memory>

#include "executorch/program.h"

namespace cortland::executorch {

struct PteParts {
  Bytes table;     // the flatbuffer, extended header included
  Bytes segments;  // from the segment base to the end of the last segment
};

// Views into `segments` keep `owner` alive. The result is well formed, but validate() has not seen it yet.
Result<PteProgram> decode_program(PteParts parts, std::shared_ptr<const void> owner);

}  // namespace cortland::executorch
