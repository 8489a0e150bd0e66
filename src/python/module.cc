// The extension module cortland._cortland: plain functions under the Python classes of python/cortland, which give them their
// names and defaults. The GIL is released while a program is lowered or written.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <tuple>

#include "cortland/methods.h"
#include "driver/edge_flow.h"
#include "executorch/enumerated_shapes.h"
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

// The file's path, or an object that holds its bytes; with tensors that lie elsewhere.
torch::Pt2Source open_program(const nb::object& program, const std::string& name, const nb::list& tensors) {
  torch::Pt2Source source;
  if (nb::isinstance<nb::str>(program)) {
    const std::string path = nb::cast<std::string>(program);
    source.archive = std::move(unlocked([&] { return MappedFile::open(path); }).value());
  } else {
    source.archive = view_object(program, name);
  }
  auto views = view_tensors(tensors);
  if (!views.ok()) raise(views.error());
  source.tensors = std::move(*views);
  return source;
}

CoreMLPartitioner to_partitioner(const nb::dict& from) {
  CoreMLPartitioner partitioner;
  for (nb::handle name : from["skip_ops"]) partitioner.skip_ops_for_coreml_delegation.push_back(nb::cast<std::string>(name));
  for (nb::handle name : from["float32_ops"]) partitioner.float32_ops.push_back(nb::cast<std::string>(name));
  partitioner.compile_specs = to_specs(nb::cast<nb::list>(from["compile_specs"]));
  partitioner.take_over_mutable_buffer = nb::cast<bool>(from["take_over_mutable_buffer"]);
  partitioner.lower_full_graph = nb::cast<bool>(from["lower_full_graph"]);
  partitioner.take_over_constant_data = nb::cast<bool>(from["take_over_constant_data"]);
  return partitioner;
}

driver::LowerOptions to_options(const nb::dict& from) {
  auto options = lower_options(to_partitioner(from));
  if (!options.ok()) raise(options.error());
  return std::move(*options);
}

// Which options of a partitioner exclude each other, or nothing.
std::optional<std::string> check_partitioner(const nb::dict& options) {
  const Status status = to_partitioner(options).check();
  return status.ok() ? std::nullopt : std::optional(status.error().what);
}

