// What the recurrent ops share: checks of their shapes, activations, and one direction of a layer with the input's share
// of every gate computed for the whole sequence at once. Used within one kernel call.
#pragma once

#include <string>
#include <vector>

#include "mil_ops/arguments.h"

namespace cortland::mil_ops {

enum class Activation { Tanh, Sigmoid, HardSigmoid, Relu, Linear };

template <class Context>
Result<Activation> activation_of(const Context& c, std::string_view input) {
  const std::string name = c.str(input);
  if (name == "tanh" || name == "scaled_tanh") return Activation::Tanh;  // scaled by 1 where nothing else is said
  if (name == "sigmoid") return Activation::Sigmoid;
  if (name == "hard_sigmoid" || name == "sigmoid_hard") return Activation::HardSigmoid;
  if (name == "relu") return Activation::Relu;
  if (name == "linear") return Activation::Linear;
  return c.error(fmt::format("{} '{}' is none of tanh, scaled_tanh, sigmoid, hard_sigmoid, relu, linear", input, name));
}

void activate(Activation f, float* values, int64_t count);

// Sizes of a layer: x[steps, batch, inputs], initial state [batch, directions * hidden], weight_hh[gates * hidden, hidden].
struct LayerShape {
  Dim steps, batch, hidden;
  int directions = 1;
  Shape sequence(bool every_step, DimTable& dims) const {
    return {every_step ? steps : Dim(1), batch, dims.mul(hidden, directions)};
  }
  Shape state(DimTable& dims) const { return {batch, dims.mul(hidden, directions)}; }
};

// Checks a layer with that many gates; vectors are named with the number of gates they hold.
struct NamedVector {
  std::string_view name;
  int gates;
};

template <class Context>
Status check_weights(const Context& c, DimTable& dims, std::string_view ih, std::string_view hh, int gates, Dim inputs,
                     Dim hidden) {
  const Dim rows = dims.mul(hidden, gates);
  for (const auto& [name, columns] : {std::pair{ih, inputs}, std::pair{hh, hidden}}) {
    if (!c.has(name)) return c.error(fmt::format("'{}' is missing", name));
    if (!compatible(dims, shape_of_input(c, name), {rows, columns}))
      return c.error(fmt::format("'{}' has shape {}, expected {}", name, describe(dims, shape_of_input(c, name)),
                                 describe(dims, {rows, columns})));
  }
  return {};
}

template <class Context>
Result<LayerShape> layer_shape(const Context& c, DimTable& dims, int gates, const std::vector<std::string_view>& states,
                               const std::vector<NamedVector>& vectors) {
  TRY_DO(expect_rank(c, "x", 3, 3));
  TRY_DO(expect_rank(c, "weight_hh", 2, 2));
  const Shape x = shape_of_input(c, "x");
  LayerShape layer{x[0], x[1], shape_of_input(c, "weight_hh")[1]};
  const std::string direction = c.str("direction");
  const bool both = direction == "bidirectional" && c.def.slot("weight_ih_back") >= 0;
  if (!both && direction != "forward" && direction != "reverse")
    return c.error(fmt::format("direction '{}' is not known", direction));
  layer.directions = both ? 2 : 1;
  TRY_DO(check_weights(c, dims, "weight_ih", "weight_hh", gates, x[2], layer.hidden));
  if (both) TRY_DO(check_weights(c, dims, "weight_ih_back", "weight_hh_back", gates, x[2], layer.hidden));
  for (std::string_view state : states)
    if (!compatible(dims, shape_of_input(c, state), layer.state(dims)))
      return c.error(fmt::format("'{}' has shape {}, expected {}", state, describe(dims, shape_of_input(c, state)),
                                 describe(dims, layer.state(dims))));
  for (const NamedVector& v : vectors)
    if (c.has(v.name) && !compatible(dims, shape_of_input(c, v.name), {dims.mul(layer.hidden, v.gates)}))
      return c.error(fmt::format("'{}' has shape {}, expected [{}]", v.name, describe(dims, shape_of_input(c, v.name)),
                                 dims.str(dims.mul(layer.hidden, v.gates))));
  return layer;
}

// One direction of a layer, in float32.
class Direction {
 public:
  // Reads x and the weights; every gate starts at bias + W_ih x_t.
  Direction(const mil::EvalContext& c, std::string_view weight_ih, std::string_view weight_hh, std::string_view bias);

  int64_t steps, batch, inputs, hidden, gates;
  // The gates of step t, [batch, gates * hidden].
  float* at(int64_t t) { return gates_.data() + t * batch * gates * hidden; }
  // Adds W_hh state, for the gates [first, last) only.
  void add_recurrent(const std::vector<float>& state, int64_t first, int64_t last, float* gates) const;

 private:
  std::vector<float> gates_, weight_hh_;  // the weight transposed: [hidden, gates * hidden]
};

// The part of a state [batch, directions * hidden] that belongs to one direction.
std::vector<float> state_part(const mil::Tensor& state, int64_t hidden, int64_t direction);
// Writes rows of `hidden` into the part of [batch, width] that starts at `first`.
void put_part(const std::vector<float>& part, int64_t hidden, float* out, int64_t width, int64_t first);

}  // namespace cortland::mil_ops
