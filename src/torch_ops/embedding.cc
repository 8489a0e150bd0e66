// Rows of a table by index, alone or summed up in bags.
#include <algorithm>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"
#include "torch_ops/linear.h"

namespace cortland::torch_ops {
namespace {

using Ints = std::vector<int64_t>;

// The rows a flat or shaped index tensor names, behind each other: [number of indices, features].
Result<Operand> rows(Lowering& in, Operand table, Operand indices) {
  return in.op(mil_ops::gather, {{"x", table}, {"indices", indices}, {"axis", 0}});
}

Lowered lower_embedding(Lowering& in) {
  TRY(Operand table, in.tensor("weight"));
  TRY(Operand indices, in.tensor("indices"));
  const Shape& shape = in.shape("indices");
  // Core ML counts the ranks of table and indices together, up to 5, and is unsure about scalars.
  if (!shape.empty() && shape.size() <= 3) return rows(in, table, indices);
  TRY(indices, in.reshape(indices, {product(in, shape, 0, shape.size())}));
  TRY(Operand flat, rows(in, table, indices));
  return in.reshape(flat, in.result_type().shape);
}

// --- bags

enum class Mode { Sum, Mean, Max };

struct Bags {
  Operand rows;      // [indices, features]
  Operand weights;   // [indices], or nothing
  Operand keep;      // bool [indices]: not the padding index; or nothing
  Dim count, bags;
  Mode mode = Mode::Sum;
};

// bool [bags, indices]: whether the index lies in the bag. Offsets say where each bag begins.
Result<Operand> membership(Lowering& in, const Bags& b, Operand offsets, bool has_end) {
  TRY(Operand position, counting(in, b.count));
  TRY(position, in.reshape(position, {Dim(1), b.count}));
  TRY(Operand begin, slice(in, offsets, 0, 0, b.bags));
  TRY(Operand end, slice(in, offsets, 0, 1, has_end ? in.dim_table().add(b.bags, 1) : b.bags));
  if (!has_end) {
    TRY(Operand all, in.size(b.count));
    TRY(all, in.reshape(all, {1}));
    if (b.bags == Dim(1)) {
      end = all;
    } else {
      TRY(end, concat(in, {end, all}, 0));
    }
  }
  TRY(begin, in.reshape(begin, {b.bags, Dim(1)}));
  TRY(end, in.reshape(end, {b.bags, Dim(1)}));
  TRY(Operand after, in.op(mil_ops::greater_equal, {{"x", position}, {"y", begin}}));
  TRY(Operand before, in.op(mil_ops::less, {{"x", position}, {"y", end}}));
  TRY(Operand inside, in.op(mil_ops::logical_and, {{"x", after}, {"y", before}}));
  if (b.keep) {
    TRY(Operand keep, in.reshape(b.keep, {Dim(1), b.count}));
    TRY(inside, in.op(mil_ops::logical_and, {{"x", inside}, {"y", keep}}));
  }
  return in.with_shape(inside, {b.bags, b.count});
}

Result<Operand> summed_bags(Lowering& in, const Bags& b, Operand inside, Operand counted) {
  TRY(Operand share, in.cast(inside, in.compute()));
  if (b.mode == Mode::Mean) {
    TRY(Operand members, in.cast(counted, in.compute()));
    TRY(members, in.op(mil_ops::reduce_sum, {{"x", members}, {"axes", Ints{1}}, {"keep_dims", true}}));
    TRY(members, in.op(mil_ops::maximum, {{"x", members}, {"y", 1.0}}));
    TRY(share, in.op(mil_ops::real_div, {{"x", share}, {"y", members}}));
  }
  if (b.weights) {
    TRY(Operand weights, in.reshape(b.weights, {Dim(1), b.count}));
    TRY(share, in.op(mil_ops::mul, {{"x", share}, {"y", weights}}));
  }
  return matrix_product(in, share, b.rows);
}

// Empty bags give 0.
Result<Operand> largest_of_bags(Lowering& in, const Bags& b, Operand inside) {
  const double lowest = in.compute() == DType::F16 ? -65504 : -3.4028234663852886e38;
  const Dim features = in.shape_of(b.rows)[1];
  TRY(Operand cond, in.reshape(inside, {b.bags, b.count, Dim(1)}));
  TRY(Operand table, in.reshape(b.rows, {Dim(1), b.count, features}));
  TRY(Operand candidates, select(in, cond, table, in.constant(lowest, in.compute()), {b.bags, b.count, features}));
  TRY(Operand best, in.op(mil_ops::reduce_max, {{"x", candidates}, {"axes", Ints{1}}, {"keep_dims", false}}));
  TRY(Operand member, in.cast(inside, in.compute()));
  TRY(member, in.op(mil_ops::reduce_max, {{"x", member}, {"axes", Ints{1}}, {"keep_dims", true}}));
  TRY(Operand filled_bag, in.op(mil_ops::greater, {{"x", member}, {"y", 0.0}}));
  return select(in, filled_bag, best, in.constant(0, in.compute()), {b.bags, features});
}

Lowered lower_embedding_bag(Lowering& in) {
  Bags b;
  TRY(Operand table, in.tensor("weight"));
  TRY(Operand indices, in.tensor("indices"));
  TRY(Operand offsets, in.tensor("offsets"));
  TRY(const int64_t mode, in.integer("mode"));
  b.mode = mode == 0 ? Mode::Sum : mode == 1 ? Mode::Mean : Mode::Max;
  const bool has_end = in.boolean("include_last_offset");
  b.count = in.shape("indices")[0];
  b.bags = in.result_type().shape[0];
  TRY(b.rows, rows(in, table, indices));
  if (in.has("per_sample_weights")) {
    TRY(b.weights, in.tensor("per_sample_weights"));
  }
  if (in.has("padding_idx")) {
    TRY(int64_t padding, in.integer("padding_idx"));
    if (in.node().target.find("padding_idx") != std::string::npos && padding < 0 && in.shape("weight")[0].is_constant())
      padding += in.shape("weight")[0].constant();
    if (padding >= 0) {
      TRY(b.keep, in.op(mil_ops::not_equal, {{"x", indices}, {"y", padding}}));
    }
  }
  TRY(Operand inside, membership(in, b, offsets, has_end));
  Operand y;
  if (b.mode == Mode::Max) {
    TRY(y, largest_of_bags(in, b, inside));
  } else {
    // torch's mean divides by what lies between the last bag's begin and the end of the indices, whatever the last offset says.
    Operand counted = inside;
    if (b.mode == Mode::Mean && has_end) {
      TRY(counted, membership(in, b, offsets, false));
    }
    TRY(y, summed_bags(in, b, inside, counted));
  }
  return std::vector<Operand>{y};
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool "
               "sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> (Tensor, Tensor, "
               "Tensor, Tensor)",
     .lower = lower_embedding_bag, .decompose = decompositions::embedding_bag,
     .samples = "const F[10,4] i64[6]{0..9} const i64[3]{0,2,4} -> F[3,4], _, _, _; "
                "const F[10,4] i64[6]{0..9} const i64[3]{0,2,4} False 1 -> F[3,4], _, _, _; "
                "const F[10,4] i64[n6]{0..9} const i64[3]{0,2,4} -> F[3,4], _, _, _"},
    {.schema = "aten::_embedding_bag_forward_only(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int "
               "mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> (Tensor, "
               "Tensor, Tensor, Tensor)",
     .lower = lower_embedding_bag, .decompose = decompositions::embedding_bag,
     .samples = "const F[10,4] i64[6]{0..9} const i64[3]{0,2,4} -> F[3,4], _, _, _; "
                "const F[10,4] i64[n6]{0..9} const i64[3]{0,2,4} -> F[3,4], _, _, _"},
    {.schema = "aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) "
               "-> Tensor",
     .lower = lower_embedding,
     .samples = "const F[10,4] I[2,3]{0..9} -> F[2,3,4]; const F[10,4] i64[]{0..9} -> F[4]; "
                "F[10,4] I[3]{0..9} -> F[3,4]; const F[10,4] i64[n4]{0..9} -> F[n4,4]"},
    {.schema = "aten::embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool "
               "sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False) -> (Tensor, Tensor, Tensor, Tensor)",
     .lower = lower_embedding_bag, .decompose = decompositions::embedding_bag,
     .edge = "aten._embedding_bag_forward_only.default",
     .samples = "const F[10,4] i64[6]{0..9} const i64[3]{0,2,4} -> F[3,4], _, _, _; "
                "const F[10,4] i64[n6]{0..9} const i64[3]{0,2,4} -> F[3,4], _, _, _"},
    {.schema = "aten::embedding_bag.padding_idx(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq, int mode, bool "
               "sparse, Tensor? per_sample_weights, bool include_last_offset, int? padding_idx) -> (Tensor, Tensor, Tensor, Tensor)",
     .lower = lower_embedding_bag, .decompose = decompositions::embedding_bag,
     .edge = "aten._embedding_bag_forward_only.default",
     .samples = "const F[10,4] i64[6]{0..9} const i64[3]{0,2,4} False 0 False None False -1 -> F[3,4], _, _, _; "
                "const F[10,4] i64[n6]{0..9} const i64[3]{0,2,4} False 0 False None False -1 -> F[3,4], _, _, _"},
};

}  // namespace

extern const std::span<const TorchOp> kEmbeddingOps;
const std::span<const TorchOp> kEmbeddingOps = kTable;

}  // namespace cortland::torch_ops
