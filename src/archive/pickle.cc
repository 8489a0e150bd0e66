#include "archive/pickle.h"

#include <fmt/format.h>

#include <bit>

#include "archive/little_endian.h"

namespace cortland::archive {
namespace {

// The instructions that torch and Python's pickler write for protocols 2 to 5.
// clang-format off
enum Op : uint8_t {
  kProto = 0x80, kFrame = 0x95, kStop = '.', kMark = '(', kPop = '0', kPopMark = '1', kDup = '2',
  kNone = 'N', kNewTrue = 0x88, kNewFalse = 0x89, kBinInt = 'J', kBinInt1 = 'K', kBinInt2 = 'M', kLong1 = 0x8a, kBinFloat = 'G',
  kBinUnicode = 'X', kShortBinUnicode = 0x8c, kBinUnicode8 = 0x8d,
  kBinBytes = 'B', kShortBinBytes = 'C', kBinBytes8 = 0x8e, kByteArray8 = 0x96,
  kEmptyTuple = ')', kTuple = 't', kTuple1 = 0x85, kTuple2 = 0x86, kTuple3 = 0x87,
  kEmptyList = ']', kAppend = 'a', kAppends = 'e', kEmptyDict = '}', kSetItem = 's', kSetItems = 'u',
  kEmptySet = 0x8f, kAddItems = 0x90, kFrozenSet = 0x91,
  kGlobal = 'c', kStackGlobal = 0x93, kReduce = 'R', kNewObj = 0x81, kBuild = 'b', kBinPersId = 'Q',
  kBinPut = 'q', kLongBinPut = 'r', kMemoize = 0x94, kBinGet = 'h', kLongBinGet = 'j',
};
// clang-format on

class Unpickler {
 public:
  Unpickler(Bytes bytes, std::string_view name, PickleLimits limits) : bytes_(bytes), name_(name), limits_(limits) {}

  Result<Pickle> run() {
    if (bytes_.size() > limits_.max_bytes)
      return bad(fmt::format("{} bytes are more than the limit of {}", bytes_.size(), limits_.max_bytes));
    for (size_t count = 0; !stopped_; ++count) {
      if (count == limits_.max_instructions) return bad(fmt::format("it has more than {} instructions", count));
      if (at_ == bytes_.size()) return bad("it is cut off");
      TRY_DO(step(std::to_integer<uint8_t>(bytes_[at_++])));
    }
    if (at_ != bytes_.size()) return bad("bytes follow its end");
    if (stack_.size() != 1 || !marks_.empty()) return bad("it does not leave exactly one value");
    pickle_.root = stack_[0];
    TRY_DO(check_walk());
    return std::move(pickle_);
  }

 private:
  Diagnostic bad(std::string_view what) const {
    return diag(DiagKind::BadPickle, fmt::format("'{}' is not a readable pickle: {} (byte {})", name_, what, at_));
  }

  // ---- input ----

  template <class T>
  Status take(T& value) {
    if (bytes_.size() - at_ < sizeof(T)) return bad("it is cut off");
    value = load_le<T>(bytes_, at_);
    at_ += sizeof(T);
    return {};
  }
  // Bytes whose count comes first, as a T.
  template <class T>
  Status take_counted(std::string_view& text) {
    T size = 0;
    TRY_DO(take(size));
    if (size > bytes_.size() - at_) return bad("it is cut off");
    text = as_text(bytes_.subspan(at_, size));
    at_ += size;
    return {};
  }
  Status take_line(std::string_view& text) {
    const auto rest = as_text(bytes_.subspan(at_));
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return bad("it is cut off");
    text = rest.substr(0, end);
    at_ += end + 1;
    return {};
  }

  // ---- stack ----

