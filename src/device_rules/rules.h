// Forms of valid MIL that Apple's compiler or runtime refuses, crashes on or computes wrongly, as far as Apple documents them,
// coremltools' sources record them, other converters guard against them, or several people reported them. A lowering whose ops
// break a rule is refused like one that fails, and no program that breaks one is written; a risk, which not every device or
// unit has, is a warning. docs/device_rules.md lists them. Constant data and free functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mil/program.h"

namespace cortland::device_rules {

// What kind of evidence a rule rests on.
enum class Evidence : uint8_t { Documented, CoremltoolsSource, OtherConverters, SeveralReports };
std::string_view evidence_name(Evidence evidence);  // "documented"

// A rule on single ops.
struct OpRule {
  std::string_view id;        // "pad-inner-axis"
  std::string_view ops;       // MIL ops it is about, separated by spaces; "*" for all
  std::string_view why;       // what Core ML does with the form
  std::string_view remedy;    // the form to write instead
  Evidence evidence;
  std::string_view source;    // where that is said
  bool (*broken)(const mil::Program&, const mil::Op&);
};

// A rule on a function: its inputs, outputs and states.
struct FunctionRule {
  std::string_view id, why, remedy;
  Evidence evidence;
  std::string_view source;
  bool (*broken)(const mil::Program&, const mil::Function&);
};

// What fails for some: on one unit, or beyond a size.
struct Risk {
  std::string_view id, why, remedy;
  Evidence evidence;
  std::string_view source;
  bool neural_engine;  // of the Neural Engine alone
  bool (*taken)(const mil::Program&, const mil::Function&, uint64_t weight_bytes);
};

std::span<const OpRule> op_rules();
std::span<const FunctionRule> function_rules();
std::span<const Risk> risks();

// The first rule that the op breaks. DiagKind::DeviceRefuses; `node` is the op's name.
Status check_op(const mil::Program& program, const mil::Op& op);
// All functions with all their ops, nested blocks included.
Status check(const mil::Program& program);
// One function with its ops, for packages made of functions of several programs.
Status check(const mil::Program& program, const mil::Function& function);
// A sentence for each risk of a function whose model has a weight file of this size, and that may run on the Neural Engine or not.
std::vector<std::string> warnings(const mil::Program& program, const mil::Function& function, uint64_t weight_bytes, bool neural_engine);

}  // namespace cortland::device_rules
