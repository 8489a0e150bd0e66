// A Weight is an immutable expression over bytes of a mapped file: it knows its type and size without touching them and
// produces any run of elements on demand, so weights of any size are converted tile by tile while they are written.
// Cheap to copy; safe to read from several threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/type.h"

namespace cortland {

// tensor/codes.h
struct LinearCode;
struct TableCode;
struct Pruning;

class Weight {
 public:
  Weight() = default;

  // Elements at `offset` bytes of `file`, walked by `strides` (in elements; may be 0). Bounds are checked.
  static Result<Weight> view(std::shared_ptr<const MappedFile> file, uint64_t offset, uint64_t storage_bytes, DType dtype,
                             std::vector<int64_t> shape, std::vector<int64_t> strides);
  // Dense bytes held in memory.
  static Weight dense(DType dtype, std::vector<int64_t> shape, std::string bytes);
  template <class T>
  static Weight of(DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
    return dense(dtype, std::move(shape), std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
  }
  static Weight floats(const std::vector<float>& v) { return of(DType::F32, {static_cast<int64_t>(v.size())}, v); }
  static Weight ints(const std::vector<int32_t>& v) { return of(DType::I32, {static_cast<int64_t>(v.size())}, v); }

  // Value conversions as torch's `.to`: floats to ints truncate (and saturate), ints wrap, bool is != 0.
  Weight cast(DType to) const;
  Weight uncast() const;  // the weight before the casts that were applied last
  Weight permute(const std::vector<int64_t>& perm) const;
  Weight reshape(std::vector<int64_t> shape) const;  // same number of elements
  Weight slice(int64_t axis, int64_t begin, int64_t end) const;
  Weight expand(std::vector<int64_t> shape) const;   // broadcasting, aligned right
  Weight complex_part(bool imaginary) const;         // the real or imaginary part of complex elements
  static Weight concat(const std::vector<Weight>& parts, int64_t axis);
  // Multiplies along `axis` by a small vector, in float32 (batch norm folded into a convolution).
  Weight scale(int64_t axis, std::vector<float> factors) const;

  // Compressed forms: codes of a float weight in place of its elements, made while they are read.
  Weight quantize(std::shared_ptr<const LinearCode> code) const;
  Weight palettize(std::shared_ptr<const TableCode> code) const;
  Weight prune(const Pruning& pruning) const;  // a float weight with zeros
  Weight nonzero() const;                      // uint1: 1 where the element is not 0
  // The elements where `mask` (made by nonzero()) is 1, as a vector. Reads the mask once, to know its size.
  Weight select(const Weight& mask) const;
  Weight packed_bytes() const;  // the bytes of packed elements, as uint8

  explicit operator bool() const { return node_ != nullptr; }
  DType dtype() const;
  const std::vector<int64_t>& shape() const;
  int64_t elements() const;
  uint64_t byte_size() const { return static_cast<uint64_t>(cortland::byte_size(dtype(), elements())); }
  TensorType type() const { return {dtype(), shape_of(shape())}; }

  // Elements [first, first + count) in row-major order. Sub-byte types: first and count are multiples of 8.
  void read(int64_t first, int64_t count, std::byte* out) const;
  // Lets go of the memory that read(first, count) brought in from a mapped file.
  void forget(int64_t first, int64_t count) const;
  // The bytes themselves where they already lie dense in a file or in memory, else empty.
  Bytes dense_bytes() const;
  std::string bytes() const;  // all of it; for weights known to be small, or about to be used whole
  std::vector<float> to_floats() const;
  std::vector<int64_t> to_ints() const;
  // Equal keys mean equal contents. Contents of up to 1 KiB are part of the key; larger ones are named by where they lie.
  std::string key() const;

 private:
  struct Node;
  template <class Plan>
  Weight restride(const Plan& plan) const;
  static Weight make(Node node);
  // Codes one to a byte, for any run.
  void read_codes(int64_t first, int64_t count, uint8_t* out) const;
  void read_pruned(int64_t first, int64_t count, std::byte* out) const;
  void read_selected(int64_t first, int64_t count, std::byte* out) const;
  void read_packed_bytes(int64_t first, int64_t count, std::byte* out) const;
  explicit Weight(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  std::shared_ptr<const Node> node_;
};

// dense row-major conversion of `count` elements; the one place that knows how each pair of types converts
void convert_elements(DType from, const std::byte* in, DType to, std::byte* out, int64_t count);

}  // namespace cortland
