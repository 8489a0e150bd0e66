// Hand-written .pte files go through the real ExecuTorch runtime: its loader, a CPU kernel, our backend and engine.
#include "engine_cli/pte_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "engine_cli/loaded_model.h"
#include "coreml/package_writer.h"
#include "executorch/delegate_blob.h"
#include "executorch/pte_writer.h"
#include "mil_ops/ops.h"

namespace cortland::engine_cli {
namespace {

using namespace executorch;
using archive::Array;
using archive::NamedArrays;
using mil::Program;
using mil::Target;
using mil::Type;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int32_t kRows = 8;

// A model under construction: one function, inputs and outputs by name.
struct Model {
  Program program{Target::iOS18};
  mil::Function function;

  explicit Model(const std::string& name = "main") {
    function.name = name;
    function.body = program.add_block();
  }
  mil::ValueId input(const std::string& name, Type type) {
    const auto v = program.add_value(name, std::move(type));
    function.inputs.push_back(v);
    return v;
  }
  mil::ValueId op(std::string_view name, std::vector<mil::NamedOperand> inputs) {
    const mil::MilOp* def = mil_ops::find(name, program.target);
    EXPECT_TRUE(def) << name;
    auto id = program.add_op(function.body, *def, std::move(inputs));
    EXPECT_TRUE(id.ok()) << id.error().what;
    const auto& results = program.ops[*id].results;
    return results.empty() ? mil::ValueId{} : results[0];
  }
  void output(const std::string& name, mil::ValueId v) {
    program.values[v].name = name;
    function.outputs.push_back({name, v});
  }
};

std::string flattened(Model model, const BlobMetadata& metadata) {
  model.program.functions.push_back(model.function);
  auto plan = coreml::plan_package(model.program);
  EXPECT_TRUE(plan.ok()) << plan.error().what;
  std::vector<BlobFile> files = {{"metadata.json", owned_bytes(metadata_json(metadata))},
                                 {"model.mlpackage/" + std::string(coreml::kManifestPath), owned_bytes(plan->manifest)},
                                 {"model.mlpackage/" + std::string(coreml::kModelPath), owned_bytes(plan->model)}};
  auto directory = flatten_directory("lowered_module", std::move(files));
  auto bytes = read_all(directory->bytes);
  EXPECT_TRUE(bytes.ok());
  return *bytes;
}

BlobMetadata names(std::vector<std::string> inputs, std::vector<std::string> outputs) {
  return {"executorch_test", {std::move(inputs), std::move(outputs)}, {}};
}

TensorValue tensor(std::vector<int32_t> sizes, uint64_t offset, ScalarType type = ScalarType::F32, Dynamism dynamism = Dynamism::Static) {
  TensorValue t;
  t.type = type;
  t.sizes = std::move(sizes);
  for (size_t i = 0; i < t.sizes.size(); ++i) t.dim_order.push_back(static_cast<uint8_t>(i));
  t.dynamism = dynamism;
  t.allocation = Allocation{1, offset};
  return t;
}

// One delegate between inputs and outputs, each at its own place.
PteProgram program_of(std::string blob, std::vector<TensorValue> inputs, std::vector<TensorValue> outputs) {
  Plan plan;
  plan.name = "forward";
  DelegateCall call{0, {}};
  for (auto* list : {&inputs, &outputs})
    for (TensorValue& t : *list) {
      t.allocation->offset = plan.values.size() * 4096;
      (list == &inputs ? plan.inputs : plan.outputs).push_back(static_cast<ValueIndex>(plan.values.size()));
      call.args.push_back(static_cast<ValueIndex>(plan.values.size()));
      plan.values.push_back(std::move(t));
    }
  plan.delegates = {{std::string(kCoreMLBackendId), 0, {{"compute_units", "all"}}}};
  plan.instructions = {call};
  plan.non_const_buffer_sizes = {0, static_cast<int64_t>(plan.values.size()) * 4096};
  PteProgram program;
  program.plans = {plan};
  program.blobs = {{"blob", owned_bytes(std::move(blob))}};
  return program;
}

// y = relu(x) with x of 1 to 8 rows.
Model relu_model() {
  Model m;
  const Dim rows = m.program.dims->symbol("rows", {1, kRows});
  m.output("y", m.op("relu", {{"x", m.input("x", Type(DType::F32, {rows, 3}))}}));
  return m;
}

PteProgram relu_program() {
  return program_of(flattened(relu_model(), names({"x"}, {"y"})), {tensor({kRows, 3}, 0, ScalarType::F32, Dynamism::UpperBound)},
                    {tensor({kRows, 3}, 0, ScalarType::F32, Dynamism::UpperBound)});
}

template <class T>
Array array(DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  return {dtype, std::move(shape), std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}

Array floats(std::vector<int64_t> shape, const std::vector<float>& values) { return array(DType::F32, std::move(shape), values); }

template <class T>
std::vector<T> values(const Array& a) {
  std::vector<T> out(a.data.size() / sizeof(T));
  std::memcpy(out.data(), a.data.data(), a.data.size());
  return out;
}

class PteRunnerTest : public testing::Test {
 protected:
  void SetUp() override {
#ifndef CORTLAND_HAVE_EXECUTORCH
    GTEST_SKIP() << "built without ExecuTorch (CORTLAND_EXECUTORCH)";
#endif
  }

  Result<NamedArrays> run(const PteProgram& program, const NamedArrays& inputs, const std::string& method = {}) {
    const auto path = save(program);
    TRY(const auto model, load_pte(path, {.method = method}));
    TRY_DO(model->set_inputs(inputs, "in.npz"));
    TRY_DO(model->run());
    return model->outputs();
  }
  std::string save(const PteProgram& program) {
    const std::string path = testing::TempDir() + "/runner_" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".pte";
    auto bytes = pte_bytes(program);
    EXPECT_TRUE(bytes.ok()) << bytes.error().what;
    EXPECT_TRUE(write_file(path, as_bytes(*bytes)).ok());
    return path;
  }
};

TEST_F(PteRunnerTest, RunsADelegateAndResizesItsOutput) {
  for (int64_t rows : {1, 5, 8}) {
    std::vector<float> x(static_cast<size_t>(rows) * 3, -1);
    x[1] = 2;
    const auto out = run(relu_program(), {{"in0", floats({rows, 3}, x)}});
    ASSERT_TRUE(out.ok()) << render(out.error());
    ASSERT_EQ(out->size(), 1u);
    EXPECT_EQ((*out)[0].first, "out0");
    EXPECT_THAT((*out)[0].second.shape, ElementsAre(rows, 3));
    EXPECT_EQ(values<float>((*out)[0].second)[1], 2);
    EXPECT_EQ(values<float>((*out)[0].second)[0], 0);
  }
}

TEST_F(PteRunnerTest, TakesInputsByTheNameTheDelegateHas) {
  EXPECT_TRUE(run(relu_program(), {{"x", floats({1, 3}, {1, 2, 3})}}).ok());
}

TEST_F(PteRunnerTest, MixesDelegatesWithCpuKernels) {
  // y = relu(x); z = y + c on the CPU.
  PteProgram program = program_of(flattened(relu_model(), names({"x"}, {"y"})), {tensor({2, 3}, 0)}, {tensor({2, 3}, 0)});
  Plan& plan = program.plans[0];
  TensorValue c = tensor({3}, 0);
  c.allocation.reset();
  c.constant = 0;
  program.constants = {{"c", owned_bytes(floats({3}, {1, 2, 3}).data)}};
  plan.values.insert(plan.values.end(), {c, Int{1}, tensor({2, 3}, 2 * 4096)});
  plan.non_const_buffer_sizes[1] = 3 * 4096;
  plan.operators = {{"aten::add", "out"}};
  plan.instructions.push_back(KernelCall{0, {1, 2, 3, 4, 4}});
  plan.outputs = {4};
  const auto out = run(program, {{"in0", floats({2, 3}, {-1, 1, 0, 5, -5, 2})}});
  ASSERT_TRUE(out.ok()) << render(out.error());
  EXPECT_THAT(values<float>((*out)[0].second), ElementsAre(1, 3, 3, 6, 2, 5));
}

TEST_F(PteRunnerTest, ConvertsElementTypesAtTheBorder) {
  // Outside: int64 ids, a bool mask, a rank-0 double. Inside: int32, fp32, fp32[1].
  Model m;
  const auto ids = m.input("ids", Type(DType::I32, {3})), mask = m.input("mask", Type(DType::F32, {3}));
  const auto scale = m.input("scale_wrapped_as_tensor_for_coreml", Type(DType::F32, {1}));
  m.output("doubled", m.op("add", {{"x", ids}, {"y", ids}}));
  m.output("positive", m.op("relu", {{"x", mask}}));
  m.output("sum", m.op("add", {{"x", scale}, {"y", scale}}));
  const auto blob = flattened(std::move(m), names({"ids", "mask", "scale_wrapped_as_tensor_for_coreml"}, {"doubled", "positive", "sum"}));
  const auto program = program_of(blob, {tensor({3}, 0, ScalarType::I64), tensor({3}, 0, ScalarType::Bool), tensor({}, 0, ScalarType::F64)},
                                  {tensor({3}, 0, ScalarType::I64), tensor({3}, 0, ScalarType::Bool), tensor({}, 0, ScalarType::F16)});
  const auto out = run(program, {{"ids", array<int32_t>(DType::I32, {3}, {1, -2, 70000})},
                                 {"mask", array<uint8_t>(DType::Bool, {3}, {1, 0, 1})},
                                 {"scale", array<double>(DType::F64, {}, {0.75})}});
  ASSERT_TRUE(out.ok()) << render(out.error());
  EXPECT_THAT(values<int64_t>((*out)[0].second), ElementsAre(2, -4, 140000));
  EXPECT_THAT(values<uint8_t>((*out)[1].second), ElementsAre(1, 0, 1));
  EXPECT_TRUE((*out)[2].second.shape.empty());
  EXPECT_THAT(values<uint16_t>((*out)[2].second), ElementsAre(0x3e00)) << "1.5 in half precision";
}

TEST_F(PteRunnerTest, StatesPersistWhileTheMethodIsLoaded) {
  Model m;
  const auto x = m.input("x", Type(DType::F16, {2})), state = m.input("total", Type::state({DType::F16, {2}}));
  const auto sum = m.op("add", {{"x", m.op("read_state", {{"input", state}})}, {"y", x}});
  m.op("write_state", {{"input", state}, {"data", sum}});
  m.output("sum", sum);
  const auto path = save(program_of(flattened(std::move(m), names({"x"}, {"sum"})), {tensor({2}, 0)}, {tensor({2}, 0)}));
  auto runner = PteRunner::open(path);
  ASSERT_TRUE(runner.ok()) << render(runner.error());
  const float x_values[] = {1, 2};
  const int64_t sizes[] = {2};
  const CortlandValue in{kCortlandTensor, 6, 1, sizes, x_values, sizeof x_values};
  auto step = [&] {
    EXPECT_TRUE(runner->run({in}).ok());
    const auto out = runner->output(0);
    return out.ok() ? *static_cast<const float*>(out->data) : -1;
  };
  ASSERT_TRUE(runner->load("forward").ok());
  EXPECT_EQ(step(), 1);
  EXPECT_EQ(step(), 2);
  EXPECT_EQ(step(), 3);
  ASSERT_TRUE(runner->load("forward").ok());
  EXPECT_EQ(step(), 1) << "loading again starts from zero";
}

TEST_F(PteRunnerTest, MethodsShareOneModel) {
  const auto blob = flattened(relu_model(), {"executorch_shared", {}, {{"forward", {{"x"}, {"y"}}}, {"prefill", {{"x"}, {"y"}}}}});
  auto program = program_of(multifunction_reference({"coreml_executorch_shared", "main"}), {tensor({2, 3}, 0)}, {tensor({2, 3}, 0)});
  program.plans.push_back(program.plans[0]);
  program.plans[1].name = "prefill";
  program.named_data = {{"coreml_executorch_shared", {"shared", owned_bytes(blob)}}};
  for (const char* method : {"forward", "prefill"}) {
    const auto out = run(program, {{"in0", floats({2, 3}, {-1, 1, -1, 1, -1, 1})}}, method);
    ASSERT_TRUE(out.ok()) << render(out.error());
    EXPECT_THAT(values<float>((*out)[0].second), ElementsAre(0, 1, 0, 1, 0, 1));
  }
  const NamedArrays zeros = {{"in0", floats({2, 3}, std::vector<float>(6))}};
  for (const auto& [function, why] : {std::pair("", "which function"), std::pair("decode", "decode")}) {
    auto wrong = program;
    wrong.blobs[0].bytes = owned_bytes(multifunction_reference({"coreml_executorch_shared", function}));
    EXPECT_THAT(run(wrong, zeros).error().what, HasSubstr(why));
  }
  program.named_data.clear();
  EXPECT_THAT(run(program, zeros).error().what, HasSubstr("named data"));
}

TEST_F(PteRunnerTest, RefusesInputsThatDoNotFit) {
  const auto program = relu_program();
  auto error = [&](Array in) { return run(program, {{"in0", std::move(in)}}).error().what; };
  EXPECT_THAT(error(floats({9, 3}, std::vector<float>(27))), AllOf(HasSubstr("'x (in0)'"), HasSubstr("dimension 0 is 9"), HasSubstr("takes 1 to 8")));
  EXPECT_THAT(error(floats({3}, {1, 2, 3})), HasSubstr("2 dimensions"));
  EXPECT_THAT(error(array<int64_t>(DType::C64, {1, 3}, {1, 2, 3})), HasSubstr("element type"));
  EXPECT_THAT(run(program, {{"a", floats({1}, {1})}}).error().what, AllOf(HasSubstr("'in0' (or 'x')"), HasSubstr("in.npz holds 'a'")));
  EXPECT_THAT(run(program, {{"in0", floats({1, 3}, {1, 2, 3})}}, "backward").error().what, HasSubstr("'forward'"));
}

TEST_F(PteRunnerTest, TheBackendSaysWhatIsWrong) {
  // The file allows any number of columns up to 3, the model takes exactly 3: only the engine knows.
  const auto out = run(relu_program(), {{"in0", floats({1, 2}, {1, 2})}});
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().kind, DiagKind::BadInput);
  EXPECT_THAT(out.error().what, AllOf(HasSubstr("'x (in0)'"), HasSubstr("dimension 1 is 2"), HasSubstr("takes 3")));

  const auto damaged = run(program_of("not a directory", {tensor({1}, 0)}, {tensor({1}, 0)}), {{"in0", floats({1}, {1})}});
  ASSERT_FALSE(damaged.ok());
  EXPECT_EQ(damaged.error().kind, DiagKind::BadPte);
}

TEST_F(PteRunnerTest, ReportsWhatTheRuntimeLogs) {
  PteProgram program = relu_program();
  program.plans[0].operators = {{"aten::no_such_operator", "out"}};
  program.plans[0].instructions.push_back(KernelCall{0, {0, 1, 1}});
  const auto out = run(program, {{"in0", floats({1, 3}, {1, 2, 3})}});
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().kind, DiagKind::RuntimeFailed);
  EXPECT_THAT(out.error().what, AllOf(HasSubstr("cannot load method 'forward'"), HasSubstr("no_such_operator")));
}

}  // namespace
}  // namespace cortland::engine_cli
