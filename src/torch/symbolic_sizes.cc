#include "torch/symbolic_sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "archive/printable.h"

namespace cortland::torch {

using archive::printable;

namespace {

constexpr size_t kMaxText = 64 << 10, kMaxName = 128;
constexpr int kMaxDepth = 128, kMaxNodes = 4096;
// Size of the Dim a subexpression becomes. Products of sums and nested remainders grow exponentially with their text.
constexpr int64_t kMaxCost = 256;
constexpr int64_t kMaxCoefficient = int64_t{1} << 53;
constexpr int64_t kMaxExponent = 8;

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && is_name_start(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_name_start(c) || is_digit(c); });
}
// "zf0" and "zuf0" stand for floats.
bool is_float_symbol(std::string_view name) { return name.starts_with("zf") || name.starts_with("zuf"); }

// What a subexpression denotes; no Dim when it is not one.
struct Term {
  std::optional<Dim> dim;
  int64_t cost = 1;
  int64_t denominator = 0;  // not 0: the real number dim / denominator, on its way to becoming an integer again
};

enum class Function {
  Other,
  Integer,
  Add,
  Mul,
  Pow,
  FloorDiv,
  Mod,
  ModularIndexing,
  Min,
  Max,
  Identity,
  ToFloat,
  TrueDiv,
  Trunc,
  Floor,
  Ceil
};

Function function_of(std::string_view name) {
  static const std::unordered_map<std::string_view, Function> kFunctions = {{"Integer", Function::Integer},
                                                                            {"Add", Function::Add},
                                                                            {"Mul", Function::Mul},
                                                                            {"Pow", Function::Pow},
                                                                            {"PowByNatural", Function::Pow},
                                                                            {"FloorDiv", Function::FloorDiv},
                                                                            {"CleanDiv", Function::FloorDiv},
                                                                            {"Mod", Function::Mod},
                                                                            {"PythonMod", Function::Mod},
                                                                            {"Min", Function::Min},
                                                                            {"Max", Function::Max},
                                                                            {"ModularIndexing", Function::ModularIndexing},
                                                                            {"Identity", Function::Identity},
                                                                            {"ToFloat", Function::ToFloat},
                                                                            {"IntTrueDiv", Function::TrueDiv},
                                                                            {"FloatTrueDiv", Function::TrueDiv},
                                                                            {"TruncToInt", Function::Trunc},
                                                                            {"FloorToInt", Function::Floor},
                                                                            {"CeilToInt", Function::Ceil}};
  const auto it = kFunctions.find(name);
  return it == kFunctions.end() ? Function::Other : it->second;
}

struct Operator {
  std::string_view text;
  int strength;                      // binds tighter when larger
  std::optional<Function> function;  // none: not a Dim
};

// Longer spellings first.
constexpr int kComparison = 1, kSum = 2, kProduct = 3, kPower = 5;
const Operator kOperators[] = {{"**", kPower, Function::Pow},  {"//", kProduct, Function::FloorDiv},
                               {"<=", kComparison, {}},        {">=", kComparison, {}},
                               {"==", kComparison, {}},        {"!=", kComparison, {}},
                               {"<", kComparison, {}},         {">", kComparison, {}},
                               {"&", kComparison, {}},         {"|", kComparison, {}},
                               {"+", kSum, Function::Add},     {"-", kSum, Function::Add},
                               {"*", kProduct, Function::Mul}, {"/", kProduct, {}},
                               {"%", kProduct, Function::Mod}};

}  // namespace

class ExpressionParser {
 public:
  ExpressionParser(SymbolicSizes& sizes, std::string_view text) : sizes_(sizes), dims_(sizes.dims_), text_(text) {}

  Result<std::optional<Dim>> parse() {
    if (text_.size() > kMaxText) return bad("it is too long");
    TRY(const Term term, expression(kComparison));
    if (skip_spaces(); at_ != text_.size())
      return bad(fmt::format("'{}' is not expected", printable(text_.substr(at_), 20)));
    return term.denominator ? std::nullopt : term.dim;
  }

