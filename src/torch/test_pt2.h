// The smallest .pt2 file, y = x + w, for tests to read or to break.
#pragma once

#include <string>
#include <string_view>

#include "archive/test_zip.h"
#include "torch/graph.h"

namespace cortland::torch::test {

inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::logic_error("the test replaces what is not there: " + std::string(from));
  return text.replace(at, from.size(), to);
}

inline std::string meta(std::string_view sizes = R"({"as_int":2})", std::string_view strides = R"({"as_int":1})",
                        int dtype = 7) {
  return R"({"dtype":)" + std::to_string(dtype) + R"(,"sizes":[)" + std::string(sizes) +
         R"(],"requires_grad":false,"device":{"type":"cpu"},"strides":[)" + std::string(strides) +
         R"(],"storage_offset":{"as_int":0},"layout":7})";
}

inline const std::string kProgram =
    R"({"graph_module": {"graph": {"inputs": [{"as_tensor": {"name": "w"}}, {"as_tensor": {"name": "x"}}],
 "outputs": [{"as_tensor": {"name": "add"}}],
 "nodes": [{"target": "torch.ops.aten.add.Tensor",
   "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}, {"name": "other", "arg": {"as_tensor": {"name": "w"}}, "kind": 1}],
   "outputs": [{"as_tensor": {"name": "add"}}], "metadata": {}}],
 "tensor_values": {"w": )" +
    meta() + R"(, "x": )" + meta() + R"(, "add": )" + meta() + R"(},
 "sym_int_values": {}, "sym_bool_values": {}},
 "signature": {"input_specs": [{"buffer": {"arg": {"name": "w"}, "buffer_name": "w", "persistent": true}},
                               {"user_input": {"arg": {"as_tensor": {"name": "x"}}}}],
   "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "add"}}}}]},
 "module_call_graph": [{"fqn": "", "signature": {"inputs": [], "outputs": [], "in_spec": "in", "out_spec": "out"}}]},
 "opset_version": {"aten": 10}, "range_constraints": {}, "schema_version": {"major": 8, "minor": 20}, "verifiers": ["TRAINING"]})";

inline const std::string kWeights =
    R"({"config": {"w": {"path_name": "weight_0", "is_param": false, "use_pickle": false, "tensor_meta": )" + meta() + "}}}";

inline std::string floats(std::initializer_list<float> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float));
}

struct Files {
  std::string program = kProgram, weights = kWeights, constants = R"({"config": {}})";
  std::string payload = floats({1, 2});
  std::vector<archive::test::Part> more = {};
  bool deflate = false;
};

inline std::vector<archive::test::Part> parts(const Files& files) {
  std::vector<archive::test::Part> all = {{"m/data/weights/weight_0", files.payload, files.deflate},
                                          {"m/data/weights/model_weights_config.json", files.weights, files.deflate},
                                          {"m/data/constants/model_constants_config.json", files.constants},
                                          {"m/models/model.json", files.program, files.deflate},
                                          {"m/archive_format", "pt2"},
                                          {"m/archive_version", "0"},
                                          {"m/.data/version", "6\n"},
                                          {"m/byteorder", "little"}};
  all.insert(all.end(), files.more.begin(), files.more.end());
  return all;
}

inline Result<Graph> read(const std::vector<archive::test::Part>& all, const std::string& model = {}) {
  return read_pt2(MappedFile::from_bytes(archive::test::make_zip(all), "test.pt2"), model);
}
inline Result<Graph> read(const Files& files, const std::string& model = {}) { return read(parts(files), model); }
inline Result<Graph> read_program(std::string program) { return read(Files{.program = std::move(program)}); }

}  // namespace cortland::torch::test
