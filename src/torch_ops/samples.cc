#include "torch_ops/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>

#include "torch/schema.h"
#include "torch_ops/op.h"

namespace cortland::torch_ops {
namespace {

using torch::Arg;
using torch::SchemaArg;
using torch::ValueId;

struct TypeName {
  std::string_view name;
  DType dtype;
};
constexpr TypeName kTypes[] = {{"bool", DType::Bool}, {"u8", DType::U8},   {"i8", DType::I8},   {"i16", DType::I16},
                               {"i32", DType::I32},   {"i64", DType::I64}, {"f16", DType::F16}, {"bf16", DType::BF16},
                               {"f32", DType::F32},   {"f64", DType::F64}, {"c64", DType::C64}};

// Variables for element types, and what they stand for; narrow ones first.
struct Variable {
  char name;
  std::vector<DType> types;
};
const std::vector<Variable>& variables() {
  static const std::vector<Variable> all = {{'F', {DType::F32, DType::F16}},
                                            {'I', {DType::I64, DType::I32}},
                                            {'N', {DType::F32, DType::F16, DType::I64, DType::I32}},
                                            {'T', {DType::F32, DType::F16, DType::I64, DType::I32, DType::Bool}}};
  return all;
}

constexpr int kMaxRank = 5;
constexpr int64_t kStarSizes[kMaxRank] = {2, 3, 2, 3, 2};
constexpr int kDynamicStars = 2;  // so many leading sizes are symbols in the symbolic call

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word_char(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c); }
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

std::optional<DType> type_named(std::string_view name) {
  for (const TypeName& t : kTypes)
    if (t.name == name) return t.dtype;
  return std::nullopt;
}

// "n4": a symbol that is 4 in the example.
std::optional<int64_t> symbol_example(std::string_view word) {
  if (word.size() < 2 || word[0] < 'a' || word[0] > 'z' || type_named(word)) return std::nullopt;
  int64_t value = 0;
  const auto [end, code] = std::from_chars(word.data() + 1, word.data() + word.size(), value);
  return code == std::errc() && end == word.data() + word.size() ? std::optional(value) : std::nullopt;
}

std::optional<DiagKind> kind_named(std::string_view id) {
#define DIAG(name, text, help) \
  if (id == text) return DiagKind::name;
#include "base/diag.def"
#undef DIAG
  return std::nullopt;
}

// One of the calls that a sample stands for.
struct Choice {
  DType variable = DType::Unknown;  // what the variable of the arguments stands for
  int stars = 0;                    // leading dimensions for '*'
  bool dynamic = false;
};

// What a sample speaks of, so that its calls can be listed.
struct Scope {
  char variable = 0;      // the widest among the arguments
  int explicit_dims = 0;  // the most beside a '*'
  bool star = false, symbol = false, refused = false;
};

class Parser {
 public:
  Parser(const torch::Schema& schema, std::string_view text, const Choice& choice)
      : schema_(schema), text_(text), choice_(choice) {
    sample_.text = text;
  }

  Result<Sample> parse() {
    TRY_DO(arguments());
    TRY_DO(results());
    TRY_DO(remarks());
    if (at_ != text_.size()) return bad("is not understood from here on");
    TRY_DO(finish());
    return std::move(sample_);
  }

  const Scope& scope() const { return scope_; }

 private:
  torch::Graph& graph() { return sample_.graph; }

  Diagnostic bad(std::string_view why) const {
    return diag(DiagKind::InternalFault,
                fmt::format("the sample '{}' of {} {} (character {})", text_, schema_.target(), why, at_));
  }