 private:
  Diagnostic bad(std::string_view why) const {
    return diag(DiagKind::BadProgram, fmt::format("the symbolic expression '{}' cannot be read: {}", printable(text_), why));
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool next_is(char c) {
    skip_spaces();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool accept(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }
  Status expect(char c) {
    if (!accept(c)) return bad(fmt::format("'{}' is missing", c));
    return {};
  }
  std::string_view name() {
    const size_t start = at_;
    while (at_ < text_.size() && (is_name_start(text_[at_]) || is_digit(text_[at_]))) ++at_;
    return text_.substr(start, at_ - start);
  }
  const Operator* next_operator(int weakest) {
    skip_spaces();
    for (const Operator& op : kOperators)
      if (text_.substr(at_).starts_with(op.text)) return op.strength >= weakest ? &op : nullptr;
    return nullptr;
  }

  Result<Term> expression(int weakest) {
    if (++depth_ > kMaxDepth) return bad("it is nested too deeply");
    TRY(Term left, operand());
    while (const Operator* op = next_operator(weakest)) {
      at_ += op->text.size();
      TRY(Term right, expression(op->strength == kPower ? kPower : op->strength + 1));
      if (op->text == "-") right = negate(right);
      if (op->function) {
        TRY(left, apply(*op->function, {left, right}));
      } else {
        left = {};
      }
    }
    --depth_;
    return left;
  }

  Result<Term> operand() {
    if (++nodes_ > kMaxNodes) return bad("it has too many terms");
    skip_spaces();
    if (at_ == text_.size()) return bad("it ends too early");
    const char c = text_[at_];
    if (is_digit(c) || c == '.') return number();
    if (c == '-' || c == '~') {
      ++at_;
      TRY(const Term term, expression(kPower - 1));
      return c == '-' ? negate(term) : Term{};
    }
    if (c == '(') {
      ++at_;
      TRY(const auto items, arguments());
      return items.size() == 1 ? items[0] : Term{};
    }
    if (!is_name_start(c)) return bad(fmt::format("'{}' is not expected", printable(text_.substr(at_), 20)));
    const auto word = name();
    if (next_is('(')) return call(word);
    static constexpr std::string_view kConstants[] = {"oo", "int_oo", "true", "false", "True", "False", "nan", "zoo"};
    if (std::find(std::begin(kConstants), std::end(kConstants), word) != std::end(kConstants)) return Term{};
    return symbol(word, false);
  }

  Result<Term> number() {
    const size_t start = at_;
    while (at_ < text_.size() && (is_digit(text_[at_]) || text_[at_] == '.')) ++at_;
    const auto digits = text_.substr(start, at_ - start);
    const bool exponent = at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E');
    if (exponent) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) ++at_;
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    }
    if (exponent || digits.find('.') != std::string_view::npos) return Term{};
    int64_t value = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (code != std::errc()) return bad(fmt::format("the number {} does not fit 64 bits", printable(digits, 40)));
    return bounded(dims_.constant(value), 1);
  }

  // The rest of a parenthesis, up to and with ')'.
  Result<std::vector<Term>> arguments() {
    std::vector<Term> items;
    while (!accept(')')) {
      if (!items.empty()) {
        TRY_DO(expect(','));
        if (accept(')')) break;
      }
      TRY(items.emplace_back(), expression(kComparison));
    }
    return items;
  }

  Result<Term> call(std::string_view function) {
    if (function == "Symbol") return quoted_symbol();
    if (function == "Float") return quoted_float();
    TRY_DO(expect('('));
    TRY(auto items, arguments());
    return apply(function_of(function), std::move(items));
  }

