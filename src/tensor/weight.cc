#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tensor/strided_copy.h"
#include "tensor/weight_node.h"

namespace cortland {
namespace {

constexpr uint64_t kContentsInKey = 1024;  // bytes

std::vector<int64_t> dense_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  return strides;
}

bool is_dense(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  const auto dense = dense_strides(shape);
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1 && strides[i] != dense[i]) return false;
  return true;
}

int64_t product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// One block of elements, not cleared first.
std::unique_ptr<std::byte[]> tile_of(DType dtype, int64_t elements) {
  return std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(cortland::byte_size(dtype, elements)));
}

// Multiplies elements [first, first + count) of a tensor by the factor of their channel; a channel is `inner` elements wide.
// Neither side need be aligned.
void scale_run(const std::byte* in, std::byte* out, int64_t first, int64_t count, int64_t inner, const std::vector<float>& factors) {
  const auto channels = static_cast<int64_t>(factors.size());
  int64_t channel = first / inner % channels, left = inner - first % inner;
  for (int64_t at = 0; at < count; left = inner) {
    const int64_t end = std::min(count, at + left);
    for (const float factor = factors[static_cast<size_t>(channel)]; at < end; ++at) {
      float x;
      std::memcpy(&x, in + at * int64_t{sizeof x}, sizeof x);
      x *= factor;
      std::memcpy(out + at * int64_t{sizeof x}, &x, sizeof x);
    }
    if (++channel == channels) channel = 0;
  }
}

}  // namespace

Weight Weight::make(Node node) { return Weight(std::make_shared<const Node>(std::move(node))); }

Result<Weight> Weight::view(std::shared_ptr<const MappedFile> file, uint64_t offset, uint64_t storage_bytes, DType dtype,
                            std::vector<int64_t> shape, std::vector<int64_t> strides) {
  auto bad = [&](std::string why) { return diag(DiagKind::BadProgram, fmt::format("weights in '{}': {}", file->name(), why)); };
  const uint64_t file_bytes = file->bytes().size();
  if (offset > file_bytes || storage_bytes > file_bytes - offset) return bad("the bytes lie outside the file");
  if (shape.size() != strides.size() || shape.size() > 64) return bad("sizes and strides do not match");
  __int128 elements = 1, last = 0;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0 || strides[i] < 0) return bad("negative size or stride");
    elements *= shape[i];
    if (elements > (__int128{1} << 48)) return bad("too many elements");
    last += static_cast<__int128>(std::max<int64_t>(shape[i] - 1, 0)) * strides[i];
    if (last > (__int128{1} << 60)) return bad("stride out of range");
  }
  const int bits = bit_width(dtype);
  if (bits == 0) return bad("unknown element type");
  const __int128 available = static_cast<__int128>(storage_bytes) * 8 / bits;
  if (elements > 0 && last >= available) return bad("sizes and strides reach past the stored bytes");
  if (bits < 8 && !is_dense(shape, strides)) return bad("packed elements must be dense");
  Node node;
  node.dtype = dtype;
  node.shape = std::move(shape);
  node.strides = std::move(strides);
  node.file = std::move(file);
  node.offset = offset;
  return make(std::move(node));
}

Weight Weight::dense(DType dtype, std::vector<int64_t> shape, std::string bytes) {
  CHECK(static_cast<int64_t>(bytes.size()) == cortland::byte_size(dtype, product(shape)), "dense weight of the wrong size");
  Node node;
  node.dtype = dtype;
  node.strides = dense_strides(shape);
  node.shape = std::move(shape);
  node.file = MappedFile::from_bytes(std::move(bytes), "memory");
  return make(std::move(node));
}

DType Weight::dtype() const { return node_->dtype; }
const std::vector<int64_t>& Weight::shape() const { return node_->shape; }
int64_t Weight::elements() const { return product(node_->shape); }

Weight Weight::cast(DType to) const {
  if (to == dtype()) return *this;
  Node node;
  node.kind = Node::Kind::Cast;
  node.dtype = to;
  node.shape = shape();
  node.sources = {*this};
  return make(std::move(node));
}

Weight Weight::complex_part(bool imaginary) const {
  CHECK(is_complex(dtype()), "only complex numbers have parts");
  // Elements lie as pairs: every second number of the part's type.
  const Weight pairs = node_->kind == Node::Kind::View ? *this : dense(dtype(), shape(), bytes());
  Node node = *pairs.node_;
  node.dtype = dtype() == DType::C32 ? DType::F16 : dtype() == DType::C64 ? DType::F32 : DType::F64;
  for (int64_t& stride : node.strides) stride *= 2;
  if (imaginary) node.offset += static_cast<uint64_t>(bit_width(node.dtype) / 8);
  return Weight(std::make_shared<const Node>(std::move(node)));
}