  // ---- words

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\n') ++at_;
  }
  bool accept(std::string_view token) {
    skip_spaces();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  std::string_view word() {
    skip_spaces();
    const size_t start = at_;
    while (is_word_char(peek())) ++at_;
    return text_.substr(start, at_ - start);
  }

  // ---- types

  std::optional<DType> dtype_of(std::string_view name) {
    if (const auto known = type_named(name)) return known;
    if (name.size() != 1) return std::nullopt;
    const auto& all = variables();
    const auto it = std::find_if(all.begin(), all.end(), [&](const Variable& v) { return v.name == name[0]; });
    if (it == all.end()) return std::nullopt;
    const auto rank = [&](char c) {
      return std::find_if(all.begin(), all.end(), [&](const Variable& v) { return v.name == c; }) - all.begin();
    };
    if (!in_results_ && (scope_.variable == 0 || rank(name[0]) > rank(scope_.variable))) scope_.variable = name[0];
    const DType chosen = choice_.variable == DType::Unknown ? it->types[0] : choice_.variable;
    return name[0] == 'F' && !is_float(chosen) ? DType::F32 : chosen;
  }

  Result<Dim> dim_factor() {
    if (is_digit(peek())) return Dim(std::stoll(std::string(word())));
    const auto name = word();
    const auto example = symbol_example(name);
    if (!example) return bad("has a size that is neither a number nor a symbol");
    return symbol(std::string(name), *example);
  }

  Dim symbol(const std::string& name, int64_t example) {
    scope_.symbol = true;
    if (!choice_.dynamic) return example;
    graph().hints[name] = example;
    return graph().dims->symbol(name, {2, DimRange::kUnbounded});
  }

  Result<Dim> dim() {
    Dim sum = 0;
    bool minus = false;
    while (true) {
      TRY(Dim product, dim_factor());
      while (accept("*")) {
        TRY(const Dim factor, dim_factor());
        product = graph().dims->mul(product, factor);
      }
      sum = minus ? graph().dims->sub(sum, product) : graph().dims->add(sum, product);
      minus = accept("-");
      if (!minus && !accept("+")) return sum;
    }
  }

  // After "[": up to and with the closing bracket.
  Result<Shape> shape() {
    Shape dims;
    if (accept("]")) return dims;
    bool star = false;
    do {
      skip_spaces();
      if (peek() == '*') {
        ++at_;
        star = scope_.star = true;
        for (int i = 0; i < choice_.stars; ++i)
          dims.push_back(choice_.dynamic ? symbol(fmt::format("s{}", i), kStarSizes[i]) : Dim(kStarSizes[i]));
      } else {
        TRY(const Dim d, dim());
        dims.push_back(d);
      }
    } while (accept(","));
    if (!accept("]")) return bad("has a shape that does not end");
    if (star) scope_.explicit_dims = std::max(scope_.explicit_dims, static_cast<int>(dims.size()) - choice_.stars);
    return dims;
  }

  Result<double> number() {
    if (const Arg a = literal_number(); !a.is_none())
      return a.as<int64_t>() ? static_cast<double>(*a.as<int64_t>()) : *a.as<double>();
    return bad("needs a number");
  }

  Result<Contents> contents() {
    Contents made;
    if (!accept("{")) return made;
    std::vector<double> values;
    while (true) {
      TRY(const double v, number());
      values.push_back(v);
      if (accept("..")) {
        made.low = v;
        TRY(made.high, number());
        values.clear();
        break;
      }
      if (!accept(",")) break;
    }
    if (!accept("}")) return bad("has contents that do not end");
    made.values = std::move(values);
    return made;
  }

  // ---- arguments

  Result<Arg> tensor(DType dtype, bool constant) {
    TRY(Shape dims, shape());
    TRY(Contents holds, contents());
    torch::Value value;
    value.name = fmt::format("x{}", graph().values.size());
    value.type = {dtype, std::move(dims)};
    value.strides = dense_strides(value.type.shape);
    if (!first_) first_ = value.type;
    torch::GraphInput input;
    input.name = input.target = value.name;
    if (constant) {
      if (!value.type.is_static()) return bad("has a weight of symbolic size");
      input.kind = torch::GraphInput::Kind::TensorConstant;
      input.data = sample_data(value.type, holds, static_cast<uint32_t>(graph().values.size()));
    }
    input.value = graph().add_value(std::move(value));
    sample_.contents.emplace(input.value, std::move(holds));
    graph().inputs.push_back(input);
    return Arg(input.value);
  }

  Shape dense_strides(const Shape& dims) {
    Shape strides(dims.size(), Dim(1));
    for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = graph().dims->mul(strides[i], dims[i]);
    return strides;
  }

  Arg literal_number() {
    skip_spaces();
    size_t end = at_;
    if (end < text_.size() && text_[end] == '-') ++end;
    if (text_.substr(end).starts_with("inf")) {
      const double sign = text_[at_] == '-' ? -1 : 1;
      at_ = end + 3;
      return sign * std::numeric_limits<double>::infinity();
    }
    if (text_.substr(end).starts_with("nan")) {
      at_ = end + 3;
      return std::numeric_limits<double>::quiet_NaN();
    }
    const size_t digits = end;
    auto is_part = [&](size_t i) {
      const char c = text_[i];
      if (is_digit(c)) return true;
      if (c == '.') return !text_.substr(i).starts_with("..") && i > digits && text_[i - 1] != '.';  // "1..2" is a range
      return c == 'e' || (c == '-' && text_[i - 1] == 'e');
    };
    while (end < text_.size() && is_part(end)) ++end;
    const std::string token(text_.substr(at_, end - at_));
    if (end == digits) return {};
    at_ = end;
    if (token.find_first_of(".e") == std::string::npos) return static_cast<int64_t>(std::stoll(token));
    return std::stod(token);
  }

  Result<Arg> list(const SchemaArg& formal) {
    Arg::List items;
    if (accept("]")) return Arg(items);
    do {
      TRY(Arg item, value(formal));
      items.push_back(std::move(item));
    } while (accept(","));
    if (!accept("]")) return bad("has a list that does not end");
    return Arg(items);
  }

  Result<Arg> value(const SchemaArg& formal) {
    if (accept("[")) return list(formal);
    if (accept("'")) {
      const size_t end = text_.find('\'', at_);
      if (end == std::string_view::npos) return bad("has a text that does not end");
      const std::string text(text_.substr(at_, end - at_));
      at_ = end + 1;
      return Arg(text);
    }
    if (Arg literal = literal_number(); !literal.is_none()) {
      const bool as_float = formal.type == SchemaArg::Type::Float && literal.as<int64_t>();
      return as_float ? Arg(static_cast<double>(*literal.as<int64_t>())) : literal;
    }
    auto name = word();
    const bool constant = name == "const";
    if (constant) name = word();
    if (const auto dtype = dtype_of(name)) {
      if (accept("[")) return tensor(*dtype, constant);
      return Arg(*dtype);
    }
    if (name == "None") return Arg();
    if (name == "True") return Arg(true);
    if (name == "False") return Arg(false);
    if (name == "nan") return Arg(std::numeric_limits<double>::quiet_NaN());
    if (name == "cpu") return Arg(torch::Device{"cpu"});
    if (name == "contiguous_format") return Arg(torch::MemoryFormat::Contiguous);
    if (name == "channels_last") return Arg(torch::MemoryFormat::ChannelsLast);
    if (name == "strided") return Arg(torch::Layout{});
    if (const auto example = symbol_example(name)) return size_argument(std::string(name), *example);
    return bad(fmt::format("has a value '{}' that is not understood", name));
  }

  // A symbolic size as an argument is read from the tensor that has it.
  Result<Arg> size_argument(const std::string& name, int64_t example) {
    const Dim d = symbol(name, example);
    if (d.is_constant()) return Arg(d.constant());
    for (const auto& input : graph().inputs) {
      const Shape& dims = graph().values[input.value].type.shape;
      const auto at = std::find(dims.begin(), dims.end(), d);
      if (at == dims.end()) continue;
      const torch::NodeId id{graph().nodes.size()};
      torch::Value size;
      size.kind = torch::Value::Kind::SymInt;
      size.name = fmt::format("size{}", graph().values.size());
      size.sym = d;
      size.has_sym = true;
      size.producer = id;
      torch::Node node;
      node.target = "aten.sym_size.int";
      node.name = size.name;
      node.args = {{"self", input.value}, {"dim", int64_t{at - dims.begin()}}};
      node.results = {graph().add_value(std::move(size))};
      const Arg made(node.results[0]);
      graph().nodes.add(std::move(node));
      graph().order.push_back(id);
      return made;
    }
    return bad(fmt::format("uses the size '{}' before a tensor that has it", name));
  }

  bool at_end_of_arguments() {
    skip_spaces();
    return at_ == text_.size() || text_.substr(at_).starts_with("->") ||
           std::string_view("@!~").find(peek()) != std::string_view::npos;
  }

  Status arguments() {
    size_t position = 0;
    while (!at_end_of_arguments()) {
      const size_t start = at_;
      const auto name = word();
      const bool named = !name.empty() && peek() == '=';
      const SchemaArg* formal = nullptr;
      if (named) {
        ++at_;
        formal = schema_.find(name);
      } else {
        at_ = start;
        if (position < schema_.args.size() && !schema_.args[position].keyword_only) formal = &schema_.args[position++];
      }
      if (!formal) return bad("has an argument that the schema does not have");
      TRY(Arg given, value(*formal));
      // One number for a pair, as in Python.
      if (formal->list && formal->list_size > 0 && !given.is_none() && !given.as<Arg::List>())
        given = Arg::List(static_cast<size_t>(formal->list_size), given);
      args_.push_back({formal->name, std::move(given)});
    }
    return {};
  }

  // ---- results

  Status results() {
    in_results_ = true;
    if (!accept("->")) {
      if (!first_) return bad("has no tensor and says nothing of its results");
      types_.push_back(*first_);
      sample_.used.push_back(true);
      return {};
    }
    do {
      const auto name = word();
      if (name == "_") {
        types_.push_back({DType::F32, {}});
        sample_.used.push_back(false);
        continue;
      }
      const auto dtype = dtype_of(name);
      if (!dtype || !accept("[")) return bad("has a result that is not a type");
      TRY(Shape dims, shape());
      types_.push_back({*dtype, std::move(dims)});
      sample_.used.push_back(true);
    } while (accept(","));
    return {};
  }

  Status remarks() {
    while (true) {
      if (accept("~")) {
        sample_.undetermined = true;
      } else if (accept("@")) {
        const auto target = mil::target_from_name(word());
        if (!target) return bad("names an unknown target");
        sample_.since = *target;
      } else if (accept("!")) {
        const size_t start = at_;
        while (is_word_char(peek()) || peek() == '-') ++at_;
        sample_.refused = kind_named(text_.substr(start, at_ - start));
        if (!sample_.refused) return bad("names an unknown kind of diagnostic");
        scope_.refused = true;
      } else {
        skip_spaces();
        return {};
      }
    }
  }

  Status finish() {
    const bool list = schema_.returns.size() == 1 && schema_.returns[0].list;
    if (!list && types_.size() != schema_.returns.size()) return bad("has not the number of results that the schema has");
    torch::Node node;
    node.target = schema_.target();
    node.name = "call";
    node.args = std::move(args_);
    node.returns_list = list;
    const torch::NodeId id{graph().nodes.size()};
    for (size_t i = 0; i < types_.size(); ++i) {
      torch::Value value;
      value.name = fmt::format("y{}", i);
      value.type = types_[i];
      value.producer = id;
      node.results.push_back(graph().add_value(std::move(value)));
      if (sample_.used[i]) graph().outputs.push_back({torch::GraphOutput::Kind::UserOutput, node.results[i], {}});
    }
    sample_.call = graph().nodes.add(std::move(node));
    graph().order.push_back(sample_.call);
    graph().functional = true;
    const TensorType& shown = first_ ? *first_ : types_[0];
    sample_.dtype = shown.dtype;
    sample_.rank = shown.rank();
    sample_.dynamic = choice_.dynamic;
    return {};
  }

  const torch::Schema& schema_;
  const std::string_view text_;
  const Choice choice_;
  size_t at_ = 0;
  bool in_results_ = false;
  Scope scope_;
  Sample sample_;
  std::vector<torch::NamedArg> args_;
  std::vector<TensorType> types_;
  std::optional<TensorType> first_;
};

std::vector<Choice> choices(const Scope& scope) {
  std::vector<DType> types = {DType::Unknown};
  for (const Variable& v : variables())
    if (v.name == scope.variable) types = v.types;
  const int most = scope.star ? kMaxRank - scope.explicit_dims : 0;
  std::vector<Choice> all;
  for (const DType type : types) {
    if (!scope.refused || !scope.symbol)
      for (int stars = most; stars >= 0; --stars) all.push_back({type, stars, false});
    if (scope.symbol || most > 0) all.push_back({type, std::min(most, kDynamicStars), true});
  }
  return all;
}

std::string text_of(const torch::Graph& graph, const Arg& arg) {
  if (const auto* v = arg.as<ValueId>()) {
    const torch::Value& value = graph.values[*v];
    if (value.kind != torch::Value::Kind::Tensor) return graph.dims->str(value.sym);
    std::string dims;
    for (const Dim d : value.type.shape) dims += (dims.empty() ? "" : ", ") + graph.dims->str(d);
    return fmt::format("{}[{}]", torch_name(value.type.dtype), dims);
  }
  if (const auto* i = arg.as<int64_t>()) return std::to_string(*i);
  if (const auto* f = arg.as<double>()) return fmt::format("{}", *f);
  if (const auto* b = arg.as<bool>()) return *b ? "True" : "False";
  if (const auto* s = arg.as<std::string>()) return "'" + *s + "'";
  if (const auto* t = arg.as<DType>()) return std::string(torch_name(*t));
  if (const auto* list = arg.as<Arg::List>()) {
    std::string items;
    for (const Arg& a : *list) items += (items.empty() ? "" : ", ") + text_of(graph, a);
    return "[" + items + "]";
  }
  return arg.is_none() ? "None" : "...";
}

}  // namespace

