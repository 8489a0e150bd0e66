// A Diagnostic says what failed, where in the model, why, and what to do about it.
// Plain value; owned by whoever holds it; safe to move between threads.
#pragma once

#include <string>
#include <string_view>

namespace cortland {

enum class DiagKind {
#define DIAG(name, id, help) name,
#include "base/diag.def"
#undef DIAG
};

// Stable lower-case identifier, for instance "unsupported-argument".
std::string_view diag_id(DiagKind kind);
// What to do when the place that fails knows nothing better.
std::string_view diag_default_help(DiagKind kind);

struct Diagnostic {
  DiagKind kind = DiagKind::BadProgram;
  std::string what;    // one sentence: what is wrong and why
  std::string op;      // operator as the user knows it, "aten.gelu.default"; may be empty
  std::string node;    // name of the graph node; may be empty
  std::string source;  // "model.py:41 in forward: x = F.gelu(x)"; may be empty
  std::string help;    // what to do; empty means diag_default_help(kind)

  std::string_view remedy() const { return help.empty() ? diag_default_help(kind) : std::string_view(help); }
};

inline Diagnostic diag(DiagKind kind, std::string what, std::string help = {}) {
  return Diagnostic{kind, std::move(what), {}, {}, {}, std::move(help)};
}

// Several lines for a terminal: error[id] what / node / at / help.
std::string render(const Diagnostic& d, std::string_view severity = "error");

}  // namespace cortland
