#include "executorch/kernels.h"

#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>

namespace cortland::executorch {
namespace {

std::string text(const Kernel* kernel) {
  if (!kernel) return "none";
  return std::string(kernel->name) + "." + std::string(kernel->overload);
}

TEST(Kernels, TableHasTheWheelsKernels) {
  std::map<KernelLibrary, int> count;
  std::set<std::string> functional;
  for (const auto& kernel : kernels()) {
    ++count[kernel.library];
    EXPECT_EQ(find_registered_kernel(kernel.name, kernel.overload), &kernel) << kernel.schema;
    EXPECT_TRUE(functional.insert(std::string(kernel.name) + "." + std::string(kernel.functional_overload)).second)
        << kernel.schema;
  }
  EXPECT_EQ(count[KernelLibrary::Core], 28);
  EXPECT_EQ(count[KernelLibrary::Optimized], 212);
  EXPECT_EQ(count[KernelLibrary::Quantized], 19);
}

TEST(Kernels, FindsTheOutVariantOfAFunctionalOperator) {
  EXPECT_EQ(text(find_kernel("aten::add.Tensor")), "aten::add.out");
  EXPECT_EQ(text(find_kernel("aten::add", "Scalar")), "aten::add.Scalar_out");
  EXPECT_EQ(text(find_kernel("aten::relu", "default")), "aten::relu.out");
  EXPECT_EQ(text(find_kernel("aten::relu")), "aten::relu.out");
  EXPECT_EQ(text(find_kernel("aten::max.dim")), "aten::max.dim_max");
  EXPECT_EQ(text(find_kernel("aten::max.default")), "aten::max.unary_out");
  EXPECT_EQ(text(find_kernel("aten::div.Tensor_mode")), "aten::div.out_mode");
  EXPECT_EQ(text(find_kernel("aten::arange.start")), "aten::arange.start_out");
  EXPECT_EQ(text(find_kernel("quantized_decomposed::embedding_4bit.dtype")),
            "quantized_decomposed::embedding_4bit.dtype_out");
}

TEST(Kernels, InPlaceAndPrimOperatorsNameThemselves) {
  EXPECT_EQ(text(find_kernel("aten::copy_.default")), "aten::copy_.");
  EXPECT_EQ(text(find_kernel("aten::sym_size.int")), "aten::sym_size.int");
  EXPECT_EQ(text(find_kernel("executorch_prim::mul.Scalar")), "executorch_prim::mul.Scalar");
  EXPECT_EQ(text(find_kernel("executorch_prim::et_view.default")), "executorch_prim::et_view.default");
}

TEST(Kernels, CopiesGoToTheDimOrderKernels) {
  EXPECT_EQ(text(find_kernel("aten::clone.default")), "dim_order_ops::_clone_dim_order.out");
  EXPECT_EQ(text(find_kernel("aten::_to_copy")), "dim_order_ops::_to_dim_order_copy.out");
  EXPECT_EQ(text(find_kernel("aten::empty.memory_format")), "dim_order_ops::_empty_dim_order.out");
  EXPECT_EQ(text(find_kernel("dim_order_ops::_clone_dim_order.default")), "dim_order_ops::_clone_dim_order.out");
  EXPECT_EQ(text(find_registered_kernel("aten::clone", "out")), "aten::clone.out");
}

TEST(Kernels, KnowsWhatTheWheelLacks) {
  for (const auto* name : {"aten::scaled_dot_product_attention", "aten::silu", "aten::add.out", "aten::add", "aten::", ""})
    EXPECT_EQ(find_kernel(name), nullptr) << name;
}

TEST(Kernels, ReadsArgumentsInCallOrder) {
  const auto args = kernel_args(*find_kernel("aten::avg_pool2d"));
  std::vector<std::string> shown;
  for (const auto& a : args)
    shown.push_back(std::string(a.type) + " " + std::string(a.name) +
                    (a.default_value ? "=" + std::string(*a.default_value) : "") + (a.keyword_only ? " kw" : "") +
                    (a.written ? " written" : ""));
  EXPECT_THAT(shown, testing::ElementsAre("Tensor self", "int[2] kernel_size", "int[2] stride=[]", "int[2] padding=0",
                                          "bool ceil_mode=False", "bool count_include_pad=True",
                                          "int? divisor_override=None", "Tensor(a!) out kw written"));
}

TEST(Kernels, EveryArgumentHasATypeAndAName) {
  for (const auto& kernel : kernels()) {
    for (const auto& arg : kernel_args(kernel)) {
      EXPECT_FALSE(arg.type.empty()) << kernel.schema;
      EXPECT_TRUE(arg.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") ==
                      std::string_view::npos &&
                  !arg.name.empty())
          << kernel.schema << ": " << arg.name;
    }
  }
}

TEST(Kernels, SaysWhatFollowsTheArguments) {
  EXPECT_EQ(kernel_result(*find_kernel("aten::add.Tensor")), KernelResult::SameValue);
  EXPECT_EQ(kernel_result(*find_kernel("aten::copy_")), KernelResult::SameValue);
  EXPECT_EQ(kernel_result(*find_kernel("aten::max.dim")), KernelResult::OutList);
  EXPECT_EQ(kernel_result(*find_kernel("aten::split_copy.Tensor")), KernelResult::OutList);
  EXPECT_EQ(kernel_result(*find_kernel("aten::sym_size.int")), KernelResult::Slot);
  EXPECT_EQ(kernel_result(*find_kernel("executorch_prim::et_view")), KernelResult::Nothing);
}

}  // namespace
}  // namespace cortland::executorch