std::string Sample::call_text() const {
  std::string args;
  for (const auto& a : graph.nodes[call].args)
    args += fmt::format("{}{}={}", args.empty() ? "" : ", ", a.name, text_of(graph, a.arg));
  return fmt::format("{}({})", graph.nodes[call].target, args);
}

Result<std::vector<Sample>> parse_samples(const TorchOp& op) {
  TRY(const torch::Schema schema, torch::parse_schema(op.schema));
  std::vector<Sample> samples;
  std::string_view rest = op.samples;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find_first_of(";\n"), rest.size());
    const std::string_view text = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (text.empty()) continue;
    Parser first(schema, text, {});
    TRY_DO(first.parse());
    for (const Choice& choice : choices(first.scope())) {
      TRY(samples.emplace_back(), Parser(schema, text, choice).parse());
    }
  }
  return samples;
}

Weight sample_data(const TensorType& type, const Contents& contents, uint32_t seed) {
  const std::vector<int64_t> shape = sizes(type.shape);
  int64_t count = 1;
  for (const int64_t d : shape) count *= d;
  std::mt19937 random(seed);
  std::vector<double> values = contents.values;
  CHECK(values.empty() || static_cast<int64_t>(values.size()) == count,
        "a sample lists another number of values than its tensor has");
  const bool whole = !is_float(type.dtype);
  const double low = type.dtype == DType::Bool ? 0 : contents.low, high = type.dtype == DType::Bool ? 1 : contents.high;
  while (static_cast<int64_t>(values.size()) < count) {
    const double share = random() / 4294967296.0;  // [0, 1)
    values.push_back(whole ? std::floor(low + share * (high - low + 1)) : low + share * (high - low));
  }
  return Weight::of<double>(DType::F64, shape, values).cast(type.dtype);
}

}  // namespace cortland::torch_ops
