// Sampling of volumes at computed points, where each point gathers its neighbours, and the grids of such points.
#include <algorithm>
#include <vector>

#include "torch_ops/decompositions.h"
#include "torch_ops/steps.h"

namespace cortland::torch_ops::decompositions {

using V = Steps::V;

namespace {

enum Interpolation : int64_t { kLinear = 0, kNearest = 1 };
enum Padding : int64_t { kZeros = 0, kBorder = 1, kReflection = 2 };

struct Sampling {
  int64_t padding = kZeros;
  bool align_corners = false;
};

// Distances beyond the borders turn back, at the centres of the outer elements or at their edges.
V reflected(Steps& s, V at, int64_t size, bool align_corners) {
  const double low = align_corners ? 0 : -0.5, span = static_cast<double>(align_corners ? size - 1 : size);
  if (span <= 0) return s.mul(at, 0.0);
  const V distance = s.unary("abs", s.sub(at, low));
  const V rest = s.sub(distance, s.mul(s.unary("floor", s.div(distance, 2 * span)), 2 * span));
  return s.add(s.mul(s.unary("abs", s.sub(rest, span)), -1.0), span + low);
}

// From -1 .. 1 to elements of an axis.
V elements(Steps& s, V at, int64_t size, const Sampling& how) {
  const auto n = static_cast<double>(size);
  V place = how.align_corners ? s.mul(s.add(at, 1.0), (n - 1) / 2) : s.sub(s.mul(s.add(at, 1.0), n / 2), 0.5);
  if (how.padding == kReflection) place = reflected(s, place, size, how.align_corners);
  return how.padding == kZeros ? place : s.clamp(place, 0.0, n - 1);
}

// What an axis contributes to a neighbour: its place, and its weight where it is inside.
struct Neighbour {
  V place, weight;
};

Neighbour neighbour(Steps& s, V place, V weight, int64_t size) {
  const V inside = s.both(s.compare("ge", place, 0.0), s.compare("le", place, static_cast<double>(size - 1)));
  return {s.clamp(place, 0.0, static_cast<double>(size - 1)), s.where(inside, weight, 0.0, s.dtype(weight))};
}

std::vector<Neighbour> neighbours(Steps& s, V at, int64_t size, int64_t interpolation) {
  if (interpolation == kNearest) {
    const V place = s.unary("round", at);
    return {neighbour(s, place, s.d.op("aten.ones_like.default", {{"self", place}}, s.type(place)), size)};
  }
  const V low = s.unary("floor", at), part = s.sub(at, low);
  return {neighbour(s, low, s.sub(s.mul(part, -1.0), -1.0), size), neighbour(s, s.add(low, 1.0), part, size)};
}

// ---- grids

// Points in -1 .. 1 along an axis: its ends, or the middles of its elements.
std::vector<float> base_points(int64_t size, bool align_corners) {
  std::vector<float> points(static_cast<size_t>(size), 0.0f);
  const auto n = static_cast<float>(size);
  for (size_t i = 0; size > 1 && i < points.size(); ++i) {
    points[i] = 2 * static_cast<float>(i) / (n - 1) - 1;
    if (!align_corners) points[i] *= (n - 1) / n;
  }
  return points;
}

}  // namespace

Status grid_sampler_3d(Decomposition& d) {
  Steps s(d);
  const V volume = d.tensor("input"), grid = d.tensor("grid");
  const auto interpolation = d.integer("interpolation_mode"), padding = d.integer("padding_mode");
  if (s.rank(volume) != 5 || s.rank(grid) != 5 || !interpolation || *interpolation > kNearest || !padding)
    return d.reject("a volume and a linear or nearest interpolation are expected");
  const Sampling how{*padding, d.boolean("align_corners")};
  const int64_t depth = s.number_of(volume, 2), height = s.number_of(volume, 3), width = s.number_of(volume, 4);
  constexpr int64_t kLongest = int64_t{1} << 20;
  if (!s.fits() || std::max({depth, height, width}) > kLongest) return d.reject("the sizes of the volume must be known");
  const Dim batch = s.size_of(volume, 0), channels = s.size_of(volume, 1), points = s.product(s.shape(grid), 1, 4);
  const V flat = s.view(volume, {batch, channels, Dim(depth * height * width)}), places = s.view(grid, {batch, points, 3});
  const auto axis = [&](int64_t i, int64_t size) {
    return neighbours(s, elements(s, s.select(places, 2, i), size, how), size, *interpolation);
  };
  const auto xs = axis(0, width), ys = axis(1, height), zs = axis(2, depth);
  V sum;
  for (const Neighbour& z : zs)
    for (const Neighbour& y : ys)
      for (const Neighbour& x : xs) {
        const V row = s.add(s.mul(z.place, static_cast<double>(height)), y.place);
        const V index = s.cast(s.add(s.mul(row, static_cast<double>(width)), x.place), DType::I64);
        const Shape to = {batch, channels, points};
        const V taken =
            d.op("aten.gather.default",
                 {{"self", flat}, {"dim", int64_t{2}}, {"index", s.expand(s.unsqueeze(index, 1), to)}}, {s.dtype(flat), to});
        const V part = s.mul(taken, s.unsqueeze(s.mul(s.mul(z.weight, y.weight), x.weight), 1));
        sum = sum ? s.add(sum, part) : part;
      }
  return s.give(s.view(sum, d.result_type().shape));
}

// The points of a regular grid, each with a 1, times theta.
Status affine_grid(Decomposition& d) {
  Steps s(d);
  const V theta = d.tensor("theta");
  const Shape to = d.result_type().shape;  // [N, ..., axes]
  constexpr int64_t kMostPoints = int64_t{1} << 22;
  const auto axes = static_cast<int64_t>(to.size()) - 2;
  const bool known =
      axes >= 2 && std::all_of(to.begin() + 1, to.end(), [](Dim d) { return d.is_constant() && d.constant() > 0; });
  const Dim points = known ? s.product(to, 1, to.size() - 1) : Dim(0);
  if (!known || axes > 3 || s.rank(theta) != 3 || !points.is_constant() || points.constant() > kMostPoints)
    return d.reject("the sizes of the grid must be known");
  std::vector<std::vector<float>> places;
  for (int64_t i = 0; i < axes; ++i)
    places.push_back(base_points(to[static_cast<size_t>(i) + 1].constant(), d.boolean("align_corners")));
  std::vector<float> base;
  std::vector<size_t> index(places.size(), 0);
  for (int64_t row = 0; row < points.constant(); ++row) {
    for (size_t i = places.size(); i-- > 0;) base.push_back(places[i][index[i]]);
    base.push_back(1);
    for (size_t i = places.size(); i-- > 0;) {
      if (++index[i] < places[i].size()) break;
      index[i] = 0;
    }
  }
  const V table = s.floats({1, points.constant(), axes + 1}, base, s.dtype(theta)), turned = s.transpose(theta, 1, 2);
  const V grid = d.op("aten.matmul.default", {{"self", table}, {"other", turned}},
                      {s.dtype(theta), {s.size_of(theta, 0), points, Dim(axes)}});
  return s.give(s.view(grid, to));
}

}  // namespace cortland::torch_ops::decompositions
