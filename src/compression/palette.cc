#include "compression/palette.h"

#include <bit>
#include <cmath>

#include "compression/tiles.h"

namespace cortland::compression {
namespace {

constexpr int64_t kSorted = int64_t{1} << 18;  // more elements than that are counted in bins
constexpr size_t kMostValues = size_t{1} << 16;
constexpr size_t kMostUnique = 256;
constexpr DType kIndexTypes[] = {DType::Unknown, DType::U1, DType::U2,      DType::U3, DType::U4,
                                 DType::Unknown, DType::U6, DType::Unknown, DType::U8};  // by bits

struct Value {
  double sum = 0, count = 0;
};

// Numbers in the order of their bits, shifted so that 11 bits of the mantissa remain: every float16 has a bin of its own.
constexpr int kBinShift = 12;
constexpr size_t kBins = size_t{1} << (32 - kBinShift);

size_t bin_of(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return ((bits >> 31) ? ~bits : bits | 0x80000000u) >> kBinShift;
}

std::vector<Value> sorted_values(std::vector<float> x) {
  std::sort(x.begin(), x.end());
  std::vector<Value> values;
  for (size_t i = 0; i < x.size(); ++i) {
    if (i == 0 || x[i] != x[i - 1]) values.emplace_back();
    values.back().sum += x[i];
    values.back().count += 1;
  }
  return values;
}

Distribution condensed(std::vector<Value> values) {
  while (values.size() > kMostValues) {
    for (size_t i = 0; i < values.size(); i += 2) {
      Value v = values[i];
      if (i + 1 < values.size()) v = {v.sum + values[i + 1].sum, v.count + values[i + 1].count};
      values[i / 2] = v;
    }
    values.resize((values.size() + 1) / 2);
  }
  Distribution d;
  for (const Value& v : values) {
    d.values.push_back(static_cast<float>(v.sum / v.count));
    d.counts.push_back(v.count);
  }
  return d;
}

// The values of a block that has few; nothing when there are more than 256.
std::optional<std::vector<float>> unique_values(const Weight& weight, int64_t first, int64_t count, bool without_zeros) {
  std::vector<float> found;
  bool few = true;
  for_each_tile(weight, first, count, [&](int64_t, int64_t m, const float* x) {
    for (int64_t i = 0; few && i < m; ++i) {
      if (without_zeros && x[i] == 0) continue;
      const auto at = std::lower_bound(found.begin(), found.end(), x[i]);
      if (at != found.end() && *at == x[i]) continue;
      few = found.size() < kMostUnique && std::isfinite(x[i]);
      if (few) found.insert(at, x[i]);
    }
  });
  if (!few) return std::nullopt;
  return found;
}

std::vector<float> uniform_table(const Distribution& d, int entries) {
  const float low = d.values.front(), high = d.values.back();
  std::vector<float> table;
  for (int i = 0; i < entries; ++i)
    table.push_back(low + (high - low) * static_cast<float>(i) / static_cast<float>(entries - 1));
  return table;
}

// Elements of one block lie together once the cut axis comes first.
Weight axis_first(const Weight& weight, int64_t axis) {
  if (axis == 0) return weight;
  std::vector<int64_t> order = {axis};
  for (int64_t i = 0; i < static_cast<int64_t>(weight.shape().size()); ++i)
    if (i != axis) order.push_back(i);
  return weight.permute(order);
}

int bits_for(size_t entries, bool three_bits) {
  for (int bits : {1, 2, 3, 4, 6, 8})
    if ((bits != 3 || three_bits) && entries <= size_t{1} << bits) return bits;
  return 8;
}

}  // namespace

std::optional<Distribution> distribution_of(const Weight& weight, int64_t first, int64_t count, bool without_zeros) {
  const bool sort = count <= kSorted;
  std::vector<float> all;
  std::vector<Value> bins(sort ? 0 : kBins);
  bool finite = true;
  for_each_tile(weight, first, count, [&](int64_t, int64_t m, const float* x) {
    for (int64_t i = 0; i < m; ++i) {
      finite = finite && std::isfinite(x[i]);
      if (!finite || (without_zeros && x[i] == 0)) continue;
      if (sort) {
        all.push_back(x[i]);
      } else {
        Value& bin = bins[bin_of(x[i])];
        bin.sum += x[i];
        bin.count += 1;
      }
    }
  });
  if (!finite) return std::nullopt;
  if (sort) return condensed(sorted_values(std::move(all)));
  std::erase_if(bins, [](const Value& v) { return v.count == 0; });
  return condensed(std::move(bins));
}

std::shared_ptr<const TableCode> choose_tables(const Weight& weight, const PaletteOptions& options) {
  const Weight data = axis_first(weight, options.axis);
  const int64_t elements = data.elements() / options.groups;
  std::vector<std::vector<float>> tables;
  size_t most = 1;
  for (int64_t g = 0; g < options.groups; ++g) {
    if (options.mode == OpPalettizerConfig::Mode::Unique) {
      auto values = unique_values(data, g * elements, elements, options.without_zeros);
      if (!values) return nullptr;
      tables.push_back(std::move(*values));
    } else {
      const auto d = distribution_of(data, g * elements, elements, options.without_zeros);
      if (!d) return nullptr;
      const int entries = 1 << options.bits;
      if (d->values.empty())
        tables.emplace_back();
      else if (options.mode == OpPalettizerConfig::Mode::Uniform)
        tables.push_back(uniform_table(*d, entries));
      else
        tables.push_back(kmeans(*d, entries));
    }
    most = std::max(most, tables.back().size());
  }
  const int bits = options.bits ? options.bits : bits_for(most, options.three_bits);
  TableCode code;
  code.type = kIndexTypes[bits];
  code.groups.assign(weight.shape().size(), 1);
  code.groups[static_cast<size_t>(options.axis)] = options.groups;
  for (auto& table : tables) {
    table.resize(size_t{1} << bits, table.empty() ? 0.0f : table.back());
    // Indices are chosen among the entries as they are stored.
    for (float x : table) code.entries.push_back(weight.dtype() == DType::F16 ? f16_to_f32(f32_to_f16(x)) : x);
  }
  return std::make_shared<const TableCode>(std::move(code));
}

}  // namespace cortland::compression
