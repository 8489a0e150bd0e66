#include "cli/samples.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "torch_ops/samples.h"

namespace cortland::cli {
namespace {

using Json = nlohmann::ordered_json;
using torch::Arg;
using torch_ops::Sample;

Json number(double v) {
  if (std::isfinite(v)) return v;
  return {{"float", std::isnan(v) ? "nan" : v < 0 ? "-inf" : "inf"}};
}

Json size(const torch::Graph& graph, Dim d) {
  if (d.is_constant()) return d.constant();
  const auto example = graph.dims->eval(d, graph.hints);
  return {{"symbol", graph.dims->str(d)}, {"size", example.ok() ? *example : -1}};
}

Json tensor(const Sample& sample, torch::ValueId v) {
  const TensorType& type = sample.graph.type(v);
  Json made{{"dtype", torch_name(type.dtype)}, {"shape", Json::array()}};
  for (const Dim d : type.shape) made["shape"].push_back(size(sample.graph, d));
  const auto it = sample.contents.find(v);
  if (it == sample.contents.end()) return made;
  for (const double x : it->second.values) made["values"].push_back(number(x));
  made["low"] = it->second.low;
  made["high"] = it->second.high;
  for (const auto& input : sample.graph.inputs)
    if (input.value == v) made["constant"] = static_cast<bool>(input.data);
  return made;
}

Json argument(const Sample& sample, const Arg& arg) {
  const torch::Graph& graph = sample.graph;
  if (const auto* v = arg.as<torch::ValueId>()) {
    const bool is_tensor = graph.values[*v].kind == torch::Value::Kind::Tensor;
    return is_tensor ? Json{{"tensor", tensor(sample, *v)}} : size(graph, graph.values[*v].sym);
  }
  if (const auto* i = arg.as<int64_t>()) return *i;
  if (const auto* f = arg.as<double>()) return number(*f);
  if (const auto* b = arg.as<bool>()) return *b;
  if (const auto* s = arg.as<std::string>()) return *s;
  if (const auto* t = arg.as<DType>()) return {{"dtype", torch_name(*t)}};
  if (const auto* m = arg.as<torch::MemoryFormat>())
    return {{"memory_format", *m == torch::MemoryFormat::ChannelsLast ? "channels_last" : "contiguous_format"}};
  if (const auto* device = arg.as<torch::Device>()) return {{"device", device->type}};
  if (arg.as<torch::Layout>()) return {{"layout", "strided"}};
  if (const auto* list = arg.as<Arg::List>()) {
    Json items = Json::array();
    for (const Arg& a : *list) items.push_back(argument(sample, a));
    return items;
  }
  return nullptr;
}

Json describe(const Sample& sample) {
  const torch::Node& node = sample.graph.nodes[sample.call];
  Json args = Json::object(), results = Json::array();
  for (const auto& a : node.args) args[a.name] = argument(sample, a.arg);
  for (size_t i = 0; i < node.results.size(); ++i)
    results.push_back(sample.used[i] ? tensor(sample, node.results[i]) : Json());
  return {{"op", node.target},
          {"text", sample.text},
          {"args", std::move(args)},
          {"results", std::move(results)},
          {"since", mil::target_name(sample.since)},
          {"refused", sample.refused ? Json(diag_id(*sample.refused)) : Json()},
          {"undetermined", sample.undetermined},
          {"dynamic", sample.dynamic}};
}

}  // namespace

Status list_samples() {
  Json all = Json::array();
  for (const torch_ops::TorchOp* op : torch_ops::all_ops()) {
    TRY(const auto samples, torch_ops::parse_samples(*op));
    for (const Sample& sample : samples) all.push_back(describe(sample));
  }
  fmt::print("{}\n", all.dump());
  return {};
}

}  // namespace cortland::cli
