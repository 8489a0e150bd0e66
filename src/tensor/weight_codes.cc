// The compressed forms of weights: each run of codes is made from the same run of the source.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "tensor/blocks.h"
#include "tensor/weight_node.h"

namespace cortland {
namespace {

void quantize_run(const float* x, int64_t count, const LinearCode& code, int64_t block, uint8_t* out) {
  const float scale = code.scale[static_cast<size_t>(block)], zero = code.zero[static_cast<size_t>(block)];
  const auto low = static_cast<float>(code.low), high = static_cast<float>(code.high);
  // Adding and taking away 1.5 * 2^23 rounds numbers below 2^22 to integers, halves to even.
  constexpr float kRound = 12582912.0f;
  for (int64_t i = 0; i < count; ++i) {
    const float q = std::min(std::max(x[i] / scale, low - zero - 1), high - zero + 1);
    out[i] = static_cast<uint8_t>(static_cast<int>(std::min(std::max(q + kRound - kRound + zero, low), high)));
  }
}

// How many of the table's midpoints are below x: the number of the nearest entry, found by halving.
uint8_t nearest(const float* midpoints, int entries, float x) {
  int at = 0;
  for (int step = entries / 2; step > 0; step /= 2) at += midpoints[at + step - 1] < x ? step : 0;
  return static_cast<uint8_t>(at);
}

void palettize_run(const float* x, int64_t count, const float* midpoints, int entries, uint8_t* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = nearest(midpoints, entries, x[i]);
}

void midpoints_of(const float* entries, int count, float* out) {
  for (int i = 0; i + 1 < count; ++i) out[i] = 0.5f * (entries[i] + entries[i + 1]);
}

// Adds what the code says to each element of a tile that starts with element `first`.
class Shifter {
 public:
  Shifter(const Shift* shift, const std::vector<int64_t>& shape) {
    if (!shift || shift->values.empty()) return;
    values_ = shift->values.data();
    std::vector<int64_t> groups(shape.size(), 1);
    groups[static_cast<size_t>(shift->axis)] = shape[static_cast<size_t>(shift->axis)];
    indices_.emplace(shape, groups);
  }

  void apply(int64_t first, int64_t count, float* x) const {
    if (!indices_) return;
    indices_->for_each_run(first, count, [&](int64_t from, int64_t length, int64_t index) {
      for (int64_t i = from - first; i < from - first + length; ++i) x[i] += values_[index];
    });
  }

 private:
  const float* values_ = nullptr;
  std::optional<Blocks> indices_;
};

// Zeroes what the rule drops in one run of `run` indices along the axis, each `inner` elements wide.
void prune_run(const Pruning& p, int64_t run, int64_t inner, float* x, std::vector<int64_t>& order) {
  order.resize(static_cast<size_t>(run));
  for (int64_t k = 0; k < inner; ++k) {
    if (p.rule == Pruning::Rule::Norm) {
      float squares = 0;
      for (int64_t i = 0; i < run; ++i) squares += x[i * inner + k] * x[i * inner + k];
      if (std::sqrt(squares) > p.threshold) continue;
      for (int64_t i = 0; i < run; ++i) x[i * inner + k] = 0;
    } else {
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        const float x_a = std::abs(x[a * inner + k]), x_b = std::abs(x[b * inner + k]);
        return x_a < x_b || (x_a == x_b && a < b);
      });
      const int64_t drop = std::max<int64_t>(0, p.drop - (p.run - run));
      for (int64_t i = 0; i < drop; ++i) x[order[static_cast<size_t>(i)] * inner + k] = 0;
    }
  }
}

}  // namespace

void pack_codes(const uint8_t* codes, int64_t count, int bits, std::byte* out) {
  if (bits == 8) {
    std::memcpy(out, codes, static_cast<size_t>(count));
    return;
  }
  const uint64_t mask = (uint64_t{1} << bits) - 1;
  for (int64_t at = 0; at < count; at += 8) {  // eight fields fill `bits` bytes
    uint64_t word = 0;
    const int64_t fields = std::min<int64_t>(8, count - at);
    for (int64_t i = 0; i < fields; ++i) word |= (codes[at + i] & mask) << (i * bits);
    std::memcpy(out + at / 8 * bits, &word, static_cast<size_t>((fields * bits + 7) / 8));
  }
}

