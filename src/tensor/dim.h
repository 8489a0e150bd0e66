// Symbolic sizes. A Dim is a constant or a handle into a DimTable, which interns expressions in a normal form (sums of
// products of symbols and floor divisions, modulo, min, max), so equality of Dims of one table is equality of integers.
// A DimTable is shared by the torch graph and the MIL programs made from it; it only grows and is not synchronised.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace cortland {

struct Dim {
  int64_t code = 0;  // a size when >= 0, else ~index into the table

  constexpr Dim() = default;
  constexpr Dim(int64_t size) : code(size) {}  // NOLINT: sizes are dims
  constexpr bool is_constant() const { return code >= 0; }
  constexpr int64_t constant() const { return code; }
  friend constexpr bool operator==(Dim, Dim) = default;
};

using Shape = std::vector<Dim>;

struct DimRange {
  static constexpr int64_t kUnbounded = INT64_MAX;
  int64_t low = 0, high = kUnbounded;
  friend bool operator==(const DimRange&, const DimRange&) = default;
};

class DimTable {
 public:
  // The symbol of that name; ranges of repeated calls are intersected.
  Dim symbol(const std::string& name, DimRange range = {});
  // A size nothing is known about but its range (an `unknown` dimension of an .mlpackage).
  Dim unknown(DimRange range = {});

  Dim add(Dim a, Dim b);
  Dim sub(Dim a, Dim b) { return add(a, mul(b, constant(-1))); }
  Dim mul(Dim a, Dim b);
  Dim floordiv(Dim a, Dim b);  // rounds down; b is not zero
  Dim ceildiv(Dim a, Dim b) { return floordiv(sub(add(a, b), constant(1)), b); }
  Dim mod(Dim a, Dim b);       // a - b * floordiv(a, b)
  Dim min(Dim a, Dim b);
  Dim max(Dim a, Dim b);
  // Also holds negative constants, which a plain Dim cannot; arithmetic on the result is exact.
  Dim constant(int64_t value);

  DimRange range(Dim d) const;       // interval arithmetic over the symbols' ranges
  std::string str(Dim d) const;      // "2*s0 + 1"
  bool is_symbol(Dim d) const;
  std::vector<std::string> symbols(Dim d) const;  // names, sorted
  std::vector<std::string> symbols() const;
  DimRange symbol_range(const std::string& name) const;
  // A symbol is a size that the caller gives with the inputs, or one that the data decides: how many elements a mask keeps.
  void set_by_data(const std::string& symbol);
  // Whether the data may make a size 0, as far as ranges tell: 16 - u0 with u0 up to 16.
  bool data_may_make_zero(Dim d) const;
  // The value under an assignment of the symbols; an error names the symbol without a value.
  Result<int64_t> eval(Dim d, const std::map<std::string, int64_t>& values) const;

  // How a Dim is built, for code that emits the computation: sum of terms, each a coefficient times atoms.
  enum class AtomKind { Symbol, FloorDiv, Min, Max };
  struct Atom {
    AtomKind kind;
    std::string name;  // Symbol
    Dim a, b;          // the others
    DimRange range;    // Symbol
    bool by_data = false;
  };
  struct Term {
    int64_t coefficient = 0;
    std::vector<int> atoms;  // sorted; empty for the constant term
    friend bool operator==(const Term&, const Term&) = default;
  };
  std::vector<Term> terms(Dim d) const;
  const Atom& atom(int index) const { return atoms_[static_cast<size_t>(index)]; }

 private:
  Dim intern(std::vector<Term> terms);
  Dim atom_dim(Atom atom, const std::string& key);
  Dim quotient_atom(Dim a, Dim b);
  Result<int64_t> eval_atom(const Atom& atom, const std::map<std::string, int64_t>& values) const;
  DimRange atom_range(const Atom& atom) const;
  bool is_by_data(Dim d) const;

  std::vector<Atom> atoms_;
  std::unordered_map<std::string, int> atom_index_;
  std::vector<std::vector<Term>> sums_;
  std::unordered_map<std::string, int64_t> sum_index_;
  int unknowns_ = 0;
};

}  // namespace cortland
