#include "tensor/dim.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

namespace cortland {
namespace {

using Term = DimTable::Term;

// Saturating arithmetic on bounds: anything past 2^62 counts as unbounded.
constexpr int64_t kFar = int64_t{1} << 62;

int64_t clamp_bound(__int128 v) {
  if (v >= kFar) return DimRange::kUnbounded;
  if (v <= -kFar) return -DimRange::kUnbounded;
  return static_cast<int64_t>(v);
}

__int128 wide(int64_t v) { return v; }

int64_t mul_bound(int64_t a, int64_t b) { return clamp_bound(wide(a) * b); }

DimRange mul_range(DimRange a, DimRange b) {
  const int64_t c[] = {mul_bound(a.low, b.low), mul_bound(a.low, b.high), mul_bound(a.high, b.low), mul_bound(a.high, b.high)};
  return {*std::min_element(c, c + 4), *std::max_element(c, c + 4)};
}

int64_t floor_div(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

DimRange floordiv_range(DimRange a, DimRange b) {
  if (b.low <= 0 && b.high >= 0) return {-DimRange::kUnbounded, DimRange::kUnbounded};
  auto at = [](int64_t x, int64_t y) { return x >= kFar || x <= -kFar ? (y > 0 ? x : -x) : floor_div(x, y); };
  const int64_t c[] = {at(a.low, b.low), at(a.low, b.high), at(a.high, b.low), at(a.high, b.high)};
  return {*std::min_element(c, c + 4), *std::max_element(c, c + 4)};
}

std::string key_of(const std::vector<Term>& terms) {
  std::string key;
  for (const auto& t : terms) {
    key += fmt::format("{}", t.coefficient);
    for (int a : t.atoms) key += fmt::format("*{}", a);
    key += '+';
  }
  return key;
}

std::vector<Term> normalise(std::vector<Term> terms) {
  for (auto& t : terms) std::sort(t.atoms.begin(), t.atoms.end());
  std::sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) { return a.atoms < b.atoms; });
  std::vector<Term> merged;
  for (auto& t : terms) {
    if (!merged.empty() && merged.back().atoms == t.atoms)
      merged.back().coefficient += t.coefficient;
    else
      merged.push_back(std::move(t));
  }
  std::erase_if(merged, [](const Term& t) { return t.coefficient == 0; });
  return merged;
}

// term / divisor where that is a term.
std::optional<Term> divided(Term term, const Term& divisor) {
  if (term.coefficient % divisor.coefficient != 0) return std::nullopt;
  term.coefficient /= divisor.coefficient;
  for (const int atom : divisor.atoms) {
    const auto it = std::find(term.atoms.begin(), term.atoms.end(), atom);
    if (it == term.atoms.end()) return std::nullopt;
    term.atoms.erase(it);
  }
  return term;
}

// Divides the sum and its divisor by the largest number that leaves their quotient, rounded down, what it is; gives that number.
int64_t reduce(std::vector<Term>& sum, int64_t divisor) {
  int64_t common = divisor;
  for (const Term& t : sum)
    if (!t.atoms.empty()) common = std::gcd(common, t.coefficient);
  for (Term& t : sum) t.coefficient = floor_div(t.coefficient, common);
  return common;
}

}  // namespace

std::vector<Term> DimTable::terms(Dim d) const {
  if (!d.is_constant()) return sums_[static_cast<size_t>(~d.code)];
  if (d.code == 0) return {};
  return {Term{d.code, {}}};
}

Dim DimTable::intern(std::vector<Term> raw) {
  auto terms = normalise(std::move(raw));
  if (terms.empty()) return Dim(0);
  if (terms.size() == 1 && terms[0].atoms.empty() && terms[0].coefficient >= 0) return Dim(terms[0].coefficient);
  const auto [it, inserted] = sum_index_.try_emplace(key_of(terms), static_cast<int64_t>(sums_.size()));
  if (inserted) sums_.push_back(std::move(terms));
  Dim d;
  d.code = ~it->second;
  return d;
}

Dim DimTable::constant(int64_t value) { return value >= 0 ? Dim(value) : intern({Term{value, {}}}); }

Dim DimTable::atom_dim(Atom atom, const std::string& key) {
  const auto [it, inserted] = atom_index_.try_emplace(key, static_cast<int>(atoms_.size()));
  if (inserted) atoms_.push_back(std::move(atom));
  return intern({Term{1, {it->second}}});
}