Weight Weight::uncast() const {
  Weight w = *this;
  // Casts to integers and back change values.
  while (w.node_->kind == Node::Kind::Cast && is_float(w.dtype()) && is_float(w.node_->sources[0].dtype())) w = w.node_->sources[0];
  return w;
}

Weight Weight::reshape(std::vector<int64_t> to) const {
  CHECK(product(to) == elements(), "reshape changes the number of elements");
  if (to == shape()) return *this;
  Node node;
  if (node_->kind == Node::Kind::View && is_dense(shape(), node_->strides)) {
    node = *node_;
    node.strides = dense_strides(to);
  } else if (node_->kind == Node::Kind::Cast) {
    return node_->sources[0].reshape(std::move(to)).cast(dtype());
  } else {
    node.kind = Node::Kind::Reshape;
    node.dtype = dtype();
    node.sources = {*this};
  }
  node.shape = std::move(to);
  return make(std::move(node));
}

namespace {

struct Restriding {
  std::vector<int64_t> shape, strides;
  int64_t first = 0;  // element of the source where the result starts
};

}  // namespace

// permute, slice and expand are one thing: the same elements walked by other strides. `plan` gets the strides of the source.
template <class Plan>
Weight Weight::restride(const Plan& plan) const {
  if (node_->kind == Node::Kind::View) {
    Node node = *node_;
    const Restriding r = plan(node_->strides);
    node.shape = r.shape;
    node.strides = r.strides;
    node.offset += static_cast<uint64_t>(r.first * (bit_width(dtype()) / 8));
    return make(std::move(node));
  }
  const Restriding r = plan(dense_strides(shape()));
  Node node;
  node.kind = Node::Kind::Gather;
  node.dtype = dtype();
  node.shape = r.shape;
  node.strides = r.strides;
  node.offset = static_cast<uint64_t>(r.first);
  node.sources = {*this};
  return make(std::move(node));
}

Weight Weight::permute(const std::vector<int64_t>& perm) const {
  if (node_->kind == Node::Kind::Cast) return node_->sources[0].permute(perm).cast(dtype());
  return restride([&](const std::vector<int64_t>& strides) {
    Restriding r;
    for (int64_t p : perm) {
      r.shape.push_back(shape()[static_cast<size_t>(p)]);
      r.strides.push_back(strides[static_cast<size_t>(p)]);
    }
    return r;
  });
}

Weight Weight::slice(int64_t axis, int64_t begin, int64_t end) const {
  if (node_->kind == Node::Kind::Cast) return node_->sources[0].slice(axis, begin, end).cast(dtype());
  return restride([&](const std::vector<int64_t>& strides) {
    Restriding r{shape(), strides, begin * strides[static_cast<size_t>(axis)]};
    r.shape[static_cast<size_t>(axis)] = end - begin;
    return r;
  });
}

Weight Weight::expand(std::vector<int64_t> to) const {
  if (node_->kind == Node::Kind::Cast) return node_->sources[0].expand(std::move(to)).cast(dtype());
  return restride([&](const std::vector<int64_t>& strides) {
    Restriding r{to, std::vector<int64_t>(to.size(), 0)};
    const size_t lead = to.size() - shape().size();
    for (size_t i = 0; i < shape().size(); ++i)
      if (shape()[i] == to[lead + i]) r.strides[lead + i] = strides[i];
    return r;
  });
}

Weight Weight::concat(const std::vector<Weight>& parts, int64_t axis) {
  CHECK(!parts.empty());
  if (parts.size() == 1) return parts[0];
  Node node;
  node.kind = Node::Kind::Concat;
  node.dtype = parts[0].dtype();
  node.shape = parts[0].shape();
  node.axis = axis;
  node.sources = parts;
  for (size_t i = 1; i < parts.size(); ++i) node.shape[static_cast<size_t>(axis)] += parts[i].shape()[static_cast<size_t>(axis)];
  return make(std::move(node));
}

