#include "torch_passes/complex.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "torch_ops/op.h"
#include "torch_passes/fourier.h"
#include "torch_passes/functionalize.h"

namespace cortland::torch_passes {
namespace {

using torch::Arg;
using torch::Graph;
using torch::GraphInput;
using torch::Node;
using torch::NodeId;
using torch::ValueId;

DType part_type(DType t) {
  return t == DType::C32 ? DType::F16 : t == DType::C64 ? DType::F32 : t == DType::C128 ? DType::F64 : t;
}

// Operators that do to a complex tensor what they do to each of its parts.
const std::unordered_set<std::string_view>& part_by_part() {
  static const std::unordered_set<std::string_view> targets = {"aten.view.default",
                                                               "aten._unsafe_view.default",
                                                               "aten.view_copy.default",
                                                               "aten.reshape.default",
                                                               "aten.flatten.using_ints",
                                                               "aten.unflatten.int",
                                                               "aten.squeeze.default",
                                                               "aten.squeeze.dim",
                                                               "aten.squeeze.dims",
                                                               "aten.squeeze_copy.dims",
                                                               "aten.unsqueeze.default",
                                                               "aten.unsqueeze_copy.default",
                                                               "aten.expand.default",
                                                               "aten.expand_copy.default",
                                                               "aten.permute.default",
                                                               "aten.permute_copy.default",
                                                               "aten.transpose.int",
                                                               "aten.transpose_copy.int",
                                                               "aten.t.default",
                                                               "aten.mT.default",
                                                               "aten.numpy_T.default",
                                                               "aten.movedim.int",
                                                               "aten.movedim.intlist",
                                                               "aten.swapaxes.default",
                                                               "aten.select.int",
                                                               "aten.select_copy.int",
                                                               "aten.slice.Tensor",
                                                               "aten.slice_copy.Tensor",
                                                               "aten.split.Tensor",
                                                               "aten.split_with_sizes.default",
                                                               "aten.chunk.default",
                                                               "aten.unbind.int",
                                                               "aten.narrow.default",
                                                               "aten.cat.default",
                                                               "aten.stack.default",
                                                               "aten.clone.default",
                                                               "aten.contiguous.default",
                                                               "aten.alias.default",
                                                               "aten.detach.default",
                                                               "aten.lift_fresh_copy.default",
                                                               "aten.resolve_conj.default",
                                                               "aten.resolve_neg.default",
                                                               "aten.roll.default",
                                                               "aten.flip.default",
                                                               "aten.index_select.default",
                                                               "aten.index.Tensor",
                                                               "aten.gather.default",
                                                               "aten.repeat.default",
                                                               "aten.tile.default",
                                                               "aten.slice_scatter.default",
                                                               "aten.select_scatter.default",
                                                               "aten.copy.default",
                                                               "aten.index_put.default",
                                                               "aten.where.self",
                                                               "aten.sum.default",
                                                               "aten.sum.dim_IntList",
                                                               "aten.mean.default",
                                                               "aten.mean.dim",
                                                               "aten.cumsum.default",
                                                               "aten.constant_pad_nd.default",
                                                               "aten.pad.default",
                                                               "aten.diagonal.default",
                                                               "aten.tril.default",
                                                               "aten.triu.default",
                                                               "aten.masked_fill.Scalar",
                                                               "aten.neg.default",
                                                               "aten.full.default",
                                                               "aten.full_like.default",
                                                               "aten.view_as.default",
                                                               "aten.reshape_as.default",
                                                               "aten.expand_as.default",
                                                               "aten.positive.default",
                                                               "aten.repeat_interleave.self_int",
                                                               "aten.embedding.default",
                                                               "aten.unfold.default",
                                                               "aten.as_strided.default"};
  return targets;
}

// Products: linear in each of their two tensors.
const std::unordered_map<std::string_view, std::pair<const char*, const char*>>& products() {
  static const std::unordered_map<std::string_view, std::pair<const char*, const char*>> targets = {
      {"aten.matmul.default", {"self", "other"}},  {"aten.mm.default", {"self", "mat2"}},
      {"aten.bmm.default", {"self", "mat2"}},      {"aten.mv.default", {"self", "vec"}},
      {"aten.outer.default", {"self", "vec2"}},    {"aten.dot.default", {"self", "tensor"}},
      {"aten.linear.default", {"input", "weight"}}};
  return targets;
}

class Splitter {
 public:
  explicit Splitter(Graph& graph) : graph_(graph) {}