Dim DimTable::symbol(const std::string& name, DimRange range) {
  const Dim d = atom_dim({AtomKind::Symbol, name, {}, {}, range}, "s:" + name);
  Atom& a = atoms_[static_cast<size_t>(atom_index_.at("s:" + name))];
  a.range = {std::max(a.range.low, range.low), std::min(a.range.high, range.high)};
  return d;
}

Dim DimTable::unknown(DimRange range) { return symbol(fmt::format("?{}", unknowns_++), range); }

Dim DimTable::add(Dim a, Dim b) {
  if (a.is_constant() && b.is_constant()) return constant(a.code + b.code);
  auto sum = terms(a);
  for (auto& t : terms(b)) sum.push_back(t);
  return intern(std::move(sum));
}

Dim DimTable::mul(Dim a, Dim b) {
  if (a.is_constant() && b.is_constant()) return constant(clamp_bound(wide(a.code) * b.code));
  std::vector<Term> product;
  for (const auto& x : terms(a)) {
    for (const auto& y : terms(b)) {
      Term t{clamp_bound(wide(x.coefficient) * y.coefficient), x.atoms};
      t.atoms.insert(t.atoms.end(), y.atoms.begin(), y.atoms.end());
      product.push_back(std::move(t));
    }
  }
  return intern(std::move(product));
}

Dim DimTable::floordiv(Dim a, Dim b) {
  const auto x = terms(a), y = terms(b);
  if (y.empty()) return Dim(0);  // callers never divide by zero; the reader refuses such expressions
  if (a == b) return Dim(1);
  if (y.size() != 1) return x.empty() ? Dim(0) : quotient_atom(a, b);
  // What divides comes out of the floor, of the constant what it can: (4*s*k + 8*k) // (4*k) = s + 2, (s - 3) // 2 = (s + 1) // 2 - 2.
  const Term& divisor = y[0];
  const bool by_number = divisor.atoms.empty() && divisor.coefficient > 0;
  std::vector<Term> whole, rest;
  for (const Term& t : x) {
    if (const auto q = divided(t, divisor)) {
      whole.push_back(*q);
    } else if (by_number && t.atoms.empty()) {
      whole.push_back({floor_div(t.coefficient, divisor.coefficient), {}});
      rest.push_back({t.coefficient - whole.back().coefficient * divisor.coefficient, {}});
    } else {
      rest.push_back(t);
    }
  }
  if (by_number) {
    const int64_t common = reduce(rest, divisor.coefficient);
    b = constant(divisor.coefficient / common);
  }
  const Dim left = intern(std::move(rest));
  const bool nothing = left == Dim(0) || (left.is_constant() && b.is_constant() && left.constant() < b.constant());
  return nothing ? intern(std::move(whole)) : add(intern(std::move(whole)), b == Dim(1) ? left : quotient_atom(left, b));
}

Dim DimTable::quotient_atom(Dim a, Dim b) {
  return atom_dim({AtomKind::FloorDiv, {}, a, b, {}}, fmt::format("f:{}:{}", a.code, b.code));
}

Dim DimTable::mod(Dim a, Dim b) { return sub(a, mul(b, floordiv(a, b))); }

Dim DimTable::min(Dim a, Dim b) {
  const DimRange difference = range(sub(a, b));
  if (difference.high <= 0) return a;
  if (difference.low >= 0) return b;
  return atom_dim({AtomKind::Min, {}, a, b, {}}, fmt::format("m:{}:{}", std::min(a.code, b.code), std::max(a.code, b.code)));
}

Dim DimTable::max(Dim a, Dim b) {
  const DimRange difference = range(sub(a, b));
  if (difference.low >= 0) return a;
  if (difference.high <= 0) return b;
  return atom_dim({AtomKind::Max, {}, a, b, {}}, fmt::format("M:{}:{}", std::min(a.code, b.code), std::max(a.code, b.code)));
}

DimRange DimTable::atom_range(const Atom& atom) const {
  if (atom.kind == AtomKind::Symbol) return atom.range;
  const DimRange a = range(atom.a), b = range(atom.b);
  switch (atom.kind) {
    case AtomKind::FloorDiv: return floordiv_range(a, b);
    case AtomKind::Min: return {std::min(a.low, b.low), std::min(a.high, b.high)};
    default: return {std::max(a.low, b.low), std::max(a.high, b.high)};
  }
}

