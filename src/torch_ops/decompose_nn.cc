// Convolutions, normalisations and embeddings, in terms of operators with a CPU kernel.
#include <algorithm>
#include <limits>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;
using Ints = std::vector<int64_t>;
using torch::Arg;

// ---- convolution

namespace {
struct Convolution {
  V input, weight, bias;  // bias may be invalid
  Ints stride, padding, dilation, output_padding;
  bool transposed = false;
  int64_t groups = 1;
};
}  // namespace

// One number stands for all dimensions.
static std::optional<Ints> spread(const std::optional<Ints>& given, size_t spatial) {
  if (!given || (given->size() != 1 && given->size() != spatial)) return std::nullopt;
  return given->size() == spatial ? *given : Ints(spatial, (*given)[0]);
}

static V convolve(Steps& s, const Convolution& c, const Shape& to) {
  return s.d.op("aten.convolution.default",
                {{"input", c.input}, {"weight", c.weight}, {"bias", c.bias ? Arg(c.bias) : Arg()}, {"stride", Steps::list(c.stride)},
                 {"padding", Steps::list(c.padding)}, {"dilation", Steps::list(c.dilation)}, {"transposed", c.transposed},
                 {"output_padding", Steps::list(c.output_padding)}, {"groups", c.groups}},
                {s.dtype(c.input), to});
}

// A volume as a sum of images: one convolution for each slice of the weight in depth.
static V convolve_volume(Steps& s, Convolution c, const Shape& to) {
  const int64_t depth = s.number_of(c.weight, 2), out = to[2].constant();
  V x = s.pad(c.input, {0, 0, 0, 0, c.padding[0], c.padding[0]}, 0.0);
  const Shape from = s.shape(x);
  const Dim images = s.d.dims().mul(from[0], out);
  const Shape flat = {images, to[1], to[3], to[4]};
  V sum;
  for (int64_t k = 0; k < depth; ++k) {
    const int64_t begin = k * c.dilation[0];
    const V slab = s.slice(x, 2, begin, begin + (out - 1) * c.stride[0] + 1, c.stride[0]);
    Convolution image = c;
    image.input = s.view(s.permute(slab, {0, 2, 1, 3, 4}), {images, from[1], from[3], from[4]});
    image.weight = s.select(c.weight, 2, k);
    image.bias = k == 0 ? c.bias : V{};
    for (Ints* list : {&image.stride, &image.padding, &image.dilation, &image.output_padding}) list->erase(list->begin());
    const V part = convolve(s, image, flat);
    sum = sum ? s.add(sum, part) : part;
  }
  return s.permute(s.view(sum, {from[0], out, to[1], to[3], to[4]}), {0, 2, 1, 3, 4});
}

// Elements along `dim` moved `step` apart by zeros, and `before` zeros put before them, to a length of `size`.
static V spread_out(Steps& s, V x, int dim, int64_t step, int64_t before, int64_t size) {
  const int64_t count = s.number_of(x, dim);
  const auto amounts = [&](int rank, int at, int64_t low, int64_t high) {
    Ints list(static_cast<size_t>(2 * (rank - at)), 0);
    list[list.size() - 2] = low, list[list.size() - 1] = high;
    return list;
  };
  Shape to = s.shape(x);
  to[static_cast<size_t>(dim)] = count * step;
  const V apart = s.unsqueeze(x, dim + 1);
  const V wide = s.view(s.pad(apart, amounts(s.rank(apart), dim + 1, 0, step - 1), 0.0), to);
  return s.pad(wide, amounts(s.rank(wide), dim, before, size - before - count * step), 0.0);
}

