// The predicted label and the probability of every label; the last op of a classifier.
#include <algorithm>

#include "mil_ops/arguments.h"
#include "mil_ops/ops.h"

namespace cortland::mil_ops {
namespace {

using namespace mil;

Types infer_classify(InferContext& c) {
  TRY_DO(expect_rank(c, "classes", 1, 1));
  const Shape& probabilities = c.shape("probabilities");
  const Dim count = product(c.dims, probabilities, 0, probabilities.size());
  if (!compatible(c.dims, count, c.shape("classes")[0]))
    return c.error(fmt::format("{} classes for {} probabilities", c.dims.str(c.shape("classes")[0]), c.dims.str(count)));
  const DType keys = c.dtype("classes");
  Type dictionary(keys, {});
  dictionary.kind = Type::Kind::Dictionary;
  return std::vector<Type>{Type(keys, {}), std::move(dictionary)};
}

// Result 0 is the label (a string, or an int64 scalar). Result 1 holds the probabilities as float64 in `tensor` and their
// labels beside them: in `strings`, or as an int64 tensor in `list`.
Status eval_classify(EvalContext& c) {
  const Tensor probabilities = c.tensor("probabilities").cast(DType::F64);
  const RuntimeValue& classes = c.value("classes");
  const bool named = classes.tensor.dtype == DType::String || !classes.strings.empty();
  const int64_t count = probabilities.elements();
  if (count == 0 || count != (named ? static_cast<int64_t>(classes.strings.size()) : classes.tensor.elements()))
    return c.error(fmt::format("there are {} probabilities", count));
  const double* first = probabilities.data<double>();
  const auto best = std::max_element(first, first + count) - first;
  RuntimeValue label, dictionary{probabilities.reshaped({count}), {}, nullptr};
  if (named) {
    label.tensor.dtype = DType::String;
    label.strings = {classes.strings[static_cast<size_t>(best)]};
    dictionary.strings = classes.strings;
  } else {
    label.tensor = Tensor::from(DType::I64, {}, std::vector<int64_t>{classes.tensor.ints()[static_cast<size_t>(best)]});
    dictionary.list = std::make_shared<std::vector<Tensor>>(1, classes.tensor);
  }
  c.set_output(0, std::move(label));
  c.set_output(1, std::move(dictionary));
  return {};
}

constexpr Input kInputs[] = {value("probabilities", kFp32), constant("classes", one_of({DType::String, DType::I64}))};

}  // namespace

const MilOp classify{.name = "classify", .inputs = kInputs, .infer = infer_classify, .eval = eval_classify};

}  // namespace cortland::mil_ops
