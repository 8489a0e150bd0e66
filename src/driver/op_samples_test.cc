// Every call that an operator's samples stand for: delegated from the target it claims on and not before, or refused for the
// reason it claims; a valid program; computed by the reference kernels. That the numbers are torch's is for
// tests/python/test_samples.py.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "partition/partition.h"
#include "partition/support.h"

namespace cortland {
namespace {

using torch_ops::Sample;
constexpr mil::Target kTargets[] = {mil::Target::iOS15, mil::Target::iOS16, mil::Target::iOS17, mil::Target::iOS18};

std::vector<Sample> samples_of(const torch_ops::TorchOp& op) {
  auto samples = torch_ops::parse_samples(op);
  EXPECT_TRUE(samples.ok()) << (samples.ok() ? "" : samples.error().what);
  return samples.ok() ? std::move(*samples) : std::vector<Sample>{};
}

std::string text(const std::vector<Diagnostic>& why) { return why.empty() ? "" : render(why[0]); }

void check_verdict(Sample& sample, mil::Target target) {
  SCOPED_TRACE(sample.text + "\n  " + sample.call_text() + " for " + std::string(mil::target_name(target)));
  const auto verified = torch::verify(sample.graph);
  EXPECT_TRUE(verified.ok()) << verified.error().what;
  const auto why = partition::refusals(sample, {.target = target});
  ASSERT_TRUE(why.ok()) << why.error().what;
  if (sample.refused) {
    bool said = false;
    for (const Diagnostic& d : *why) said = said || d.kind == *sample.refused;
    EXPECT_TRUE(said) << (why->empty() ? "is delegated" : text(*why));
  } else if (target >= sample.since) {
    EXPECT_TRUE(why->empty()) << text(*why);
  } else {
    EXPECT_FALSE(why->empty()) << "is delegated before the target it names";
  }
}

// Regions of control flow are no arguments that a sample could write.
TEST(OpSamples, StandBesideEveryOperator) {
  for (const torch_ops::TorchOp* op : torch_ops::all_ops())
    EXPECT_TRUE(!op->samples.empty() || std::string_view(op->schema).starts_with("higher_order::")) << op->schema;
}

TEST(OpSamples, AreDelegatedOrRefusedAsTheySay) {
  for (const torch_ops::TorchOp* op : torch_ops::all_ops())
    for (const mil::Target target : kTargets)
      for (Sample& sample : samples_of(*op)) check_verdict(sample, target);
}

mil::Tensor tensor_of(const Weight& data, DType dtype) {
  mil::Tensor t = mil::Tensor::make(dtype, data.shape());
  data.cast(dtype).read(0, data.elements(), t.mutable_data());
  return t;
}

bool all_constant(const Sample& sample) {
  for (const auto& input : sample.graph.inputs)
    if (!input.data) return false;
  return true;
}

void run(Sample sample, partition::PartitionOptions options) {
  SCOPED_TRACE(sample.text + "\n  " + sample.call_text() + " for " + std::string(mil::target_name(options.target)));
  std::vector<std::pair<Weight, torch::ValueId>> given;
  for (const auto& input : sample.graph.inputs)
    if (!input.data)
      given.push_back(
          {torch_ops::sample_data(sample.graph.type(input.value), sample.contents.at(input.value), 1), input.value});
  std::vector<TensorType> want;
  for (const auto& output : sample.graph.outputs) want.push_back(sample.graph.type(*output.value.as<torch::ValueId>()));
  std::vector<Diagnostic> warnings;
  const auto program = partition::convert_graph(std::move(sample.graph), options, &warnings);
  ASSERT_TRUE(program.ok()) << render(program.error());
  const auto verified = mil::verify(*program);
  ASSERT_TRUE(verified.ok()) << verified.error().what;
  auto engine = engine::Engine::compile(*program, "main", {.threads = 1, .fast_kernels = false});
  ASSERT_TRUE(engine.ok()) << engine.error().what;
  std::vector<mil::Tensor> inputs;
  ASSERT_EQ(engine->inputs().size(), given.size());
  for (size_t i = 0; i < given.size(); ++i) {
    mil::Tensor t = tensor_of(given[i].first, engine->inputs()[i].type.dtype);
    if (t.shape.empty()) t.shape = {1};  // Core ML's scalars
    inputs.push_back(std::move(t));
  }
  const auto results = engine->run(inputs);
  ASSERT_TRUE(results.ok()) << results.error().what;
  ASSERT_EQ(results->size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ((*results)[i].elements(), *want[i].elements()) << "result " << i;
}

TEST(OpSamples, AreValidProgramsThatTheReferenceKernelsRun) {
  size_t count = 0;
  for (const torch_ops::TorchOp* op : torch_ops::all_ops())
    for (Sample& sample : samples_of(*op)) {
      // What has no input is computed while it is lowered.
      if (sample.refused || sample.dynamic || all_constant(sample)) continue;
      const bool last = ++count % 2;
      run(std::move(sample),
          {.target = last ? mil::Target::iOS18 : sample.since, .float_type = count % 4 < 2 ? DType::F16 : DType::F32});
    }
  EXPECT_GT(count, 2000u);  // or the test tries nothing
}

}  // namespace
}  // namespace cortland
