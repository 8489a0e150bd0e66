// Memory of Python objects, seen as files. The caller holds the GIL; what is made may be let go on any thread.
#pragma once

#include <nanobind/nanobind.h>

#include <map>

#include "base/file.h"
#include "tensor/weight.h"

namespace cortland::python {

// Shares the bytes of any object with the buffer protocol and keeps it alive; no copy.
std::shared_ptr<const MappedFile> view_object(nanobind::handle object, std::string name);

// Tensors by name, each a view of its storage, which the owner keeps alive; no copy. `tensors` is a list of
// (name, storage address, storage bytes, "float32", sizes, strides, storage offset, owner), sizes and strides in elements.
// Tensors that share a storage share the file, so equal views of it are known to be equal.
Result<std::map<std::string, Weight>> view_tensors(const nanobind::list& tensors);

}  // namespace cortland::python
