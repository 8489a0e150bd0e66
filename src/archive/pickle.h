// A pickle read as data. Python's unpickler runs what the file tells it to; this one builds nodes and nothing else: a call
// stays a call. The nodes form a finite tree with shared parts, of bounded depth and bounded size even when the shared
// parts are counted each time, so walking it by recursion is safe. Plain value that views the bytes it was read from.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/id.h"

namespace cortland::archive {

using PickleId = Id<struct PickleNode>;

enum class PickleKind : uint8_t { None, Bool, Int, Float, Str, Bytes, Tuple, List, Dict, Global, PersId, Call };

struct PickleNode {
  PickleKind kind = PickleKind::None;
  int64_t integer = 0;                                 // Bool, Int
  double real = 0;                                     // Float
  std::string_view text;                               // Str (mostly UTF-8), Bytes; module of a Global
  std::string_view name;                               // Global
  PickleId callee;                                     // Call
  PickleId args;                                       // Call: a Tuple; PersId: the id itself
  PickleId state;                                      // Call: what BUILD attached, if anything
  std::vector<PickleId> items;                         // Tuple, List; Call: appended to its result
  std::vector<std::pair<PickleId, PickleId>> entries;  // Dict; Call: set in its result
};

struct PickleLimits {
  size_t max_bytes = size_t{64} << 20;
  size_t max_instructions = 1'000'000;
  size_t max_depth = 256;
  size_t max_walk = 4'000'000;  // nodes that a walk from the root meets, shared ones each time
  size_t max_name = 4096;       // of a global
};

struct Pickle {
  std::vector<PickleNode> nodes;
  PickleId root;

  const PickleNode& operator[](PickleId id) const { return nodes[static_cast<size_t>(id.index)]; }
  bool is_global(PickleId id, std::string_view module, std::string_view name) const {
    const PickleNode& node = (*this)[id];
    return node.kind == PickleKind::Global && node.text == module && node.name == name;
  }
};

// One pickle of protocol 2 to 5 that fills `bytes`. `name` is what errors call it.
Result<Pickle> parse_pickle(Bytes bytes, std::string_view name, PickleLimits limits = {});

}  // namespace cortland::archive