// `inputs`: (name, dimensions) of each tensor input, a dimension as a number or (symbol, least size or None, largest or None).
nb::bytes enumerated_shapes_spec(const nb::list& inputs, const EnumeratedShapes& shapes) {
  std::vector<executorch::InputShape> all;
  for (nb::handle input : inputs) {
    all.push_back({nb::cast<std::string>(input[0]), {}});
    for (nb::handle dim : input[1]) {
      if (nb::isinstance<nb::tuple>(dim))
        all.back().shape.push_back(executorch::SymbolicDim{nb::cast<std::string>(dim[0]), nb::cast<std::optional<int64_t>>(dim[1]),
                                                           nb::cast<std::optional<int64_t>>(dim[2])});
      else
        all.back().shape.push_back(nb::cast<int64_t>(dim));
    }
  }
  const auto spec = executorch::enumerated_shapes_spec(all, shapes);
  if (!spec.ok()) raise(spec.error());
  return to_bytes(spec->value);
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

// (name, program, what errors call it, its tensors, options) of each method; (name, values, structure) of each that returns a constant.
EdgeProgram lower(const nb::list& methods, const nb::list& constant_methods) {
  std::vector<Method> all;
  for (nb::handle method : methods) {
    auto source = open_program(nb::cast<nb::object>(method[1]), nb::cast<std::string>(method[2]), nb::cast<nb::list>(method[3]));
    std::optional<CoreMLPartitioner> partitioner;
    if (!method[4].is_none()) partitioner = to_partitioner(nb::cast<nb::dict>(method[4]));
    all.push_back({nb::cast<std::string>(method[0]), ExportedProgram(std::make_shared<const torch::Pt2Source>(std::move(source))), std::move(partitioner)});
  }
  std::vector<edge::ConstantMethod> constants;
  for (nb::handle method : constant_methods) {
    auto& constant = constants.emplace_back();
    constant.name = nb::cast<std::string>(method[0]);
    for (nb::handle value : method[1]) constant.values.push_back(to_literal(value));
    constant.structure = nb::cast<std::string>(method[2]);
  }
  return unlocked([&] { return lower_methods(all, std::move(constants)); }).value();
}

// Memory of a new bytes object, zeroed. Called without the GIL.
struct NewBytes {
  nb::bytes object = nb::bytes("", 0);

  std::span<std::byte> operator()(uint64_t size) {
    nb::gil_scoped_acquire gil;
    object = nb::steal<nb::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
    if (!object.is_valid()) throw nb::python_error();
    auto* data = reinterpret_cast<std::byte*>(PyBytes_AS_STRING(object.ptr()));
    std::memset(data, 0, size);
    return {data, size};
  }
};

nb::bytes pte_bytes(const EdgeProgram& program) {
  NewBytes bytes;
  std::ignore = unlocked([&] { return program.to_executorch().write_to_memory(std::ref(bytes)); });
  return bytes.object;
}

// (nodes, buffers, target) of a program, without the nodes at the positions `outside`: of each node ("coreml" | "cpu" | "anywhere",
// kind of error, what, node, op, source, help), of each mutable buffer (name, why it cannot be a state), specification version.
nb::tuple survey(const nb::object& program, const nb::list& tensors, const nb::dict& from, const std::vector<size_t>& outside) {
  const driver::LowerOptions options = to_options(from);
  const auto source = open_program(program, "the exported program", tensors);
  const auto found = unlocked([&] { return driver::survey(source, options, outside); });
  constexpr const char* kPlaces[] = {"coreml", "cpu", "anywhere"};
  nb::list nodes, buffers;
  for (const auto& n : found->survey.nodes) {
    const Diagnostic& d = n.reason;
    nodes.append(nb::make_tuple(kPlaces[static_cast<int>(n.place)], std::string(diag_id(d.kind)), d.what, d.node, d.op, d.source,
                                std::string(d.remedy())));
  }
  for (const auto& b : found->survey.buffers) buffers.append(nb::make_tuple(b.target, b.why_not_state));
  return nb::make_tuple(nodes, buffers, mil::specification_version(found->target));
}

nb::bytes source_bytes(const executorch::ByteSource& source) {
  NewBytes bytes;
  std::ignore = unlocked([&]() -> Status {
    auto out = OutputFile::in_memory(bytes(source.size));
    return source.write_to(out, 0);
  });
  return bytes.object;
}

// (name, parts, options) of each method, a part being (program, tensors). Gives the blobs of each method, the (key, bytes) that
// the blobs refer to, and warnings.
nb::tuple lower_delegates(const nb::list& methods) {
  std::vector<driver::EdgeMethod> all;
  for (nb::handle method : methods) {
    auto& made = all.emplace_back();
    made.name = nb::cast<std::string>(method[0]);
    made.options = to_options(nb::cast<nb::dict>(method[2]));
    for (nb::handle part : method[1])
      made.parts.push_back(open_program(nb::cast<nb::object>(part[0]), "the delegated program", nb::cast<nb::list>(part[1])));
  }
  const auto lowered = unlocked([&] { return driver::lower_delegates(all); });
  nb::list blobs, shared;
  for (const auto& delegates : lowered->bytes.methods) {
    nb::list own;
    for (const auto& delegate : delegates) own.append(source_bytes(delegate.blob.data.bytes));
    blobs.append(own);
  }
  for (const auto& data : lowered->bytes.shared) shared.append(nb::make_tuple(data.name, source_bytes(data.data.bytes)));
  return nb::make_tuple(blobs, shared, lowered->bytes.warnings);
}

std::vector<std::string> method_names(const std::string& path) {
  return unlocked([&] { return ExportedProgram(path).method_names(); }).value();
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
  nb::class_<EdgeProgram>(m, "EdgeProgram")
      .def("report", [](const EdgeProgram& p) { return p.report().json(); }, "What was delegated and what was not, as JSON.")
      .def("messages", [](const EdgeProgram& p) { return p.report().messages(); }, "What to warn of.")
      .def("bytes", &pte_bytes, "The whole .pte file.")
      .def(
          "write",
          [](const EdgeProgram& p, const std::string& path) {
            std::ignore = unlocked([&] { return p.to_executorch().write_to_file(path); });
          },
          "path"_a, "Writes the .pte file, weights streamed; it appears under `path` once it is complete.");
  m.def("check_partitioner", &check_partitioner, "options"_a, "Which options exclude each other, or None.");
  m.def("enumerated_shapes_spec", &enumerated_shapes_spec, "inputs"_a, "shapes"_a);
  m.def("lower", &lower, "methods"_a, "constant_methods"_a);
  m.def("survey", &survey, "program"_a, "tensors"_a, "options"_a, "outside"_a);
  m.def("lower_delegates", &lower_delegates, "methods"_a);
  m.def("method_names", &method_names, "program"_a, "What the programs of a .pt2 file are called as methods.");
  m.def("generate_compile_specs", &generate_compile_specs, nb::kw_only(), "compute_unit"_a, "target"_a.none(), "precision"_a,
        "model_type"_a, "quantizer_config"_a.none(), "pass_names"_a.none());
}

}  // namespace cortland::python