  PickleNode& node(PickleId id) { return pickle_.nodes[static_cast<size_t>(id.index)]; }
  Status push(PickleNode node) {
    pickle_.nodes.push_back(std::move(node));
    stack_.push_back({static_cast<int32_t>(pickle_.nodes.size()) - 1});
    return {};
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Status pop(PickleId& id) {
    if (stack_.size() <= floor()) return bad("its stack runs empty");
    id = stack_.back();
    stack_.pop_back();
    return {};
  }
  Status pop_to_mark(std::vector<PickleId>& items) {
    if (marks_.empty()) return bad("a mark is missing");
    items.assign(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return {};
  }
  // What stays on the stack and is about to be changed.
  Status peek(PickleId& id) {
    if (stack_.size() <= floor()) return bad("its stack runs empty");
    id = stack_.back();
    return {};
  }

  // ---- instructions ----

  // clang-format off
  Status step(uint8_t op) {
    switch (op) {
      case kProto: return proto();
      case kFrame: return skip_frame();
      case kStop: stopped_ = true; return {};
      case kMark: marks_.push_back(stack_.size()); return {};
      case kPop: return pop_value();
      case kPopMark: { std::vector<PickleId> items; return pop_to_mark(items); }
      case kDup: { PickleId id; TRY_DO(peek(id)); stack_.push_back(id); return {}; }
      case kNone: return push({});
      case kNewTrue: return push({.kind = PickleKind::Bool, .integer = 1});
      case kNewFalse: return push({.kind = PickleKind::Bool});
      case kBinInt: return integer<int32_t>();
      case kBinInt1: return integer<uint8_t>();
      case kBinInt2: return integer<uint16_t>();
      case kLong1: return long1();
      case kBinFloat: return binary_float();
      case kBinUnicode: return text<uint32_t>(PickleKind::Str);
      case kShortBinUnicode: return text<uint8_t>(PickleKind::Str);
      case kBinUnicode8: return text<uint64_t>(PickleKind::Str);
      case kBinBytes: return text<uint32_t>(PickleKind::Bytes);
      case kShortBinBytes: return text<uint8_t>(PickleKind::Bytes);
      case kBinBytes8:
      case kByteArray8: return text<uint64_t>(PickleKind::Bytes);
      case kEmptyTuple: return push({.kind = PickleKind::Tuple});
      case kTuple1: return tuple(1);
      case kTuple2: return tuple(2);
      case kTuple3: return tuple(3);
      case kTuple: return marked_tuple();
      case kEmptyList: return push({.kind = PickleKind::List});
      case kAppend: return append(1);
      case kAppends:
      case kAddItems: return append(std::nullopt);
      case kEmptyDict: return push({.kind = PickleKind::Dict});
      case kSetItem: return set_items(2);
      case kSetItems: return set_items(std::nullopt);
      case kEmptySet: return set("set");
      case kFrozenSet: return set("frozenset");
      case kGlobal: return global();
      case kStackGlobal: return stack_global();
      case kReduce:
      case kNewObj: return call();
      case kBuild: return build();
      case kBinPersId: return persistent();
      case kBinPut: return put<uint8_t>();
      case kLongBinPut: return put<uint32_t>();
      case kMemoize: return put_at(memo_.size());
      case kBinGet: return get<uint8_t>();
      case kLongBinGet: return get<uint32_t>();
    }
    return bad(fmt::format("the instruction 0x{:02x} is not supported", op));
  }
  // clang-format on

  Status proto() {
    uint8_t version = 0;
    TRY_DO(take(version));
    if (version < 2 || version > 5) return bad(fmt::format("protocol {} is not supported", version));
    return {};
  }
  Status skip_frame() {  // a hint for buffering; its contents follow as usual
    uint64_t size = 0;
    return take(size);
  }
  Status pop_value() {
    if (stack_.size() == floor() && !marks_.empty()) {
      marks_.pop_back();  // Python's POP takes a mark as well
      return {};
    }
    PickleId id;
    return pop(id);
  }
  template <class T>
  Status integer() {
    T value = 0;
    TRY_DO(take(value));
    return push({.kind = PickleKind::Int, .integer = value});
  }
  Status long1() {
    std::string_view digits;
    TRY_DO(take_counted<uint8_t>(digits));
    if (digits.size() > 8) return bad("an integer does not fit 64 bits");
    uint64_t value = 0;
    for (size_t i = 0; i < digits.size(); ++i) value |= uint64_t{static_cast<uint8_t>(digits[i])} << 8 * i;
    const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
    if (negative && digits.size() < 8) value |= ~uint64_t{0} << 8 * digits.size();
    return push({.kind = PickleKind::Int, .integer = static_cast<int64_t>(value)});
  }
  Status binary_float() {
    uint64_t bits = 0;
    TRY_DO(take(bits));
    return push({.kind = PickleKind::Float, .real = std::bit_cast<double>(__builtin_bswap64(bits))});
  }
  template <class T>
  Status text(PickleKind kind) {
    PickleNode node{.kind = kind};
    TRY_DO(take_counted<T>(node.text));
    return push(std::move(node));
  }

  Status tuple(size_t count) {
    PickleNode node{.kind = PickleKind::Tuple};
    node.items.resize(count);
    while (count-- > 0) TRY_DO(pop(node.items[count]));
    return push(std::move(node));
  }
  Status marked_tuple() {
    PickleNode node{.kind = PickleKind::Tuple};
    TRY_DO(pop_to_mark(node.items));
    return push(std::move(node));
  }

  // `count` values from the top of the stack, or all above the mark; then the container they go into.
  Status pop_for(std::optional<size_t> count, std::vector<PickleId>& values, PickleId& container) {
    if (count) {
      values.resize(*count);
      for (size_t i = *count; i-- > 0;) TRY_DO(pop(values[i]));
    } else {
      TRY_DO(pop_to_mark(values));
    }
    return peek(container);
  }
  Status append(std::optional<size_t> count) {
    std::vector<PickleId> values;
    PickleId container;
    TRY_DO(pop_for(count, values, container));
    PickleNode& to = node(container);
    if (to.kind != PickleKind::List && to.kind != PickleKind::Call) return bad("it appends to something that is no list");
    to.items.insert(to.items.end(), values.begin(), values.end());
    return {};
  }
  Status set_items(std::optional<size_t> count) {
    std::vector<PickleId> values;
    PickleId container;
    TRY_DO(pop_for(count, values, container));
    PickleNode& to = node(container);
    if (to.kind != PickleKind::Dict && to.kind != PickleKind::Call) return bad("it sets items of something that is no dict");
    if (values.size() % 2 != 0) return bad("a dict entry lacks its value");
    for (size_t i = 0; i < values.size(); i += 2) to.entries.emplace_back(values[i], values[i + 1]);
    return {};
  }
  // Sets have no node kind of their own: a set is a call, as protocol 2 writes it.
  Status set(std::string_view type) {
    std::vector<PickleId> items;
    if (type == "frozenset") TRY_DO(pop_to_mark(items));
    TRY_DO(push({.kind = PickleKind::Global, .text = "builtins", .name = type}));
    TRY_DO(push({.kind = PickleKind::Tuple}));
    TRY_DO(call());
    node(stack_.back()).items = std::move(items);
    return {};
  }

  Status global() {
    PickleNode node{.kind = PickleKind::Global};
    TRY_DO(take_line(node.text));
    TRY_DO(take_line(node.name));
    return push_global(std::move(node));
  }
  Status stack_global() {
    PickleId name, module;
    TRY_DO(pop(name));
    TRY_DO(pop(module));
    if (node(name).kind != PickleKind::Str || node(module).kind != PickleKind::Str)
      return bad("a global is not named by strings");
    return push_global({.kind = PickleKind::Global, .text = node(module).text, .name = node(name).text});
  }
  Status push_global(PickleNode node) {
    if (node.text.size() > limits_.max_name || node.name.size() > limits_.max_name)
      return bad("the name of a global is too long");
    return push(std::move(node));
  }

  Status call() {
    PickleNode made{.kind = PickleKind::Call};
    TRY_DO(pop(made.args));
    TRY_DO(pop(made.callee));
    if (node(made.args).kind != PickleKind::Tuple) return bad("the arguments of a call are no tuple");
    return push(std::move(made));
  }
  Status build() {
    PickleId state, target;
    TRY_DO(pop(state));
    TRY_DO(peek(target));
    if (node(target).kind != PickleKind::Call) return bad("it attaches a state to something that is no object");
    node(target).state = state;
    return {};
  }
  Status persistent() {
    PickleNode made{.kind = PickleKind::PersId};
    TRY_DO(pop(made.args));
    return push(std::move(made));
  }

  template <class T>
  Status put() {
    T slot = 0;
    TRY_DO(take(slot));
    return put_at(slot);
  }
  Status put_at(size_t slot) {
    PickleId id;
    TRY_DO(peek(id));
    if (slot >= limits_.max_instructions) return bad("a memo slot is out of range");
    if (slot >= memo_.size()) memo_.resize(slot + 1);
    memo_[slot] = id;
    return {};
  }
  template <class T>
  Status get() {
    T slot = 0;
    TRY_DO(take(slot));
    if (slot >= memo_.size() || !memo_[slot].valid()) return bad("a memo slot is used before it is set");
    stack_.push_back(memo_[slot]);
    return {};
  }

  // ---- the finished value ----

  template <class Visit>
  void for_each_child(const PickleNode& node, Visit visit) const {
    for (const PickleId id : {node.callee, node.args, node.state})
      if (id.valid()) visit(id);
    for (const PickleId id : node.items) visit(id);
    for (const auto& [key, value] : node.entries) visit(key), visit(value);
  }

  // A value that holds itself, is too deep, or unfolds into too many nodes (a tuple of two of the same, many times over)
  // would trap whoever walks it.
  Status check_walk() {
    enum State : uint8_t { kNew, kOpen, kDone };
    struct Extent {
      State state = kNew;
      size_t depth = 1, walk = 1;
    };
    std::vector<Extent> extents(pickle_.nodes.size());
    const auto extent = [&](PickleId id) -> Extent& { return extents[static_cast<size_t>(id.index)]; };
    std::vector<PickleId> pending{pickle_.root};
    while (!pending.empty()) {
      const PickleId id = pending.back();
      Extent& here = extent(id);
      if (here.state == kNew) {
        here.state = kOpen;
        bool cycle = false;
        for_each_child(pickle_[id], [&](PickleId child) {
          cycle |= extent(child).state == kOpen;
          if (extent(child).state == kNew) pending.push_back(child);
        });
        if (cycle) return bad("it holds a value that contains itself");
        continue;
      }
      pending.pop_back();
      if (here.state == kDone) continue;
      for_each_child(pickle_[id], [&](PickleId child) {
        here.depth = std::max(here.depth, extent(child).depth + 1);
        here.walk = std::min(here.walk + extent(child).walk, limits_.max_walk + 1);
      });
      if (here.depth > limits_.max_depth) return bad("it is nested too deeply");
      if (here.walk > limits_.max_walk) return bad("it unfolds into too many values");
      here.state = kDone;
    }
    return {};
  }

  Bytes bytes_;
  std::string_view name_;
  PickleLimits limits_;
  size_t at_ = 0;
  bool stopped_ = false;
  Pickle pickle_;
  std::vector<PickleId> stack_, memo_;
  std::vector<size_t> marks_;  // heights of the stack
};

}  // namespace

Result<Pickle> parse_pickle(Bytes bytes, std::string_view name, PickleLimits limits) {
  return Unpickler(bytes, name, limits).run();
}

}  // namespace cortland::archive
