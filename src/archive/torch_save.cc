#include "archive/torch_save.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "archive/pickle.h"
#include "archive/printable.h"
#include "archive/zip_reader.h"

namespace cortland::archive {
namespace {

constexpr uint64_t kMaxPickle = uint64_t{64} << 20, kMaxStorage = uint64_t{16} << 30;
constexpr size_t kMaxRank = 64;

struct StorageClass {
  std::string_view name;
  DType dtype;
};

constexpr StorageClass kStorageClasses[] = {
    {"FloatStorage", DType::F32},     {"DoubleStorage", DType::F64},       {"HalfStorage", DType::F16},
    {"BFloat16Storage", DType::BF16}, {"LongStorage", DType::I64},         {"IntStorage", DType::I32},
    {"ShortStorage", DType::I16},     {"CharStorage", DType::I8},          {"ByteStorage", DType::U8},
    {"BoolStorage", DType::Bool},     {"ComplexFloatStorage", DType::C64}, {"ComplexDoubleStorage", DType::C128},
};

std::optional<DType> dtype_from_torch_name(std::string_view name) {
  for (int i = 1; i <= static_cast<int>(DType::F8E8M0FNU); ++i)
    if (torch_name(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  return std::nullopt;
}

// Text of Latin-1 letters back to the bytes it stands for; false when it holds any other letter.
bool decode_latin1(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < 0x80) {
      out += text[i];
    } else if ((byte == 0xc2 || byte == 0xc3) && i + 1 < text.size() && (static_cast<uint8_t>(text[i + 1]) & 0xc0) == 0x80) {
      out += static_cast<char>((byte & 3) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3f));
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

// Turns each node of the pickle into one value. Recursion is bounded by the depth limit of pickles.
class TorchLoader {
 public:
  TorchLoader(const ZipReader& zip, std::string prefix, const Pickle& pickle, TorchSave& out)
      : zip_(zip), prefix_(std::move(prefix)), pickle_(pickle), out_(out), done_(pickle.nodes.size()) {}

  Status load() {
    TRY(out_.root_, value(pickle_.root));
    return {};
  }

 private:
  using Kind = SavedValue::Kind;

  Diagnostic bad(std::string_view what) const {
    return diag(DiagKind::BadPickle, fmt::format("'{}': {}", zip_.name(), what));
  }

  SavedId add(SavedValue value) {
    out_.values_.push_back(std::move(value));
    return {static_cast<int32_t>(out_.values_.size()) - 1};
  }

  Result<SavedId> value(PickleId id) {
    SavedId& known = done_[static_cast<size_t>(id.index)];
    if (known.valid()) return known;
    TRY(auto made, convert(pickle_[id]));
    return known = add(std::move(made));
  }

  Result<SavedValue> convert(const PickleNode& node) {
    switch (node.kind) {
      case PickleKind::None:
        return SavedValue{};
      case PickleKind::Bool:
        return SavedValue{.kind = Kind::Bool, .boolean = node.integer != 0};
      case PickleKind::Int:
        return SavedValue{.kind = Kind::Int, .integer = node.integer};
      case PickleKind::Float:
        return SavedValue{.kind = Kind::Float, .real = node.real};
      case PickleKind::Str:
        return SavedValue{.kind = Kind::Str, .text = std::string(node.text)};
      case PickleKind::Bytes:
        return SavedValue{.kind = Kind::Bytes, .text = std::string(node.text)};
      case PickleKind::Tuple:
        return container(Kind::Tuple, node);
      case PickleKind::List:
        return container(Kind::List, node);
      case PickleKind::Dict:
        return container(Kind::Dict, node);
      case PickleKind::Global:
        return global(node);
      case PickleKind::PersId:
        return object(node);
      case PickleKind::Call:
        return call(node);
    }
    return bad("unknown kind of value");
  }

  Status add_items(const std::vector<PickleId>& from, SavedValue& to) {
    for (const PickleId id : from) {
      TRY(const SavedId item, value(id));
      to.items.push_back(item);
    }
    return {};
  }
  Status add_entries(const PickleNode& from, SavedValue& to) {
    for (const auto& [key, item] : from.entries) {
      TRY(const SavedId key_id, value(key));
      TRY(const SavedId item_id, value(item));
      to.entries.emplace_back(key_id, item_id);
    }
    return {};
  }
  Result<SavedValue> container(Kind kind, const PickleNode& node) {
    SavedValue made{.kind = kind};
    TRY_DO(add_items(node.items, made));
    TRY_DO(add_entries(node, made));
    return made;
  }

  static std::optional<DType> dtype_global(const PickleNode& node) {
    return node.kind == PickleKind::Global && node.text == "torch" ? dtype_from_torch_name(node.name) : std::nullopt;
  }
  Result<SavedValue> global(const PickleNode& node) {
    if (const auto dtype = dtype_global(node)) return SavedValue{.kind = Kind::DType, .dtype = *dtype};
    return SavedValue{.kind = Kind::Global, .text = fmt::format("{}.{}", node.text, node.name)};
  }

  // ---- calls ----

  Result<SavedValue> call(const PickleNode& node) {
    const auto& args = pickle_[node.args].items;
    const PickleNode& callee = pickle_[node.callee];
    if (callee.kind != PickleKind::Global) return object(node);
    const auto is = [&](std::string_view module, std::string_view name) {
      return callee.text == module && callee.name == name;
    };
    if (is("collections", "OrderedDict")) return ordered_dict(node, args);
    if (is("torch", "Size") && args.size() == 1 && pickle_[args[0]].kind == PickleKind::Tuple)
      return container(Kind::Tuple, pickle_[args[0]]);
    if (is("_codecs", "encode") && args.size() == 2) return encoded(node, args);
    if (callee.text == "torch._utils") return rebuild(callee.name, node, args);
    if (is("torch._tensor", "_rebuild_from_type_v2")) return rebuild_from_type(node, args);
    return object(node);
  }

  // OrderedDict(), filled afterwards, or OrderedDict([(key, value), ...]) of old.
  Result<SavedValue> ordered_dict(const PickleNode& node, const std::vector<PickleId>& args) {
    SavedValue made{.kind = Kind::Dict};
    if (args.size() > 1 || !node.items.empty()) return object(node);
    if (args.size() == 1) {
      for (const PickleId pair_id : pickle_[args[0]].items) {
        const auto& pair = pickle_[pair_id].items;
        if (pair.size() != 2) return object(node);
        TRY(const SavedId key, value(pair[0]));
        TRY(const SavedId item, value(pair[1]));
        made.entries.emplace_back(key, item);
      }
    }
    TRY_DO(add_entries(node, made));
    return made;
  }

  // bytes as protocol 2 spells them: _codecs.encode(text, 'latin1')
  Result<SavedValue> encoded(const PickleNode& node, const std::vector<PickleId>& args) {
    const PickleNode &text = pickle_[args[0]], &codec = pickle_[args[1]];
    if (text.kind != PickleKind::Str || codec.text != "latin1") return object(node);
    encoded_bytes_ += text.text.size();
    if (encoded_bytes_ > kMaxPickle) return bad("its byte strings are too long in total");
    SavedValue made{.kind = Kind::Bytes};
    if (!decode_latin1(text.text, made.text)) return bad("a byte string is malformed");
    return made;
  }

  Result<SavedValue> rebuild(std::string_view function, const PickleNode& node, const std::vector<PickleId>& args) {
    if (function == "_rebuild_tensor_v2" && args.size() >= 5 && args.size() <= 7) return tensor(args, std::nullopt, 6);
    if (function == "_rebuild_tensor_v3" && args.size() >= 7 && args.size() <= 8) {
      const auto dtype = dtype_global(pickle_[args[6]]);
      if (!dtype) return bad("a tensor has an unknown element type");
      return tensor(args, dtype, 7);
    }
    const bool parameter = function == "_rebuild_parameter" && args.size() == 3;
    const bool with_state = function == "_rebuild_parameter_with_state" && args.size() == 4;
    if (parameter || with_state) return parameter_of(args);
    if (function == "_rebuild_meta_tensor_no_storage" && args.size() == 4) return meta_tensor(args);
    return object(node);
  }

  Result<SavedValue> parameter_of(const std::vector<PickleId>& args) {
    TRY(const SavedId data, value(args[0]));
    SavedValue made = out_[data];
    if (made.kind != Kind::Tensor && made.kind != Kind::Object) return bad("a parameter is no tensor");
    made.tensor.is_parameter = true;
    made.tensor.requires_grad = flag(args[1]);
    return made;
  }

  // (func, type, args, state): func(*args) becomes a `type`, and `state` its attributes.
  Result<SavedValue> rebuild_from_type(const PickleNode& node, const std::vector<PickleId>& args) {
    if (args.size() != 4 || pickle_[args[2]].kind != PickleKind::Tuple) return object(node);
    const PickleNode& function = pickle_[args[0]];
    if (function.kind != PickleKind::Global || function.text != "torch._utils") return object(node);
    const auto& inner = pickle_[args[2]].items;
    if (function.name != "_rebuild_wrapper_subclass") {
      TRY(auto plain, rebuild(function.name, node, inner));
      plain.tensor.is_parameter |= marked_as_parameter(args[3]);
      return plain;
    }
    if (inner.size() != 8) return bad("a tensor subclass is malformed");
    SavedValue made{.kind = Kind::Object};
    TRY(made.callee, value(args[1]));
    TRY_DO(add_items(inner, made));
    const auto dtype = dtype_global(pickle_[inner[1]]);
    if (!dtype) return bad("a tensor subclass has an unknown element type");
    made.tensor.dtype = *dtype;
    TRY(made.tensor.sizes, integers(inner[2]));
    TRY(made.tensor.strides, integers(inner[3]));
    TRY(made.tensor.storage_offset, integer(inner[4]));
    TRY_DO(check_shape(made.tensor));
    made.tensor.requires_grad = flag(inner[7]);
    made.tensor.is_parameter = marked_as_parameter(args[3]);
    TRY_DO(add_state(args[3], made));
    return made;
  }

  // A parameter of another class than torch.nn.Parameter says so in an attribute.
  bool marked_as_parameter(PickleId state) const {
    const auto& entries = pickle_[state].entries;
    return std::any_of(entries.begin(), entries.end(),
                       [&](const auto& entry) { return pickle_[entry.first].text == "_is_param" && flag(entry.second); });
  }

  // Attributes: a dict, or a pair of dicts when the class has slots.
  Status add_state(PickleId state, SavedValue& to) {
    const PickleNode& node = pickle_[state];
    if (node.kind == PickleKind::Dict) return add_entries(node, to);
    if (node.kind != PickleKind::Tuple) return {};
    for (const PickleId part : node.items)
      if (pickle_[part].kind == PickleKind::Dict) TRY_DO(add_entries(pickle_[part], to));
    return {};
  }

  // Whatever is not understood: name, arguments, state, contents; nothing is run.
  Result<SavedValue> object(const PickleNode& node) {
    SavedValue made{.kind = Kind::Object};
    if (node.callee.valid()) {
      TRY(made.callee, value(node.callee));
    }
    if (pickle_[node.args].kind == PickleKind::Tuple) TRY_DO(add_items(pickle_[node.args].items, made));
    TRY_DO(add_items(node.items, made));
    TRY_DO(add_entries(node, made));
    if (node.state.valid()) TRY_DO(add_state(node.state, made));
    return made;
  }

  // ---- tensors ----

  bool flag(PickleId id) const { return pickle_[id].kind == PickleKind::Bool && pickle_[id].integer != 0; }

  Result<int64_t> integer(PickleId id) const {
    if (pickle_[id].kind != PickleKind::Int) return bad("an integer was expected in a tensor");
    return pickle_[id].integer;
  }

  Result<std::vector<int64_t>> integers(PickleId id) const {
    const PickleNode* node = &pickle_[id];
    if (node->kind == PickleKind::Call && pickle_.is_global(node->callee, "torch", "Size") &&
        pickle_[node->args].items.size() == 1)
      node = &pickle_[pickle_[node->args].items[0]];
    if (node->kind != PickleKind::Tuple || node->items.size() > kMaxRank) return bad("the shape of a tensor is malformed");
    std::vector<int64_t> values;
    for (const PickleId item : node->items) {
      TRY(const int64_t number, integer(item));
      values.push_back(number);
    }
    return values;
  }

  struct Storage {
    std::shared_ptr<const MappedFile> file;
    std::optional<DType> dtype;  // nothing for untyped storages
  };

  // ('storage', class, key, device, count)
  Result<Storage> storage(PickleId id) {
    const PickleNode& node = pickle_[id];
    if (node.kind != PickleKind::PersId || pickle_[node.args].kind != PickleKind::Tuple ||
        pickle_[node.args].items.size() != 5)
      return bad("a tensor has no storage");
    const auto& parts = pickle_[node.args].items;
    const PickleNode &tag = pickle_[parts[0]], &type = pickle_[parts[1]], &key = pickle_[parts[2]];
    if (tag.kind != PickleKind::Str || tag.text != "storage" || type.kind != PickleKind::Global ||
        key.kind != PickleKind::Str)
      return bad("a storage is malformed");
    Storage made;
    const auto* known = std::find_if(std::begin(kStorageClasses), std::end(kStorageClasses),
                                     [&](const auto& c) { return c.name == type.name; });
    if (known != std::end(kStorageClasses) && (type.text == "torch" || type.text == "torch.storage"))
      made.dtype = known->dtype;
    else if (type.name != "UntypedStorage")
      return diag(DiagKind::UnsupportedDtype, fmt::format("'{}': a tensor is stored as '{}', which is not supported",
                                                          zip_.name(), printable(type.name)));
    TRY(made.file, storage_file(key.text));
    TRY(const int64_t count, integer(parts[4]));
    const auto width = static_cast<uint64_t>(made.dtype ? bit_width(*made.dtype) / 8 : 1);
    if (count < 0 || static_cast<uint64_t>(count) > made.file->bytes().size() / width)
      return bad(fmt::format("the storage '{}' has {} bytes, too few for {} elements", printable(key.text),
                             made.file->bytes().size(), count));
    return made;
  }

  Result<std::shared_ptr<const MappedFile>> storage_file(std::string_view key) {
    auto& file = storages_[key];
    if (!file) {
      TRY(const ZipEntry* entry, zip_.require(fmt::format("{}data/{}", prefix_, key)));
      TRY(file, zip_.open_entry(*entry, kMaxStorage));
    }
    return file;
  }

  Result<SavedValue> tensor(const std::vector<PickleId>& args, std::optional<DType> dtype, size_t metadata) {
    TRY(auto stored, storage(args[0]));
    if (!dtype && !stored.dtype) return bad("a tensor has no element type");
    SavedValue made{.kind = Kind::Tensor};
    SavedTensor& tensor = made.tensor;
    tensor.dtype = dtype ? *dtype : *stored.dtype;
    TRY(tensor.storage_offset, integer(args[1]));
    TRY(tensor.sizes, integers(args[2]));
    TRY(tensor.strides, integers(args[3]));
    tensor.requires_grad = flag(args[4]);
    if (args.size() > metadata) {
      for (const auto& [key, item] : pickle_[args[metadata]].entries) {
        if (pickle_[key].text == "conj") tensor.conjugate = flag(item);
        if (pickle_[key].text == "neg") tensor.negative = flag(item);
      }
    }
    TRY_DO(check_shape(tensor));
    TRY_DO(check_bounds(tensor, stored.file->bytes().size()));
    tensor.storage = std::move(stored.file);
    return made;
  }

  Result<SavedValue> meta_tensor(const std::vector<PickleId>& args) {
    SavedValue made{.kind = Kind::Tensor};
    const auto dtype = dtype_global(pickle_[args[0]]);
    if (!dtype) return bad("a tensor has an unknown element type");
    made.tensor.dtype = *dtype;
    TRY(made.tensor.sizes, integers(args[1]));
    TRY(made.tensor.strides, integers(args[2]));
    made.tensor.requires_grad = flag(args[3]);
    TRY_DO(check_shape(made.tensor));
    return made;
  }

  Status check_shape(const SavedTensor& tensor) const {
    const auto negative = [](int64_t n) { return n < 0; };
    if (tensor.sizes.size() != tensor.strides.size() || tensor.storage_offset < 0 ||
        std::any_of(tensor.sizes.begin(), tensor.sizes.end(), negative) ||
        std::any_of(tensor.strides.begin(), tensor.strides.end(), negative))
      return bad("the sizes and strides of a tensor are malformed");
    int64_t elements = 1;
    const bool empty = std::find(tensor.sizes.begin(), tensor.sizes.end(), 0) != tensor.sizes.end();
    for (const int64_t size : tensor.sizes)
      if (!empty && __builtin_mul_overflow(elements, size, &elements)) return bad("a tensor has too many elements");
    return {};
  }

  // The last element must lie inside the storage.
  Status check_bounds(const SavedTensor& tensor, uint64_t bytes) const {
    if (std::find(tensor.sizes.begin(), tensor.sizes.end(), 0) != tensor.sizes.end()) return {};
    if (bytes == 0)
      return diag(DiagKind::WeightsMissing,
                  fmt::format("'{}': a tensor has elements but its storage is empty", zip_.name()));
    auto last = static_cast<uint64_t>(tensor.storage_offset);
    bool fits = true;
    for (size_t i = 0; i < tensor.sizes.size(); ++i) {
      uint64_t reach = 0;
      fits &= !__builtin_mul_overflow(static_cast<uint64_t>(tensor.sizes[i] - 1), static_cast<uint64_t>(tensor.strides[i]),
                                      &reach);
      fits &= !__builtin_add_overflow(last, reach, &last);
    }
    if (!fits || last >= bytes / static_cast<uint64_t>(bit_width(tensor.dtype) / 8))
      return bad("a tensor reaches past the end of its storage");
    return {};
  }

  const ZipReader& zip_;
  std::string prefix_;
  const Pickle& pickle_;
  TorchSave& out_;
  std::vector<SavedId> done_;                                                         // by pickle node
  std::unordered_map<std::string_view, std::shared_ptr<const MappedFile>> storages_;  // by key
  uint64_t encoded_bytes_ = 0;
};

Result<TorchSave> TorchSave::open(std::shared_ptr<const MappedFile> file) {
  TRY(const auto zip, ZipReader::open(std::move(file)));
  const std::string prefix(zip.common_prefix());
  if (prefix.empty()) return diag(DiagKind::BadPickle, fmt::format("'{}' was not written by torch.save", zip.name()));
  TRY(const ZipEntry* entry, zip.require(prefix + "data.pkl"));
  TRY(const std::string code, zip.read(*entry, kMaxPickle));
  if (const ZipEntry* order = zip.find(prefix + "byteorder")) {
    TRY(const std::string text, zip.read(*order, 16));
    if (text != "little")
      return diag(DiagKind::BadPickle, fmt::format("'{}' was written on a big-endian machine", zip.name()));
  }
  TRY(const Pickle pickle, parse_pickle(as_bytes(code), fmt::format("{}:{}", zip.name(), printable(entry->name))));
  TorchSave save;
  TRY_DO(TorchLoader(zip, prefix, pickle, save).load());
  return save;
}

const SavedValue* TorchSave::find(const SavedValue& in, std::string_view key) const {
  for (const auto& [name, value] : in.entries)
    if ((*this)[name].kind == SavedValue::Kind::Str && (*this)[name].text == key) return &(*this)[value];
  return nullptr;
}

std::string_view TorchSave::class_name(const SavedValue& object) const {
  if (!object.callee.valid()) return {};
  return (*this)[object.callee].text;
}

}  // namespace cortland::archive
