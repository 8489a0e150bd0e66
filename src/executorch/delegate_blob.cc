#include "executorch/delegate_blob.h"

#include <fmt/format.h>

#include <algorithm>

#include "executorch/json_text.h"

namespace cortland::executorch {
namespace {

constexpr uint64_t kLargeBlob = 1ull << 30, kPage = 16384;  // Apple's page; a multiple of everyone else's
constexpr size_t kMaxIndexText = 10 << 20, kMaxPath = 512;
constexpr uint64_t kFileKind = 0, kDirectoryKind = 1;

Diagnostic bad_blob(std::string what) { return diag(DiagKind::BadPte, "delegate blob: " + what); }

// A file with its place, and a directory with its entries.
struct Node {
  uint64_t offset = 0, size = 0;
  std::map<std::string, Node> children;
  bool directory() const { return !children.empty(); }
};

// Quotes and backslashes would be legal JSON, but upstream's reader loses its way when one straddles a chunk.
bool good_name(std::string_view name) {
  if (name.empty() || name == "." || name == "..") return false;
  return std::ranges::none_of(
      name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == '/'; });
}

// The node at `path`, made together with its directories; null when the path is not usable or already taken.
Node* insert(Node& root, std::string_view path) {
  Node* at = &root;
  for (bool last = false; !last;) {
    const auto slash = path.find('/');
    const auto name = path.substr(0, slash);
    last = slash == std::string_view::npos;
    if (!last) path.remove_prefix(slash + 1);
    if (!good_name(name) || at->size > 0) return nullptr;
    at = &at->children[std::string(name)];
  }
  return at->directory() || at->size > 0 ? nullptr : at;
}

// Children first, so that an index refers back. Returns the index of `node`. Paths bound the depth.
size_t add_to_index(OrderedJson& nodes, const std::string& name, const Node& node) {
  OrderedJson children = OrderedJson::object();
  for (const auto& [child_name, child] : node.children) children[child_name] = add_to_index(nodes, child_name, child);
  nodes.push_back({{"children", std::move(children)},
                   {"dataRegion", {{"offset", node.offset}, {"size", node.size}}},
                   {"kind", node.directory() ? kDirectoryKind : kFileKind},
                   {"name", name}});
  return nodes.size() - 1;
}

std::string index_text(std::string_view root_name, const Node& root) {
  OrderedJson nodes = OrderedJson::array();
  add_to_index(nodes, std::string(root_name), root);
  OrderedJson index;
  index["nodes"] = std::move(nodes);
  auto text = index.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  std::ranges::reverse(text);
  return text;
}

struct Placed {
  const BlobFile* file;
  Node* node;
};

// Where the index starts.
uint64_t place(const std::vector<Placed>& files, uint64_t alignment) {
  uint64_t end = 0;
  for (const auto& [file, node] : files) {
    node->offset = round_up(end, alignment);
    node->size = file->bytes.size;
    end = node->offset + node->size;
  }
  return round_up(end, alignment);
}

}  // namespace

Result<FlattenedDirectory> flatten_directory(std::string_view root_name, std::vector<BlobFile> files) {
  std::erase_if(files, [](const BlobFile& file) { return file.bytes.size == 0; });
  Node root;
  std::vector<Placed> placed;
  for (const auto& file : files) {
    auto* node = file.path.size() <= kMaxPath ? insert(root, file.path) : nullptr;
    if (!node)
      return diag(DiagKind::BadPackage, fmt::format("'{}' cannot be stored in a delegate blob under this name", file.path));
    node->size = file.bytes.size;
    placed.push_back({&file, node});
  }
  if (placed.empty()) return diag(DiagKind::BadPackage, "a delegate blob needs at least one file");

  FlattenedDirectory out;
  if (place(placed, 1) > kLargeBlob) out.alignment = kPage;
  const uint64_t end = place(placed, out.alignment);
  const auto index = index_text(root_name, root);
  std::vector<uint64_t> offsets;
  for (const auto& [file, node] : placed) offsets.push_back(node->offset);
  out.bytes = streamed_bytes(end + index.size(),
                             [files = std::move(files), offsets, index, end](OutputFile& to, uint64_t at) -> Status {
                               for (size_t i = 0; i < files.size(); ++i)
                                 TRY_DO(files[i].bytes.write_to(to, at + offsets[i]));
                               return to.write_at(at + end, as_bytes(index));
                             });
  return out;
}

