// Running steps with channels last: which ops can, and what becomes of their operands that speak of axes.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "engine/plan.h"

namespace cortland::engine {

// A step's operands in one layout. Registers are named by what the program computes, whichever way they lie.
struct Form {
  struct Operand {
    Source source;
    bool last = false;
  };
  std::vector<std::vector<Operand>> inputs;
  std::vector<bool> results_last;
  bool native = false;  // nothing but a kernel that knows the layout can run it
  bool same = false;    // the result is the operand
};

// Which registers lie with channels last, and the forms that a step can take with operands that lie so or so.
class Layouts {
 public:
  explicit Layouts(Plan& plan) : plan_(plan), last_(plan.types.size(), false) {}

  bool lies_last(Source s) const { return s.is_register() && last_[static_cast<size_t>(s.index)]; }
  void set(int32_t r, bool last) {
    if (static_cast<size_t>(r) >= last_.size()) last_.resize(static_cast<size_t>(r) + 1);
    last_[static_cast<size_t>(r)] = last;
  }

  Form row_major(const Step& step) const;
  // Nothing where the step cannot or should not run so. Its constants must have their elements.
  std::optional<Form> channels_last(const Step& step);

 private:
  std::optional<Form> native(const Step& step) const;
  std::optional<Form> elementwise(const Step& step);
  std::optional<Form> along_axes(const Step& step, bool one);
  std::optional<Form> transpose(const Step& step);
  const mil::Type& type(Source s) const { return plan_.types[static_cast<size_t>(s.index)]; }
  const mil::Tensor& tensor(Source s) const { return plan_.constants[static_cast<size_t>(s.index)].tensor; }
  bool is_float_cast(const Step& step) const;
  bool any_last(const Step& step) const;
  Source new_constant(mil::Tensor tensor);
  Source constant_channels_last(Source s, int rank);

  Plan& plan_;
  std::vector<bool> last_;                            // by register
  std::map<std::pair<int32_t, int>, int32_t> moved_;  // constants with channels last, by constant and rank
};

}  // namespace cortland::engine