// The same for a transposed convolution: each slice of the weight adds images to places in depth.
static V convolve_volume_transposed(Steps& s, Convolution c, const Shape& to) {
  const Shape from = s.shape(c.input);
  const int64_t depth = s.number_of(c.weight, 2), slices = s.number_of(c.input, 2);
  const Dim images = s.d.dims().mul(from[0], slices);
  const Shape flat = {images, to[1], to[3], to[4]};
  const int64_t whole = std::max(slices * c.stride[0] + (depth - 1) * c.dilation[0], to[2].constant() + c.padding[0]);
  const V x = s.view(s.permute(c.input, {0, 2, 1, 3, 4}), {images, from[1], from[3], from[4]});
  V sum;
  for (int64_t k = 0; k < depth; ++k) {
    Convolution image = c;
    image.input = x, image.weight = s.select(c.weight, 2, k), image.bias = {};
    for (Ints* list : {&image.stride, &image.padding, &image.dilation, &image.output_padding}) list->erase(list->begin());
    const V part = s.permute(s.view(convolve(s, image, flat), {from[0], slices, to[1], to[3], to[4]}), {0, 2, 1, 3, 4});
    const V placed = spread_out(s, part, 2, c.stride[0], k * c.dilation[0], whole);
    sum = sum ? s.add(sum, placed) : placed;
  }
  sum = s.slice(sum, 2, c.padding[0], c.padding[0] + to[2].constant());
  return c.bias ? s.add(sum, s.view(c.bias, {to[1], 1, 1, 1})) : sum;
}

// Strides and the like that cannot be meant would overflow what is computed of them.
static bool small(const Convolution& c) {
  for (const Ints* list : {&c.stride, &c.padding, &c.dilation, &c.output_padding})
    for (const int64_t n : *list)
      if (n < 0 || n > (1 << 20)) return false;
  return c.stride[0] > 0 && c.dilation[0] > 0;
}

static Status give_convolution(Steps& s, Convolution c, size_t spatial) {
  Decomposition& d = s.d;
  const bool batched = s.rank(c.input) == static_cast<int>(spatial) + 2;
  Shape to = d.result_type().shape;
  if (!batched) {
    c.input = s.unsqueeze(c.input, 0);
    to.insert(to.begin(), Dim(1));
  }
  if (s.rank(c.input) != static_cast<int>(spatial) + 2 || to.size() != spatial + 2) return d.reject("the shapes do not fit a convolution");
  V y;
  if (spatial < 3) {
    y = convolve(s, c, to);
  } else {
    constexpr int64_t kMaxDepth = 64;  // convolutions that one is taken apart into
    if (!to[2].is_constant() || s.rank(c.weight) != 5 || s.number_of(c.input, 2) < 1 || s.number_of(c.weight, 2) > kMaxDepth || !small(c))
      return d.reject("only volumes of known size have a kernel, and weights that are not too deep");
    y = c.transposed ? convolve_volume_transposed(s, c, to) : convolve_volume(s, c, to);
  }
  return s.give(batched ? y : s.squeeze(y, 0));
}

// "same" padding: one more element at the end where the kernel is even.
static bool pad_same(Steps& s, Convolution& c, size_t spatial) {
  Ints amounts;
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t kernel = s.number_of(c.weight, static_cast<int>(i) + 2);
    if (c.stride[i] != 1 || c.dilation[i] < 1 || c.dilation[i] > (1 << 20) || kernel < 1 || kernel > (1 << 20)) return false;
    const int64_t total = c.dilation[i] * (kernel - 1);
    c.padding.push_back(total / 2);
    amounts.insert(amounts.begin(), {0, total % 2});
  }
  c.input = s.pad(c.input, amounts, 0.0);
  return true;
}

