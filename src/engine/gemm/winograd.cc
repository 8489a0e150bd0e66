// conv with windows of 3 x 3 pixels, step 1, by Winograd's F(2x2, 3x3) (Lavin and Gray, 2015): tiles of 4 x 4 pixels become
// 16 sums for each channel, 16 products with packed matrices take them to the channels of the result, and 16 of those sums
// give 2 x 2 pixels: 16 multiplications where 36 would be. Only additions come in, and halves in the weights, so float32
// loses a digit at most. Channels last. Threads share the tiles, a part of them at a time, whose sums stay in the L2 cache;
// or, of few tiles, the matrices.
#include <algorithm>
#include <array>

#include "engine/gemm/kernels.h"
#include "engine/gemm/packed_matrix.h"
#include "engine/simd/functions.h"
#include "engine/threads.h"
#include "mil_ops/window.h"

namespace cortland::engine::gemm {
namespace {

using mil::Tensor;

constexpr int64_t kSums = 16;                 // of a tile, for each channel
constexpr int64_t kLeastTiles = 12;           // below, reading the larger weights takes the time that is saved
constexpr int64_t kLeastChannels = 32;        // below, making sums does
constexpr int64_t kCache = int64_t{1} << 17;  // elements of sums, before and after the products, that stay in the L2 cache
constexpr int64_t kRows = 24;                 // of a product, at which reading the matrix does not count
constexpr int64_t kGap = 16;  // elements between the matrices of sums, whose rows would share lines of the L1 cache

int64_t tiles_along(int64_t pixels) { return (pixels + 1) / 2; }

struct Geometry {
  int64_t images, in_rows, in_columns, rows, columns;
  int64_t above, left;  // padding

  int64_t tile_rows() const { return tiles_along(rows); }
  int64_t tile_columns() const { return tiles_along(columns); }
  int64_t tiles() const { return images * tile_rows() * tile_columns(); }
};

// Tiles in order: some of one row of tiles.
struct Stretch {
  int64_t image, row, first, last;
};

template <class Body>
void for_each_stretch(const Geometry& g, int64_t first, int64_t last, const Body& body) {
  for (int64_t end; first < last; first = end) {
    const int64_t row = first / g.tile_columns(), begin = row * g.tile_columns();
    end = std::min(last, begin + g.tile_columns());
    body(Stretch{row / g.tile_rows(), row % g.tile_rows(), first - begin, end - begin});
  }
}

// The 16 matrices [channels, out channels] whose products stand for windows of weight [out, in, 3, 3].
std::vector<PackedMatrix> pack(const Tensor& weight) {
  const int64_t out = weight.dim(0), in = weight.dim(1);
  const Tensor values = weight.cast(DType::F32);
  const auto* w = values.data<float>();
  std::array<Tensor, kSums> factors;
  for (Tensor& t : factors) t = Tensor::make(DType::F32, {out, in});
  parallel_for(out * in, 1 << 12, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const float* window = w + 9 * i;
      float down[4][3];
      for (int x = 0; x < 3; ++x) {
        const float top = window[x], middle = window[3 + x], bottom = window[6 + x], ends = 0.5f * (top + bottom);
        down[0][x] = top;
        down[1][x] = ends + 0.5f * middle;
        down[2][x] = ends - 0.5f * middle;
        down[3][x] = bottom;
      }
      for (size_t y = 0; y < 4; ++y) {
        const float *row = down[y], ends = 0.5f * (row[0] + row[2]);
        const float across[4] = {row[0], ends + 0.5f * row[1], ends - 0.5f * row[1], row[2]};
        for (size_t x = 0; x < 4; ++x) factors[4 * y + x].mutable_data<float>()[i] = across[x];
      }
    }
  });
  std::vector<PackedMatrix> packed;
  for (const Tensor& t : factors) packed.push_back(PackedMatrix::floats(t, MatrixLayout::of({out, in}, true)));
  return packed;
}

class WinogradKernel final : public Kernel {
 public:
  explicit WinogradKernel(const Site& site)
      : matrices_(pack(site.tensor("weight"))),
        in_(matrices_[0].k()),
        out_(matrices_[0].n()),
        bias_(site.has("bias") ? site.tensor("bias").floats() : std::vector<float>(static_cast<size_t>(out_))),
        outside_(static_cast<size_t>(in_)),
        post_(site.manner.post) {}