DimRange DimTable::range(Dim d) const {
  DimRange sum{0, 0};
  for (const auto& t : terms(d)) {
    DimRange r{t.coefficient, t.coefficient};
    for (int a : t.atoms) r = mul_range(r, atom_range(atom(a)));
    sum = {clamp_bound(wide(sum.low) + r.low), clamp_bound(wide(sum.high) + r.high)};
  }
  return sum;
}

std::string DimTable::str(Dim d) const {
  std::string out;
  for (const auto& t : terms(d)) {
    std::string term;
    for (int index : t.atoms) {
      const Atom& a = atom(index);
      if (!term.empty()) term += '*';
      switch (a.kind) {
        case AtomKind::Symbol: term += a.name; break;
        case AtomKind::FloorDiv: term += fmt::format("(({}) // ({}))", str(a.a), str(a.b)); break;
        case AtomKind::Min: term += fmt::format("min({}, {})", str(a.a), str(a.b)); break;
        case AtomKind::Max: term += fmt::format("max({}, {})", str(a.a), str(a.b)); break;
      }
    }
    if (term.empty())
      term = fmt::format("{}", t.coefficient);
    else if (t.coefficient != 1)
      term = fmt::format("{}*{}", t.coefficient, term);
    // The constant term sorts first; people write it last.
    out = t.atoms.empty() || out.empty() ? term : fmt::format("{} + {}", term, out);
  }
  return out.empty() ? "0" : out;
}

bool DimTable::is_symbol(Dim d) const {
  const auto t = terms(d);
  return t.size() == 1 && t[0].coefficient == 1 && t[0].atoms.size() == 1 && atom(t[0].atoms[0]).kind == AtomKind::Symbol;
}

std::vector<std::string> DimTable::symbols(Dim d) const {
  std::set<std::string> names;
  for (const auto& t : terms(d)) {
    for (int index : t.atoms) {
      const Atom& a = atom(index);
      if (a.kind == AtomKind::Symbol) {
        names.insert(a.name);
        continue;
      }
      for (Dim operand : {a.a, a.b})
        for (auto& name : symbols(operand)) names.insert(name);
    }
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> DimTable::symbols() const {
  std::vector<std::string> names;
  for (const auto& a : atoms_)
    if (a.kind == AtomKind::Symbol) names.push_back(a.name);
  return names;
}

DimRange DimTable::symbol_range(const std::string& name) const {
  const auto it = atom_index_.find("s:" + name);
  return it == atom_index_.end() ? DimRange{} : atom(it->second).range;
}

void DimTable::set_by_data(const std::string& symbol) {
  const auto it = atom_index_.find("s:" + symbol);
  if (it != atom_index_.end()) atoms_[static_cast<size_t>(it->second)].by_data = true;
}

bool DimTable::is_by_data(Dim d) const {
  for (const auto& t : terms(d)) {
    for (int index : t.atoms) {
      const Atom& a = atom(index);
      if (a.kind == AtomKind::Symbol ? a.by_data : is_by_data(a.a) || is_by_data(a.b)) return true;
    }
  }
  return false;
}

bool DimTable::data_may_make_zero(Dim d) const { return !d.is_constant() && is_by_data(d) && range(d).low <= 0; }

Result<int64_t> DimTable::eval_atom(const Atom& a, const std::map<std::string, int64_t>& values) const {
  if (a.kind == AtomKind::Symbol) {
    const auto it = values.find(a.name);
    if (it == values.end()) return diag(DiagKind::BadInput, fmt::format("the size {} has no value", a.name));
    return it->second;
  }
  TRY(const int64_t x, eval(a.a, values));
  TRY(const int64_t y, eval(a.b, values));
  if (a.kind == AtomKind::Min) return std::min(x, y);
  if (a.kind == AtomKind::Max) return std::max(x, y);
  if (y == 0) return diag(DiagKind::BadInput, fmt::format("the size {} divides by zero", str(a.a)));
  return floor_div(x, y);
}

Result<int64_t> DimTable::eval(Dim d, const std::map<std::string, int64_t>& values) const {
  __int128 sum = 0;
  for (const auto& t : terms(d)) {
    __int128 product = t.coefficient;
    for (int a : t.atoms) {
      TRY(const int64_t v, eval_atom(atom(a), values));
      product = clamp_bound(product * v);
    }
    sum += product;
  }
  return clamp_bound(sum);
}

}  // namespace cortland