  Status run() {
    TRY_DO(split_inputs());
    for (const NodeId id : std::exchange(graph_.order, {})) {
      if (!concerns(id)) {
        graph_.order.push_back(id);
        continue;
      }
      TRY_DO(rewrite(id));
    }
    for (const auto& output : graph_.outputs) {
      Status status;
      for_each_value(output.value, [&](ValueId v) {
        if (v && is_complex(graph_.type(v).dtype))
          status = diag(DiagKind::UnsupportedDtype,
                        fmt::format("the output '{}' is {}, which neither Core ML nor ExecuTorch has", graph_.values[v].name,
                                    torch_name(graph_.type(v).dtype)),
                        "return torch.view_as_real of it");
      });
      TRY_DO(std::move(status));
    }
    remove_dead_nodes(graph_);
    return {};
  }

 private:
  bool complex(ValueId v) const {
    return v && graph_.values[v].kind == torch::Value::Kind::Tensor && is_complex(graph_.type(v).dtype);
  }

  bool concerns(NodeId id) const {
    const Node& node = graph_.nodes[id];
    bool any =
        is_fourier(node.target) || node.target == "aten.fft_fftshift.default" || node.target == "aten.fft_ifftshift.default";
    for (const ValueId v : node.results) any = any || complex(v);
    for (const auto& a : node.args) for_each_value(a.arg, [&](ValueId v) { any = any || complex(v); });
    return any;
  }

  // ---- inputs

  Status split_inputs() {
    std::vector<GraphInput> inputs;
    for (GraphInput& input : graph_.inputs) {
      if (!complex(input.value)) {
        inputs.push_back(std::move(input));
        continue;
      }
      const torch::Value value = graph_.values[input.value];
      if (input.kind == GraphInput::Kind::UserInput || !input.data)
        return diag(DiagKind::UnsupportedDtype,
                    fmt::format("the input '{}' is {}, which neither Core ML nor ExecuTorch has", value.name,
                                torch_name(value.type.dtype)),
                    "pass torch.view_as_real of it, and torch.view_as_complex inside of the model");
      for (const auto& output : graph_.outputs)
        if (output.kind != torch::GraphOutput::Kind::UserOutput && output.target == input.target)
          return diag(DiagKind::UnsupportedDtype,
                      fmt::format("the complex buffer '{}' is written to, which has no form in real numbers", input.target));
      Parts parts;
      for (const bool imaginary : {false, true}) {
        GraphInput part = input;
        part.name = input.name + (imaginary ? "_imag" : "_real");
        part.target = input.target + (imaginary ? ".imag" : ".real");
        part.data = input.data.complex_part(imaginary);
        torch::Value real;
        real.name = value.name + (imaginary ? "_imag" : "_real");
        real.type = {part_type(value.type.dtype), value.type.shape};
        part.value = graph_.add_value(std::move(real));
        (imaginary ? parts.im : parts.re) = part.value;
        inputs.push_back(std::move(part));
      }
      parts_[input.value] = std::move(parts);
    }
    graph_.inputs = std::move(inputs);
    return {};
  }

  // ---- nodes

  Status rewrite(NodeId id) {
    const Node node = graph_.nodes[id];
    static const torch::Schema kUnknown;
    const torch::Schema* schema = torch_ops::find_schema(node.target);
    torch_ops::Decomposition d(graph_, id, schema ? *schema : kUnknown);
    Steps s(d);
    TRY_DO(make(s, node));
    if (!s.fits()) return d.reject("the shapes of its complex tensors do not fit together");
    graph_.order.insert(graph_.order.end(), d.added.begin(), d.added.end());
    return {};
  }