namespace {

// The index stands at the end, backwards; NULs may follow it. Brackets outside strings tell where it stops.
Result<std::string> read_index(Bytes blob) {
  auto text = as_text(blob);
  while (text.ends_with('\0')) text.remove_suffix(1);
  std::string index;
  int depth = 0;
  bool quoted = false, escaped = false;
  for (; !text.empty() && index.size() < kMaxIndexText; text.remove_suffix(1)) {
    const char c = text.back();
    index += c;
    if (escaped)
      escaped = false;
    else if (quoted && c == '\\')
      escaped = true;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && c == '{')
      ++depth;
    else if (!quoted && c == '}')
      --depth;
    if (depth <= 0)
      return depth == 0 && index.front() == '{' ? Result<std::string>(std::move(index))
                                                : bad_blob("it ends without an index");
  }
  return bad_blob("its index has no beginning");
}

// One entry of the index, checked on its own.
struct Entry {
  uint64_t offset = 0, size = 0;
  bool directory = false;
  const Json* children = nullptr;
};

Result<Entry> read_entry(const Json& node, uint64_t limit) {
  const auto* region = member(node, "dataRegion", Json::value_t::object);
  const auto* offset = region ? count_member(*region, "offset") : nullptr;
  const auto* size = region ? count_member(*region, "size") : nullptr;
  const auto* kind = count_member(node, "kind");
  Entry entry{offset ? offset->get<uint64_t>() : 0, size ? size->get<uint64_t>() : 0};
  if (!kind || kind->get<uint64_t>() > kDirectoryKind)
    return bad_blob("an entry of its index is neither a file nor a directory");
  entry.directory = kind->get<uint64_t>() == kDirectoryKind;
  entry.children = member(node, "children", Json::value_t::object);
  if (!entry.directory && (!offset || !size || entry.offset > limit || entry.size > limit - entry.offset))
    return bad_blob("a file of its index lies outside the blob");
  return entry;
}

// Gives each child its path. A child stands before its parent and has one parent only, so there are no circles.
Status name_children(const Entry& directory, size_t index, std::vector<std::optional<std::string>>& paths) {
  if (!directory.children) return {};
  for (const auto& [name, child] : directory.children->items()) {
    const auto at = child.is_number_unsigned() ? child.get<uint64_t>() : UINT64_MAX;
    if (at >= index || paths[at]) return bad_blob("its index is not a tree");
    const auto& parent = *paths[index];
    if (!good_name(name) || parent.size() + 1 + name.size() > kMaxPath)
      return bad_blob("a file of its index has no usable path");
    paths[at] = parent.empty() ? name : parent + "/" + name;
  }
  return {};
}

}  // namespace

Result<std::vector<BlobView>> unflatten_directory(Bytes blob) {
  TRY(const auto text, read_index(blob));
  TRY(const auto index, parse_json(text, DiagKind::BadPte, "the index of the delegate blob"));
  const auto* nodes = member(index, "nodes", Json::value_t::array);
  if (!nodes || nodes->empty()) return bad_blob("its index has no entries");
  std::vector<std::optional<std::string>> paths(nodes->size());
  paths.back() = "";
  std::vector<BlobView> files;
  for (size_t i = nodes->size(); i-- > 0;) {
    if (!paths[i]) continue;
    TRY(const auto entry, read_entry((*nodes)[i], blob.size()));
    if (entry.directory) {
      TRY_DO(name_children(entry, i, paths));
    } else if (paths[i]->empty()) {
      return bad_blob("its root is not a directory");
    } else {
      files.push_back({*paths[i], blob.subspan(entry.offset, entry.size)});
    }
  }
  std::ranges::sort(files, {}, &BlobView::path);
  return files;
}

}  // namespace cortland::executorch