Weight Weight::scale(int64_t axis, std::vector<float> factors) const {
  CHECK(is_float(dtype()) && static_cast<int64_t>(factors.size()) == shape()[static_cast<size_t>(axis)]);
  Node node;
  node.kind = Node::Kind::Scale;
  node.dtype = dtype();
  node.shape = shape();
  node.axis = axis;
  node.factors = std::move(factors);
  node.sources = {*this};
  return make(std::move(node));
}

void Weight::read(int64_t first, int64_t count, std::byte* out) const {
  if (count == 0) return;
  const Node& n = *node_;
  const int64_t width = bit_width(n.dtype) / 8;
  switch (n.kind) {
    case Node::Kind::View: {
      const std::byte* base = n.file->bytes().data() + n.offset;
      if (is_dense(n.shape, n.strides))
        std::memcpy(out, base + cortland::byte_size(n.dtype, first), static_cast<size_t>(cortland::byte_size(n.dtype, count)));
      else
        copy_strided(base, n.shape, n.strides, width, first, count, out);
      return;
    }
    case Node::Kind::Reshape: return n.sources[0].read(first, count, out);
    case Node::Kind::Gather: {
      const std::string source = n.sources[0].bytes();
      const auto* base = reinterpret_cast<const std::byte*>(source.data()) + n.offset * static_cast<uint64_t>(width);
      return copy_strided(base, n.shape, n.strides, width, first, count, out);
    }
    case Node::Kind::Cast: {
      const Weight& source = n.sources[0];
      const Bytes direct = source.dense_bytes();
      if (!direct.empty())
        return convert_elements(source.dtype(), direct.data() + cortland::byte_size(source.dtype(), first), n.dtype, out, count);
      const auto tile = tile_of(source.dtype(), std::min(count, kTile));
      for (int64_t done = 0; done < count; done += kTile) {
        const int64_t m = std::min(kTile, count - done);
        source.read(first + done, m, tile.get());
        convert_elements(source.dtype(), tile.get(), n.dtype, out + cortland::byte_size(n.dtype, done), m);
      }
      return;
    }
    case Node::Kind::Scale: {
      int64_t inner = 1;
      for (size_t i = static_cast<size_t>(n.axis) + 1; i < n.shape.size(); ++i) inner *= n.shape[i];
      const Weight source = n.sources[0].cast(DType::F32);
      const Bytes direct = source.dense_bytes();
      const bool is_f32 = n.dtype == DType::F32;  // then the numbers need no second place
      const auto tile = tile_of(DType::F32, is_f32 && !direct.empty() ? 0 : std::min(count, kTile));
      for (int64_t done = 0; done < count; done += kTile) {
        const int64_t m = std::min(kTile, count - done);
        if (direct.empty()) source.read(first + done, m, tile.get());
        const std::byte* const in = direct.empty() ? tile.get() : direct.data() + cortland::byte_size(DType::F32, first + done);
        scale_run(in, is_f32 ? out + done * width : tile.get(), first + done, m, inner, n.factors);
        if (!is_f32) convert_elements(DType::F32, tile.get(), n.dtype, out + done * width, m);
      }
      return;
    }
    case Node::Kind::Quantize:
    case Node::Kind::Palettize:
    case Node::Kind::Nonzero: {
      std::vector<uint8_t> codes(static_cast<size_t>(std::min(count, kTile)));
      for (int64_t done = 0; done < count; done += kTile) {
        const int64_t m = std::min(kTile, count - done);
        read_codes(first + done, m, codes.data());
        pack_codes(codes.data(), m, bit_width(n.dtype), out + cortland::byte_size(n.dtype, done));
      }
      return;
    }
    case Node::Kind::Prune: return read_pruned(first, count, out);
    case Node::Kind::Select: return read_selected(first, count, out);
    case Node::Kind::PackedBytes: return read_packed_bytes(first, count, out);
    case Node::Kind::Concat: {
      int64_t inner = 1;
      for (size_t i = static_cast<size_t>(n.axis); i < n.shape.size(); ++i) inner *= n.shape[i];
      for (int64_t at = first; at < first + count;) {
        const int64_t outer = at / inner;
        int64_t within = at % inner;
        for (const Weight& part : n.sources) {
          const int64_t part_inner = inner / n.shape[static_cast<size_t>(n.axis)] * part.shape()[static_cast<size_t>(n.axis)];
          if (within >= part_inner) {
            within -= part_inner;
            continue;
          }
          const int64_t run = std::min(part_inner - within, first + count - at);
          part.read(outer * part_inner + within, run, out + (at - first) * width);
          at += run;
          break;
        }
      }
      return;
    }
  }
}

