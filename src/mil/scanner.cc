#include "mil/scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace cortland::mil {
namespace {

constexpr int kMostNested = 32;
constexpr int64_t kMostElements = int64_t{1} << 24;

// '?' begins the names of sizes that a file leaves open.
bool is_letter(char c) { return c == '?' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

void Scanner::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

std::string_view Scanner::word() const {
  size_t end = at_;
  while (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]))) ++end;
  return text_.substr(at_, end - at_);
}

bool Scanner::next_is(std::string_view what) const {
  return is_letter(what[0]) ? word() == what : text_.substr(at_).starts_with(what);
}

bool Scanner::take(std::string_view what) {
  if (!next_is(what)) return false;
  at_ += what.size();
  skip_space();
  return true;
}

Status Scanner::expect(std::string_view what) {
  if (take(what)) return {};
  return error(fmt::format("'{}' is missing", what));
}

bool Scanner::next_is_type() const {
  const std::string_view w = word();
  return w == "tensor" || w == "state" || w == "list" || w == "dict" || dtype_from_mil_name(w);
}

Diagnostic Scanner::error(std::string_view why) const {
  const std::string_view before = text_.substr(0, at_);
  const size_t line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return diag(DiagKind::BadMil, fmt::format("line {}, column {}: {}", line, at_ - start + 1, why), "the text is what `cortland inspect --mil` prints");
}

Result<std::string> Scanner::name() {
  const std::string_view w = word();
  if (w.empty() || is_digit(w[0])) return error("a name is missing");
  at_ += w.size();
  skip_space();
  return std::string(w);
}

