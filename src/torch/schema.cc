#include "torch/schema.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "archive/printable.h"

namespace cortland::torch {

using archive::printable;

namespace {

constexpr int kMaxNesting = 16;

bool is_name_char(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

SchemaArg::Type type_named(std::string_view name) {
  using Type = SchemaArg::Type;
  static constexpr std::pair<std::string_view, Type> kTypes[] = {{"Tensor", Type::Tensor},
                                                                 {"int", Type::Int},
                                                                 {"SymInt", Type::Int},
                                                                 {"float", Type::Float},
                                                                 {"SymFloat", Type::Float},
                                                                 {"bool", Type::Bool},
                                                                 {"SymBool", Type::Bool},
                                                                 {"Scalar", Type::Scalar},
                                                                 {"str", Type::String},
                                                                 {"ScalarType", Type::DType},
                                                                 {"Layout", Type::Layout},
                                                                 {"Device", Type::Device},
                                                                 {"MemoryFormat", Type::MemoryFormat},
                                                                 {"Generator", Type::Generator}};
  for (const auto& [text, type] : kTypes)
    if (text == name) return type;
  return Type::Other;
}

// Words that stand for a value; the reductions of loss functions are integers.
std::optional<Arg> named_value(std::string_view word) {
  if (word == "None") return Arg();
  if (word == "True") return Arg(true);
  if (word == "False") return Arg(false);
  if (word == "Mean") return Arg(int64_t{1});
  if (word == "Sum") return Arg(int64_t{2});
  if (word == "contiguous_format") return Arg(MemoryFormat::Contiguous);
  if (word == "channels_last") return Arg(MemoryFormat::ChannelsLast);
  if (word == "channels_last_3d") return Arg(MemoryFormat::ChannelsLast3d);
  if (word == "preserve_format") return Arg(MemoryFormat::Preserve);
  if (word == "strided") return Arg(Layout{});
  if (word == "long") return Arg(DType::I64);
  if (word == "float") return Arg(DType::F32);
  if (word == "cpu") return Arg(Device{"cpu"});
  return std::nullopt;
}

class SchemaParser {
 public:
  explicit SchemaParser(std::string_view text) : text_(text) {}

  Result<Schema> parse() {
    Schema schema;
    schema.ns = word();
    if (!accept("::")) return bad("the namespace is missing");
    schema.name = word();
    schema.overload = accept(".") ? std::string(word()) : "default";
    if (schema.ns.empty() || schema.name.empty() || schema.overload.empty()) return bad("the operator has no name");
    TRY_DO(expect("("));
    TRY(schema.args, arguments());
    if (accept("->")) {  // ExecuTorch leaves it out of a few operators of its own
      if (accept("(")) {
        TRY(schema.returns, returns());
      } else {
        TRY(schema.returns.emplace_back(), argument(false));
      }
    }
    skip_spaces();
    if (at_ != text_.size()) return bad("there is text after its end");
    return schema;
  }

 private:
  Diagnostic bad(std::string_view why) const {
    return diag(DiagKind::BadProgram,
                fmt::format("the schema '{}' cannot be read at character {}: {}", printable(text_), at_, why));
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool accept(std::string_view token) {
    skip_spaces();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  Status expect(std::string_view token) {
    if (!accept(token)) return bad(fmt::format("'{}' is missing", token));
    return {};
  }
  std::string_view word() {
    skip_spaces();
    const size_t start = at_;
    while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }

  // Up to and with the closing parenthesis.
  Result<std::vector<SchemaArg>> arguments() {
    std::vector<SchemaArg> args;
    bool keyword_only = false;
    while (!accept(")")) {
      if (!args.empty() || keyword_only) TRY_DO(expect(","));
      if (accept("*")) {
        if (keyword_only) return bad("there are two '*'");
        keyword_only = true;
        continue;
      }
      TRY(args.emplace_back(), argument(true));
      args.back().keyword_only = keyword_only;
    }
    return args;
  }

  Result<std::vector<SchemaArg>> returns() {
    std::vector<SchemaArg> items;
    while (!accept(")")) {
      if (!items.empty()) TRY_DO(expect(","));
      TRY(items.emplace_back(), argument(false));
    }
    return items;
  }

  // type [name [= default]]; only a return may lack a name.
  Result<SchemaArg> argument(bool named) {
    SchemaArg arg;
    TRY_DO(type(arg));
    arg.name = word();
    if (named && arg.name.empty()) return bad("an argument has no name");
    if (!accept("=")) return arg;
    arg.has_default = true;
    TRY(arg.fallback, value(0));
    return arg;
  }

  // Tensor(a!)?[2]? and the like.
  Status type(SchemaArg& arg) {
    const auto name = word();
    if (name.empty()) return bad("a type is missing");
    arg.type = type_named(name);
    if (arg.type == SchemaArg::Type::Other) TRY_DO(skip_qualified_name());
    while (accept("(")) TRY_DO(alias(arg));  // twice after "Dict(str, Tensor)"
    while (true) {
      if (accept("?")) {
        arg.optional = true;
      } else if (accept("[")) {
        // Of a nested list, the outer one counts; the inner one is an item of no simple type.
        if (arg.list) arg.type = SchemaArg::Type::Other;
        arg.list = true;
        arg.optional_items = std::exchange(arg.optional, false);
        TRY_DO(list_size(arg));
      } else {
        return {};
      }
      if (accept("(")) TRY_DO(alias(arg));
    }
  }

  // "__torch__.torch.classes.quantized.Conv2dPackedParamsBase", or "Dict(str, Tensor)", which alias() skips.
  Status skip_qualified_name() {
    while (accept("."))
      if (word().empty()) return bad("a type is malformed");
    return {};
  }

  // "(a)", "(a!)", "(a -> *)", "(a|b)", "(a! -> a|b)".
  Status alias(SchemaArg& arg) {
    const size_t end = text_.find(')', at_);
    if (end == std::string_view::npos) return bad("an alias annotation does not end");
    const auto inside = text_.substr(at_, end - at_);
    size_t length = 0;
    while (length < inside.size() && is_name_char(inside[length])) ++length;
    arg.alias = inside.substr(0, length);
    arg.mutated = inside.find('!') != std::string_view::npos;
    at_ = end + 1;
    return {};
  }

  Status list_size(SchemaArg& arg) {
    const auto digits = word();
    if (!digits.empty()) {
      const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), arg.list_size);
      if (code != std::errc() || end != digits.data() + digits.size() || arg.list_size < 1)
        return bad("a list has a malformed size");
    }
    return expect("]");
  }

  Result<Arg> value(int nesting) {
    skip_spaces();
    if (nesting > kMaxNesting) return bad("a default is nested too deeply");
    if (at_ == text_.size()) return bad("a default is missing");
    const char c = text_[at_];
    if (c == '[' || c == '(') return list(c == '[' ? "]" : ")", nesting);
    if (c == '"' || c == '\'') return string(c);
    if (c == '-' || c == '+' || c == '.' || (c >= '0' && c <= '9')) return number();
    const auto name = word();
    if (const auto known = named_value(name)) return *known;
    if (name == "inf" || name == "nan") return number_named(name);
    return bad(fmt::format("the default '{}' is unknown", printable(name)));
  }

  Result<Arg> list(std::string_view end, int nesting) {
    ++at_;
    Arg::List items;
    while (!accept(end)) {
      if (!items.empty()) TRY_DO(expect(","));
      TRY(items.emplace_back(), value(nesting + 1));
    }
    return Arg(std::move(items));
  }

  Result<Arg> string(char quote) {
    std::string out;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      out += text_[at_];
    }
    if (at_ == text_.size()) return bad("a string does not end");
    ++at_;
    return Arg(std::move(out));
  }

  static Arg number_named(std::string_view name) {
    return name == "inf" ? Arg(std::numeric_limits<double>::infinity()) : Arg(std::numeric_limits<double>::quiet_NaN());
  }

  Result<Arg> number() {
    const size_t start = at_;
    if (text_[at_] == '-' || text_[at_] == '+') ++at_;
    if (text_.substr(at_).starts_with("inf")) {
      at_ += 3;
      return Arg((text_[start] == '-' ? -1 : 1) * std::numeric_limits<double>::infinity());
    }
    bool real = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      const bool sign_of_exponent = (c == '-' || c == '+') && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E');
      if (!(c >= '0' && c <= '9') && c != '.' && c != 'e' && c != 'E' && !sign_of_exponent) break;
      real |= c < '0' || c > '9';
    }
    const auto digits = text_.substr(start + (text_[start] == '+' ? 1 : 0), at_ - start - (text_[start] == '+' ? 1 : 0));
    const char* const end = digits.data() + digits.size();
    if (real) {
      double number = 0;
      const auto [stop, code] = std::from_chars(digits.data(), end, number);
      if (code == std::errc() && stop == end) return Arg(number);
    } else {
      int64_t number = 0;
      const auto [stop, code] = std::from_chars(digits.data(), end, number);
      if (code == std::errc() && stop == end) return Arg(number);
    }
    return bad(fmt::format("the number '{}' is malformed", printable(digits)));
  }

  std::string_view text_;
  size_t at_ = 0;
};

// A single default for a list argument is that value for each of its items; a default of a float argument is a float.
void settle_default(SchemaArg& arg) {
  auto* list = arg.fallback.as<Arg::List>();
  const auto to_float = [](Arg& value) {
    if (const auto* number = value.as<int64_t>()) value = Arg(static_cast<double>(*number));
  };
  if (arg.type == SchemaArg::Type::Float) {
    to_float(arg.fallback);
    if (list)
      for (Arg& item : *list) to_float(item);
  }
  const bool single = arg.list && !list && !arg.fallback.is_none();
  if (single) arg.fallback = Arg(Arg::List(static_cast<size_t>(std::max(arg.list_size, 1)), arg.fallback));
}

}  // namespace

const SchemaArg* Schema::find(std::string_view arg) const {
  for (const SchemaArg& candidate : args)
    if (candidate.name == arg) return &candidate;
  return nullptr;
}

Result<Schema> parse_schema(std::string_view text) {
  TRY(auto schema, SchemaParser(text).parse());
  for (SchemaArg& arg : schema.args)
    if (arg.has_default) settle_default(arg);
  return schema;
}

}  // namespace cortland::torch
