#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/pt2_source.h"
#include "torch/test_pt2.h"

namespace cortland::torch {
namespace {

using test::Files;
using test::kProgram;
using test::kWeights;
using test::meta;
using test::read;
using test::read_program;
using test::replaced;
using testing::HasSubstr;

std::string what(const Result<Graph>& graph) { return graph ? "(accepted)" : graph.error().what; }
DiagKind kind(const Result<Graph>& graph) { return graph ? DiagKind::BadInput : graph.error().kind; }

ValueId value_named(const Graph& graph, std::string_view name) {
  for (int32_t i = 0; i < graph.values.size(); ++i)
    if (graph.values[ValueId{i}].name == name) return {i};
  return {};
}

// One node of the given arguments beside the add, which stays.
std::string with_node(std::string_view inputs, std::string_view outputs = "[]",
                      std::string_view target = "torch.ops.ns.f.default") {
  const auto node = R"("nodes": [{"target": ")" + std::string(target) + R"(", "inputs": )" + std::string(inputs) +
                    R"(, "outputs": )" + std::string(outputs) + R"(, "metadata": {}}, )";
  return replaced(kProgram, "\"nodes\": [", node);
}
std::string with_arg(std::string_view arg) { return with_node(R"([{"name": "a", "arg": )" + std::string(arg) + "}]"); }
std::string sized(std::string_view expression) {
  const auto size = R"({"as_expr": {"expr_str": ")" + std::string(expression) + R"(", "hint": null}})";
  return replaced(kProgram, "\"x\": " + meta(), "\"x\": " + meta(size));
}

TEST(ReadPt2, TensorsInMemoryGoBeforeThoseOfTheFile) {
  Pt2Source source(MappedFile::from_bytes(archive::test::make_zip(test::parts(Files{.payload = ""})), "test.pt2"));
  EXPECT_EQ(kind(read_pt2(source)), DiagKind::WeightsMissing);
  source.tensors["w"] = Weight::floats({3, 4});
  const auto graph = read_pt2(source);
  ASSERT_TRUE(graph.ok()) << what(graph);
  EXPECT_EQ(graph->inputs[0].data.to_floats(), (std::vector<float>{3, 4}));
  source.tensors["w"] = Weight::ints({3, 4});
  EXPECT_THAT(what(read_pt2(source)), HasSubstr("the graph expects"));
}

TEST(ReadPt2, SmallestProgram) {
  const auto graph = read_program(kProgram);
  ASSERT_TRUE(graph.ok()) << what(graph);
  ASSERT_EQ(graph->inputs.size(), 2u);
  EXPECT_EQ(graph->inputs[0].kind, GraphInput::Kind::Buffer);
  EXPECT_EQ(graph->inputs[0].target, "w");
  EXPECT_TRUE(graph->inputs[0].persistent);
  EXPECT_EQ(graph->inputs[0].data.to_floats(), (std::vector<float>{1, 2}));
  EXPECT_EQ(graph->inputs[1].kind, GraphInput::Kind::UserInput);
  EXPECT_FALSE(graph->inputs[1].data);
  ASSERT_EQ(graph->order.size(), 1u);
  const Node& add = graph->nodes[graph->order[0]];
  EXPECT_EQ(add.target, "aten.add.Tensor");
  EXPECT_EQ(add.name, "add");
  ASSERT_NE(add.find("other"), nullptr);
  EXPECT_EQ(*add.find("other")->as<ValueId>(), graph->inputs[0].value);
  EXPECT_EQ(graph->values[add.results[0]].producer, graph->order[0]);
  EXPECT_EQ(graph->type(add.results[0]), (TensorType{DType::F32, {2}}));
  EXPECT_EQ(graph->values[add.results[0]].strides, Shape{1});
  EXPECT_FALSE(add.returns_list);
  EXPECT_EQ(graph->dialect, "TRAINING");
  EXPECT_FALSE(graph->functional);
  EXPECT_EQ(graph->in_spec, "in");
  EXPECT_EQ(graph->out_spec, "out");
}

TEST(ReadPt2, TellsSizesOfTheCallerFromThoseOfTheData) {
  const auto symbol = [](std::string_view name) {
    return meta(R"({"as_expr": {"expr_str": ")" + std::string(name) + R"(", "hint": null}})");
  };
  // Whatever their names: the first is a size of the input, the second one of the result only.
  const auto given = replaced(kProgram, "\"x\": " + meta(), "\"x\": " + symbol("u0"));
  const auto graph = read_program(replaced(given, "\"add\": " + meta(), "\"add\": " + symbol("s1")));
  ASSERT_TRUE(graph.ok()) << what(graph);
  const auto size = [&](std::string_view value) { return graph->type(value_named(*graph, value)).shape[0]; };
  EXPECT_FALSE(graph->dims->data_may_make_zero(size("x")));
  EXPECT_TRUE(graph->dims->data_may_make_zero(size("add")));
}

TEST(ReadPt2, StoredWeightsAreNotCopied) {
  const auto file = MappedFile::from_bytes(archive::test::make_zip(test::parts({})), "test.pt2");
  const auto graph = read_pt2(file);
  ASSERT_TRUE(graph.ok());
  const auto bytes = graph->inputs[0].data.dense_bytes();
  EXPECT_GE(bytes.data(), file->bytes().data());
  EXPECT_LT(bytes.data(), file->bytes().data() + file->bytes().size());
}

TEST(ReadPt2, CompressedArchive) {
  const auto graph = read(Files{.deflate = true});
  ASSERT_TRUE(graph.ok()) << what(graph);
  EXPECT_EQ(graph->inputs[0].data.to_floats(), (std::vector<float>{1, 2}));
}

TEST(ReadPt2, DialectsAndVersions) {
  const auto aten = read_program(replaced(kProgram, "TRAINING", "ATEN"));
  ASSERT_TRUE(aten.ok());
  EXPECT_TRUE(aten->functional);
  EXPECT_TRUE(read_program(replaced(kProgram, "\"minor\": 20", "\"minor\": 99")).ok())
      << "newer minor versions add fields only";
  for (const char* version : {"4", "9"}) {
    const auto graph = read_program(replaced(kProgram, "\"major\": 8", "\"major\": " + std::string(version)));
    EXPECT_EQ(kind(graph), DiagKind::UnsupportedSchema) << version;
  }
  const auto bare = read_program(replaced(kProgram, R"({"major": 8, "minor": 20})", "2"));
  EXPECT_EQ(kind(bare), DiagKind::UnsupportedSchema);
  EXPECT_THAT(bare.error().help, HasSubstr("newer"));
}

TEST(ReadPt2, SeveralPrograms) {
  auto files = test::parts({});
  files.push_back({"m/models/b.x.json", replaced(kProgram, "TRAINING", "EDGE")});
  files.push_back({"m/data/weights/b.x_weights_config.json", kWeights});
  EXPECT_EQ(read(files)->dialect, "TRAINING") << "the one named model";
  EXPECT_EQ(read(files, "b.x")->dialect, "EDGE");
  const auto other = read(files, "c");
  EXPECT_EQ(kind(other), DiagKind::BadOption);
  EXPECT_THAT(what(other), HasSubstr("b.x"));
}

TEST(ReadPt2, Arguments) {
  const std::pair<const char*, const char*> kCases[] = {
      {R"({"as_none": true})", "None"},
      {R"({"as_none": []})", "None"},
      {R"({"as_int": -3})", "-3"},
      {R"({"as_int": 9223372036854775807})", "9223372036854775807"},
      {R"({"as_int": 18446744073709551615})", "1.8446744073709552e+19"},
      {R"({"as_float": 2})", "2.0"},
      {R"({"as_float": "-Infinity"})", "-inf"},
      {R"({"as_float": "NaN"})", "nan"},
      {R"({"as_bool": true})", "True"},
      {R"({"as_string": "a\"b"})", R"("a\"b")"},
      {R"({"as_complex": {"real": 1.5, "imag": "Infinity"}})", "(1.5+infj)"},
      {R"({"as_scalar_type": 13})", "bf16"},
      {R"({"as_memory_format": 2})", "channels_last"},
      {R"({"as_layout": 7})", "strided"},
      {R"({"as_device": {"type": "cuda", "index": 0}})", "device(\"cuda\")"},
      {R"({"as_tensor": {"name": "x"}})", "%x"},
      {R"({"as_tensors": [{"name": "x"}, {"name": "w"}]})", "[%x, %w]"},
      {R"({"as_tensors": []})", "[]"},
      {R"({"as_optional_tensors": [{"as_none": true}, {"as_tensor": {"name": "x"}}]})", "[None, %x]"},
      {R"({"as_optional_tensors": [{"as_none": []}, null]})", "[None, None]"},
      {R"({"as_optional_tensor": {"as_tensor": {"name": "x"}}})", "%x"},
      {R"({"as_nested_tensors": [[{"name": "x"}], []]})", "[[%x], []]"},
      {R"({"as_ints": [1, -1]})", "[1, -1]"},
      {R"({"as_floats": [1, "NaN"]})", "[1.0, nan]"},
      {R"({"as_bools": [true, false]})", "[True, False]"},
      {R"({"as_strings": ["a"]})", "[\"a\"]"},
      {R"({"as_sym_ints": [{"as_int": 4}]})", "[4]"},
      {R"({"as_sym_int": {"as_int": 4}})", "4"},
      {R"({"as_int_lists": [[1], [2, 3]]})", "[[1], [2, 3]]"},
      {R"({"as_operator": "torch.ops.aten.add_.Tensor"})", "\"aten.add_.Tensor\""},
      {R"({"as_custom_obj": {"name": "o", "class_fqn": "c"}})", "\"o\""},
      {R"({"as_string_to_argument": {"k": {"as_int": 1}}})", "[[\"k\", 1]]"},
  };
  for (const auto& [json, text] : kCases) {
    const auto graph = read_program(with_arg(json));
    ASSERT_TRUE(graph.ok()) << json << ": " << what(graph);
    EXPECT_THAT(print(*graph), HasSubstr("ns.f.default(a=" + std::string(text) + ")\n")) << json;
  }
}

TEST(ReadPt2, RefusedArguments) {
  for (const char* json : {R"({"as_tensor": {"name": "nobody"}})", R"({"as_tensor": {"name": "add"}})", R"({"as_thing": 1})",
                           R"({})", R"(3)", R"({"as_int": 1, "as_bool": true})", R"({"as_int": 1.5})", R"({"as_int": "1"})",
                           R"({"as_int": 99999999999999999999})", R"({"as_bool": 1})", R"({"as_scalar_type": 99})",
                           R"({"as_memory_format": 0})", R"({"as_layout": 8})", R"({"as_tensors": {}})",
                           R"({"as_optional_tensors": [{"as_int": 1}]})", R"({"as_sym_int": {"as_name": "nobody"}})",
                           R"({"as_float": "nan"})", R"({"as_device": "cpu"})", R"({"as_graph": {"name": "g"}})"})
    EXPECT_FALSE(read_program(with_arg(json)).ok()) << json;
}

TEST(ReadPt2, Results) {
  const std::string metas = R"("tensor_values": {"a": )" + meta() + R"(, "b": )" + meta() + ", ";
  const auto with_outputs = [&](std::string_view outputs) {
    return read_program(replaced(with_node("[]", outputs), "\"tensor_values\": {", metas));
  };
  const auto list = with_outputs(R"([{"as_tensors": [{"name": "a"}, {"name": "b"}]}])");
  ASSERT_TRUE(list.ok()) << what(list);
  EXPECT_TRUE(list->nodes[list->order[0]].returns_list);
  EXPECT_EQ(list->nodes[list->order[0]].results.size(), 2u);
  const auto mixed = with_outputs(R"([{"as_tensor": {"name": "a"}}, {"as_none": true}, {"as_tensors": [{"name": "b"}]}])");
  ASSERT_TRUE(mixed.ok()) << what(mixed);
  const Node& node = mixed->nodes[mixed->order[0]];
  EXPECT_FALSE(node.returns_list);
  ASSERT_EQ(node.results.size(), 3u);
  EXPECT_FALSE(node.results[1].valid());
  EXPECT_EQ(mixed->values[node.results[2]].name, "b");
  EXPECT_FALSE(with_outputs(R"([{"as_tensor": {"name": "a"}}, {"as_tensor": {"name": "a"}}])").ok()) << "defined twice";
  EXPECT_FALSE(with_outputs(R"([{"as_tensor": {"name": "x"}}])").ok()) << "an input already";
  EXPECT_FALSE(with_outputs(R"([{"as_tensor": {"name": "c"}}])").ok()) << "not described";
  EXPECT_FALSE(with_outputs(R"([{"as_string": "c"}])").ok());
}

TEST(ReadPt2, SymbolicSizesAndValues) {
  auto program = sized("Mul(Integer(2), Symbol('s0', positive=True, integer=True))");
  program =
      replaced(program, R"("range_constraints": {})",
               R"("range_constraints": {"s0": {"min_val": 2, "max_val": 16}, "2*s0": {"min_val": 4, "max_val": null}})");
  program = replaced(
      program, R"("sym_int_values": {})",
      R"json("sym_int_values": {"n": {"as_expr": {"expr_str": "Add(Symbol('s0', positive=True, integer=True), Integer(-1))"}},
                        "odd": {"as_expr": {"expr_str": "TruncToInt(Symbol('zuf0'))"}}, "five": {"as_int": 5}})json");
  program = replaced(program, R"("nodes": [)", R"("nodes": [{"target": "_operator.sub", "inputs": [], "metadata": {},
      "outputs": [{"as_sym_int": {"as_name": "n"}}, {"as_sym_int": {"as_name": "odd"}}, {"as_sym_int": {"as_name": "five"}},
                  {"as_sym_int": {"as_int": 6}}]}, )");
  const auto graph = read_program(program);
  ASSERT_TRUE(graph.ok()) << what(graph);
  const Dim x = graph->type(value_named(*graph, "x")).shape[0];
  EXPECT_EQ(graph->dims->str(x), "2*s0");
  EXPECT_EQ(graph->dims->range(x), (DimRange{4, 32}));
  const Value& n = graph->values[value_named(*graph, "n")];
  EXPECT_EQ(n.kind, Value::Kind::SymInt);
  EXPECT_TRUE(n.has_sym);
  EXPECT_EQ(graph->dims->str(n.sym), "s0 + -1");
  EXPECT_FALSE(graph->values[value_named(*graph, "odd")].has_sym);
  EXPECT_EQ(graph->values[value_named(*graph, "five")].sym, Dim(5));
  EXPECT_EQ(graph->values[graph->nodes[graph->order[0]].results[3]].sym, Dim(6));
}