Weight Weight::quantize(std::shared_ptr<const LinearCode> code) const {
  Node node;
  node.kind = Node::Kind::Quantize;
  node.dtype = code->type;
  node.shape = shape();
  node.sources = {*this};
  node.linear = std::move(code);
  return make(std::move(node));
}

Weight Weight::palettize(std::shared_ptr<const TableCode> code) const {
  Node node;
  node.kind = Node::Kind::Palettize;
  node.dtype = code->type;
  node.shape = shape();
  node.sources = {*this};
  node.table = std::move(code);
  return make(std::move(node));
}

Weight Weight::prune(const Pruning& pruning) const {
  CHECK(is_float(dtype()));
  Node node;
  node.kind = Node::Kind::Prune;
  node.dtype = dtype();
  node.shape = shape();
  node.sources = {*this};
  node.pruning = pruning;
  return make(std::move(node));
}

Weight Weight::nonzero() const {
  Node node;
  node.kind = Node::Kind::Nonzero;
  node.dtype = DType::U1;
  node.shape = shape();
  node.sources = {*this};
  return make(std::move(node));
}

Weight Weight::select(const Weight& mask) const {
  CHECK(mask.node_->kind == Node::Kind::Nonzero && mask.shape() == shape());
  auto ones = std::make_shared<std::vector<int64_t>>(1, 0);
  std::vector<uint8_t> bits(static_cast<size_t>(std::min(elements(), kTile)));
  for (int64_t first = 0; first < elements(); first += kTile) {
    const int64_t count = std::min(kTile, elements() - first);
    mask.read_codes(first, count, bits.data());
    mask.forget(first, count);
    ones->push_back(ones->back() + std::accumulate(bits.begin(), bits.begin() + count, int64_t{0}));
  }
  Node node;
  node.kind = Node::Kind::Select;
  node.dtype = dtype();
  node.shape = {ones->back()};
  node.sources = {*this, mask};
  node.ones = std::move(ones);
  return make(std::move(node));
}

Weight Weight::packed_bytes() const {
  Node node;
  node.kind = Node::Kind::PackedBytes;
  node.dtype = DType::U8;
  node.shape = {static_cast<int64_t>(byte_size())};
  node.sources = {*this};
  return make(std::move(node));
}

void Weight::read_codes(int64_t first, int64_t count, uint8_t* out) const {
  const Node& n = *node_;
  const Weight source = n.sources[0].cast(DType::F32);
  std::vector<float> tile(static_cast<size_t>(std::min(count, kTile)));
  const Blocks blocks(n.shape, n.linear  ? n.linear->groups
                               : n.table ? n.table->groups
                                         : std::vector<int64_t>(n.shape.size(), 1));
  const int entries = 1 << bit_width(n.dtype);
  std::vector<float> midpoints(static_cast<size_t>(entries));
  const Shifter shifter(n.linear ? &n.linear->shift : n.table ? &n.table->shift : nullptr, n.shape);
  int64_t known = -1;  // the block whose midpoints are at hand
  for (int64_t done = 0; done < count; done += kTile) {
    const int64_t at = first + done, m = std::min(kTile, count - done);
    source.read(at, m, reinterpret_cast<std::byte*>(tile.data()));
    shifter.apply(at, m, tile.data());
    blocks.for_each_run(at, m, [&](int64_t from, int64_t length, int64_t block) {
      const float* x = tile.data() + (from - at);
      uint8_t* to = out + (from - first);
      if (n.kind == Node::Kind::Quantize) return quantize_run(x, length, *n.linear, block, to);
      if (n.kind == Node::Kind::Nonzero) {
        for (int64_t i = 0; i < length; ++i) to[i] = x[i] != 0;
        return;
      }
      if (block != known) midpoints_of(n.table->entries.data() + block * entries, entries, midpoints.data());
      known = block;
      palettize_run(x, length, midpoints.data(), entries, to);
    });
  }
}