  Result<std::string_view> quoted() {
    skip_spaces();
    TRY_DO(expect('\''));
    const size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) return bad("a name does not end");
    const auto inside = text_.substr(at_, end - at_);
    at_ = end + 1;
    return inside;
  }

  // The "key=value" items that follow a quoted name, up to ')'. True when one of them is positive=True.
  Result<bool> flags() {
    bool positive = false;
    while (accept(',')) {
      skip_spaces();
      const auto key = name();
      TRY_DO(expect('='));
      skip_spaces();
      const auto value = name();
      if (key.empty() || value.empty()) return bad("a flag is malformed");
      positive |= key == "positive" && value == "True";
    }
    TRY_DO(expect(')'));
    return positive;
  }

  Result<Term> quoted_symbol() {
    TRY_DO(expect('('));
    TRY(const auto symbol_name, quoted());
    TRY(const bool positive, flags());
    return symbol(symbol_name, positive);
  }

  Result<Term> quoted_float() {
    TRY_DO(expect('('));
    TRY(const auto text, quoted());
    TRY_DO(flags());
    double value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size()) return Term{};
    // Only numbers like 1.5, whose products with sizes are exact in float64.
    constexpr double kLargest = 1 << 20, kFinest = 1 << 10;
    const double scaled = value * kFinest;
    if (!(std::abs(value) <= kLargest) || scaled != std::floor(scaled)) return Term{};
    auto numerator = static_cast<int64_t>(scaled), denominator = static_cast<int64_t>(kFinest);
    for (; numerator % 2 == 0 && denominator > 1; denominator /= 2) numerator /= 2;
    return Term{dims_.constant(numerator), 1, denominator};
  }

  Result<Term> symbol(std::string_view symbol_name, bool positive) {
    if (!is_name(symbol_name)) return bad(fmt::format("'{}' is no name of a symbol", printable(symbol_name, 40)));
    if (is_float_symbol(symbol_name)) return Term{};
    return Term{sizes_.symbol(std::string(symbol_name), positive), 1};
  }

  Term negate(const Term& term) {
    if (!term.dim) return {};
    Term negated = bounded(dims_.mul(*term.dim, dims_.constant(-1)), term.cost);
    negated.denominator = term.denominator;
    return negated;
  }

  // A Dim whose coefficients leave room for the next operation.
  Term bounded(Dim dim, int64_t cost) const {
    if (cost > kMaxCost || largest_coefficient(dim) > kMaxCoefficient) return {};
    return {dim, cost};
  }
  int64_t largest_coefficient(Dim dim) const {
    int64_t largest = 0;
    for (const auto& term : dims_.terms(dim)) {
      if (term.coefficient < -kMaxCoefficient) return INT64_MAX;
      largest = std::max(largest, std::abs(term.coefficient));
    }
    return largest;
  }

  Term product(const Term& a, const Term& b) {
    const auto factor = static_cast<double>(largest_coefficient(*a.dim)) * static_cast<double>(largest_coefficient(*b.dim));
    const int64_t cost = a.cost * b.cost;
    if (cost > kMaxCost || factor > static_cast<double>(kMaxCoefficient)) return {};
    Term result = bounded(dims_.mul(*a.dim, *b.dim), std::max(cost, a.cost + b.cost));
    if (!a.denominator && !b.denominator) return result;
    return real(result, std::max<int64_t>(a.denominator, 1), std::max<int64_t>(b.denominator, 1));
  }

  // term / (a * b)
  Term real(Term term, int64_t a, int64_t b) const {
    if (a > kMaxCoefficient / b) return {};
    term.denominator = a * b;
    return term;
  }

  // Division of reals by an integer constant.
  Term true_divide(const Term& a, const Term& b) const {
    if (!a.dim || !b.dim || b.denominator || !b.dim->is_constant() || b.dim->constant() == 0) return {};
    return real(a, std::max<int64_t>(a.denominator, 1), b.dim->constant());
  }

  Result<Term> to_integer(Function function, const Term& term) {
    if (!term.dim) return Term{};
    if (!term.denominator) return term;
    // Towards zero is down for what is not negative.
    if (function == Function::Trunc && dims_.range(*term.dim).low < 0) return Term{};
    const Dim denominator = dims_.constant(term.denominator);
    const Dim above = function == Function::Ceil ? dims_.add(*term.dim, dims_.constant(term.denominator - 1)) : *term.dim;
    return bounded(dims_.floordiv(above, denominator), term.cost + 1);
  }

  Result<Term> power(const Term& base, const Term& exponent) {
    const bool small = exponent.dim->is_constant() && exponent.dim->constant() <= kMaxExponent;
    if (!small) return Term{};
    Term result{dims_.constant(1), 1};
    for (int64_t i = 0; i < exponent.dim->constant() && result.dim; ++i) result = product(result, base);
    return result;
  }

  Result<Term> divide(const Term& a, const Term& b, bool remainder) {
    if (*b.dim == dims_.constant(0)) return bad("it divides by zero");
    const int64_t cost = (a.cost + b.cost) * (remainder ? 2 : 1);
    if (cost > kMaxCost) return Term{};
    return bounded(remainder ? dims_.mod(*a.dim, *b.dim) : dims_.floordiv(*a.dim, *b.dim), cost);
  }

  Result<Term> combine(Function function, const Term& a, const Term& b) {
    const int64_t cost = a.cost + b.cost;
    if (!a.dim || !b.dim || cost > kMaxCost) return Term{};
    if ((a.denominator || b.denominator) && function != Function::Mul) return Term{};
    switch (function) {
      case Function::Add:
        return bounded(dims_.add(*a.dim, *b.dim), cost);
      case Function::Mul:
        return product(a, b);
      case Function::Pow:
        return power(a, b);
      case Function::FloorDiv:
        return divide(a, b, false);
      case Function::Mod:
        return divide(a, b, true);
      case Function::Min:
        return bounded(dims_.min(*a.dim, *b.dim), cost);
      case Function::Max:
        return bounded(dims_.max(*a.dim, *b.dim), cost);
      default:
        return Term{};
    }
  }

  Result<Term> apply(Function function, std::vector<Term> items) {
    const auto arity = [&](size_t count) -> Status {
      if (items.size() != count) return bad("a function has the wrong number of arguments");
      return {};
    };
    switch (function) {
      case Function::Other:
        return Term{};
      case Function::Integer:
      case Function::Identity: {
        TRY_DO(arity(1));
        return items[0];
      }
      case Function::ToFloat: {
        TRY_DO(arity(1));
        return items[0].dim ? real(items[0], std::max<int64_t>(items[0].denominator, 1), 1) : Term{};
      }
      case Function::Trunc:
      case Function::Floor:
      case Function::Ceil: {
        TRY_DO(arity(1));
        return to_integer(function, items[0]);
      }
      case Function::TrueDiv: {
        TRY_DO(arity(2));
        return true_divide(items[0], items[1]);
      }
      case Function::Pow:
      case Function::FloorDiv:
      case Function::Mod: {
        TRY_DO(arity(2));
        return combine(function, items[0], items[1]);
      }
      case Function::ModularIndexing: {  // (base // divisor) % modulus
        TRY_DO(arity(3));
        TRY(const Term quotient, combine(Function::FloorDiv, items[0], items[1]));
        return combine(Function::Mod, quotient, items[2]);
      }
      default:
        break;
    }
    if (items.empty()) return bad("a function has no arguments");
    Term result = items[0];
    for (size_t i = 1; i < items.size(); ++i) {
      TRY(result, combine(function, result, items[i]));
    }
    return result;
  }

  SymbolicSizes& sizes_;
  DimTable& dims_;
  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0, nodes_ = 0;
};

