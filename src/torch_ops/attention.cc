// Scaled dot product attention: the op of iOS18, or matmul, softmax, matmul.
#include <algorithm>
#include <cmath>

#include "torch_ops/data_movement.h"
#include "torch_ops/decompositions.h"
#include "torch_ops/elementwise.h"

namespace cortland::torch_ops {
namespace {

struct Attention {
  Operand query, key, value;  // one rank, 3 to 5
  Operand mask;               // bool: true takes part; float: added to the scores
  bool vector_batch = false;  // an axis of size 1 was added in front
  int64_t repeat = 1;         // query heads for each key head
};

Dim from_end(const Lowering& in, Operand o, size_t i) { return in.shape_of(o).end()[-static_cast<std::ptrdiff_t>(i)]; }

// The lower triangle of a [queries, keys] matrix.
Result<Operand> causal_mask(Lowering& in, Dim queries, Dim keys) {
  TRY(Operand row, counting(in, queries));
  TRY(row, in.reshape(row, {queries, Dim(1)}));
  TRY(Operand column, counting(in, keys));
  TRY(column, in.reshape(column, {Dim(1), keys}));
  TRY(Operand mask, in.op(mil_ops::greater_equal, {{"x", row}, {"y", column}}));
  return in.with_shape(mask, {queries, keys});
}

Status read_mask(Lowering& in, Attention& a) {
  const Dim queries = from_end(in, a.query, 2), keys = from_end(in, a.key, 2);
  const bool causal = in.boolean("is_causal");
  if (causal) {
    TRY(a.mask, causal_mask(in, queries, keys));
  }
  if (!in.has("attn_mask")) return {};
  TRY(Operand given, in.precise_tensor("attn_mask"));
  if (causal && in.dtype_of(given) == DType::Bool) {
    TRY(a.mask, in.op(mil_ops::logical_and, {{"x", a.mask}, {"y", given}}));
    return {};
  }
  if (causal) return in.reject_argument("is_causal", "True with a float mask", "fold the causal mask into attn_mask");
  if (is_integer(in.dtype_of(given))) return in.reject(DiagKind::UnsupportedDtype, "an integer attention mask", "use a bool or a float mask");
  a.mask = given;
  return {};
}

// Key heads repeated until every query head has its own.
Result<Operand> repeat_heads(Lowering& in, Operand x, int64_t times) {
  if (times == 1) return x;
  const Shape shape = in.shape_of(x);
  if (shape.size() != 4) return in.reject(DiagKind::UnsupportedRank, "grouped heads in tensors of rank other than 4", "use tensors [batch, heads, length, features]");
  Shape wide = shape;
  wide.insert(wide.begin() + 2, times);
  TRY(x, in.unsqueeze(x, {2}));
  TRY(x, in.expand(x, wide));
  return in.reshape(x, {shape[0], in.dim_table().mul(shape[1], times), shape[2], shape[3]});
}

Result<Attention> read(Lowering& in) {
  Attention a;
  TRY(const double dropout, in.number("dropout_p"));
  if (dropout != 0) return in.reject_argument("dropout_p", std::to_string(dropout), "call eval() before the export");
  TRY(a.query, in.tensor("query"));
  TRY(a.key, in.tensor("key"));
  TRY(a.value, in.tensor("value"));
  if (in.boolean("enable_gqa") && in.rank("query") >= 3) {
    const Dim heads = from_end(in, a.query, 3), key_heads = from_end(in, a.key, 3);
    if (!heads.is_constant() || !key_heads.is_constant()) return in.reject(DiagKind::UnsupportedShape, "a dynamic number of grouped heads");
    const int64_t value_heads = from_end(in, a.value, 3).constant();
    TRY(a.key, repeat_heads(in, a.key, heads.constant() / key_heads.constant()));
    TRY(a.value, repeat_heads(in, a.value, heads.constant() / value_heads));
  }
  TRY_DO(read_mask(in, a));
  a.vector_batch = in.rank("query") == 2 && in.rank("key") == 2 && in.rank("value") == 2;
  if (a.vector_batch) {
    TRY(a.query, in.unsqueeze(a.query, {0}));
    TRY(a.key, in.unsqueeze(a.key, {0}));
    TRY(a.value, in.unsqueeze(a.value, {0}));
  }
  return a;
}

bool same_batch(const Shape& a, const Shape& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end() - 2, b.begin());
}

// Where the op is right: equal batches, rank 3 or 4, and a mask of static shape.
bool fits_the_op(const Lowering& in, const Attention& a) {
  if (!in.at_least(mil::Target::iOS18)) return false;
  const Shape &q = in.shape_of(a.query), &k = in.shape_of(a.key), &v = in.shape_of(a.value);
  if (q.size() > 4 || !same_batch(q, k) || !same_batch(q, v)) return false;
  return !a.mask || in.type(a.mask).tensor.is_static();
}

// 1 for each row of scores that has a key to look at, else 0; empty when every row has.
Result<Operand> rows_with_keys(Lowering& in, Operand mask) {
  if (in.dtype_of(mask) == DType::Bool) {
    TRY(mask, in.cast(mask, in.compute()));
    return in.op(mil_ops::reduce_max, {{"x", mask}, {"axes", std::vector<int64_t>{-1}}, {"keep_dims", true}});
  }
  // Only float32 tells a masked score (its lowest number) from an impossible one (-inf).
  if (in.dtype_of(mask) != DType::F32) return Operand();
  TRY(Operand best, in.op(mil_ops::reduce_max, {{"x", mask}, {"axes", std::vector<int64_t>{-1}}, {"keep_dims", true}}));
  TRY(Operand alive, in.op(mil_ops::greater_equal, {{"x", best}, {"y", in.constant(-3.4028234663852886e38, DType::F32)}}));
  return in.cast(alive, in.compute());
}

// Whether a constant says 1 everywhere.
bool all_ones(const Lowering& in, Operand o) {
  const auto values = in.const_floats(o);
  return values && std::all_of(values->begin(), values->end(), [](float v) { return v == 1; });
}

// What is added to the scores: far below every score, but finite, so that sums and differences stay numbers.
Result<Operand> additive_mask(Lowering& in, Operand mask) {
  const bool half = in.compute() == DType::F16;
  const double hidden = half ? -3e4 : -1e30;
  if (in.dtype_of(mask) == DType::Bool) {
    // 1 becomes 0, and 0 what hides. A select would need zeros of the shape of the mask.
    TRY(mask, in.cast(mask, in.compute()));
    return in.op(mil_ops::linear_activation, {{"x", mask}, {"alpha", -hidden}, {"beta", hidden}});
  }
  TRY(mask, in.op(mil_ops::maximum, {{"x", mask}, {"y", number_like(in, in.dtype_of(mask) == DType::F16 || half ? -3e4 : hidden, mask)}}));
  return in.cast(mask, in.compute());
}

Result<Operand> scaled(Lowering& in, Operand x, double factor) {
  if (std::abs(factor - 1) < 1e-9) return x;
  return in.op(mil_ops::mul, {{"x", x}, {"y", factor}});
}

Result<Operand> decomposed(Lowering& in, const Attention& a, double scale) {
  // The queries are scaled before the product, whose sums would leave float16 otherwise.
  TRY(Operand query, scaled(in, a.query, scale));
  TRY(Operand scores, in.op(mil_ops::matmul, {{"x", query}, {"y", a.key}, {"transpose_x", false}, {"transpose_y", true}}));
  Operand alive;
  if (a.mask) {
    TRY(Operand bias, additive_mask(in, a.mask));
    TRY(scores, in.op(mil_ops::add, {{"x", scores}, {"y", bias}}));
    TRY(alive, rows_with_keys(in, a.mask));
  }
  TRY(Operand weights, in.op(mil_ops::softmax, {{"x", scores}, {"axis", -1}}));
  TRY(Operand y, in.op(mil_ops::matmul, {{"x", weights}, {"y", a.value}, {"transpose_x", false}, {"transpose_y", false}}));
  // A query without keys gives zeros.
  if (alive && !all_ones(in, alive)) {
    TRY(y, in.op(mil_ops::mul, {{"x", y}, {"y", alive}}));
  }
  return y;
}

Result<Operand> attend(Lowering& in) {
  TRY(const Attention a, read(in));
  const Dim width = from_end(in, a.query, 1);
  if (!width.is_constant()) return in.reject(DiagKind::UnsupportedShape, "the number of features of the queries is dynamic");
  const double implied = 1 / std::sqrt(static_cast<double>(width.constant()));
  double scale = implied;
  if (in.has("scale")) {
    TRY(scale, in.number("scale"));
  }
  Operand y;
  if (fits_the_op(in, a)) {
    // The op has its own scale.
    TRY(Operand query, scaled(in, a.query, scale / implied));
    Operand mask = a.mask;
    if (mask && in.dtype_of(mask) != DType::Bool) {
      TRY(mask, additive_mask(in, mask));
    }
    TRY(y, in.op(mil_ops::scaled_dot_product_attention, {{"query", query}, {"key", a.key}, {"value", a.value}, {"attn_mask", mask}}));
    if (a.mask) {
      TRY(const Operand alive, rows_with_keys(in, a.mask));
      if (alive && !all_ones(in, alive)) {
        TRY(y, in.op(mil_ops::mul, {{"x", y}, {"y", alive}}));
      }
    }
  } else {
    TRY(y, decomposed(in, a, scale));
  }
  return a.vector_batch ? in.squeeze(y, {0}) : y;
}

Lowered lower_attention(Lowering& in) { return attend(in); }

Lowered lower_flash_attention(Lowering& in) {
  TRY(Operand y, attend(in));
  return std::vector<Operand>{y};
}

constexpr TorchOp kTable[] = {
    {.schema = "aten::_scaled_dot_product_flash_attention_for_cpu(Tensor query, Tensor key, Tensor value, float dropout_p=0., bool "
               "is_causal=False, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor output, Tensor logsumexp)",
     .lower = lower_flash_attention,
     .samples = "F[1,2,4,8] F[1,2,4,8] F[1,2,4,8] -> F[1,2,4,8], _; "
                "F[1,2,4,8] F[1,2,6,8] F[1,2,6,8] attn_mask=F[4,6] -> F[1,2,4,8], _; "
                "F[1,2,4,8] F[1,2,4,8] F[1,2,4,8] 0.0 True -> F[1,2,4,8], _; "
                "F[b2,2,m4,8] F[b2,2,k6,8] F[b2,2,k6,8] -> F[b2,2,m4,8], _"},
    {.schema = "aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., "
               "bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
     .lower = lower_attention, .decompose = decompositions::attention,
     .samples = "F[1,2,4,8] F[1,2,4,8] F[1,2,4,8]; F[1,2,4,8] F[1,2,6,8] F[1,2,6,8] F[4,6]; "
                "F[2,4,8] F[2,6,8] F[2,6,8] bool[4,6]{1,1,1,0,0,0,1,1,1,1,0,0,1,1,1,1,1,0,1,1,1,1,1,1}; "
                "F[1,2,4,8] F[1,2,4,8] F[1,2,4,8] is_causal=True; F[1,4,4,8] F[1,2,6,8] F[1,2,6,8] enable_gqa=True; "
                "F[1,2,n4,8] F[1,2,n4,8] F[1,2,n4,8]; F[1,2,4,8] F[1,2,4,8] F[1,2,4,8] scale=0.3; "
                "F[1,2,4,8] F[1,2,4,8] F[1,2,4,8] None 0.5 !unsupported-argument"},
    // What ExecuTorch's llama puts in the place of attention for Core ML.
    {.schema = "coreml::sdpa(Tensor q, Tensor k, Tensor v, Tensor attn_mask) -> Tensor", .decompose = decompositions::core_ml_attention,
     .samples = "F[1,2,4,8] F[1,2,6,8] F[1,2,6,8] F[4,6]; F[b2,2,n4,8] F[b2,2,k6,8] F[b2,2,k6,8] F[n4,k6]"},
};

}  // namespace

extern const std::span<const TorchOp> kAttentionOps;
const std::span<const TorchOp> kAttentionOps = kTable;

}  // namespace cortland::torch_ops
