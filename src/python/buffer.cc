#include "python/buffer.h"

namespace cortland::python {

std::shared_ptr<const MappedFile> view_object(nanobind::handle object, std::string name) {
  auto view = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(object.ptr(), view.get(), PyBUF_SIMPLE) != 0) throw nanobind::python_error();
  const Bytes bytes(static_cast<const std::byte*>(view->buf), static_cast<size_t>(view->len));
  std::shared_ptr<Py_buffer> owner(view.release(), [](Py_buffer* buffer) {
    nanobind::gil_scoped_acquire gil;
    PyBuffer_Release(buffer);
    delete buffer;
  });
  return MappedFile::from_memory(bytes, std::move(owner), std::move(name));
}

}  // namespace cortland::python
