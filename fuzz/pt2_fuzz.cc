// Any bytes as a .pt2 file, as the program inside one, as its table of weights, and as the small languages it holds:
// symbolic expressions, stack traces, operator schemas. What is accepted must verify and print.
#include "torch/schema.h"
#include "torch/stack_trace.h"
#include "torch/symbolic_sizes.h"
#include "torch/test_pt2.h"

using namespace cortland;

static void check(const Result<torch::Graph>& graph) {
  if (!graph) return;
  if (!torch::verify(*graph).ok()) __builtin_trap();
  (void)torch::print(*graph);
  for (const auto& input : graph->inputs)
    if (input.data && input.data.elements() > 0 && input.data.byte_size() < 1 << 20) (void)input.data.bytes();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 0:
      check(torch::read_pt2(MappedFile::from_bytes(text, "fuzz.pt2")));
      break;
    case 1:
      check(torch::test::read(torch::test::Files{.program = text}));
      break;
    case 2:
      check(torch::test::read(torch::test::Files{.weights = text}));
      break;
    case 3: {
      DimTable dims;
      torch::SymbolicSizes sizes(dims);
      if (const auto size_of = sizes.parse_size(text)) (void)dims.str(*size_of);
      break;
    }
    case 4:
      (void)torch::source_of(text).str();
      break;
    case 5: {
      const auto schema = torch::parse_schema(text);
      if (schema && schema->find(schema->args.empty() ? "" : schema->args[0].name) == nullptr && !schema->args.empty())
        __builtin_trap();
      break;
    }
    case 6:  // a flat file of an old version
      check(torch::test::read({{"serialized_exported_program.json", text}, {"version", "7.3"}}));
      break;
    default:
      break;
  }
  return 0;
}