void Weight::forget(int64_t first, int64_t count) const {
  const Node& n = *node_;
  const bool whole = first == 0 && count == elements();
  switch (n.kind) {
    case Node::Kind::View:
      if (is_dense(n.shape, n.strides)) {
        n.file->forget(dense_bytes().subspan(static_cast<size_t>(cortland::byte_size(n.dtype, first)),
                                             static_cast<size_t>(cortland::byte_size(n.dtype, count))));
      } else if (whole) {  // a run of a turned view lies scattered over all of it
        n.file->forget(n.extent());
      }
      return;
    case Node::Kind::Cast:
    case Node::Kind::Reshape:
    case Node::Kind::Quantize:
    case Node::Kind::Palettize:
    case Node::Kind::Prune:
    case Node::Kind::Nonzero:
    case Node::Kind::Scale: return n.sources[0].forget(first, count);
    case Node::Kind::PackedBytes: {
      const int64_t bits = bit_width(n.sources[0].dtype()), from = first * 8 / bits;
      return n.sources[0].forget(from, std::min(n.sources[0].elements() - from, count * 8 / bits));
    }
    case Node::Kind::Gather:
    case Node::Kind::Select:
    case Node::Kind::Concat:  // runs of these are scattered over their sources
      if (!whole) return;
      for (const Weight& source : n.sources) source.forget(0, source.elements());
      return;
  }
}

Bytes Weight::Node::extent() const {
  int64_t end = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return {};
    end += (shape[i] - 1) * strides[i];
  }
  return file->bytes().subspan(offset, static_cast<size_t>(cortland::byte_size(dtype, end)));
}

Bytes Weight::dense_bytes() const {
  const Node& n = *node_;
  if (n.kind == Node::Kind::Reshape) return n.sources[0].dense_bytes();
  if (n.kind != Node::Kind::View || !is_dense(n.shape, n.strides)) return {};
  return n.file->bytes().subspan(n.offset, byte_size());
}

std::string Weight::bytes() const {
  std::string out(byte_size(), '\0');
  read(0, elements(), reinterpret_cast<std::byte*>(out.data()));
  return out;
}

std::vector<float> Weight::to_floats() const {
  std::vector<float> out(static_cast<size_t>(elements()));
  cast(DType::F32).read(0, elements(), reinterpret_cast<std::byte*>(out.data()));
  return out;
}

std::vector<int64_t> Weight::to_ints() const {
  std::vector<int64_t> out(static_cast<size_t>(elements()));
  cast(DType::I64).read(0, elements(), reinterpret_cast<std::byte*>(out.data()));
  return out;
}

namespace {

// Keys are made for every constant of every op, so they are bytes, not text.
template <class T>
void put(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
void put(std::string& key, const std::vector<T>& values) {
  put(key, values.size());
  key.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

}  // namespace

void Weight::Node::put_key(std::string& key, const Weight& w) {
  const Node& n = *w.node_;
  put(key, n.dtype);
  put(key, n.shape);
  const bool small = w.byte_size() <= kContentsInKey;
  put(key, small);
  if (small) {
    const size_t at = key.size();
    key.resize(at + w.byte_size());
    return w.read(0, w.elements(), reinterpret_cast<std::byte*>(key.data() + at));
  }
  put(key, n.kind);
  switch (n.kind) {
    case Kind::View:
      put(key, n.file.get());
      put(key, n.offset);
      return put(key, n.strides);
    case Kind::Gather:
      put(key, n.offset);
      put(key, n.strides);
      break;
    case Kind::Scale:
      put(key, n.axis);
      put(key, n.factors);
      break;
    case Kind::Concat: put(key, n.axis); break;
    // Codes live as long as the weight that is named after them.
    case Kind::Quantize: put(key, n.linear.get()); break;
    case Kind::Palettize: put(key, n.table.get()); break;
    case Kind::Prune:
      put(key, n.pruning.rule);
      put(key, n.pruning.threshold);
      put(key, n.pruning.axis);
      put(key, n.pruning.run);
      put(key, n.pruning.drop);
      break;
    case Kind::Cast:
    case Kind::Reshape:
    case Kind::Nonzero:
    case Kind::Select:
    case Kind::PackedBytes: break;
  }
  put(key, n.sources.size());
  for (const Weight& source : n.sources) put_key(key, source);
}

std::string Weight::key() const {
  std::string key;
  Node::put_key(key, *this);
  return key;
}

}  // namespace cortland
