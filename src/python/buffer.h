// Memory of a Python object, seen as a file. The caller holds the GIL; the file may be let go on any thread.
#pragma once

#include <nanobind/nanobind.h>

#include "base/file.h"

namespace cortland::python {

// Shares the bytes of any object with the buffer protocol and keeps it alive; no copy.
std::shared_ptr<const MappedFile> view_object(nanobind::handle object, std::string name);

}  // namespace cortland::python
