#include "torch/stack_trace.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "archive/printable.h"

namespace cortland::torch {
namespace {

constexpr std::string_view kFrame = "File \"";
constexpr size_t kMaxCode = 120;

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

std::string_view trim(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t\r");
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(" \t\r") - start + 1);
}

// Python's underlining of the faulty part, as in "    ^^^^^^".
bool is_marker(std::string_view line) { return line.find_first_not_of("^~ \t") == std::string_view::npos; }

bool is_torch(std::string_view path) {
  if (path.starts_with("torch/")) return true;
  for (const std::string_view part :
       {"-packages/torch/", "/torch/nn/", "/torch/_", "/torch/export/", "/torch/fx/", "<eval_with_key>"})
    if (path.find(part) != std::string_view::npos) return true;
  return false;
}

std::string_view base_name(std::string_view path) {
  const size_t slash = path.find_last_of("/\\");
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// `frame` starts after 'File "': path", line 41, in forward\n    code
SourceLoc parse_frame(std::string_view path, std::string_view frame) {
  SourceLoc source;
  source.file = archive::printable(base_name(path));
  std::string_view rest = first_line(frame.substr(path.size()));
  constexpr std::string_view kLine = "\", line ", kIn = ", in ";
  if (!rest.starts_with(kLine)) return source;
  rest.remove_prefix(kLine.size());
  std::from_chars(rest.data(), rest.data() + rest.size(), source.line);
  if (const size_t in = rest.find(kIn); in != std::string_view::npos)
    source.function = archive::printable(trim(rest.substr(in + kIn.size())), kMaxCode);
  const size_t end = frame.find('\n');
  if (end == std::string_view::npos) return source;
  const auto code = trim(first_line(frame.substr(end + 1)));
  if (!code.starts_with(kFrame) && !is_marker(code)) source.code = archive::printable(code, kMaxCode);
  return source;
}

}  // namespace

SourceLoc source_of(std::string_view trace) {
  std::vector<size_t> frames;  // forwards, as searching backwards goes letter by letter
  for (size_t at = 0; (at = trace.find(kFrame, at)) != std::string_view::npos; at += kFrame.size()) frames.push_back(at);
  for (; !frames.empty(); frames.pop_back()) {
    const auto frame = trace.substr(frames.back() + kFrame.size());
    const auto path = frame.substr(0, std::min(frame.find('"'), frame.find('\n')));
    if (!path.empty() && !is_torch(path)) return parse_frame(path, frame);
  }
  return {};
}

}  // namespace cortland::torch