  Status make(Steps& s, const Node& node) {
    if (node.target == "aten.fft_fftshift.default" || node.target == "aten.fft_ifftshift.default") return shift(s, node);
    if (is_fourier(node.target)) {
      TRY(const Parts x, first(s, node));
      TRY(const Parts y, transform(s, x));
      return finish(s, node, y);
    }
    if (part_by_part().count(node.target)) return apply_to_parts(s, node);
    if (const auto it = products().find(node.target); it != products().end())
      return product(s, node, it->second.first, it->second.second);
    if (node.target == "aten.einsum.default") return einsum(s, node);
    if (const auto done = arithmetic(s, node)) return *done;
    if (const auto done = conversion(s, node)) return *done;
    return s.d.reject("has no form in real numbers, and neither Core ML nor ExecuTorch has complex ones");
  }

  // The parts of an argument: a tensor or a number, real or complex.
  Parts parts_of(const Arg& arg) const {
    if (const auto* c = arg.as<torch::Complex>())
      return {c->real == 0 ? Part() : Part(c->real), c->imag == 0 ? Part() : Part(c->imag)};
    const auto* v = arg.as<ValueId>();
    if (!v) return {arg, {}};
    const auto it = parts_.find(*v);
    return it == parts_.end() ? Parts{arg, {}} : it->second;
  }

  Parts parts(Steps& s, const char* name) const { return parts_of(s.d.arg(name)); }

  // The first argument of a transform, a tensor.
  Result<Parts> first(Steps& s, const Node& node) const {
    const auto* v = node.args.empty() ? nullptr : node.args[0].arg.as<ValueId>();
    if (!v || !*v || graph_.values[*v].kind != torch::Value::Kind::Tensor)
      return s.d.reject("its first argument is not a tensor");
    return parts_of(node.args[0].arg);
  }

  // `y` becomes the node's first result, which may be real.
  Status finish(Steps& s, const Node& node, const Parts& y) { return finish(s, node, 0, y); }

  Status finish(Steps& s, const Node& node, size_t i, const Parts& y) {
    const ValueId result = i < node.results.size() ? node.results[i] : ValueId{};
    if (!result) return {};
    const TensorType& want = graph_.type(result);
    if (!complex(result)) {
      if (y.im.is_none() || want.rank() == 0 || want.shape.back() != Dim(2)) return s.give(i, tensor_of(s, y.re, want));
      // stft without return_complex: pairs.
      return s.give(i, pairs(s, y, {want.dtype, Shape(want.shape.begin(), want.shape.end() - 1)}));
    }
    const TensorType type{part_type(want.dtype), want.shape};
    parts_[result] = {Part(tensor_of(s, y.re, type)), Part(tensor_of(s, y.im, type))};
    return {};
  }

  Steps::V pairs(Steps& s, const Parts& y, const TensorType& type) {
    Shape to = type.shape;
    to.emplace_back(2);
    const Arg::List both = {Arg(tensor_of(s, y.re, type)), Arg(tensor_of(s, y.im, type))};
    return s.d.op("aten.stack.default", {{"tensors", both}, {"dim", static_cast<int64_t>(type.rank())}}, {type.dtype, to});
  }

  // The same operator for the real and for the imaginary parts.
  Status apply_to_parts(Steps& s, const Node& node) {
    std::vector<Parts> results(node.results.size());
    for (const bool imaginary : {false, true}) {
      std::vector<torch::NamedArg> args;
      for (const auto& a : node.args) args.push_back({a.name, part_argument(s, a.name, a.arg, imaginary)});
      std::vector<TensorType> types;
      for (const ValueId v : node.results)
        types.push_back(v ? TensorType{part_type(graph_.type(v).dtype), graph_.type(v).shape} : TensorType{});
      const auto made = s.d.multi(node.target, std::move(args), std::move(types));
      graph_.nodes[s.d.added.back()].returns_list = node.returns_list;
      for (size_t i = 0; i < made.size(); ++i) (imaginary ? results[i].im : results[i].re) = made[i];
    }
    for (size_t i = 0; i < results.size(); ++i)
      if (node.results[i]) parts_[node.results[i]] = results[i];
    return {};
  }