void Weight::read_pruned(int64_t first, int64_t count, std::byte* out) const {
  const Node& n = *node_;
  const Weight source = n.sources[0].cast(DType::F32);
  const int64_t width = bit_width(n.dtype) / 8;
  std::vector<float> tile;
  const auto read_tile = [&](int64_t at, int64_t m) {
    tile.resize(static_cast<size_t>(m));
    source.read(at, m, reinterpret_cast<std::byte*>(tile.data()));
  };
  // Gives the part of the tile that was asked for, in the weight's own type.
  const auto give = [&](int64_t at, int64_t m) {
    const int64_t begin = std::max(at, first), end = std::min(at + m, first + count);
    convert_elements(DType::F32, reinterpret_cast<const std::byte*>(tile.data() + (begin - at)), n.dtype,
                     out + (begin - first) * width, end - begin);
  };
  if (n.pruning.rule == Pruning::Rule::Magnitude) {
    for (int64_t at = first; at < first + count; at += kTile) {
      const int64_t m = std::min(kTile, first + count - at);
      read_tile(at, m);
      for (float& x : tile) x = std::abs(x) <= n.pruning.threshold ? 0.0f : x;
      give(at, m);
    }
    return;
  }
  int64_t inner = 1;
  for (size_t i = static_cast<size_t>(n.pruning.axis) + 1; i < n.shape.size(); ++i) inner *= n.shape[i];
  const int64_t length = n.shape[static_cast<size_t>(n.pruning.axis)];
  // As many whole runs at a time as a tile holds, within one index of the axes before.
  const int64_t together = std::max<int64_t>(1, kTile / (n.pruning.run * inner)) * n.pruning.run;
  std::vector<int64_t> order;
  for (int64_t at = first; at < first + count;) {
    const int64_t outer = at / (length * inner), begin = at / inner % length / n.pruning.run * n.pruning.run;
    const int64_t indices = std::min(together, length - begin), from = (outer * length + begin) * inner;
    read_tile(from, indices * inner);
    for (int64_t i = 0; i < indices; i += n.pruning.run)
      prune_run(n.pruning, std::min(n.pruning.run, indices - i), inner, tile.data() + i * inner, order);
    give(from, indices * inner);
    at = from + indices * inner;
  }
}

void Weight::read_selected(int64_t first, int64_t count, std::byte* out) const {
  const Node& n = *node_;
  const Weight &source = n.sources[0], &mask = n.sources[1];
  const bool codes = bit_width(n.dtype) <= 8;
  const int64_t width = codes ? 1 : bit_width(n.dtype) / 8;
  std::vector<uint8_t> bits(static_cast<size_t>(kTile)), values(static_cast<size_t>(kTile * width)), selected;
  selected.reserve(codes ? static_cast<size_t>(count) : 0);
  const std::vector<int64_t>& ones = *n.ones;
  auto tile = static_cast<int64_t>(std::upper_bound(ones.begin(), ones.end(), first) - ones.begin()) - 1;
  for (int64_t given = 0; given < count; ++tile) {
    const int64_t at = tile * kTile, m = std::min(kTile, source.elements() - at);
    mask.read_codes(at, m, bits.data());
    if (codes)
      source.read_codes(at, m, values.data());
    else
      source.read(at, m, reinterpret_cast<std::byte*>(values.data()));
    int64_t number = ones[static_cast<size_t>(tile)];
    for (int64_t i = 0; i < m && given < count; ++i) {
      if (!bits[static_cast<size_t>(i)] || number++ < first) continue;
      const uint8_t* value = values.data() + i * width;
      if (codes)
        selected.push_back(*value);
      else
        std::memcpy(out + given * width, value, static_cast<size_t>(width));
      ++given;
    }
  }
  if (codes) pack_codes(selected.data(), count, bit_width(n.dtype), out);
}

void Weight::read_packed_bytes(int64_t first, int64_t count, std::byte* out) const {
  const Weight& source = node_->sources[0];
  const int64_t bits = bit_width(source.dtype()), from = first / bits * bits;  // eight elements fill `bits` bytes
  const int64_t element = from / bits * 8;
  const int64_t elements = std::min(source.elements() - element, (first + count - from + bits - 1) / bits * 8);
  std::string bytes(static_cast<size_t>(cortland::byte_size(source.dtype(), elements)), '\0');
  source.read(element, elements, reinterpret_cast<std::byte*>(bytes.data()));
  std::memcpy(out, bytes.data() + (first - from), static_cast<size_t>(count));
}

}  // namespace cortland