Status conv(Decomposition& d) {
  Steps s(d);
  Convolution c{d.tensor("input"), d.tensor("weight"), d.tensor("bias"), {}, {}, {}, {}, false, 1};
  if (s.rank(c.weight) < 3 || s.rank(c.weight) > 5) return d.reject("the weight must have one to three spatial dimensions");
  const size_t spatial = static_cast<size_t>(s.rank(c.weight)) - 2;
  const auto stride = spread(d.ints("stride"), spatial), dilation = spread(d.ints("dilation"), spatial);
  const auto groups = d.integer("groups");
  if (!stride || !dilation || !groups) return d.reject("strides, dilations and groups must be numbers");
  c.stride = *stride, c.dilation = *dilation, c.groups = *groups, c.output_padding = Ints(spatial, 0);
  if (d.arg("padding").as<std::string>()) {
    if (d.str("padding") == "valid") c.padding = Ints(spatial, 0);
    else if (!pad_same(s, c, spatial)) return d.reject("the padding must be 'valid', or 'same' without strides");
  } else {
    const auto padding = spread(d.ints("padding"), spatial);
    if (!padding) return d.reject("the padding must be numbers");
    c.padding = *padding;
  }
  return give_convolution(s, c, spatial);
}

Status conv_transpose(Decomposition& d) {
  Steps s(d);
  Convolution c{d.tensor("input"), d.tensor("weight"), d.tensor("bias"), {}, {}, {}, {}, true, 1};
  if (s.rank(c.weight) < 3 || s.rank(c.weight) > 5) return d.reject("the weight must have one to three spatial dimensions");
  const size_t spatial = static_cast<size_t>(s.rank(c.weight)) - 2;
  const auto stride = spread(d.ints("stride"), spatial), dilation = spread(d.ints("dilation"), spatial);
  const auto padding = spread(d.ints("padding"), spatial), output_padding = spread(d.ints("output_padding"), spatial);
  const auto groups = d.integer("groups");
  if (!stride || !dilation || !padding || !output_padding || !groups) return d.reject("its arguments must be numbers");
  c.stride = *stride, c.padding = *padding, c.dilation = *dilation, c.output_padding = *output_padding, c.groups = *groups;
  return give_convolution(s, c, spatial);
}

// The kernel takes rows and images; volumes are taken apart.
Status convolution(Decomposition& d) {
  Steps s(d);
  Convolution c{d.tensor("input"), d.tensor("weight"), d.tensor("bias"), {}, {}, {}, {}, d.boolean("transposed"), 1};
  if (s.rank(c.weight) != 5) return d.reject("");
  const auto stride = spread(d.ints("stride"), 3), dilation = spread(d.ints("dilation"), 3);
  const auto padding = spread(d.ints("padding"), 3), output_padding = spread(d.ints("output_padding"), 3);
  const auto groups = d.integer("groups");
  if (!stride || !dilation || !padding || !output_padding || !groups) return d.reject("its arguments must be numbers");
  c.stride = *stride, c.padding = *padding, c.dilation = *dilation, c.output_padding = *output_padding, c.groups = *groups;
  return give_convolution(s, c, 3);
}

// The kernel takes matrices; a vector is a matrix of one row. Of no inputs the bias is left.
Status linear(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input");
  if (s.rank(x) > 0 && s.shape(x).back() == Dim(0)) {
    const TensorType to = d.result_type();
    return s.give(d.has("bias") ? s.expand(d.tensor("bias"), to.shape) : s.full(to.shape, 0.0, to.dtype));
  }
  if (s.rank(x) != 1) return d.reject("");
  return s.give(s.squeeze(s.linear(s.unsqueeze(x, 0), d.tensor("weight"), d.tensor("bias")), 0));
}

// ---- normalisation

