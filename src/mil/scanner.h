// The words of MIL's text form: names, numbers, texts, sizes, types and constants. Reads from a text that outlives it.
#pragma once

#include <string>
#include <string_view>

#include "mil/program.h"

namespace cortland::mil {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) { skip_space(); }

  bool at_end() const { return at_ == text_.size(); }
  bool next_is(std::string_view what) const;  // a name is compared whole
  bool take(std::string_view what);           // skips it, if it comes next
  Status expect(std::string_view what);
  bool next_is_type() const;

  Result<std::string> name();
  Result<int64_t> integer();
  Result<std::string> quoted();
  Result<Dim> size(DimTable& dims);   // "2*s0 + 1"
  Result<Type> type(DimTable& dims);  // "tensor<fp16, [1, s0]>"
  // What comes behind the type of a constant: "([1, 2])".
  Result<ConstId> constant(Program& program, const Type& type);

  Diagnostic error(std::string_view why) const;

 private:
  void skip_space();
  std::string_view word() const;
  Result<Dim> factor(DimTable& dims);
  Result<Dim> product(DimTable& dims);
  Result<TensorType> tensor(DimTable& dims);
  Result<double> number();
  // Calls `element` for each entry between the nested brackets of `shape`.
  template <class F>
  Status elements(const Shape& shape, size_t dim, const F& element);

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;  // of sizes inside sizes
};

}  // namespace cortland::mil
