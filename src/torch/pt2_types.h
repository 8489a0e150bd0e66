// Element types, sizes and tensor descriptions as the JSON of a program writes them. Owned by the reader of one program;
// not synchronised.
#pragma once

#include <map>
#include <string>

#include "archive/json.h"
#include "tensor/type.h"
#include "torch/symbolic_sizes.h"

namespace cortland::torch {

// The numbering of torch's exported programs, which is neither that of torch nor that of ExecuTorch.
Result<DType> read_dtype(const archive::Json& json);

struct TensorMeta {
  TensorType type;
  Shape strides;
};

// A tensor whose sizes are all numbers, as a weight is described.
struct StoredMeta {
  DType dtype = DType::Unknown;
  std::vector<int64_t> sizes, strides;
  int64_t storage_offset = 0;  // in elements
};
Result<StoredMeta> read_stored_meta(const archive::Json& json);

class MetaReader {
 public:
  explicit MetaReader(DimTable& dims) : dims_(dims), sizes_(dims) {}

  Result<TensorMeta> tensor(const archive::Json& json);
  // A SymInt; nullopt when its expression is not a Dim.
  Result<std::optional<Dim>> sym_int(const archive::Json& json);
  SymbolicSizes& sizes() { return sizes_; }
  DimTable& dims() { return dims_; }
  // Values that symbols had while the program was traced, as far as the sizes read so far tell.
  const std::map<std::string, int64_t>& hints() const { return hints_; }

 private:
  Result<Shape> shape(const archive::Json& json);
  Status note_hint(const archive::Json& expression, Dim dim);

  DimTable& dims_;
  SymbolicSizes sizes_;
  std::map<std::string, int64_t> hints_;
};

}  // namespace cortland::torch
