#include "torch/schema.h"

#include <gtest/gtest.h>

namespace cortland::torch {
namespace {

using Type = SchemaArg::Type;

Schema parsed(std::string_view text) {
  auto schema = parse_schema(text);
  EXPECT_TRUE(schema.ok()) << text << ": " << (schema.ok() ? "" : schema.error().what);
  return schema.ok() ? *schema : Schema{};
}

const SchemaArg& arg(const Schema& schema, std::string_view name) {
  const SchemaArg* found = schema.find(name);
  EXPECT_NE(found, nullptr) << name;
  static const SchemaArg kNone;
  return found ? *found : kNone;
}

template <class T>
T fallback(const Schema& schema, std::string_view name) {
  const SchemaArg& found = arg(schema, name);
  EXPECT_TRUE(found.has_default) << name;
  const T* value = found.fallback.as<T>();
  EXPECT_NE(value, nullptr) << name;
  return value ? *value : T{};
}

std::vector<int64_t> int_list(const Arg& arg) {
  std::vector<int64_t> out;
  if (const auto* list = arg.as<Arg::List>())
    for (const Arg& item : *list) out.push_back(item.as<int64_t>() ? *item.as<int64_t>() : -999);
  return out;
}

TEST(Schema, NamesOverloadsAndKeywordOnlyArguments) {
  const auto add = parsed("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor");
  EXPECT_EQ(add.target(), "aten.add.Tensor");
  ASSERT_EQ(add.args.size(), 3u);
  EXPECT_EQ(add.args[1].type, Type::Tensor);
  EXPECT_FALSE(add.args[1].keyword_only);
  EXPECT_TRUE(add.args[2].keyword_only);
  EXPECT_EQ(add.args[2].type, Type::Scalar);
  EXPECT_EQ(fallback<int64_t>(add, "alpha"), 1);
  ASSERT_EQ(add.returns.size(), 1u);
  EXPECT_EQ(parsed("aten::gelu(Tensor self, *, str approximate='none') -> Tensor").target(), "aten.gelu.default");
  EXPECT_EQ(parsed("aten::__and__.Scalar(Tensor self, Scalar other) -> Tensor").name, "__and__");
  EXPECT_EQ(add.find("alpah"), nullptr);
}

TEST(Schema, AliasesAndMutation) {
  const auto add = parsed("aten::add_.Tensor(Tensor(a!) self, Tensor other, *, Scalar alpha=1) -> Tensor(a!)");
  EXPECT_TRUE(arg(add, "self").mutated);
  EXPECT_EQ(arg(add, "self").alias, "a");
  EXPECT_FALSE(arg(add, "other").mutated);
  EXPECT_TRUE(add.returns[0].mutated);
  const auto split = parsed("aten::split.Tensor(Tensor(a -> *) self, SymInt split_size, int dim=0) -> Tensor(a)[]");
  EXPECT_EQ(arg(split, "self").alias, "a");
  EXPECT_FALSE(arg(split, "self").mutated);
  EXPECT_TRUE(split.returns[0].list);
  EXPECT_EQ(split.returns[0].alias, "a");
  const auto view = parsed("aten::view(Tensor(a) self, SymInt[] size) -> Tensor(a)");
  EXPECT_EQ(view.returns[0].alias, "a");
  EXPECT_FALSE(view.returns[0].mutated);
}

TEST(Schema, Lists) {
  const auto conv = parsed(
      "aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, SymInt[2] padding=0, "
      "SymInt[2] dilation=[1, 2], SymInt groups=1) -> Tensor");
  EXPECT_TRUE(arg(conv, "bias").optional);
  EXPECT_TRUE(arg(conv, "bias").fallback.is_none());
  EXPECT_TRUE(arg(conv, "bias").has_default);
  EXPECT_FALSE(arg(conv, "weight").has_default);
  EXPECT_EQ(arg(conv, "stride").type, Type::Int);
  EXPECT_EQ(arg(conv, "stride").list_size, 2);
  EXPECT_EQ(int_list(arg(conv, "stride").fallback), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(int_list(arg(conv, "dilation").fallback), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(fallback<int64_t>(conv, "groups"), 1);
  const auto pool = parsed("aten::max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[]) -> Tensor");
  EXPECT_TRUE(arg(pool, "stride").has_default);
  EXPECT_TRUE(fallback<Arg::List>(pool, "stride").empty());
  const auto index = parsed("aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor");
  EXPECT_TRUE(arg(index, "indices").list);
  EXPECT_TRUE(arg(index, "indices").optional_items);
  EXPECT_FALSE(arg(index, "indices").optional);
  const auto mean =
      parsed("aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor");
  EXPECT_TRUE(arg(mean, "dim").list);
  EXPECT_TRUE(arg(mean, "dim").optional);
  EXPECT_FALSE(arg(mean, "dim").optional_items);
  const auto upsample =
      parsed("aten::upsample_nearest2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor");
  EXPECT_EQ(arg(upsample, "scale_factors").type, Type::Float);
  EXPECT_TRUE(arg(upsample, "scale_factors").optional);
}

TEST(Schema, Defaults) {
  const auto s = parsed(
      "ns::f(float a=1, float b=1.0000000000000001e-05, float c=-.5, bool d=True, str e=\"it's\", int f=-100, "
      "Tensor? g=None, float[] h=[1, 2.], float i=inf, float j=-inf, int k=9223372036854775807, bool[3] l=[True, False, "
      "True], "
      "int m=Mean, MemoryFormat n=contiguous_format, ScalarType o=long, Layout p=strided, str q='a\\'b', int? r=0) -> ()");
  EXPECT_EQ(fallback<double>(s, "a"), 1.0);
  EXPECT_EQ(fallback<double>(s, "b"), 1e-5);
  EXPECT_EQ(fallback<double>(s, "c"), -0.5);
  EXPECT_EQ(fallback<bool>(s, "d"), true);
  EXPECT_EQ(fallback<std::string>(s, "e"), "it's");
  EXPECT_EQ(fallback<int64_t>(s, "f"), -100);
  EXPECT_TRUE(arg(s, "g").fallback.is_none());
  ASSERT_EQ(fallback<Arg::List>(s, "h").size(), 2u);
  EXPECT_EQ(*fallback<Arg::List>(s, "h")[0].as<double>(), 1.0);
  EXPECT_EQ(fallback<double>(s, "i"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(fallback<double>(s, "j"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(fallback<int64_t>(s, "k"), INT64_MAX);
  EXPECT_EQ(fallback<Arg::List>(s, "l").size(), 3u);
  EXPECT_EQ(fallback<int64_t>(s, "m"), 1);
  EXPECT_EQ(fallback<MemoryFormat>(s, "n"), MemoryFormat::Contiguous);
  EXPECT_EQ(fallback<DType>(s, "o"), DType::I64);
  EXPECT_EQ(fallback<Layout>(s, "p").code, 7);
  EXPECT_EQ(fallback<std::string>(s, "q"), "a'b");
  EXPECT_EQ(fallback<int64_t>(s, "r"), 0);
  EXPECT_TRUE(s.returns.empty());
}

TEST(Schema, Returns) {
  const auto topk = parsed(
      "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor "
      "indices)");
  ASSERT_EQ(topk.returns.size(), 2u);
  EXPECT_EQ(topk.returns[1].name, "indices");
  EXPECT_EQ(fallback<int64_t>(topk, "dim"), -1);
  EXPECT_EQ(parsed("aten::sym_size.int(Tensor self, int dim) -> SymInt").returns[0].type, Type::Int);
  EXPECT_EQ(parsed("aten::item(Tensor self) -> Scalar").returns[0].type, Type::Scalar);
  EXPECT_EQ(parsed("aten::sym_is_contiguous(Tensor self) -> SymBool").returns[0].type, Type::Bool);
  EXPECT_TRUE(parsed("executorch_prim::et_view.default(Tensor self, int[] size, Tensor(a!) out)").returns.empty());
}

// Every form found in PyTorch's own list parses, and nothing else differs in kind.
TEST(Schema, RepresentativeOperators) {
  const char* const kSchemas[] = {
      "aten::_assert_async.msg(Tensor self, str assert_msg) -> ()",
      "aten::_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
      "pin_memory=None, bool "
      "non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
      "aten::lstm.input(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool "
      "train, bool "
      "bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)",
      "aten::rand(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? "
      "pin_memory=None) -> Tensor",
      "aten::dropout(Tensor input, float p, bool train) -> Tensor",
      "aten::bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor",
      "aten::scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float "
      "dropout_p=0., bool "
      "is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
      "aten::cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, "
      "float "
      "label_smoothing=0.) -> Tensor",
      "aten::pad(Tensor self, SymInt[] pad, str mode=\"constant\", float? value=None) -> Tensor",
      "aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor",
      "aten::einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor",
      "aten::index_put_(Tensor(a!) self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor(a!)",
      "aten::random_.from(Tensor(a!) self, int from, int? to, *, Generator? generator=None) -> Tensor(a!)",
      "torchao::dequantize_affine(Tensor input, SymInt[] block_size, Tensor scale, Tensor? zero_point, ScalarType "
      "input_dtype, "
      "Scalar? quant_min=None, Scalar? quant_max=None, ScalarType output_dtype=float) -> Tensor",
      "quantized::conv2d(Tensor qx, __torch__.torch.classes.quantized.Conv2dPackedParamsBase packed_weight, float s, int z) "
      "-> Tensor",
  };
  for (const char* text : kSchemas) EXPECT_GT(parsed(text).args.size(), 0u) << text;
}

TEST(Schema, RefusesWhatIsMalformed) {
  const char* const kSchemas[] = {"",
                                  "aten",
                                  "aten::",
                                  "aten::f",
                                  "aten::f(",
                                  "aten::f(Tensor",
                                  "aten::f(Tensor self",
                                  "aten::f(Tensor self) -> ",
                                  "aten::f(Tensor self) -> Tensor x y",
                                  "aten::f(Tensor self, ) -> ()",
                                  "aten::f(Tensor) -> ()",
                                  "aten::f(int[0] x) -> ()",
                                  "aten::f(int[99999999999] x) -> ()",
                                  "aten::f(int x=1e) -> ()",
                                  "aten::f(str x='abc) -> ()",
                                  "aten::f(int x=what) -> ()",
                                  "aten::f(int x=99999999999999999999) -> ()",
                                  "aten::f(Tensor(a self) -> ",
                                  "aten::f(*, *, int x) -> ()",
                                  "aten::f.(int x) -> ()",
                                  "aten::f(int x=[[[[[[[[[[[[[[[[[[[[[[) -> ()"};
  for (const char* text : kSchemas) EXPECT_FALSE(parse_schema(text).ok()) << text;
}

}  // namespace
}  // namespace cortland::torch
