// The signature of a program: which graph input is which parameter, buffer, constant or user input, and what becomes of
// each output. Functions without state.
#pragma once

#include "torch/graph_reader.h"
#include "torch/pt2_weights.h"

namespace cortland::torch {

// Inputs in the order of the graph, with their weights. Tensor subclasses are resolved later; until then `subclasses`
// maps their values to them.
using Subclasses = std::unordered_map<ValueId, StoredTensor>;
Status read_inputs(const archive::Json& graph, const archive::Json& signature, GraphReader& reader, Pt2Weights& weights,
                   Graph& out, Subclasses& subclasses);
Status read_outputs(const archive::Json& graph, const archive::Json& signature, GraphReader& reader, Graph& out);

}  // namespace cortland::torch
