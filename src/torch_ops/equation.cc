#include "torch_ops/equation.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace cortland::torch_ops {

std::optional<Equation> parse_equation(std::string text, const std::vector<int>& ranks) {
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const size_t arrow = text.find("->");
  Equation eq;
  std::string term;
  for (const char c : text.substr(0, arrow)) {
    if (c == ',') eq.terms.push_back(std::exchange(term, {}));
    else term += c;
  }
  eq.terms.push_back(term);
  if (eq.terms.size() != ranks.size()) return std::nullopt;
  constexpr std::string_view kDots = "...";
  size_t widest = 0;
  for (size_t i = 0; i < ranks.size(); ++i)
    if (eq.terms[i].find(kDots) != std::string::npos) {
      const size_t named = eq.terms[i].size() - kDots.size();
      if (named > static_cast<size_t>(ranks[i])) return std::nullopt;
      widest = std::max(widest, static_cast<size_t>(ranks[i]) - named);
    }
  // Digits are no labels in an equation, so they can stand for the dots.
  std::string dots;
  for (size_t i = 0; i < widest; ++i) dots += static_cast<char>('0' + i);
  auto fill = [&](std::string& t, size_t count) {
    if (const size_t at = t.find(kDots); at != std::string::npos) t.replace(at, kDots.size(), dots.substr(widest - count));
  };
  if (widest > 10) return std::nullopt;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const bool dotted = eq.terms[i].find(kDots) != std::string::npos;
    fill(eq.terms[i], dotted ? static_cast<size_t>(ranks[i]) - (eq.terms[i].size() - kDots.size()) : 0);
    if (eq.terms[i].size() != static_cast<size_t>(ranks[i])) return std::nullopt;
  }
  if (arrow != std::string::npos) {
    eq.result = text.substr(arrow + 2);
    fill(eq.result, widest);
    return eq;
  }
  // Without an arrow: the labels that occur once, in alphabetical order.
  std::map<char, int> count;
  for (const auto& t : eq.terms)
    for (const char c : t) ++count[c];
  eq.result = dots;
  for (const auto& [c, n] : count)
    if (n == 1 && dots.find(c) == std::string::npos) eq.result += c;
  return eq;
}

}  // namespace cortland::torch_ops