  Arg part_argument(Steps& s, const std::string& name, const Arg& arg, bool imaginary) {
    if (const auto* dtype = arg.as<DType>()) return Arg(part_type(*dtype));
    if (const auto* list = arg.as<Arg::List>()) {
      Arg::List out;
      for (const Arg& a : *list) out.push_back(part_argument(s, name, a, imaginary));
      return Arg(std::move(out));
    }
    const bool fill = name == "value" || name == "fill_value";
    if (const auto* c = arg.as<torch::Complex>()) return Arg(imaginary ? c->imag : c->real);
    if (fill && !arg.as<ValueId>() && !arg.is_none() && !arg.as<std::string>()) return imaginary ? Arg(0.0) : arg;
    const auto* v = arg.as<ValueId>();
    if (!v || !*v || graph_.values[*v].kind != torch::Value::Kind::Tensor) return arg;
    if (const auto it = parts_.find(*v); it != parts_.end()) return imaginary ? it->second.im : it->second.re;
    // Masks and indices are the same for both; a real number among complex ones has no imaginary part.
    const DType dtype = graph_.type(*v).dtype;
    const bool operand = name == "tensors" || name == "src" || name == "values" || name == "other" ||
                         (name == "self" && dtype != DType::Bool);
    return imaginary && operand ? Arg(s.full(graph_.type(*v).shape, 0.0, is_float(dtype) ? dtype : DType::F32)) : arg;
  }

  Status product(Steps& s, const Node& node, const char* left, const char* right) {
    if (node.target == "aten.linear.default" && s.d.has("bias")) {
      // Without the bias, then with it.
      Node plain = node;
      std::erase_if(plain.args, [](const auto& a) { return a.name == "bias"; });
      TRY(const Parts y, multiplied(s, plain, left, right));
      return finish(s, node, add(s, y, parts(s, "bias")));
    }
    TRY(const Parts y, multiplied(s, node, left, right));
    return finish(s, node, y);
  }

  Result<Parts> multiplied(Steps& s, const Node& node, const char* left, const char* right) {
    const Parts a = parts(s, left), b = parts(s, right);
    const TensorType type{part_type(graph_.type(node.results[0]).dtype), graph_.type(node.results[0]).shape};
    const auto times = [&](const Part& x, const Part& y) -> Part {
      if (x.is_none() || y.is_none()) return {};
      std::vector<torch::NamedArg> args = node.args;
      for (auto& arg : args) {
        if (arg.name == left) arg.arg = converted(s, x, type.dtype);
        if (arg.name == right) arg.arg = converted(s, y, type.dtype);
      }
      return s.d.op(node.target, std::move(args), type);
    };
    return Parts{subtract(s, times(a.re, b.re), times(a.im, b.im)), add(s, times(a.re, b.im), times(a.im, b.re))};
  }

  static Arg converted(Steps& s, const Part& p, DType dtype) {
    const auto* v = p.as<ValueId>();
    return v ? Arg(s.cast(*v, dtype)) : p;
  }