TEST(ReadPt2, RefusedSizes) {
  for (const char* expression :
       {"Symbol('s0'", "__import__('os').system('touch x')", "FloorDiv(Symbol('s0'), Integer(0))", "Integer(-1)"})
    EXPECT_EQ(kind(read_program(sized(expression))), DiagKind::BadProgram) << expression;
  const auto x = "\"x\": " + meta();
  for (const auto& bad :
       {meta(R"({"as_int":-2})"), meta(R"({"as_int":2},{"as_int":2})"), meta(R"({"as_int":2,"as_expr":{}})"), meta(R"(2)"),
        meta(R"({"as_int":2})", R"({"as_int":1})", 14), meta(R"({"as_float":2})")})
    EXPECT_FALSE(read_program(replaced(kProgram, x, "\"x\": " + bad)).ok()) << bad;
  EXPECT_FALSE(read_program(replaced(sized("Symbol('s0')"), R"("range_constraints": {})",
                                     R"("range_constraints": {"s0": {"min_val": 5, "max_val": 4}})"))
                   .ok());
}

TEST(ReadPt2, Subgraphs) {
  // x inside is not x outside.
  const std::string inner =
      R"({"as_graph": {"name": "g", "graph": {"inputs": [{"as_tensor": {"name": "x"}}], "outputs": [{"as_tensor": {"name": "add"}}, {"as_int": 3}],
      "nodes": [{"target": "torch.ops.aten.relu.default", "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}}],
                 "outputs": [{"as_tensor": {"name": "add"}}], "metadata": {}}],
      "tensor_values": {"x": )" +
      meta(R"({"as_int":7})") + R"(, "add": )" + meta(R"({"as_int":7})") +
      R"(}, "sym_int_values": {}, "sym_bool_values": {}}}})";
  const auto inputs = R"([{"name": "", "arg": )" + inner + R"(}, {"name": "", "arg": {"as_tensors": [{"name": "x"}]}}])";
  const auto graph = read_program(with_node(inputs, "[]", "torch.ops.higher_order.wrap"));
  ASSERT_TRUE(graph.ok()) << what(graph);
  const Node& node = graph->nodes[graph->order[0]];
  EXPECT_EQ(node.target, "higher_order.wrap");
  ASSERT_NE(node.args[0].arg.as<GraphId>(), nullptr);
  const Graph& sub = *graph->subgraphs[*node.args[0].arg.as<GraphId>()];
  EXPECT_EQ(sub.dims, graph->dims);
  EXPECT_EQ(sub.type(sub.inputs[0].value).shape[0], Dim(7));
  ASSERT_EQ(sub.outputs.size(), 2u);
  EXPECT_EQ(*sub.outputs[1].value.as<int64_t>(), 3);
  const auto outside = replaced(inputs, R"("arg": {"as_tensor": {"name": "x"}})", R"("arg": {"as_tensor": {"name": "w"}})");
  EXPECT_THAT(what(read_program(with_node(outside))), HasSubstr("'w' is used before it is defined")) << "no capture";
}

