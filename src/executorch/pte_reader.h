// Reads a .pte file back into a PteProgram. Bytes of constants, blobs and named data are views that keep the file alive.
// Free function; any thread. The file may be hostile: everything is checked before it is followed, and no more memory is
// taken than a small multiple of the file's size.
#pragma once

#include <memory>

#include "executorch/program.h"

namespace cortland::executorch {

// The program passes validate(). Keys of the data name its place in the file, so data shared there is shared on writing.
Result<PteProgram> read_pte(std::shared_ptr<const MappedFile> file);

}  // namespace cortland::executorch