Result<int64_t> Scanner::integer() {
  int64_t value = 0;
  const auto [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
  if (status != std::errc()) return error("a whole number is missing");
  at_ = static_cast<size_t>(end - text_.data());
  skip_space();
  return value;
}

Result<double> Scanner::number() {
  double value = 0;  // also reads inf and nan
  const auto [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
  if (status != std::errc()) return error("a number is missing");
  at_ = static_cast<size_t>(end - text_.data());
  skip_space();
  return value;
}

Result<std::string> Scanner::quoted() {
  if (at_ == text_.size() || text_[at_] != '"') return error("a text in quotes is missing");
  std::string out;
  for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
    if (text_[at_] != '\\') {
      out += text_[at_];
      continue;
    }
    if (++at_ == text_.size()) break;
    unsigned code = 0;
    if (text_[at_] == 'x' && at_ + 2 < text_.size() && std::from_chars(text_.data() + at_ + 1, text_.data() + at_ + 3, code, 16).ec == std::errc()) {
      out += static_cast<char>(code);
      at_ += 2;
    } else {
      out += text_[at_];
    }
  }
  if (at_ == text_.size()) return error("the text has no end");
  ++at_;
  skip_space();
  return out;
}

// ---- sizes: sums of products of numbers, symbols, ((a) // (b)), min(a, b) and max(a, b)

Result<Dim> Scanner::factor(DimTable& dims) {
  if (at_ < text_.size() && (is_digit(text_[at_]) || text_[at_] == '-')) {
    TRY(const int64_t value, integer());
    return dims.constant(value);
  }
  const bool least = next_is("min"), most = next_is("max");
  if (!least && !most && !next_is("(")) {
    TRY(const std::string symbol, name());
    return dims.symbol(symbol);
  }
  if (least || most) TRY_DO(expect(least ? "min" : "max"));
  TRY_DO(expect("("));
  if (!least && !most) TRY_DO(expect("("));
  TRY(const Dim a, size(dims));
  TRY_DO(expect(least || most ? "," : ")"));
  if (!least && !most) {
    TRY_DO(expect("//"));
    TRY_DO(expect("("));
  }
  TRY(const Dim b, size(dims));
  TRY_DO(expect(")"));
  if (least) return dims.min(a, b);
  if (most) return dims.max(a, b);
  TRY_DO(expect(")"));
  if (b == Dim(0)) return error("a size is divided by zero");
  return dims.floordiv(a, b);
}

Result<Dim> Scanner::product(DimTable& dims) {
  TRY(Dim result, factor(dims));
  while (take("*")) {
    TRY(const Dim next, factor(dims));
    result = dims.mul(result, next);
  }
  return result;
}

Result<Dim> Scanner::size(DimTable& dims) {
  if (++depth_ > kMostNested) return error("a size is nested too deeply");
  TRY(Dim result, product(dims));
  while (take("+")) {
    TRY(const Dim next, product(dims));
    result = dims.add(result, next);
  }
  --depth_;
  return result;
}

// ---- types

Result<TensorType> Scanner::tensor(DimTable& dims) {
  TensorType type;
  const bool shaped = take("tensor");
  if (shaped) TRY_DO(expect("<"));
  TRY(const std::string element, name());
  const auto dtype = dtype_from_mil_name(element);
  if (!dtype) return error(fmt::format("there is no element type '{}'", element));
  type.dtype = *dtype;
  if (!shaped) return type;
  TRY_DO(expect(","));
  TRY_DO(expect("["));
  while (!take("]")) {
    if (!type.shape.empty()) TRY_DO(expect(","));
    TRY(type.shape.emplace_back(), size(dims));
  }
  TRY_DO(expect(">"));
  return type;
}

Result<Type> Scanner::type(DimTable& dims) {
  const bool state = take("state"), list = !state && take("list"), dictionary = !state && !list && take("dict");
  if (!state && !list && !dictionary) {
    TRY(TensorType plain, tensor(dims));
    return Type(std::move(plain));
  }
  TRY_DO(expect("<"));
  TRY(TensorType inner, tensor(dims));
  Type result(inner);
  if (state) {
    result = Type::state(std::move(inner));
  } else {
    TRY_DO(expect(","));
    if (list) {
      TRY(const Dim length, size(dims));
      result = Type::list(std::move(inner), length);
    } else {
      TRY_DO(expect("fp64"));
      result.kind = Type::Kind::Dictionary;
    }
  }
  TRY_DO(expect(">"));
  return result;
}

// ---- constants

template <class F>
Status Scanner::elements(const Shape& shape, size_t dim, const F& element) {
  if (dim == shape.size()) return element();
  TRY_DO(expect("["));
  for (int64_t i = 0; i < shape[dim].constant(); ++i) {
    if (i > 0) TRY_DO(expect(","));
    TRY_DO(elements(shape, dim + 1, element));
  }
  return expect("]");
}

Result<ConstId> Scanner::constant(Program& program, const Type& type) {
  const auto count = type.tensor.elements();
  if (type.kind != Type::Kind::Tensor || !count || *count > kMostElements) return error("this is not the type of a constant");
  TRY_DO(expect("("));
  if (next_is("BLOBFILE")) return error("the elements of this constant are not in the text");
  std::vector<std::string> strings;
  std::vector<float> floats;
  std::vector<int64_t> integers;
  const DType dtype = type.dtype();
  TRY_DO(elements(type.shape(), 0, [&]() -> Status {
    if (dtype == DType::String) {
      TRY(strings.emplace_back(), quoted());
    } else if (is_float(dtype)) {
      TRY(const double value, number());
      floats.push_back(static_cast<float>(value));
    } else if (dtype == DType::Bool) {
      integers.push_back(next_is("true"));
      if (!take("true")) return expect("false");
    } else {
      TRY(integers.emplace_back(), integer());
    }
    return {};
  }));
  TRY_DO(expect(")"));
  if (dtype == DType::String) return type.rank() == 0 ? program.constant(strings[0]) : program.constant(strings);
  const auto shape = sizes(type.shape());
  if (is_float(dtype)) return program.constant(Weight::of(DType::F32, shape, floats).cast(dtype));
  return program.constant(Weight::of(DType::I64, shape, integers).cast(dtype));
}

}  // namespace cortland::mil
