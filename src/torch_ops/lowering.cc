#include "torch_ops/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "mil/runtime.h"
#include "mil_ops/ops.h"
#include "torch/schema.h"
#include "torch_ops/lowering_state.h"

namespace cortland::torch_ops {
namespace {

constexpr int64_t kFoldInputLimit = int64_t{1} << 24;
constexpr int64_t kTinyFold = int64_t{1} << 10;  // elements that a folded convolution may add to the weights

const torch::Arg kNone;

}  // namespace

Lowering::Lowering(LoweringState& state, const torch::Graph& graph, torch::NodeId node, const torch::Schema* schema, DType compute)
    : state_(state), graph_(graph), node_(node), schema_(schema), compute_(compute) {}

const LoweringOptions& Lowering::options() const { return state_.options; }
DimTable& Lowering::dim_table() const { return *state_.program.dims; }

// --- arguments

const torch::Arg& Lowering::arg(std::string_view name) const {
  if (const torch::Arg* given = node().find(name)) return *given;
  if (!schema_) return kNone;
  for (size_t i = 0; i < schema_->args.size(); ++i) {
    if (schema_->args[i].name != name) continue;
    // Edge-dialect files leave names out: the position is the name.
    if (i < node().args.size() && node().args[i].name.empty()) return node().args[i].arg;
    return schema_->args[i].has_default ? schema_->args[i].fallback : kNone;
  }
  return kNone;
}

bool Lowering::has(std::string_view name) const { return !arg(name).is_none(); }

bool Lowering::is_tensor(std::string_view name) const {
  const auto* v = arg(name).as<torch::ValueId>();
  return v && graph_.values[*v].kind == torch::Value::Kind::Tensor;
}

namespace {

// Python numbers where a tensor is expected.
std::optional<Weight> number_weight(const torch::Arg& arg) {
  if (const auto* i = arg.as<int64_t>()) return Weight::of<int64_t>(DType::I64, {}, {*i});
  if (const auto* f = arg.as<double>()) return Weight::of<float>(DType::F32, {}, {static_cast<float>(*f)});
  if (const auto* b = arg.as<bool>()) return Weight::dense(DType::Bool, {}, std::string(1, *b ? '\1' : '\0'));
  return std::nullopt;
}

}  // namespace

Result<Operand> Lowering::stored_tensor(std::string_view name) {
  const torch::Arg& a = arg(name);
  if (auto w = number_weight(a)) return constant(std::move(*w));
  const auto* v = a.as<torch::ValueId>();
  if (!v || !v->valid()) return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' is not a tensor", name));
  const torch::Value& value = graph_.values[*v];
  if (value.kind == torch::Value::Kind::SymInt && value.has_sym) return size(value.sym);
  const auto it = state_.operands.find(*v);
  if (it == state_.operands.end() || !it->second)
    return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' ({}) has no Core ML value", name, value.name));
  const Operand o = it->second;
  if (!o.is_const() || !is_integer(dtype_of(o)) || bit_width(dtype_of(o)) <= 16) return o;
  // Indices beyond 32 bits cannot be represented; big index tables are checked where they are written.
  const Weight& w = state_.program.consts[o.constant()].data;
  if (w.elements() <= kFoldLimit)
    for (int64_t x : w.to_ints())
      if (!fits_int32(x)) return reject(DiagKind::UnsupportedDtype, fmt::format("argument '{}' holds {}, which does not fit 32 bits", name, x));
  return o;
}

Result<Operand> Lowering::tensor(std::string_view name) {
  TRY(Operand o, stored_tensor(name));
  return cast(o, mil_dtype(dtype_of(o)));
}

Result<Operand> Lowering::precise_tensor(std::string_view name) {
  TRY(Operand o, stored_tensor(name));
  if (o.is_const() || dtype_of(o) == DType::F32) return o;
  return cast(o, mil_dtype(dtype_of(o)));
}

Result<std::vector<Operand>> Lowering::tensors(std::string_view name) {
  TRY(std::vector<Operand> out, precise_tensors(name));
  for (Operand& o : out) {
    if (!o) continue;
    TRY(o, cast(o, mil_dtype(dtype_of(o))));
  }
  return out;
}

Result<std::vector<Operand>> Lowering::precise_tensors(std::string_view name) {
  const auto* list = arg(name).as<torch::Arg::List>();
  if (!list) return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' is not a list of tensors", name));
  std::vector<Operand> out;
  for (const torch::Arg& a : *list) {
    const auto* v = a.as<torch::ValueId>();
    if (!v || !v->valid()) {
      out.push_back({});
      continue;
    }
    const auto it = state_.operands.find(*v);
    if (it == state_.operands.end() || !it->second)
      return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' has a tensor without Core ML value", name));
    out.push_back(it->second);
    if (it->second.is_const() || dtype_of(it->second) == DType::F32) continue;
    TRY(out.back(), cast(it->second, mil_dtype(dtype_of(it->second))));
  }
  return out;
}

Result<Dim> Lowering::dim(std::string_view name) const {
  const torch::Arg& a = arg(name);
  if (const auto* i = a.as<int64_t>()) return *i >= 0 ? Dim(*i) : dim_table().constant(*i);
  if (const auto* v = a.as<torch::ValueId>()) {
    const torch::Value& value = graph_.values[*v];
    if (value.kind == torch::Value::Kind::SymInt && value.has_sym) return value.sym;
  }
  return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' is a size that only the data decides", name));
}

Result<Shape> Lowering::dims(std::string_view name) const {
  const auto* list = arg(name).as<torch::Arg::List>();
  if (!list) {
    TRY(Dim d, dim(name));
    return Shape{d};
  }
  Shape out;
  for (const torch::Arg& a : *list) {
    if (const auto* i = a.as<int64_t>()) {
      out.push_back(*i >= 0 ? Dim(*i) : dim_table().constant(*i));
      continue;
    }
    const auto* v = a.as<torch::ValueId>();
    if (!v || !graph_.values[*v].has_sym)
      return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' has a size that only the data decides", name));
    out.push_back(graph_.values[*v].sym);
  }
  return out;
}

Result<int64_t> Lowering::integer(std::string_view name) const {
  const torch::Arg& a = arg(name);
  if (const auto* i = a.as<int64_t>()) return *i;
  if (const auto* b = a.as<bool>()) return int64_t{*b};
  if (const auto* f = a.as<double>(); f && *f == std::floor(*f)) return static_cast<int64_t>(*f);
  TRY(Dim d, dim(name));
  const auto terms = dim_table().terms(d);
  if (terms.empty()) return int64_t{0};
  if (terms.size() == 1 && terms[0].atoms.empty()) return terms[0].coefficient;
  return reject(DiagKind::UnsupportedShape, fmt::format("argument '{}' is the dynamic size {}", name, dim_table().str(d)),
                "export with a static size for it");
}

Result<std::vector<int64_t>> Lowering::ints(std::string_view name) const {
  TRY(Shape list, dims(name));
  std::vector<int64_t> out;
  for (Dim d : list) {
    const auto terms = dim_table().terms(d);
    if (!terms.empty() && (terms.size() > 1 || !terms[0].atoms.empty()))
      return reject(DiagKind::UnsupportedShape, fmt::format("argument '{}' has the dynamic size {}", name, dim_table().str(d)),
                    "export with a static size for it");
    out.push_back(terms.empty() ? 0 : terms[0].coefficient);
  }
  return out;
}

Result<std::vector<int64_t>> Lowering::ints(std::string_view name, size_t count) const {
  TRY(auto list, ints(name));
  if (list.size() == 1) list.resize(count, list[0]);
  if (list.size() != count)
    return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' has {} numbers, {} are expected", name, list.size(), count));
  return list;
}

Result<double> Lowering::number(std::string_view name) const {
  const torch::Arg& a = arg(name);
  if (const auto* f = a.as<double>()) return *f;
  if (const auto* b = a.as<bool>()) return *b ? 1.0 : 0.0;
  TRY(const int64_t i, integer(name));
  return static_cast<double>(i);
}

bool Lowering::boolean(std::string_view name) const {
  const torch::Arg& a = arg(name);
  if (const auto* b = a.as<bool>()) return *b;
  const auto* i = a.as<int64_t>();
  return i && *i != 0;
}

std::string Lowering::str(std::string_view name) const {
  const auto* s = arg(name).as<std::string>();
  return s ? *s : std::string();
}

std::optional<DType> Lowering::dtype(std::string_view name) const {
  const auto* d = arg(name).as<DType>();
  return d ? std::optional(*d) : std::nullopt;
}

TensorType Lowering::torch_type(std::string_view name) const {
  const torch::Arg& a = arg(name);
  if (auto w = number_weight(a)) return w->type();
  const auto* v = a.as<torch::ValueId>();
  CHECK(v && v->valid(), fmt::format("{}: '{}' is not a tensor", node().target, name));
  const torch::Value& value = graph_.values[*v];
  return value.kind == torch::Value::Kind::Tensor ? value.type : TensorType{DType::I64, {}};
}

const Shape& Lowering::shape(std::string_view name) const {
  static const Shape scalar;
  const auto* v = arg(name).as<torch::ValueId>();
  return v && v->valid() && graph_.values[*v].kind == torch::Value::Kind::Tensor ? graph_.values[*v].type.shape : scalar;
}

const TensorType& Lowering::result_type(size_t i) const {
  static const TensorType none;
  const torch::ValueId v = i < node().results.size() ? node().results[i] : torch::ValueId{};
  return v ? graph_.values[v].type : none;
}

bool Lowering::result_used(size_t i) const {
  return i < node().results.size() && node().results[i] && state_.is_used(graph_, node().results[i]);
}

Result<int64_t> Lowering::axis(std::string_view name, int rank) const {
  TRY(const int64_t given, integer(name));
  const int64_t positive = given < 0 ? given + std::max(rank, 1) : given;
  // torch lets a scalar have axis 0 and -1.
  if (positive < 0 || positive >= std::max(rank, 1))
    return reject(DiagKind::UnsupportedArgument, fmt::format("dimension {} is out of range for rank {}", given, rank));
  return positive;
}

Result<std::vector<int64_t>> Lowering::axes(std::string_view name, int rank) const {
  std::vector<int64_t> out;
  if (has(name)) {
    TRY(out, ints(name));
  }
  for (int64_t& a : out) {
    if (a < 0) a += std::max(rank, 1);
    if (a < 0 || a >= std::max(rank, 1)) return reject(DiagKind::UnsupportedArgument, fmt::format("a dimension is out of range for rank {}", rank));
  }
  if (out.empty())
    for (int i = 0; i < rank; ++i) out.push_back(i);
  return out;
}

// --- MIL

DType Lowering::mil_dtype(DType torch) const {
  if (is_float(torch)) return compute_;
  if (is_integer(torch)) return DType::I32;
  return torch;
}

mil::Type Lowering::type(Operand o) const { return state_.program.type(o); }
const Shape& Lowering::shape_of(Operand o) const { return state_.program.type(o).shape(); }

const Weight* Lowering::const_weight(Operand o) const {
  if (!o.is_const()) return nullptr;
  const mil::Const& c = state_.program.consts[o.constant()];
  return c.data ? &c.data : nullptr;
}

std::optional<std::vector<int64_t>> Lowering::const_ints(Operand o) const {
  const Weight* w = const_weight(o);
  if (!w || w->elements() > kFoldLimit) return std::nullopt;
  return w->to_ints();
}

std::optional<std::vector<float>> Lowering::const_floats(Operand o) const {
  const Weight* w = const_weight(o);
  if (!w || w->elements() > kFoldLimit) return std::nullopt;
  return w->to_floats();
}

bool Lowering::is_weight(Operand o) const {
  if (!o.is_value()) return o.is_const();
  const mil::OpId producer = state_.program.values[o.value()].producer;
  return producer && state_.program.ops[producer].def->constexpr_op;
}

Operand Lowering::constant(Weight w) { return state_.program.constant(std::move(w)); }

Operand Lowering::constant(double v, DType dtype) {
  if (dtype == DType::F16 && v != 0 && (std::abs(v) > 65504 || std::abs(v) < 0x1p-23) && !std::isinf(v)) {
    const auto half = to_float16(Weight::of<float>(DType::F32, {}, {static_cast<float>(v)}), *state_.float16_range);
    if (half) return constant(*half);
    state_.float16_overflow = true;
  }
  if (is_integer(dtype)) return constant(Weight::of<int64_t>(DType::I64, {}, {static_cast<int64_t>(v)}).cast(dtype));
  return constant(Weight::of<float>(DType::F32, {}, {static_cast<float>(v)}).cast(dtype));
}

Operand Lowering::constant(const std::vector<int64_t>& v) {
  return constant(Weight::of<int64_t>(DType::I64, {static_cast<int64_t>(v.size())}, v).cast(DType::I32));
}

Result<Operand> Lowering::cast(Operand o, DType to) { return state_.cast(o, to, node_.index); }

namespace {

// The element type a literal takes: that of the operands in its group, else the first that the input allows.
DType literal_type(const mil::Program& program, const mil::MilOp& def, const mil::Input& input, const std::vector<mil::NamedOperand>& bound,
                   bool is_fraction) {
  if (input.group) {
    for (const auto& b : bound) {
      const int slot = def.slot(b.name);
      if (slot >= 0 && def.inputs[static_cast<size_t>(slot)].group == input.group && !b.operands.empty() && b.operands[0])
        return program.type(b.operands[0]).dtype();
    }
  }
  if (!is_fraction && input.types.has(DType::I32)) return DType::I32;
  for (DType t : {DType::F32, DType::F16, DType::U32, DType::Bool})
    if (input.types.has(t)) return t;
  return DType::I32;
}

}  // namespace

Result<std::vector<Operand>> Lowering::multi(const mil::MilOp& wanted, std::vector<MilArg> args) { return multi(wanted, std::move(args), {}); }

Result<std::vector<Operand>> Lowering::multi(const mil::MilOp& wanted, std::vector<MilArg> args, std::vector<mil::BlockId> blocks) {
  mil::Program& program = state_.program;
  const mil::MilOp* def = mil_ops::find(wanted.name, target());
  if (!def)
    return reject(DiagKind::UnsupportedTarget,
                  fmt::format("needs MIL op {}, which {} does not have", wanted.name, mil::target_name(target())),
                  fmt::format("raise the minimum deployment target to {}", mil::target_name(mil_ops::introduced(wanted.name))));
  std::vector<mil::NamedOperand> bound;
  for (const MilArg& a : args) {
    if (const auto* o = std::get_if<Operand>(&a.value)) {
      if (*o) bound.emplace_back(a.name, *o);
    } else if (const auto* list = std::get_if<std::vector<Operand>>(&a.value)) {
      bound.emplace_back(a.name, *list);
    }
  }
  for (const MilArg& a : args) {
    const int slot = def->slot(a.name);
    if (slot < 0) return reject(DiagKind::BadMil, fmt::format("MIL op {} has no input '{}' at {}", def->name, a.name, mil::target_name(target())));
    const mil::Input& input = def->inputs[static_cast<size_t>(slot)];
    auto of_type = [&](bool fraction) { return literal_type(program, *def, input, bound, fraction); };
    auto numbers = [&](const auto& v, bool fraction) {
      std::vector<float> floats(v.begin(), v.end());
      const DType t = of_type(fraction);
      if (is_integer(t)) return constant(Weight::of<int64_t>(DType::I64, {static_cast<int64_t>(v.size())}, std::vector<int64_t>(v.begin(), v.end())).cast(t));
      return constant(Weight::of<float>(DType::F32, {static_cast<int64_t>(v.size())}, floats).cast(t));
    };
    if (const auto* b = std::get_if<bool>(&a.value)) bound.emplace_back(a.name, Operand(program.constant(*b)));
    if (const auto* i = std::get_if<int64_t>(&a.value)) bound.emplace_back(a.name, constant(static_cast<double>(*i), of_type(false)));
    if (const auto* f = std::get_if<double>(&a.value)) bound.emplace_back(a.name, constant(*f, of_type(true)));
    if (const auto* s = std::get_if<std::string>(&a.value)) bound.emplace_back(a.name, Operand(program.constant(*s)));
    if (const auto* v = std::get_if<std::vector<int64_t>>(&a.value)) bound.emplace_back(a.name, numbers(*v, false));
    if (const auto* v = std::get_if<std::vector<double>>(&a.value)) bound.emplace_back(a.name, numbers(*v, true));
    if (const auto* v = std::get_if<std::vector<bool>>(&a.value)) {
      std::string bytes;
      for (bool bit : *v) bytes += bit ? '\1' : '\0';
      bound.emplace_back(a.name, constant(Weight::dense(DType::Bool, {static_cast<int64_t>(v->size())}, bytes)));
    }
  }
  auto added = program.add_op(state_.block, *def, std::move(bound), {}, std::move(blocks));
  if (!added.ok()) return reject(added.error().kind, added.error().what);
  program.ops[*added].origin = node_.index;
  return fold(*added);
}

namespace {

// A convolution of constants, as position encodings have them, whose result would take more room than what it is computed from.
bool enlarges_weights(const mil::Program& program, const mil::Op& op) {
  if (op.def->name != "conv" && op.def->name != "conv_transpose") return false;
  int64_t before = kTinyFold, after = 0;
  for (const auto& b : op.operands) before += program.type(b.operand).tensor.elements().value_or(0);
  for (mil::ValueId v : op.results) after += program.type(v).tensor.elements().value_or(0);
  return after > before;
}

}  // namespace

Result<std::vector<Operand>> Lowering::fold(mil::OpId id) {
  mil::Program& program = state_.program;
  const mil::Op& op = program.ops[id];
  std::vector<Operand> results(op.results.begin(), op.results.end());
  bool foldable = op.def->pure && op.def->eval && !op.def->constexpr_op;
  for (const auto& b : op.operands) foldable = foldable && b.operand.is_const();
  // What is computed from weights may be as large as they are: it must stay a weight.
  int64_t limit = kFoldLimit;
  for (const auto& b : op.operands) {
    const int64_t elements = program.type(b.operand).tensor.elements().value_or(kFoldInputLimit + 1);
    foldable = foldable && elements <= kFoldInputLimit;
    limit = std::max(limit, elements);
  }
  for (mil::ValueId v : op.results) {
    const mil::Type& t = program.type(v);
    foldable = foldable && t.kind == mil::Type::Kind::Tensor && t.tensor.elements().value_or(limit + 1) <= limit;
  }
  if (!foldable || enlarges_weights(program, op)) return results;
  std::vector<std::vector<mil::RuntimeValue>> inputs(op.def->inputs.size());
  for (const auto& b : op.operands) {
    const mil::Const& c = program.consts[b.operand.constant()];
    mil::RuntimeValue value;
    value.strings = c.strings;
    if (c.data) {
      value.tensor = mil::Tensor::make(c.data.dtype(), c.data.shape());
      c.data.read(0, c.data.elements(), value.tensor.mutable_data());
    }
    inputs[b.slot].push_back(std::move(value));
  }
  std::vector<mil::Type> types;
  for (mil::ValueId v : op.results) types.push_back(program.type(v));
  mil::EvalContext context(*op.def, inputs, types);
  if (auto status = op.def->eval(context); !status.ok()) return reject(DiagKind::UnsupportedArgument, status.error().what);
  const auto values = context.take_results();
  program.erase_op(id);
  for (size_t i = 0; i < values.size(); ++i) {
    const mil::Tensor& t = values[i].tensor;
    results[i] = constant(Weight::dense(t.dtype, t.shape, std::string(reinterpret_cast<const char*>(t.data()), t.bytes())));
  }
  return results;
}

Result<Operand> Lowering::op(const mil::MilOp& def, std::vector<MilArg> args) {
  TRY(auto results, multi(def, std::move(args)));
  return results[0];
}

Result<Operand> Lowering::size(Dim d) {
  if (d.is_constant()) return constant(static_cast<double>(d.constant()), DType::I32);
  TRY(Operand vector, state_.size_vector(d, node_.index));
  return op(mil_ops::squeeze, {{"x", vector}, {"axes", std::vector<int64_t>{0}}});
}

Result<Operand> Lowering::sizes(const Shape& shape) {
  std::vector<int64_t> constants;
  for (Dim d : shape)
    if (d.is_constant()) constants.push_back(d.constant());
  if (constants.size() == shape.size()) return constant(constants);
  std::vector<Operand> parts;
  for (Dim d : shape) {
    auto part = state_.size_vector(d, node_.index);
    if (!part.ok()) return reject(part.error().kind, part.error().what, part.error().help);
    parts.push_back(*part);
  }
  if (parts.size() == 1) return parts[0];
  return op(mil_ops::concat, {{"values", parts}, {"axis", 0}, {"interleave", false}});
}

Result<Operand> Lowering::reshape(Operand o, const Shape& to) {
  if (shape_of(o) == to) return o;
  const TensorType wanted{dtype_of(o), to};
  if (const auto have = type(o).tensor.elements(), want = wanted.elements(); have && wanted.is_static() && have != want)
    return reject(DiagKind::BadProgram, "a reshape changes the number of elements");
  if (const Weight* w = const_weight(o); w && wanted.is_static()) return constant(w->reshape(cortland::sizes(to)));
  // One unknown size is -1, which keeps the shape constant; more of them must be computed.
  Operand shape;
  std::vector<int64_t> literal;
  int unknown = 0;
  for (Dim d : to) {
    literal.push_back(d.is_constant() ? d.constant() : -1);
    unknown += d.is_constant() ? 0 : 1;
  }
  if (unknown <= 1) {
    shape = constant(literal);
  } else {
    TRY(shape, sizes(to));
  }
  TRY(Operand result, op(mil_ops::reshape, {{"x", o}, {"shape", shape}}));
  return with_shape(result, to);
}

Operand Lowering::with_shape(Operand o, const Shape& shape) {
  if (o.is_value()) state_.program.values[o.value()].type.tensor.shape = shape;
  return o;
}

Result<Operand> Lowering::transpose(Operand o, const std::vector<int64_t>& perm) {
  auto axes = perm;
  std::sort(axes.begin(), axes.end());
  bool valid = static_cast<int>(perm.size()) == rank_of(o);
  for (size_t i = 0; i < axes.size(); ++i) valid = valid && axes[i] == static_cast<int64_t>(i);
  if (!valid) return reject(DiagKind::BadProgram, "a permutation does not name each dimension once");
  if (std::is_sorted(perm.begin(), perm.end())) return o;
  if (const Weight* w = const_weight(o)) return constant(w->permute(perm));
  return op(mil_ops::transpose, {{"x", o}, {"perm", perm}});
}

Result<Operand> Lowering::squeeze(Operand o, std::vector<int64_t> axes) {
  Shape to;
  for (int i = 0; i < rank_of(o); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) to.push_back(shape_of(o)[static_cast<size_t>(i)]);
  if (axes.empty()) return o;
  if (o.is_const()) return reshape(o, to);
  return op(mil_ops::squeeze, {{"x", o}, {"axes", axes}});
}

Result<Operand> Lowering::unsqueeze(Operand o, std::vector<int64_t> axes) {
  if (axes.empty()) return o;
  std::sort(axes.begin(), axes.end());
  const auto rank = rank_of(o) + static_cast<int64_t>(axes.size());
  if (axes[0] < 0 || axes.back() >= rank || std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    return reject(DiagKind::BadProgram, "a new dimension has no place in the tensor");
  if (o.is_const()) {
    Shape to = shape_of(o);
    for (int64_t a : axes) to.insert(to.begin() + a, Dim(1));
    return reshape(o, to);
  }
  return op(mil_ops::expand_dims, {{"x", o}, {"axes", axes}});
}

Result<Operand> Lowering::expand(Operand o, const Shape& to) {
  const Shape from = shape_of(o);
  if (from == to) return o;
  bool fits = to.size() >= from.size();
  for (size_t i = 0; fits && i < from.size(); ++i) {
    const Dim have = from[i], want = to[to.size() - from.size() + i];
    fits = have == Dim(1) || have == want || !have.is_constant() || !want.is_constant();
  }
  if (!fits) return reject(DiagKind::BadProgram, "a tensor does not broadcast to the shape it should have");
  if (const Weight* w = const_weight(o); w && TensorType{w->dtype(), to}.is_static()) {
    const auto target = cortland::sizes(to);
    if (TensorType{w->dtype(), to}.elements().value_or(kFoldLimit + 1) <= kFoldLimit) return constant(w->expand(target));
  }
  if (to.size() > 5) return reject(DiagKind::UnsupportedRank, fmt::format("expands to rank {}, Core ML allows 5", to.size()));
  std::vector<int64_t> lead(to.size() - from.size());
  for (size_t i = 0; i < lead.size(); ++i) lead[i] = static_cast<int64_t>(i);
  TRY(Operand wide, unsqueeze(o, lead));
  Shape reps;
  for (size_t i = 0; i < to.size(); ++i) {
    // Sizes that are not known to be equal are equal or 1 to be expanded.
    const Dim have = shape_of(wide)[i];
    reps.push_back(have == to[i] || dim_table().range(have).low > 1 ? Dim(1) : dim_table().floordiv(to[i], have));
  }
  if (std::all_of(reps.begin(), reps.end(), [](Dim d) { return d == Dim(1); })) return wide;
  TRY(Operand counts, sizes(reps));
  TRY(Operand result, op(mil_ops::tile, {{"x", wide}, {"reps", counts}}));
  return with_shape(result, to);
}

// --- refusing

Diagnostic Lowering::reject(DiagKind kind, std::string what, std::string help) const {
  Diagnostic d = diag(kind, std::move(what), std::move(help));
  d.op = node().target;
  d.node = node().name;
  d.source = node().source.str();
  return d;
}

Diagnostic Lowering::reject_argument(std::string_view name, std::string_view value, std::string help) const {
  return reject(DiagKind::UnsupportedArgument, fmt::format("argument '{}' = {} has no Core ML form", name, value), std::move(help));
}

}  // namespace cortland::torch_ops