  Status run(KernelContext& c) override {
    const Tensor x = c.tensor("x").cast(DType::F32);
    const auto g = geometry(c, x);
    if (!g) return c.error("x has other sizes than the program says");
    Tensor out = Tensor::make(DType::F32, {g->images, g->rows, g->columns, out_});
    for (const mil::RuntimeValue& addend : c.addends)
      if (addend.tensor.dtype != DType::F32 || addend.tensor.shape != out.shape)
        return c.error("what is added to the result has another shape");
    if (g->tiles() >= thread_count() * kRows)
      run_tiles(c, x, *g, out);
    else
      run_matrices(c, x, *g, out);
    c.set_output(0, out.cast(c.result_types[0].dtype()));
    return {};
  }

  bool reads(std::string_view input) const override { return input != "weight"; }

 private:
  std::optional<Geometry> geometry(const KernelContext& c, const Tensor& x) const {
    const auto windows = mil_ops::read_windows(c, 2);
    if (!windows.ok() || x.rank() != 4 || x.dim(3) != in_ || x.elements() == 0) return std::nullopt;
    DimTable dims;
    const Dim rows = windows->out_size(dims, 0, x.dim(1), 3), columns = windows->out_size(dims, 1, x.dim(2), 3);
    if (!rows.is_constant() || !columns.is_constant() || rows.constant() < 1 || columns.constant() < 1) return std::nullopt;
    return Geometry{x.dim(0),
                    x.dim(1),
                    x.dim(2),
                    rows.constant(),
                    columns.constant(),
                    windows->before(0, x.dim(1), 3, rows.constant()),
                    windows->before(1, x.dim(2), 3, columns.constant())};
  }

  // Matrices of sums, before and after the products, for tiles from `first` to `last`.
  struct Sums {
    int64_t first, last;
    std::vector<float>&before, &after;
    int64_t in_step, out_step;  // from matrix to matrix
  };

  Sums make_room(int64_t first, int64_t last, std::vector<float>& before, std::vector<float>& after) const {
    const Sums s{first, last, before, after, (last - first) * in_ + kGap, (last - first) * out_ + kGap};
    before.resize(static_cast<size_t>(kSums * s.in_step));
    after.resize(static_cast<size_t>(kSums * s.out_step));
    return s;
  }

  // Each thread has its tiles, a part of them at a time.
  void run_tiles(const KernelContext& c, const Tensor& x, const Geometry& g, Tensor& out) const {
    const int64_t threads = thread_count(), tiles = g.tiles();
    parallel_on_openmp(threads, [&](int64_t t) {
      thread_local std::vector<float> before, after;
      const int64_t first = tiles * t / threads, count = tiles * (t + 1) / threads - first;
      const int64_t most = std::max(kRows, kCache / (kSums * (in_ + out_))), parts = (count + most - 1) / most;
      for (int64_t i = 0; i < parts; ++i) {
        const Sums s = make_room(first + count * i / parts, first + count * (i + 1) / parts, before, after);
        make_sums(x, g, s, s.first, s.last);
        for (int64_t m = 0; m < kSums; ++m) multiply(s, m);
        make_pixels(c, g, s, s.first, s.last, out);
      }
    });
  }

  // Of few tiles each thread has its matrices, which are then read once.
  void run_matrices(const KernelContext& c, const Tensor& x, const Geometry& g, Tensor& out) {
    const int64_t threads = thread_count(), tiles = g.tiles();
    const Sums s = make_room(0, tiles, before_, after_);
    parallel_on_openmp(threads, [&](int64_t t) { make_sums(x, g, s, tiles * t / threads, tiles * (t + 1) / threads); });
    parallel_on_openmp(threads, [&](int64_t t) {
      for (int64_t m = kSums * t / threads; m < kSums * (t + 1) / threads; ++m) multiply(s, m);
    });
    parallel_on_openmp(threads,
                       [&](int64_t t) { make_pixels(c, g, s, tiles * t / threads, tiles * (t + 1) / threads, out); });
  }

  void multiply(const Sums& s, int64_t m) const {
    matrices_[static_cast<size_t>(m)].multiply({s.before.data() + m * s.in_step, in_, s.last - s.first},
                                               {s.after.data() + m * s.out_step, out_});
  }

  void make_sums(const Tensor& x, const Geometry& g, const Sums& s, int64_t first, int64_t last) const {
    float* sums = s.before.data() + (first - s.first) * in_;
    for_each_stretch(g, first, last, [&](const Stretch& stretch) { sums = sums_of(x, g, stretch, sums, s.in_step); });
  }