Dim SymbolicSizes::symbol(const std::string& name, bool positive) {
  const auto [it, fresh] = symbols_.try_emplace(name);
  if (fresh) it->second = dims_.symbol(name, {positive ? 0 : -DimRange::kUnbounded, DimRange::kUnbounded});
  return it->second;
}

Result<std::optional<Dim>> SymbolicSizes::parse(std::string_view text) {
  const auto known = parsed_.find(std::string(text));
  if (known != parsed_.end()) return known->second;
  TRY(const auto dim, ExpressionParser(*this, text).parse());
  parsed_.emplace(text, dim);
  return dim;
}

Result<Dim> SymbolicSizes::parse_size(std::string_view text) {
  const auto known = sizes_.find(std::string(text));
  if (known != sizes_.end()) return known->second;
  TRY(const auto dim, parse(text));
  Dim size = dim.value_or(Dim());
  if (!dim) {
    size = dims_.symbol(text.size() <= kMaxName ? printable(text) : fmt::format("size{}", sizes_.size()), {});
  } else if (dims_.is_symbol(size)) {
    size = dims_.symbol(dims_.symbols(size)[0], {});  // a size is not negative
  } else if (dims_.range(size).high < 0) {
    return diag(DiagKind::BadProgram, fmt::format("the size '{}' is negative", printable(text)));
  }
  sizes_.emplace(text, size);
  return size;
}

Status SymbolicSizes::constrain(std::string_view text, DimRange range) {
  if (!is_name(text) || is_float_symbol(text)) return {};
  if (range.low > range.high)
    return diag(DiagKind::BadProgram,
                fmt::format("the range of the symbol {} is empty: {} to {}", text, range.low, range.high));
  symbols_.emplace(text, dims_.symbol(std::string(text), range));
  return {};
}

std::vector<std::string> SymbolicSizes::symbols() const {
  std::vector<std::string> names;
  for (const auto& [name, dim] : symbols_) names.push_back(name);
  return names;
}

}  // namespace cortland::torch