Status batch_norm(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input"), mean = d.tensor("running_mean"), var = d.tensor("running_var");
  if (d.boolean("training") || !mean || !var) {
    if (mean || var) return d.reject("running statistics are updated in training only");
    const Shape channels = {s.rank(x) > 1 ? s.size_of(x, 1) : Dim(1)};
    const auto out = d.multi("aten._native_batch_norm_legit.no_stats",
                             {{"input", x}, {"weight", d.arg("weight")}, {"bias", d.arg("bias")}, {"training", true}, {"momentum", d.arg("momentum")}, {"eps", d.arg("eps")}},
                             {s.type(x), {s.dtype(x), channels}, {s.dtype(x), channels}});
    return s.give(out[0]);
  }
  const auto out = d.multi("aten._native_batch_norm_legit_no_training.default",
                           {{"input", x}, {"weight", d.arg("weight")}, {"bias", d.arg("bias")}, {"running_mean", mean}, {"running_var", var},
                            {"momentum", d.arg("momentum")}, {"eps", d.arg("eps")}},
                           {s.type(x), {s.dtype(x), {0}}, {s.dtype(x), {0}}});
  return s.give(out[0]);
}

static V group_norm_of(Steps& s, V x, int64_t groups, const Arg& weight, const Arg& bias, const Arg& eps) {
  const Shape& shape = s.shape(x);
  const TensorType stats{s.dtype(x), {shape[0], groups}};
  return s.d.multi("aten.native_group_norm.default",
                   {{"input", x}, {"weight", weight}, {"bias", bias}, {"N", s.size(shape[0])}, {"C", s.size(shape[1])},
                    {"HxW", s.size(s.product(shape, 2, shape.size()))}, {"group", groups}, {"eps", eps}},
                   {s.type(x), stats, stats})[0];
}

Status group_norm(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input");
  const auto groups = d.integer("num_groups");
  if (!groups || s.rank(x) < 2) return d.reject("the number of groups must be known");
  return s.give(group_norm_of(s, x, *groups, d.arg("weight"), d.arg("bias"), d.arg("eps")));
}

// Each channel of each sample by itself, or, with running statistics, a batch norm.
Status instance_norm(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input");
  if (!d.boolean("use_input_stats")) {
    const auto out = d.multi("aten._native_batch_norm_legit_no_training.default",
                             {{"input", x}, {"weight", d.arg("weight")}, {"bias", d.arg("bias")}, {"running_mean", d.arg("running_mean")},
                              {"running_var", d.arg("running_var")}, {"momentum", d.arg("momentum")}, {"eps", d.arg("eps")}},
                             {s.type(x), {s.dtype(x), {0}}, {s.dtype(x), {0}}});
    return s.give(out[0]);
  }
  if (d.has("running_mean") || s.rank(x) < 3 || !s.size_of(x, 1).is_constant()) return d.reject("running statistics are updated in training only");
  return s.give(group_norm_of(s, x, s.number_of(x, 1), d.arg("weight"), d.arg("bias"), d.arg("eps")));
}

Status layer_norm(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input");
  const auto shape = d.ints("normalized_shape");
  if (!shape || shape->empty() || static_cast<int>(shape->size()) > s.rank(x)) return d.reject("the normalised shape must be numbers");
  TensorType stats = s.type(x);
  for (size_t i = 0; i < shape->size(); ++i) stats.shape[stats.shape.size() - 1 - i] = 1;
  const auto out = d.multi("aten.native_layer_norm.default",
                           {{"input", x}, {"normalized_shape", Steps::list(*shape)}, {"weight", d.arg("weight")}, {"bias", d.arg("bias")}, {"eps", d.arg("eps")}},
                           {s.type(x), stats, stats});
  return s.give(out[0]);
}

// x / sqrt(mean(x^2) + eps) * weight, computed in float32 at least.
Status rms_norm(Decomposition& d) {
  Steps s(d);
  const V x = d.tensor("input");
  const auto shape = d.ints("normalized_shape");
  if (!shape || shape->empty() || static_cast<int>(shape->size()) > s.rank(x)) return d.reject("the normalised shape must be numbers");
  const DType own = s.dtype(x), wide = own == DType::F64 ? own : DType::F32;
  // Without eps, that of the type torch computes in.
  const double step = own == DType::F64 ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  const auto eps = d.has("eps") ? d.number("eps") : std::optional(step);
  if (!eps) return d.reject("eps must be a number");
  Ints dims;
  for (int i = s.rank(x) - static_cast<int>(shape->size()); i < s.rank(x); ++i) dims.push_back(i);
  const V y = s.cast(x, wide);
  V normed = s.mul(y, s.unary("rsqrt", s.add(s.reduce("mean", s.mul(y, y), dims, true), *eps)));
  normed = s.cast(normed, own);
  return s.give(d.has("weight") ? s.mul(normed, d.tensor("weight")) : normed);
}