  Status einsum(Steps& s, const Node& node) {
    const auto* tensors = s.d.arg("tensors").as<Arg::List>();
    if (!tensors || tensors->empty()) return s.d.reject("has no tensors");
    if (tensors->size() > 2) return s.d.reject("an einsum of more than two complex tensors is not supported");
    if (tensors->size() == 1) return apply_to_parts(s, node);
    const Parts a = parts_of((*tensors)[0]), b = parts_of((*tensors)[1]);
    const TensorType type{part_type(graph_.type(node.results[0]).dtype), graph_.type(node.results[0]).shape};
    const auto times = [&](const Part& x, const Part& y) -> Part {
      if (x.is_none() || y.is_none()) return {};
      std::vector<torch::NamedArg> args = node.args;
      for (auto& arg : args)
        if (arg.name == "tensors") arg.arg = Arg::List{converted(s, x, type.dtype), converted(s, y, type.dtype)};
      return s.d.op(node.target, std::move(args), type);
    };
    return finish(s, node,
                  {subtract(s, times(a.re, b.re), times(a.im, b.im)), add(s, times(a.re, b.im), times(a.im, b.re))});
  }

  // fftshift and its inverse are rotations by half of each size.
  Status shift(Steps& s, const Node& node) {
    TRY(const Parts x, first(s, node));
    const auto* shaped = x.re.as<ValueId>();
    const auto dims = s.axes("dim", s.rank(*shaped));
    if (!dims) return s.d.reject("a dimension is out of range");
    Arg::List shifts, axes;
    for (const int64_t dim : *dims) {
      const int64_t n = s.number_of(*shaped, static_cast<int>(dim));
      shifts.emplace_back(node.target == "aten.fft_fftshift.default" ? n / 2 : (n + 1) / 2);
      axes.emplace_back(dim);
    }
    const auto rolled = [&](const Part& p) -> Part {
      const auto* v = p.as<ValueId>();
      return v ? Part(s.d.op("aten.roll.default", {{"self", *v}, {"shifts", shifts}, {"dims", axes}}, s.type(*v))) : p;
    };
    return finish(s, node, {rolled(x.re), rolled(x.im)});
  }

  std::optional<Status> arithmetic(Steps& s, const Node& node) {
    const std::string& t = node.target;
    const auto is = [&](const char* name) {
      return t == fmt::format("aten.{}.Tensor", name) || t == fmt::format("aten.{}.Scalar", name);
    };
    const auto scaled = [&](Parts x) {
      if (const auto alpha = s.d.number("alpha"); alpha && *alpha != 1) x = multiply(s, x, {Part(*alpha), {}});
      return x;
    };
    if (is("add")) return finish(s, node, add(s, parts(s, "self"), scaled(parts(s, "other"))));
    if (is("sub")) return finish(s, node, subtract(s, parts(s, "self"), scaled(parts(s, "other"))));
    if (is("rsub")) return finish(s, node, subtract(s, parts(s, "other"), scaled(parts(s, "self"))));
    if (is("mul")) return finish(s, node, multiply(s, parts(s, "self"), parts(s, "other")));
    if (is("div")) return finish(s, node, divide(s, parts(s, "self"), parts(s, "other")));
    if (t == "aten.square.default") return finish(s, node, multiply(s, parts(s, "self"), parts(s, "self")));
    if (t == "aten.reciprocal.default") return finish(s, node, divide(s, {Part(1.0), {}}, parts(s, "self")));
    if (t == "aten.exp.default") return finish(s, node, exponential(s, parts(s, "self")));
    if (t == "aten.log.default") return finish(s, node, logarithm(s, parts(s, "self")));
    if (t == "aten.sqrt.default") return finish(s, node, square_root(s, parts(s, "self")));
    if (t == "aten.pow.Tensor_Scalar") return power(s, node);
    if (t == "aten._conj.default" || t == "aten._conj_physical.default" || t == "aten.conj.default" ||
        t == "aten.conj_physical.default" || t == "aten._neg_view.default")
      return finish(s, node, conjugate(s, parts(s, "self")));
    return std::nullopt;
  }