TEST(ReadPt2, TargetsAndSources) {
  const auto edge = read_program(with_node("[]", "[]", "executorch.exir.dialects.edge._ops.aten.permute_copy.default"));
  EXPECT_EQ(edge->nodes[edge->order[0]].target, "aten.permute_copy.default");
  const auto op = read_program(with_node("[]", "[]", "_operator.mul"));
  EXPECT_EQ(op->nodes[op->order[0]].target, "_operator.mul");
  const auto traced = read_program(replaced(
      kProgram, R"("metadata": {})",
      R"("metadata": {"stack_trace": "  File \"/a/model.py\", line 41, in forward\n    x = f(x)\n  File \"/v/site-packages/torch/nn/modules/linear.py\", line 134, in forward\n    return F.linear(i)\n"})"));
  ASSERT_TRUE(traced.ok()) << what(traced);
  EXPECT_EQ(traced->nodes[traced->order[0]].source.str(), "model.py:41 in forward: x = f(x)");
}

TEST(ReadPt2, Signature) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {R"({"buffer": {"arg": {"name": "w"})", R"({"buffer": {"arg": {"name": "x"})"},
           {R"({"user_input": {"arg": {"as_tensor": {"name": "x"}}}})", ""},
           {R"({"user_input": {"arg": {"as_tensor": {"name": "x"}}}})",
            R"({"user_input": {"arg": {"as_tensor": {"name": "x"}}}}, {"user_input": {"arg": {"as_none": true}}})"},
           {R"({"user_input": {"arg": {"as_tensor": {"name": "x"}}}})",
            R"({"buffer": {"arg": {"name": "x"}, "buffer_name": "w"}})"},
           {R"({"user_input": {"arg": {"as_tensor": {"name": "x"}}}})",
            R"({"user_thing": {"arg": {"as_tensor": {"name": "x"}}}})"},
           {R"("output_specs": [)", R"("output_specs": [{"user_output": {"arg": {"as_none": true}}}, )"},
           {R"({"user_output": {"arg": {"as_tensor": {"name": "add"}}}})",
            R"({"buffer_mutation": {"arg": {"name": "x"}, "buffer_name": "w"}})"},
           {R"({"user_output": {"arg": {"as_tensor": {"name": "add"}}}})",
            R"({"buffer_mutation": {"arg": {"name": "add"}, "buffer_name": "v"}})"},
           {R"("outputs": [{"as_tensor": {"name": "add"}}],
 "nodes")",
            R"("outputs": [{"as_tensor": {"name": "sub"}}],
 "nodes")"},
       }) {
    auto program = replaced(kProgram, from, to);
    if (to.empty()) program = replaced(program, ",\n                               ]", "]");
    EXPECT_FALSE(read_program(program).ok()) << from << " -> " << to;
  }
  const auto mutation = read_program(replaced(kProgram, R"({"user_output": {"arg": {"as_tensor": {"name": "add"}}}})",
                                              R"({"buffer_mutation": {"arg": {"name": "add"}, "buffer_name": "w"}})"));
  ASSERT_TRUE(mutation.ok()) << what(mutation);
  EXPECT_EQ(mutation->outputs[0].kind, GraphOutput::Kind::BufferMutation);
  EXPECT_EQ(mutation->outputs[0].target, "w");
}