// ---- the rest

Status grid_sampler(Decomposition& d) {
  Steps s(d);
  if (s.rank(d.tensor("input")) == 5) return grid_sampler_3d(d);
  if (s.rank(d.tensor("input")) != 4) return d.reject("an image or a volume is expected");
  return s.give(d.op("aten.grid_sampler_2d.default", d.node().args, d.result_type()));
}

// Rows of a table, summed, averaged or compared by bags: bag b holds the indices from offsets[b] on.
Status embedding_bag(Decomposition& d) {
  Steps s(d);
  const V table = d.tensor("weight"), indices = d.tensor("indices"), offsets = d.tensor("offsets"), weights = d.tensor("per_sample_weights");
  const auto mode = d.integer("mode");
  for (size_t i = 1; i < d.node().results.size(); ++i)
    if (d.result_used(i)) return d.reject("only the bags themselves can be computed");
  const Arg* padding = d.node().find("padding_idx");
  const bool pads = padding && !padding->is_none() && !(padding->as<int64_t>() && *padding->as<int64_t>() < 0);
  if (!mode || *mode < 0 || *mode > 2 || s.rank(indices) != 1 || !offsets || (*mode != 0 && weights)) return d.reject("a list of indices and a mode are expected");
  const Dim bags = d.result_type().shape.empty() ? Dim(0) : d.result_type().shape[0];
  const DType t = s.dtype(table);
  const V rows = d.op("aten.embedding.default", {{"weight", table}, {"indices", indices}}, {t, {s.size_of(indices, 0), s.size_of(table, 1)}});
  // bag of index i: the number of bags that begin at or before i, less one
  const V begun = s.compare("le", s.unsqueeze(s.cast(offsets, DType::I64), 0), s.unsqueeze(s.range(s.size_of(indices, 0)), 1));
  const V bag = s.sub(s.reduce("sum", begun, {1}, false), int64_t{1});
  V member = s.compare("eq", s.unsqueeze(bag, 0), s.unsqueeze(s.range(bags), 1));
  if (pads) member = s.both(member, s.unsqueeze(s.compare("ne", indices, *padding), 0));
  V counted = member;
  if (d.boolean("include_last_offset") && s.number_of(offsets, 0) > 1) {
    // As torch counts, the last bag goes on to the end, whatever the last offset says.
    const V starts = s.slice(begun, 1, 0, s.number_of(offsets, 0) - 1);
    const V place = s.sub(s.reduce("sum", starts, {1}, false), int64_t{1});
    counted = s.compare("eq", s.unsqueeze(place, 0), s.unsqueeze(s.range(bags), 1));
    if (pads) counted = s.both(counted, s.unsqueeze(s.compare("ne", indices, *padding), 0));
  }
  const V count = s.cast(s.reduce("sum", counted, {1}, true), t);
  if (*mode == 2) {
    const V spread = s.where(s.unsqueeze(member, 2), s.unsqueeze(rows, 0), -std::numeric_limits<double>::infinity(), t);
    const V top = s.extreme("amax", spread, {1}, false);
    return s.give(s.where(s.compare("gt", count, 0.0), top, 0.0, t));
  }
  V share = s.cast(member, t);
  if (weights) share = s.mul(share, s.unsqueeze(weights, 0));
  const V sums = s.mm(share, rows);
  return s.give(*mode == 0 ? sums : s.div(sums, s.clamp(count, 1.0, Arg())));
}

}  // namespace cortland::torch_ops::decompositions
