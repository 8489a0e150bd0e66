// Selection, nested blocks and lists. The engine runs the blocks of cond and while_loop; here are only their type rules.
#include <fmt/format.h>

#include <algorithm>

#include "mil_ops/arguments.h"
#include "mil_ops/elementwise.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {

using namespace mil;

namespace {

// --- select

Types infer_select(InferContext& c) {
  TRY(const Shape values, broadcast_dims(c, c.shape("a"), c.shape("b")));
  TRY(Shape shape, broadcast_dims(c, values, c.shape("cond")));
  return one({c.dtype("a"), std::move(shape)});
}

template <class T>
void select_elements(StridedWalk walk, const uint8_t* cond, const T* a, const T* b, T* out) {
  for (; !walk.done(); walk.next()) {
    const int64_t n = walk.length(), sc = walk.step(0), sa = walk.step(1), sb = walk.step(2);
    const uint8_t* pc = cond + walk.at(0);
    const T *pa = a + walk.at(1), *pb = b + walk.at(2);
    T* to = out + walk.at(3);
    for (int64_t i = 0; i < n; ++i) to[i] = pc[i * sc] ? pa[i * sa] : pb[i * sb];
  }
}

Status eval_select(EvalContext& c) {
  const Tensor cond = c.tensor("cond"), a = c.tensor("a"), b = c.tensor("b");
  TRY(const Sizes values, broadcast(a.shape, b.shape));
  TRY(const Sizes shape, broadcast_sizes(c, values, cond.shape));
  Tensor& out = c.output(0, shape, a.dtype);
  const StridedWalk walk(shape, {broadcast_strides(cond.shape, shape), broadcast_strides(a.shape, shape),
                                 broadcast_strides(b.shape, shape), dense_strides(shape)});
  const auto run = [&]<class T>(T) {
    select_elements(walk, cond.data<uint8_t>(), a.data<T>(), b.data<T>(), out.mutable_data<T>());
  };
  switch (byte_size(a.dtype, 1)) {
    case 1:
      run(uint8_t{});
      break;
    case 2:
      run(uint16_t{});
      break;
    default:
      run(uint32_t{});
      break;
  }
  return {};
}

// --- cond, while_loop

// One type for a value that has type `a` or type `b`, depending on which block ran. Sizes that differ are unknown.
Result<Type> either(InferContext& c, const Type& a, const Type& b) {
  if (a.kind != b.kind || a.dtype() != b.dtype() || a.rank() != b.rank())
    return c.error(fmt::format("the blocks disagree: {} or {}", str(a, c.dims), str(b, c.dims)));
  Type type = a;
  for (size_t i = 0; i < type.tensor.shape.size(); ++i)
    if (a.shape()[i] != b.shape()[i]) type.tensor.shape[i] = c.dims.unknown();
  if (a.length != b.length) type.length = c.dims.unknown();
  return type;
}

Result<std::vector<Type>> either(InferContext& c, const std::vector<Type>& a, const std::vector<Type>& b) {
  if (a.size() != b.size()) return c.error(fmt::format("the blocks disagree: {} or {} values", a.size(), b.size()));
  std::vector<Type> out;
  for (size_t i = 0; i < a.size(); ++i) {
    TRY(Type type, either(c, a[i], b[i]));
    out.push_back(std::move(type));
  }
  return out;
}

std::vector<Type> output_types(const InferContext& c, BlockId block) {
  std::vector<Type> types;
  for (Operand o : c.program.blocks[block].outputs) types.push_back(c.program.type(o));
  return types;
}

Types infer_cond(InferContext& c) {
  if (c.blocks.size() != 2) return c.error("two blocks are needed: true and false");
  if (c.rank("pred") != 0) return c.error("pred must be a scalar");
  return either(c, output_types(c, c.blocks[0]), output_types(c, c.blocks[1]));
}

Types infer_while_loop(InferContext& c) {
  if (c.blocks.size() != 2) return c.error("two blocks are needed: condition and body");
  const std::vector<Type> condition = output_types(c, c.blocks[0]);
  if (condition.size() != 1 || condition[0].dtype() != DType::Bool)
    return c.error("the condition block must yield one bool");
  return either(c, c.types("loop_vars"), output_types(c, c.blocks[1]));
}

// --- lists: a run-time list holds one tensor for each element; elements never written have no storage

constexpr int64_t kMaxListLength = 1 << 24;

Result<Type> list_type(const InferContext& c) {
  if (c.type("ls").kind != Type::Kind::List) return c.error("'ls' must be a list");
  return c.type("ls");
}

Types infer_make_list(InferContext& c) {
  const auto dtype = dtype_from_mil_name(c.str("dtype"));
  if (!dtype || !kNumbersBool.has(*dtype)) return c.error(fmt::format("a list cannot hold '{}'", c.str("dtype")));
  Shape shape;
  const int slot = c.def.slot("elem_shape");
  for (const Binding& b : c.bindings()) {
    if (b.slot != slot) continue;
    if (!b.operand.is_const()) return c.error("'elem_shape' must be constants");
    const Const& size = c.program.consts[b.operand.constant()];
    if (!size.strings.empty()) {
      shape.push_back(c.dims.symbol(size.strings[0]));
    } else {
      for (int64_t d : size.data.to_ints()) shape.push_back(d < 0 ? c.dims.unknown() : Dim(d));
    }
  }
  const bool fixed = !c.boolean("dynamic_length") && c.is_constant("init_length");
  const int64_t length = fixed ? c.integer("init_length") : 0;
  if (length < 0 || length > kMaxListLength) return c.error(fmt::format("init_length {} is out of bounds", length));
  return one(Type::list({*dtype, std::move(shape)}, fixed ? Dim(length) : c.dims.unknown()));
}

Status eval_make_list(EvalContext& c) {
  const int64_t length = c.integer("init_length");
  if (length < 0 || length > kMaxListLength) return c.error(fmt::format("init_length {} is out of bounds", length));
  const TensorType& element = c.result_types[0].tensor;
  Tensor blank{element.dtype, {}, nullptr};
  if (const auto elements = element.elements(); elements && *elements <= kMaxListLength) {
    blank = Tensor::make(element.dtype, sizes(element.shape));
    std::memset(blank.mutable_data(), 0, blank.bytes());
  }
  RuntimeValue list;
  list.list = std::make_shared<std::vector<Tensor>>(static_cast<size_t>(length), blank);
  c.set_output(0, std::move(list));
  return {};
}

Types infer_list_length(InferContext& c) {
  TRY_DO(list_type(c));
  return one({DType::I32, {}});
}

Types infer_list_read(InferContext& c) {
  TRY(const Type list, list_type(c));
  return one(list.tensor);
}

Types infer_list_gather(InferContext& c) {
  TRY(const Type list, list_type(c));
  if (c.rank("indices") != 1) return c.error("'indices' must be a vector");
  TensorType type = list.tensor;
  type.shape.insert(type.shape.begin(), c.shape("indices")[0]);
  return one(std::move(type));
}

Types infer_list_write(InferContext& c) {
  TRY(const Type list, list_type(c));
  const TensorType& value = c.type("value").tensor;
  if (value.dtype != list.dtype() || !compatible(c.dims, value.shape, list.shape()))
    return c.error(fmt::format("{} does not go into {}", str(value, c.dims), str(list, c.dims)));
  return one(list);
}

Types infer_list_scatter(InferContext& c) {
  TRY(const Type list, list_type(c));
  TensorType value = c.type("value").tensor;
  if (c.rank("indices") != 1 || value.shape.empty() || !may_equal(value.shape[0], c.shape("indices")[0]))
    return c.error("there must be one index for each row of value");
  value.shape.erase(value.shape.begin());
  if (value.dtype != list.dtype() || !compatible(c.dims, value.shape, list.shape()))
    return c.error(fmt::format("rows of {} do not go into {}", str(value, c.dims), str(list, c.dims)));
  return one(list);
}

Result<const std::vector<Tensor>*> elements_of(const EvalContext& c) {
  if (!c.value("ls").list) return c.error("'ls' must be a list");
  return c.value("ls").list.get();
}

Result<Tensor> element(const EvalContext& c, const std::vector<Tensor>& list, int64_t index) {
  if (index < 0 || index >= static_cast<int64_t>(list.size()))
    return c.error(fmt::format("index {} is outside a list of {}", index, list.size()));
  const Tensor& t = list[static_cast<size_t>(index)];
  if (!t.storage) return c.error(fmt::format("element {} was never written", index));
  return t;
}

// The list grows to take an index at its end or behind it.
Status put(const EvalContext& c, std::vector<Tensor>& list, int64_t index, Tensor value) {
  if (index < 0 || index >= kMaxListLength) return c.error(fmt::format("index {} is out of bounds", index));
  if (index >= static_cast<int64_t>(list.size()))
    list.resize(static_cast<size_t>(index) + 1, Tensor{value.dtype, {}, nullptr});
  list[static_cast<size_t>(index)] = std::move(value);
  return {};
}

void set_list(EvalContext& c, std::vector<Tensor> list) {
  RuntimeValue value;
  value.list = std::make_shared<std::vector<Tensor>>(std::move(list));
  c.set_output(0, std::move(value));
}

Status eval_list_length(EvalContext& c) {
  TRY(const auto* list, elements_of(c));
  c.set_output(0, Tensor::from(DType::I32, {}, std::vector<int64_t>{static_cast<int64_t>(list->size())}));
  return {};
}

Status eval_list_read(EvalContext& c) {
  TRY(const auto* list, elements_of(c));
  TRY(Tensor t, element(c, *list, c.integer("index")));
  c.set_output(0, std::move(t));
  return {};
}

Status eval_list_write(EvalContext& c) {
  TRY(const auto* list, elements_of(c));
  std::vector<Tensor> written = *list;
  TRY_DO(put(c, written, c.integer("index"), c.tensor("value")));
  set_list(c, std::move(written));
  return {};
}

Status eval_list_gather(EvalContext& c) {
  TRY(const auto* list, elements_of(c));
  const std::vector<int64_t> indices = c.ints("indices");
  if (indices.empty()) return c.error("no element is gathered");
  TRY(const Tensor first, element(c, *list, indices[0]));
  Sizes shape = first.shape;
  shape.insert(shape.begin(), static_cast<int64_t>(indices.size()));
  Tensor& out = c.output(0, std::move(shape), first.dtype);
  for (size_t i = 0; i < indices.size(); ++i) {
    TRY(const Tensor t, element(c, *list, indices[i]));
    if (t.shape != first.shape || t.dtype != first.dtype) return c.error("the gathered elements have different types");
    std::memcpy(out.mutable_data() + i * first.bytes(), t.data(), first.bytes());
  }
  return {};
}

Status eval_list_scatter(EvalContext& c) {
  TRY(const auto* list, elements_of(c));
  const Tensor value = c.tensor("value");
  const std::vector<int64_t> indices = c.ints("indices");
  if (value.rank() == 0 || value.dim(0) != static_cast<int64_t>(indices.size()))
    return c.error("there must be one index for each row of value");
  std::vector<Tensor> written = *list;
  for (size_t i = 0; i < indices.size(); ++i) {
    Tensor row = Tensor::make(value.dtype, Sizes(value.shape.begin() + 1, value.shape.end()));
    std::memcpy(row.mutable_data(), value.data() + i * row.bytes(), row.bytes());
    TRY_DO(put(c, written, indices[i], std::move(row)));
  }
  set_list(c, std::move(written));
  return {};
}

constexpr Input kSelect[] = {value("cond", kBools, 0), value("a", kNumbersBool), value("b", kNumbersBool)};
constexpr Input kCond[] = {value("pred", kBools, 0)};
constexpr Input kWhileLoop[] = {variadic("loop_vars", kAnyType, 0)};
constexpr Input kMakeList[] = {{.name = "init_length", .types = kInt32, .need = Need::Optional, .fallback = 1},
                               option("dynamic_length", kBools, true),
                               variadic("elem_shape", kInt32 | kStrings, 0),
                               option("dtype", kStrings, "fp32")};
constexpr Input kList[] = {value("ls", kAnyType, 0)};
constexpr Input kListIndex[] = {value("ls", kAnyType, 0), value("index", kInt32, 0)};
constexpr Input kListIndices[] = {value("ls", kAnyType, 0), value("indices", kInt32, 0)};
constexpr Input kListWrite[] = {value("ls", kAnyType, 0), value("index", kInt32, 0), value("value", kNumbersBool)};
constexpr Input kListScatter[] = {value("ls", kAnyType, 0), value("indices", kInt32, 0), value("value", kNumbersBool)};

}  // namespace

const MilOp cond{.name = "cond", .inputs = kCond, .infer = infer_cond, .pure = false};
const MilOp list_gather{.name = "list_gather", .inputs = kListIndices, .infer = infer_list_gather, .eval = eval_list_gather};
const MilOp list_length{.name = "list_length", .inputs = kList, .infer = infer_list_length, .eval = eval_list_length};
const MilOp list_read{.name = "list_read", .inputs = kListIndex, .infer = infer_list_read, .eval = eval_list_read};
const MilOp list_scatter{
    .name = "list_scatter", .inputs = kListScatter, .infer = infer_list_scatter, .eval = eval_list_scatter};
const MilOp list_write{.name = "list_write", .inputs = kListWrite, .infer = infer_list_write, .eval = eval_list_write};
const MilOp make_list{.name = "make_list", .inputs = kMakeList, .infer = infer_make_list, .eval = eval_make_list};
const MilOp select{.name = "select", .inputs = kSelect, .infer = infer_select, .eval = eval_select};
const MilOp while_loop{.name = "while_loop", .inputs = kWhileLoop, .infer = infer_while_loop, .pure = false};

}  // namespace cortland::mil_ops
