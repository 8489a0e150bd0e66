#include "torch_ops/lowering_state.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "mil_ops/ops.h"

namespace cortland::torch_ops {
namespace {

constexpr float kMaxFloat16 = 65504.0f;
constexpr float kLeastFloat16 = 0x1p-23f;  // the least number that keeps two digits
constexpr float kInfinityLike = 1e38f;
constexpr int64_t kScanLimit = int64_t{1} << 20;  // constants above this many elements are weights, not masks
constexpr uint64_t kKept = uint64_t{64} << 20;    // bytes of weights that stay mapped for those who read them next
constexpr uint64_t kSmall = 1024;                 // bytes that are read sooner than remembered

// Whether one of the floats at `bytes`, which need not be aligned, is finite and beyond what float16 holds. Without a branch, so that the
// loop becomes vector instructions: nearly no constant has one.
bool any_leaves_float16(const std::byte* bytes, int64_t count) {
  uint32_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    float x;
    std::memcpy(&x, bytes + i * int64_t{sizeof x}, sizeof x);
    found |= static_cast<uint32_t>(std::abs(x) > kMaxFloat16) & static_cast<uint32_t>(std::abs(x) <= std::numeric_limits<float>::max());
  }
  return found != 0;
}

bool leaves_float16(const Weight& w) {
  const Weight numbers = w.cast(DType::F32);
  const Bytes direct = numbers.dense_bytes();
  bool found = !direct.empty() && any_leaves_float16(direct.data(), w.elements());
  std::array<std::byte, 4096 * sizeof(float)> tile;
  constexpr int64_t kTile = std::ssize(tile) / int64_t{sizeof(float)};
  for (int64_t first = 0; direct.empty() && !found && first < w.elements(); first += kTile) {
    const int64_t count = std::min(kTile, w.elements() - first);
    numbers.read(first, count, tile.data());
    found = any_leaves_float16(tile.data(), count);
  }
  return found;
}

}  // namespace

Float16Range::~Float16Range() { over_ = true; }  // then `ahead_` waits for its thread

bool Float16Range::find_out(Known& known) {
  for (;;) {
    Answer answer = Answer::Unknown;
    if (known.answer.compare_exchange_strong(answer, Answer::Sought)) {
      const auto settle = [&](Answer found) {
        known.answer = found;
        known.answer.notify_all();
      };
      try {
        answer = leaves_float16(known.weight) ? Answer::Leaves : Answer::Stays;
      } catch (...) {
        settle(Answer::Unknown);  // whoever waits will meet it too
        throw;
      }
      if ((read_ += known.weight.byte_size()) > kKept) known.weight.forget(0, known.weight.elements());
      settle(answer);
    }
    if (answer != Answer::Sought) return answer == Answer::Leaves;
    known.answer.wait(Answer::Sought);
  }
}

bool Float16Range::left_by(const Weight& w) { return w.byte_size() <= kSmall ? leaves_float16(w) : find_out(known(w)); }

void Float16Range::look_ahead(const std::vector<Weight>& weights) {
  if (ahead_.valid() || std::thread::hardware_concurrency() < 2) return;
  std::vector<Known*> sought;
  for (const Weight& w : weights)
    if (is_float(w.dtype()) && w.dtype() != DType::F16 && w.byte_size() > kSmall && w.elements() <= kScanLimit) sought.push_back(&known(w));
  if (sought.empty()) return;
  ahead_ = std::async(std::launch::async, [this, sought = std::move(sought)] {
    for (Known* each : sought)
      if (!over_) find_out(*each);
  });
}

std::optional<Weight> to_float16(const Weight& w, Float16Range& range) {
  if (w.dtype() == DType::F16) return w;
  if (w.elements() > kScanLimit || (w.elements() > 1 && !range.left_by(w))) return w.cast(DType::F16);
  auto values = w.to_floats();
  bool saturated = false;
  // A tiny number by itself is there to keep something from being 0: it must not become 0.
  if (values.size() == 1 && values[0] != 0 && std::abs(values[0]) < kLeastFloat16) {
    values[0] = std::copysign(kLeastFloat16, values[0]);
    saturated = true;
  }
  for (float& v : values) {
    if (!(std::abs(v) > kMaxFloat16) || std::isinf(v)) continue;
    if (std::abs(v) < kInfinityLike) return std::nullopt;
    v = std::copysign(kMaxFloat16, v);
    saturated = true;
  }
  return saturated ? Weight::of<float>(DType::F32, w.shape(), values).cast(DType::F16) : w.cast(DType::F16);
}

