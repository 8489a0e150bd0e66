#include "driver/buffer_use.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace cortland::driver {
namespace {

constexpr size_t kShown = 4;

std::string listed(const std::set<std::string>& names) {
  std::vector<std::string> shown;
  for (const auto& name : names)
    if (shown.size() < kShown) shown.push_back(fmt::format("'{}'", name));
  if (names.size() > kShown) shown.push_back(fmt::format("{} more", names.size() - kShown));
  return fmt::format("{}", fmt::join(shown, ", "));
}

}  // namespace

BufferUse buffer_use(std::string method, const torch::Graph& graph) {
  BufferUse use{std::move(method), {}};
  for (const auto& input : graph.inputs)
    if (input.kind == torch::GraphInput::Kind::Buffer && input.data) use.buffers[input.target] = {input.data.key(), false};
  for (const auto& output : graph.outputs)
    if (output.kind == torch::GraphOutput::Kind::BufferMutation)
      if (const auto it = use.buffers.find(output.target); it != use.buffers.end()) it->second.written = true;
  return use;
}

std::string unshared_buffers(std::span<const BufferUse> methods) {
  std::set<std::string> buffers, users;
  for (const auto& writer : methods)
    for (const auto& [name, buffer] : writer.buffers) {
      if (!buffer.written) continue;
      for (const auto& other : methods) {
        const auto it = other.buffers.find(name);
        if (&other == &writer || it == other.buffers.end() || it->second.contents != buffer.contents) continue;
        buffers.insert(name);
        users.insert({writer.method, other.method});
      }
    }
  if (buffers.empty()) return {};
  return fmt::format(
      "the methods {} each have their own {}: what one writes, the others do not see; to hand it over, make it an input and "
      "an output of forward",
      listed(users), listed(buffers));
}

}  // namespace cortland::driver
