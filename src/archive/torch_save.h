// What torch.save wrote: tensors inside tuples, lists and dicts. Only what rebuilds plain tensors and containers is
// understood; any other class is an inert Object with its name and its parts. Immutable once open; tensors share the
// file and may outlive the TorchSave.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "tensor/dtype.h"

namespace cortland::archive {

using SavedId = Id<struct SavedValue>;

struct SavedTensor {
  DType dtype = DType::Unknown;
  std::vector<int64_t> sizes, strides;  // in elements; strides may be 0
  int64_t storage_offset = 0;           // in elements
  // The whole storage, in which all elements lie. Null for a tensor without data (the meta device, the outside of a
  // tensor subclass). Tensors that share their storage share this pointer.
  std::shared_ptr<const MappedFile> storage;
  bool requires_grad = false, is_parameter = false;
  bool conjugate = false, negative = false;  // the stored numbers still have to be conjugated, negated

  Bytes bytes() const { return storage ? storage->bytes() : Bytes(); }
};

struct SavedValue {
  enum class Kind : uint8_t { None, Bool, Int, Float, Str, Bytes, Tuple, List, Dict, Tensor, DType, Global, Object };

  Kind kind = Kind::None;
  bool boolean = false;
  int64_t integer = 0;
  double real = 0;
  DType dtype = DType::Unknown;  // of a DType
  std::string text;              // Str, Bytes; "module.name" of a Global
  SavedTensor tensor;            // Tensor; the outer view of an Object that is a tensor subclass
  SavedId callee;                // Object: its class or function
  std::vector<SavedId> items;    // Tuple, List; arguments of an Object, then what was appended to it
  // Dict; attributes (by name) and entries of an Object. A tensor subclass has its inner tensors here.
  std::vector<std::pair<SavedId, SavedId>> entries;
};

class TorchSave {
 public:
  // A zip that torch.save wrote, as a file or as an entry of an archive (ZipReader::open_entry).
  static Result<TorchSave> open(std::shared_ptr<const MappedFile> file);

  SavedId root_id() const { return root_; }
  const SavedValue& root() const { return (*this)[root_]; }
  const SavedValue& operator[](SavedId id) const { return values_[static_cast<size_t>(id.index)]; }
  // The entry of a Dict or the attribute of an Object; null when absent.
  const SavedValue* find(const SavedValue& in, std::string_view key) const;
  // "torchao.quantization.Int8Tensor" for an Object, else empty.
  std::string_view class_name(const SavedValue& object) const;

 private:
  friend class TorchLoader;
  TorchSave() = default;
  std::vector<SavedValue> values_;  // shared parts once: a finite tree, see pickle.h
  SavedId root_;
};

}  // namespace cortland::archive