Result<Operand> LoweringState::emit(std::string_view op, std::vector<mil::NamedOperand> inputs, int32_t origin) {
  const mil::MilOp* def = mil_ops::find(op, options.target);
  CHECK(def, std::string(op));
  TRY(auto id, program.add_op(block, *def, std::move(inputs)));
  program.ops[id].origin = origin;
  return Operand(program.ops[id].results[0]);
}

Result<Operand> LoweringState::cast(Operand o, DType to, int32_t origin) {
  const mil::Type& type = program.type(o);
  if (type.dtype() == to) return o;
  if (o.is_const()) {
    const Weight& data = program.consts[o.constant()].data;
    if (to == DType::F16 && is_float(data.dtype())) {
      if (auto half = to_float16(data, *float16_range)) return Operand(program.constant(std::move(*half)));
      float16_overflow = true;
      return Operand(program.constant(data.cast(DType::F16)));
    }
    if (to == DType::I32 && is_integer(data.dtype()) && bit_width(data.dtype()) > 32 && data.elements() <= kFoldLimit)
      for (int64_t i : data.to_ints())
        if (!fits_int32(i))
          return diag(DiagKind::UnsupportedDtype, fmt::format("the integer {} does not fit the 32 bits of Core ML's integers", i),
                      "use numbers within 32 bits, or floats");
    return Operand(program.constant(data.cast(to)));
  }
  const auto key = std::make_pair(o.index, to);
  if (auto it = casts_.find(key); it != casts_.end()) return it->second;
  // A value that was just cast from the wanted float type is read from before the cast.
  const mil::OpId producer = program.values[o.value()].producer;
  if (producer && program.ops[producer].def->name == "cast") {
    const Operand source = program.operand(program.ops[producer], "x");
    const DType from = program.type(source).dtype();
    if (from == to && is_float(to) && is_float(type.dtype())) return source;
  }
  TRY(Operand result, emit("cast", {{"x", o}, {"dtype", program.constant(std::string(mil_name(to)))}}, origin));
  casts_[key] = result;
  return result;
}

void LoweringState::add_size_source(mil::ValueId input, const Shape& shape) {
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    SizeSource source{input, static_cast<int>(axis), 0, 0};
    std::string symbol;
    bool usable = !shape[axis].is_constant();
    for (const auto& term : program.dims->terms(shape[axis])) {
      if (term.atoms.empty()) {
        source.offset = term.coefficient;
      } else if (term.atoms.size() == 1 && symbol.empty() && program.dims->atom(term.atoms[0]).kind == DimTable::AtomKind::Symbol) {
        symbol = program.dims->atom(term.atoms[0]).name;
        source.coefficient = term.coefficient;
      } else {
        usable = false;
      }
    }
    if (!usable || symbol.empty() || source.coefficient == 0) continue;
    const auto it = sources_.find(symbol);
    const bool plain = source.coefficient == 1 && source.offset == 0;
    if (it == sources_.end() || (plain && (it->second.coefficient != 1 || it->second.offset != 0))) sources_[symbol] = source;
  }
}

Result<Operand> LoweringState::number_in(torch::ValueId holder, int32_t origin) {
  TRY(Operand number, cast(operands.at(holder), DType::I32, origin));
  const int rank = program.type(number).tensor.rank();
  if (rank == 1) return number;
  if (rank == 0) return emit("expand_dims", {{"x", number}, {"axes", program.constant(std::vector<int32_t>{0})}}, origin);
  return emit("reshape", {{"x", number}, {"shape", program.constant(std::vector<int32_t>{1})}}, origin);
}

Result<Operand> LoweringState::symbol_size(const std::string& name, int32_t origin) {
  if (const DimRange range = program.dims->symbol_range(name); range.low == range.high && range.high <= INT32_MAX)
    return Operand(program.constant(std::vector<int32_t>{static_cast<int32_t>(range.low)}));
  const auto it = sources_.find(name);
  if (const auto holder = holders_.find(name); it == sources_.end() && holder != holders_.end() && operands.count(holder->second))
    return number_in(holder->second, origin);
  if (it == sources_.end())
    return diag(DiagKind::UnsupportedShape, fmt::format("the size {} is not a size of any input of the Core ML part", name),
                "pass a tensor of that size to the part, or leave the operator on the CPU");
  const SizeSource s = it->second;
  TRY(Operand shape, emit("shape", {{"x", s.input}}, origin));
  TRY(Operand size, emit("slice_by_index",
                         {{"x", shape}, {"begin", program.constant(std::vector<int32_t>{s.axis})}, {"end", program.constant(std::vector<int32_t>{s.axis + 1})}},
                         origin));
  if (s.offset) {
    TRY(size, emit("sub", {{"x", size}, {"y", program.constant(static_cast<int32_t>(s.offset))}}, origin));
  }
  if (s.coefficient != 1) {
    TRY(size, emit("floor_div", {{"x", size}, {"y", program.constant(static_cast<int32_t>(s.coefficient))}}, origin));
  }
  return size;
}

