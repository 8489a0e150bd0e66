#include "python/buffer.h"

#include <fmt/format.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;

namespace cortland::python {
namespace {

std::shared_ptr<const void> keep(nb::object object) {
  return {new nb::object(std::move(object)), [](nb::object* owner) {
            nb::gil_scoped_acquire gil;
            delete owner;
          }};
}

DType dtype_from_torch_name(std::string_view name) {
  for (int i = 1; i <= static_cast<int>(DType::F8E8M0FNU); ++i)
    if (torch_name(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  return DType::Unknown;
}

}  // namespace

std::shared_ptr<const MappedFile> view_object(nb::handle object, std::string name) {
  auto view = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(object.ptr(), view.get(), PyBUF_SIMPLE) != 0) throw nb::python_error();
  const Bytes bytes(static_cast<const std::byte*>(view->buf), static_cast<size_t>(view->len));
  std::shared_ptr<Py_buffer> owner(view.release(), [](Py_buffer* buffer) {
    nb::gil_scoped_acquire gil;
    PyBuffer_Release(buffer);
    delete buffer;
  });
  return MappedFile::from_memory(bytes, std::move(owner), std::move(name));
}

Result<std::map<std::string, Weight>> view_tensors(const nb::list& tensors) {
  std::map<std::string, Weight> weights;
  std::map<uintptr_t, std::shared_ptr<const MappedFile>> storages;
  for (nb::handle tensor : tensors) {
    const auto name = nb::cast<std::string>(tensor[0]);
    const auto address = nb::cast<uintptr_t>(tensor[1]);
    const auto bytes = nb::cast<uint64_t>(tensor[2]);
    const auto dtype_name = nb::cast<std::string>(tensor[3]);
    const DType dtype = dtype_from_torch_name(dtype_name);
    if (dtype == DType::Unknown)
      return diag(DiagKind::BadProgram, fmt::format("the tensor '{}' has the unknown element type {}", name, dtype_name));
    auto& storage = storages[address];
    if (!storage)
      storage = MappedFile::from_memory({reinterpret_cast<const std::byte*>(address), bytes}, keep(nb::borrow(tensor[7])), name);
    const uint64_t offset = nb::cast<uint64_t>(tensor[6]) * static_cast<uint64_t>(bit_width(dtype)) / 8;
    if (offset > bytes) return diag(DiagKind::BadProgram, fmt::format("the tensor '{}' starts past the end of its storage", name));
    TRY(weights[name], Weight::view(storage, offset, bytes - offset, dtype, nb::cast<std::vector<int64_t>>(tensor[4]),
                                    nb::cast<std::vector<int64_t>>(tensor[5])));
  }
  return weights;
}

}  // namespace cortland::python