TEST(ReadPt2, ConstantInputsKeepTheirPlace) {
  auto program = replaced(kProgram, R"({"as_tensor": {"name": "x"}}],)", R"({"as_int": 3}, {"as_tensor": {"name": "x"}}],)");
  program =
      replaced(program, R"({"user_input")", R"({"constant_input": {"name": "k", "value": {"as_int": 3}}}, {"user_input")");
  const auto graph = read_program(program);
  ASSERT_TRUE(graph.ok()) << what(graph);
  ASSERT_EQ(graph->inputs.size(), 3u);
  EXPECT_EQ(graph->inputs[1].kind, GraphInput::Kind::ConstantInput);
  EXPECT_EQ(graph->inputs[1].name, "k");
  EXPECT_EQ(*graph->inputs[1].constant.as<int64_t>(), 3);
  EXPECT_FALSE(graph->inputs[1].value.valid());
}

TEST(ReadPt2, MalformedPrograms) {
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{R"("schema_version": {"major": 8, "minor": 20}, )", ""},
                                                        {"\"graph_module\"", "\"graph_modules\""},
                                                        {"\"nodes\"", "\"node\""},
                                                        {"\"target\"", "\"targets\""},
                                                        {"\"name\": \"self\"", "\"name\": \"other\""},
                                                        {"\"signature\"", "\"signatures\""},
                                                        {"\"tensor_values\"", "\"tensor_value\""},
                                                        {"{\"w\": ", "{\"x\": "},
                                                        {"TRAINING\"]}", "TRAINING\"]"},
                                                        {"\"TRAINING\"", "3"},
                                                        {"\"as_tensor\"", "\"as_sensor\""},
                                                        {"\"verifiers\"", "\"schema_version\""}})
    EXPECT_FALSE(read_program(replaced(kProgram, from, to)).ok()) << from << " -> " << to;
  EXPECT_FALSE(read_program("").ok());
  EXPECT_FALSE(read_program(std::string(100000, '[')).ok());
}

}  // namespace
}  // namespace cortland::torch
