// factor_masks: a large constant of two values, where a number of the row and a number of the column decide which, is
// computed from the two vectors. Causal masks, windows that must not see each other and padded blocks are such: for 2048
// tokens 8 MB, or two ops.
#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "mil_passes/pipeline.h"
#include "mil_passes/rewrite.h"

namespace cortland::mil_passes {
namespace {

constexpr int64_t kLeast = 1024, kMost = int64_t{1} << 24;  // elements worth it, elements that are read
constexpr int64_t kGlance = 64, kTile = 4096;               // weights are told from masks by their first elements
constexpr int64_t kExactInFloat16 = 2048;

constexpr std::string_view kReaders[] = {
    "add", "logical_and", "logical_or", "maximum", "minimum", "mul", "scaled_dot_product_attention", "select", "sub"};

// A constant as matrices over its last two axes that are longer than 1.
struct Mask {
  std::vector<int64_t> row_shape, column_shape;  // broadcast against each other they have its shape
  int64_t matrices = 0, rows = 0, columns = 0;
  std::array<float, 2> values{};
  std::vector<uint8_t> which;  // of the values, by element
};

// What decides: the element is values[yes] where the comparison of the two holds.
struct Labels {
  std::string_view comparison, opposite;
  size_t yes = 0;
  std::vector<int64_t> rows, columns;
};

std::optional<Mask> lay_out(const Weight& w) {
  Mask mask;
  mask.row_shape = mask.column_shape = w.shape();
  mask.rows = mask.columns = 0;
  for (size_t axis = w.shape().size(); axis-- > 0 && mask.rows == 0;) {
    const int64_t size = w.shape()[axis];
    if (size == 1) continue;
    (mask.columns == 0 ? mask.columns : mask.rows) = size;
    (mask.rows == 0 ? mask.row_shape : mask.column_shape)[axis] = 1;
  }
  if (mask.rows == 0) return std::nullopt;
  mask.matrices = w.elements() / mask.rows / mask.columns;
  return mask;
}

// Nothing when it has one value or more than two.
std::optional<Mask> read_mask(const Weight& w) {
  const bool known = w.dtype() == DType::F16 || w.dtype() == DType::F32 || w.dtype() == DType::Bool;
  if (!known || w.elements() < kLeast || w.elements() > kMost) return std::nullopt;
  auto mask = lay_out(w);
  if (!mask) return std::nullopt;
  const Weight numbers = w.cast(DType::F32);
  std::array<float, kTile> tile;
  size_t found = 0;
  for (int64_t first = 0, count = kGlance; first < w.elements(); first += count, count = kTile) {
    count = std::min(count, w.elements() - first);
    numbers.read(first, count, reinterpret_cast<std::byte*>(tile.data()));
    for (int64_t i = 0; i < count; ++i) {
      const float v = tile[static_cast<size_t>(i)];
      const auto end = mask->values.begin() + static_cast<std::ptrdiff_t>(found);
      const auto at = std::find(mask->values.begin(), end, v);
      if (at == end && found == mask->values.size()) return std::nullopt;
      if (at == end) mask->values[found++] = v;
      mask->which.push_back(static_cast<uint8_t>(at - mask->values.begin()));
    }
  }
  return found == mask->values.size() ? mask : std::nullopt;
}

// The row's number is how many elements say yes; a column says so in the rows that have at least as many as its number.
Labels by_order(const Mask& m, size_t yes) {
  Labels l{"greater_equal", "less", yes, std::vector<int64_t>(static_cast<size_t>(m.matrices * m.rows)),
           std::vector<int64_t>(static_cast<size_t>(m.matrices * m.columns), m.columns + 1)};
  for (int64_t row = 0; row < m.matrices * m.rows; ++row) {
    const uint8_t* const elements = &m.which[static_cast<size_t>(row * m.columns)];
    const int64_t count = std::count(elements, elements + m.columns, yes);
    l.rows[static_cast<size_t>(row)] = count;
    int64_t* const columns = &l.columns[static_cast<size_t>(row / m.rows * m.columns)];
    for (int64_t j = 0; j < m.columns; ++j)
      if (elements[j] == yes) columns[j] = std::min(columns[j], count);
  }
  return l;
}

// The row's number is the place of its first yes, and so is that of the columns which have a yes there.
Labels by_equality(const Mask& m, size_t yes) {
  Labels l{"equal", "not_equal", yes, std::vector<int64_t>(static_cast<size_t>(m.matrices * m.rows), -1),
           std::vector<int64_t>(static_cast<size_t>(m.matrices * m.columns), -2)};
  for (int64_t row = 0; row < m.matrices * m.rows; ++row) {
    const uint8_t* const elements = &m.which[static_cast<size_t>(row * m.columns)];
    int64_t* const columns = &l.columns[static_cast<size_t>(row / m.rows * m.columns)];
    const int64_t first = std::find(elements, elements + m.columns, yes) - elements;
    if (first == m.columns) continue;
    l.rows[static_cast<size_t>(row)] = first;
    for (int64_t j = first; j < m.columns; ++j)
      if (elements[j] == yes) columns[j] = first;
  }
  return l;
}

bool give(const Labels& l, const Mask& m) {
  const bool order = l.comparison == "greater_equal";
  size_t at = 0;
  for (int64_t row = 0; row < m.matrices * m.rows; ++row)
    for (int64_t j = 0; j < m.columns; ++j, ++at) {
      const int64_t a = l.rows[static_cast<size_t>(row)], b = l.columns[static_cast<size_t>(row / m.rows * m.columns + j)];
      if ((order ? a >= b : a == b) != (m.which[at] == l.yes)) return false;
    }
  return true;
}

std::optional<Labels> labels_of(const Mask& m) {
  for (const size_t yes : {0u, 1u})
    for (const auto& labels : {by_order(m, yes), by_equality(m, yes)})
      if (give(labels, m)) return labels;
  return std::nullopt;
}

Operand vector(Rewriter& r, const std::vector<int64_t>& labels, const std::vector<int64_t>& shape, int64_t columns,
               DType like) {
  const DType exact = like == DType::F32 ? DType::F32 : columns < kExactInFloat16 ? DType::F16 : DType::I32;
  return r.program.constant(Weight::of<int64_t>(DType::I64, shape, labels).cast(exact));
}

Result<Operand> compute(Rewriter& r, mil::OpId before, const Mask& m, const Labels& l, DType type) {
  const Operand x = vector(r, l.rows, m.row_shape, m.columns, type),
                y = vector(r, l.columns, m.column_shape, m.columns, type);
  const bool is_bool = type == DType::Bool;
  const bool opposite = is_bool && m.values[l.yes] == 0;
  TRY(const Operand holds, r.emit(before, opposite ? l.opposite : l.comparison, {{"x", x}, {"y", y}}));
  if (is_bool) return holds;
  const auto number = [&](size_t i) { return r.program.constant(m.values[i], type); };
  return r.emit(before, "select", {{"cond", holds}, {"a", number(l.yes)}, {"b", number(1 - l.yes)}});
}

}  // namespace

Status factor_masks(mil::Program& program) {
  Rewriter r(program);
  for (const mil::Function& f : program.functions) {
    for (mil::BlockId block : blocks_of(program, f)) {
      std::map<int32_t, Operand> computed;  // by constant; the constant itself where it is no such mask
      for (mil::OpId id : std::vector<mil::OpId>(program.blocks[block].ops)) {
        if (std::ranges::find(kReaders, r.op(id).def->name) == std::end(kReaders)) continue;
        for (uint32_t i = 0; i < r.op(id).operands.size(); ++i) {
          const Operand o = r.op(id).operands[i].operand;
          const Weight* const weight = r.weight(o);
          if (!weight) continue;
          const auto [it, first] = computed.try_emplace(o.index, o);
          if (first) {
            const auto mask = read_mask(*weight);
            const auto labels = mask ? labels_of(*mask) : std::nullopt;
            if (labels) {
              TRY(it->second, compute(r, id, *mask, *labels, weight->dtype()));
            }
          }
          if (it->second.is_value()) program.set_operand(id, i, it->second);
        }
      }
    }
  }
  return {};
}

}  // namespace cortland::mil_passes