Result<Operand> LoweringState::size_vector(Dim d, int32_t origin) {
  if (d.is_constant()) {
    if (d.constant() > INT32_MAX) return diag(DiagKind::UnsupportedShape, "a size does not fit 32 bits");
    return Operand(program.constant(std::vector<int32_t>{static_cast<int32_t>(d.constant())}));
  }
  if (auto it = sizes_.find(d.code); it != sizes_.end()) return it->second;
  Operand sum;
  for (const auto& term : program.dims->terms(d)) {
    Operand product;
    for (int index : term.atoms) {
      const DimTable::Atom atom = program.dims->atom(index);
      Operand factor;
      if (atom.kind == DimTable::AtomKind::Symbol) {
        const Dim symbol = program.dims->symbol(atom.name);
        if (symbol == d) {
          TRY(factor, symbol_size(atom.name, origin));
        } else {
          TRY(factor, size_vector(symbol, origin));
        }
      } else {
        TRY(Operand a, size_vector(atom.a, origin));
        TRY(Operand b, size_vector(atom.b, origin));
        const char* op = atom.kind == DimTable::AtomKind::FloorDiv ? "floor_div" : atom.kind == DimTable::AtomKind::Min ? "minimum" : "maximum";
        TRY(factor, emit(op, {{"x", a}, {"y", b}}, origin));
      }
      if (product) {
        TRY(product, emit("mul", {{"x", product}, {"y", factor}}, origin));
      } else {
        product = factor;
      }
    }
    const Operand coefficient(program.constant(static_cast<int32_t>(term.coefficient)));
    if (!product) {
      product = program.constant(std::vector<int32_t>{static_cast<int32_t>(term.coefficient)});
    } else if (term.coefficient != 1) {
      TRY(product, emit("mul", {{"x", product}, {"y", coefficient}}, origin));
    }
    if (sum) {
      TRY(sum, emit("add", {{"x", product}, {"y", sum}}, origin));
    } else {
      sum = product;
    }
  }
  sizes_[d.code] = sum;
  return sum;
}

LoweringState::Nested::Nested(LoweringState& state)
    : state_(state), outer_(state.block), casts_(state.casts_), sizes_(state.sizes_) {
  state.block = state.program.add_block();
}

LoweringState::Nested::~Nested() {
  state_.block = outer_;
  state_.casts_ = std::move(casts_);
  state_.sizes_ = std::move(sizes_);
}

bool LoweringState::is_used(const torch::Graph& graph, torch::ValueId v) {
  if (used_in_ != &graph) {
    used_in_ = &graph;
    used_.assign(static_cast<size_t>(graph.values.size()), false);
    auto mark = [&](torch::ValueId u) {
      if (u) used_[static_cast<size_t>(u.index)] = true;
    };
    for_each_node(graph, graph.order, [&](torch::NodeId n) {
      for (const auto& a : graph.nodes[n].args) for_each_value(a.arg, mark);
    });
    for (const auto& region : graph.regions)
      for (torch::ValueId v : region.outputs) mark(v);
    for (const auto& o : graph.outputs) for_each_value(o.value, mark);
    for (const auto& [symbol, holder] : holders_) mark(holder);
  }
  // Values made since (by a decomposition) exist because somebody reads them.
  return static_cast<size_t>(v.index) >= used_.size() || used_[static_cast<size_t>(v.index)];
}

void LoweringState::roll_back(const Mark& mark) {
  auto stale = [&](Operand o) { return o.is_value() && o.index >= mark.program.values; };
  std::erase_if(casts_, [&](const auto& e) { return stale(e.second); });
  std::erase_if(sizes_, [&](const auto& e) { return stale(e.second); });
  program.roll_back(mark.program);
}

}  // namespace cortland::torch_ops
