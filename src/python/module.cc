// The extension module cortland._cortland: plain functions under the Python classes of python/cortland, which give them their
// names and defaults. The GIL is released while a program is lowered or written.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "driver/compile_specs.h"
#include "executorch/compile_specs.h"
#include "executorch/pte_writer.h"
#include "python/buffer.h"

namespace nb = nanobind;

namespace cortland::python {
namespace {

[[noreturn]] void raise(const Diagnostic& d) {
  const std::string kind(diag_id(d.kind)), help(d.remedy());
  nb::object error = nb::module_::import_("cortland.errors").attr("from_diagnostic")(kind, d.what, d.node, d.op, d.source, help);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw nb::python_error();
}

// Runs `f` without the GIL; a failure becomes a Python exception.
template <class F>
auto unlocked(F f) -> decltype(f()) {
  std::optional<decltype(f())> result;
  {
    nb::gil_scoped_release release;
    try {
      result.emplace(f());
    } catch (const InternalError& e) {
      result.emplace(diag(DiagKind::InternalFault, e.what()));
    }
  }
  if (!result->ok()) raise(result->error());
  return std::move(*result);
}

nb::bytes to_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

std::vector<executorch::CompileSpec> to_specs(const nb::list& pairs) {
  std::vector<executorch::CompileSpec> specs;
  for (nb::handle pair : pairs) {
    const auto value = nb::cast<nb::bytes>(pair[1]);
    specs.push_back({nb::cast<std::string>(pair[0]), std::string(value.c_str(), value.size())});
  }
  return specs;
}

nb::list from_specs(const std::vector<executorch::CompileSpec>& specs) {
  nb::list pairs;
  for (const auto& spec : specs) pairs.append(nb::make_tuple(spec.key, to_bytes(spec.value)));
  return pairs;
}

// The file's path, or an object that holds its bytes.
std::shared_ptr<const MappedFile> open_program(const nb::object& program, const std::string& name) {
  if (!nb::isinstance<nb::str>(program)) return view_object(program, name);
  const std::string path = nb::cast<std::string>(program);
  return std::move(unlocked([&] { return MappedFile::open(path); }).value());
}

driver::LowerOptions to_options(const nb::dict& from) {
  driver::LowerOptions options;
  if (const auto status = driver::apply_compile_specs(to_specs(nb::cast<nb::list>(from["compile_specs"])), options); !status.ok())
    raise(status.error());
  for (nb::handle name : from["skip_ops"]) options.partition.skip_ops.insert(nb::cast<std::string>(name));
  options.partition.lower_full_graph = nb::cast<bool>(from["lower_full_graph"]);
  options.partition.take_over_constant_data = nb::cast<bool>(from["take_over_constant_data"]);
  options.partition.take_over_mutable_buffer = nb::cast<bool>(from["take_over_mutable_buffer"]);
  return options;
}

DType dtype_of(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(DType::String); ++i)
    if (torch_name(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  raise(diag(DiagKind::UnsupportedDtype, "a constant method returns " + name + ", which a .pte cannot hold"));
}

// A bool, int, float or str; a tensor is (dtype, shape, bytes) and a dtype (dtype,).
edge::Literal to_literal(nb::handle value) {
  if (nb::isinstance<nb::bool_>(value)) return nb::cast<bool>(value);
  if (nb::isinstance<nb::int_>(value)) return nb::cast<int64_t>(value);
  if (nb::isinstance<nb::float_>(value)) return nb::cast<double>(value);
  if (nb::isinstance<nb::str>(value)) return nb::cast<std::string>(value);
  const DType dtype = dtype_of(nb::cast<std::string>(value[0]));
  if (nb::len(value) > 1) {
    const auto bytes = nb::cast<nb::bytes>(value[2]);
    return Weight::dense(dtype, nb::cast<std::vector<int64_t>>(value[1]), std::string(bytes.c_str(), bytes.size()));
  }
  const auto type = executorch::scalar_type(dtype);
  if (!type) raise(diag(DiagKind::UnsupportedDtype, "ExecuTorch has no number for this dtype"));
  return static_cast<int64_t>(*type);
}

// (name, program, what errors call it, options) of each method; (name, values, structure) of each that returns a constant.
driver::LoweredProgram lower(const nb::list& methods, const nb::list& constant_methods) {
  std::vector<driver::Method> all;
  for (nb::handle method : methods) {
    const auto options = to_options(nb::cast<nb::dict>(method[3]));
    auto file = open_program(nb::cast<nb::object>(method[1]), nb::cast<std::string>(method[2]));
    const auto name = nb::cast<std::string>(method[0]);
    all.push_back(unlocked([&] { return driver::method_of(name, std::move(file), options); }).value());
  }
  std::vector<edge::ConstantMethod> constants;
  for (nb::handle method : constant_methods) {
    auto& constant = constants.emplace_back();
    constant.name = nb::cast<std::string>(method[0]);
    for (nb::handle value : method[1]) constant.values.push_back(to_literal(value));
    constant.structure = nb::cast<std::string>(method[2]);
  }
  return unlocked([&] { return driver::lower(std::move(all), std::move(constants)); }).value();
}

std::vector<std::string> method_names(const std::string& path) {
  const auto methods = unlocked([&]() -> Result<std::vector<driver::Method>> {
    TRY(auto file, MappedFile::open(path));
    return driver::methods_of(std::move(file), {});
  });
  std::vector<std::string> names;
  for (const auto& method : methods.value()) names.push_back(method.name);
  return names;
}

nb::list generate_compile_specs(const std::string& compute_unit, std::optional<int> target, const std::string& precision,
                                const std::string& model_type, std::optional<std::string> quantizer_config,
                                std::optional<std::vector<std::string>> pass_names) {
  executorch::CompileOptions options;
  const auto choose = [](auto& to, auto found, const std::string& what, const std::string& name) {
    if (!found) raise(diag(DiagKind::BadOption, "there is no " + what + " '" + name + "'", "see CoreMLBackend.generate_compile_specs"));
    to = *found;
  };
  choose(options.compute_unit, executorch::compute_unit_from_name(compute_unit), "compute unit", compute_unit);
  choose(options.compute_precision, executorch::precision_from_name(precision), "compute precision", precision);
  choose(options.model_type, executorch::model_type_from_name(model_type), "model type", model_type);
  if (target)
    choose(options.minimum_deployment_target, executorch::target_from_version(*target), "deployment target of specification version",
           std::to_string(*target));
  options.op_linear_quantizer_config = std::move(quantizer_config);
  options.pass_names = std::move(pass_names);
  const auto specs = executorch::generate_compile_specs(options);
  if (!specs.ok()) raise(specs.error());
  return from_specs(*specs);
}

}  // namespace

NB_MODULE(_cortland, m) {
  using namespace nb::literals;
  nb::class_<driver::LoweredProgram>(m, "LoweredProgram")
      .def("report", [](const driver::LoweredProgram& p) { return p.report.json(); }, "What was delegated and what was not, as JSON.")
      .def(
          "bytes",
          [](const driver::LoweredProgram& p) { return to_bytes(unlocked([&] { return executorch::pte_bytes(p.program); }).value()); },
          "The whole .pte file.")
      .def(
          "write",
          [](const driver::LoweredProgram& p, const std::string& path) { std::ignore = unlocked([&] { return driver::write(p, path); }); },
          "path"_a, "Writes the .pte file, weights streamed; it appears under `path` once it is complete.");
  m.def("lower", &lower, "methods"_a, "constant_methods"_a);
  m.def("method_names", &method_names, "program"_a, "What the programs of a .pt2 file are called as methods.");
  m.def("generate_compile_specs", &generate_compile_specs, nb::kw_only(), "compute_unit"_a, "target"_a.none(), "precision"_a,
        "model_type"_a, "quantizer_config"_a.none(), "pass_names"_a.none());
}

}  // namespace cortland::python
