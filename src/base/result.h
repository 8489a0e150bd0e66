// Result<T>: a value or a Diagnostic. Expected failures are values; a CHECK that fails is a bug of ours and throws
// InternalError, which only the outermost layers (cli, python, et_plugin) catch.
#pragma once

#include <optional>
#include <stdexcept>
#include <utility>
#include <variant>

#include "base/diagnostic.h"

namespace cortland {

class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& detail = {});

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  template <class U>
    requires(std::is_constructible_v<T, U &&> && !std::is_same_v<std::decay_t<U>, Diagnostic> &&
             !std::is_same_v<std::decay_t<U>, Result> && !std::is_same_v<std::decay_t<U>, T>)
  Result(U&& value) : state_(std::in_place_index<0>, T(std::forward<U>(value))) {}
  Result(Diagnostic error) : state_(std::in_place_index<1>, std::move(error)) {}
  // From a Result of something T is made of.
  template <class U>
    requires(!std::is_same_v<U, T> && std::is_constructible_v<T, U &&>)
  Result(Result<U>&& other)
      : state_(other.ok() ? State(std::in_place_index<0>, T(std::move(other).value()))
                          : State(std::in_place_index<1>, std::move(other).error())) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Diagnostic& error() & { return std::get<1>(state_); }
  const Diagnostic& error() const& { return std::get<1>(state_); }
  Diagnostic&& error() && { return std::get<1>(std::move(state_)); }

 private:
  using State = std::variant<T, Diagnostic>;
  State state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Diagnostic error) : error_(std::move(error)) {}

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  Diagnostic& error() & { return *error_; }
  const Diagnostic& error() const& { return *error_; }
  Diagnostic&& error() && { return std::move(*error_); }

 private:
  std::optional<Diagnostic> error_;
};

using Status = Result<void>;

}  // namespace cortland

#define CORTLAND_CAT2(a, b) a##b
#define CORTLAND_CAT(a, b) CORTLAND_CAT2(a, b)

// TRY(auto x, f()): declares x from a Result, or returns its Diagnostic from the enclosing function.
#define TRY(decl, ...)                                                                                    \
  auto CORTLAND_CAT(try_result_, __LINE__) = (__VA_ARGS__);                                               \
  if (!CORTLAND_CAT(try_result_, __LINE__).ok()) return std::move(CORTLAND_CAT(try_result_, __LINE__)).error(); \
  decl = std::move(CORTLAND_CAT(try_result_, __LINE__)).value()

// TRY_DO(f()): the same for a Status, or for a Result whose value is not needed.
#define TRY_DO(...)                                                         \
  do {                                                                      \
    auto try_status = (__VA_ARGS__);                                        \
    if (!try_status.ok()) return std::move(try_status).error();             \
  } while (false)

#define CHECK(condition, ...) \
  (static_cast<bool>(condition) ? void() : ::cortland::check_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__))