  void make_pixels(const KernelContext& c, const Geometry& g, const Sums& s, int64_t first, int64_t last,
                   Tensor& out) const {
    const float* sums = s.after.data() + (first - s.first) * out_;
    for_each_stretch(g, first, last, [&](const Stretch& stretch) {
      sums = pixels_of(sums, s.out_step, g, stretch, out);
      follow(c, g, stretch, out);
    });
  }

  float* sums_of(const Tensor& x, const Geometry& g, const Stretch& s, float* sums, int64_t step) const {
    const float* image = x.data<float>() + s.image * g.in_rows * g.in_columns * in_;
    for (int64_t tile = s.first; tile < s.last; ++tile, sums += in_) {
      std::array<const float*, 16> pixels;
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t row = 2 * s.row - g.above + i / 4, column = 2 * tile - g.left + i % 4;
        const bool inside = row >= 0 && row < g.in_rows && column >= 0 && column < g.in_columns;
        pixels[static_cast<size_t>(i)] = inside ? image + (row * g.in_columns + column) * in_ : outside_.data();
      }
      simd::functions().winograd_in(pixels.data(), sums, step, in_);
    }
    return sums;
  }

  const float* pixels_of(const float* sums, int64_t step, const Geometry& g, const Stretch& s, Tensor& out) const {
    thread_local std::vector<float> nowhere;
    nowhere.resize(static_cast<size_t>(out_));
    float* image = out.mutable_data<float>() + s.image * g.rows * g.columns * out_;
    for (int64_t tile = s.first; tile < s.last; ++tile, sums += out_) {
      std::array<float*, 4> pixels;
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t row = 2 * s.row + i / 2, column = 2 * tile + i % 2;
        pixels[static_cast<size_t>(i)] =
            row < g.rows && column < g.columns ? image + (row * g.columns + column) * out_ : nowhere.data();
      }
      simd::functions().winograd_out(sums, step, bias_.data(), pixels.data(), out_);
    }
    return sums;
  }

  // The post-ops, on the pixels of a stretch.
  void follow(const KernelContext& c, const Geometry& g, const Stretch& s, Tensor& out) const {
    if (post_.empty()) return;
    const int64_t column = 2 * s.first, columns = std::min(2 * s.last, g.columns) - column;
    for (int64_t row = 2 * s.row; row < std::min(2 * s.row + 2, g.rows); ++row) {
      const int64_t at = ((s.image * g.rows + row) * g.columns + column) * out_;
      apply_post_ops(post_, c.addends, at, out.mutable_data<float>() + at, columns * out_);
    }
  }

  std::vector<PackedMatrix> matrices_;
  int64_t in_, out_;  // channels
  std::vector<float> bias_, outside_;
  std::vector<float> before_, after_;  // of run_matrices
  std::vector<PostOp> post_;
};

bool is_one_each(const Site& site, std::string_view input) {
  if (!site.has(input)) return true;
  return site.is_constant(input) && std::ranges::all_of(site.ints(input), [](int64_t v) { return v == 1; });
}

// Sizes of the windows' image, of which padding adds or takes little.
bool has_enough_tiles(const Shape& x) {
  for (Dim d : x)
    if (!d.is_constant()) return false;
  return x[0].constant() * tiles_along(x[1].constant()) * tiles_along(x[2].constant()) >= kLeastTiles;
}

}  // namespace

std::unique_ptr<Kernel> make_winograd_conv(const Site& site) {
  const mil::Type &x = site.type("x"), &w = site.type("weight");
  if (!site.manner.channels_last || !is_float(x.dtype()) || x.rank() != 4 || !has_enough_tiles(x.shape())) return nullptr;
  if (!site.is_constant("weight") || !is_float(w.dtype()) || w.rank() != 4 || !w.tensor.is_static()) return nullptr;
  const Shape& shape = w.shape();
  if (shape[2] != Dim(3) || shape[3] != Dim(3) || x.shape()[3] != shape[1]) return nullptr;  // groups have fewer channels
  if (shape[0].constant() < kLeastChannels || shape[1].constant() < kLeastChannels) return nullptr;
  for (const char* input : {"strides", "dilations", "groups"})
    if (!is_one_each(site, input)) return nullptr;
  for (const char* input : {"pad_type", "pad", "bias"})
    if (site.has(input) && !site.is_constant(input)) return nullptr;
  if (site.has("bias") && site.tensor("bias").shape != std::vector<int64_t>{shape[0].constant()}) return nullptr;
  return std::make_unique<WinogradKernel>(site);
}

}  // namespace cortland::engine::gemm