  Status power(Steps& s, const Node& node) {
    const auto exponent = s.d.number("exponent");
    constexpr double kMost = 64;
    if (!exponent || *exponent != std::floor(*exponent) || std::abs(*exponent) > kMost)
      return s.d.reject("only whole powers of complex numbers are supported");
    auto n = static_cast<int64_t>(std::abs(*exponent));
    Parts result{Part(1.0), {}}, square = parts(s, "self");
    for (; n > 0; n /= 2) {
      if (n % 2 == 1) result = multiply(s, result, square);
      if (n > 1) square = multiply(s, square, square);
    }
    if (*exponent < 0) result = divide(s, {Part(1.0), {}}, result);
    return finish(s, node, result);
  }

  // Of the lengths of the elements.
  Status norm(Steps& s, const Node& node) {
    std::vector<torch::NamedArg> args = node.args;
    for (auto& a : args)
      if (a.name == "self") a.arg = length(s, parts(s, "self"));
    return finish(s, node, {Part(s.d.op(node.target, std::move(args), graph_.type(node.results[0]))), {}});
  }

  // Between real and complex.
  std::optional<Status> conversion(Steps& s, const Node& node) {
    const std::string& t = node.target;
    const auto real = [&](const Part& p) { return finish(s, node, Parts{p, {}}); };
    if (t == "aten.real.default") return real(parts(s, "self").re);
    if (t == "aten.imag.default") return real(parts(s, "self").im);
    if (t == "aten.abs.default") return real(length(s, parts(s, "self")));
    if (t == "aten.angle.default") return real(angle(s, parts(s, "self")));
    if (t == "aten.linalg_vector_norm.default") return norm(s, node);
    if (t == "aten.complex.default") return finish(s, node, {s.d.arg("real"), s.d.arg("imag")});
    if (t == "aten.polar.default") return finish(s, node, polar(s, s.d.arg("abs"), s.d.arg("angle")));
    if (t == "aten.view_as_real.default" || t == "aten.view_as_real_copy.default") {
      const TensorType& want = graph_.type(node.results[0]);
      return s.give(0, pairs(s, parts(s, "self"), {want.dtype, Shape(want.shape.begin(), want.shape.end() - 1)}));
    }
    if (t == "aten.view_as_complex.default" || t == "aten.view_as_complex_copy.default") {
      const ValueId v = s.d.tensor("self");
      const int last = s.rank(v) - 1;
      return finish(s, node, {Part(s.select(v, last, 0)), Part(s.select(v, last, 1))});
    }
    static const std::unordered_set<std::string_view> kConvert = {"aten._to_copy.default", "aten.to.dtype",
                                                                  "aten.to.dtype_layout",  "aten.to.device",
                                                                  "aten.to.other",         "aten.type_as.default"};
    if (kConvert.count(t))
      return finish(s, node,
                    node.results.empty() || complex(node.results[0]) ? parts(s, "self") : Parts{parts(s, "self").re, {}});
    static const std::unordered_set<std::string_view> kZeros = {"aten.zeros.default",       "aten.zeros_like.default",
                                                                "aten.empty.memory_format", "aten.empty_like.default",
                                                                "aten.new_zeros.default",   "aten.new_empty.default"};
    if (kZeros.count(t)) return finish(s, node, {});
    static const std::unordered_set<std::string_view> kOnes = {"aten.ones.default", "aten.ones_like.default",
                                                               "aten.new_ones.default"};
    if (kOnes.count(t)) return finish(s, node, {Part(1.0), {}});
    return std::nullopt;
  }

  Graph& graph_;
  std::unordered_map<ValueId, Parts> parts_;  // of complex values
};

}  // namespace

Status split_complex(Graph& graph) {
  bool any = false;
  for (const auto& value : graph.values)
    any = any || (value.kind == torch::Value::Kind::Tensor && is_complex(value.type.dtype));
  for (const NodeId n : graph.order)
    any = any || is_fourier(graph.nodes[n].target) || graph.nodes[n].target == "aten.fft_fftshift.default" ||
          graph.nodes[n].target == "aten.fft_ifftshift.default";
  return any ? Splitter(graph).run() : Status();
}

}  // namespace cortland::torch_passes
