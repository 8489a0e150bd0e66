#include "edge/constant_method.h"

#include <gmock/gmock.h>

#include "executorch/pte_reader.h"
#include "executorch/pte_writer.h"

namespace cortland::edge {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

TEST(ConstantMethod, ComesBackFromTheFile) {
  executorch::PteProgram program;
  const Weight table = Weight::of<int32_t>(DType::I32, {2, 2}, {1, 2, 3, 4});
  ASSERT_TRUE(add_constant_method(program, {"get_max_seq_len", {int64_t{128}}, {}}).ok());
  ASSERT_TRUE(add_constant_method(program, {"get_all", {true, 1.5, std::string("llama"), table, table}, {}}).ok());
  auto bytes = executorch::pte_bytes(program);
  ASSERT_TRUE(bytes.ok());
  const auto read = executorch::read_pte(MappedFile::from_bytes(std::move(*bytes), "m.pte"));
  ASSERT_TRUE(read.ok()) << read.error().what;
  ASSERT_THAT(read->plans, SizeIs(2));
  const auto& length = read->plans[0];
  EXPECT_EQ(length.name, "get_max_seq_len");
  EXPECT_THAT(length.outputs, testing::ElementsAre(0));
  EXPECT_EQ(std::get<executorch::Int>(length.values[0]).value, 128);
  EXPECT_EQ(length.encoded_outputs, R"([1, {"type": null, "context": null, "children_spec": []}])");
  const auto& all = read->plans[1];
  ASSERT_THAT(all.values, SizeIs(5));
  EXPECT_TRUE(std::get<executorch::Bool>(all.values[0]).value);
  EXPECT_EQ(std::get<executorch::Double>(all.values[1]).value, 1.5);
  EXPECT_EQ(std::get<executorch::String>(all.values[2]).value, "llama");
  EXPECT_THAT(std::get<executorch::TensorValue>(all.values[3]).sizes, testing::ElementsAre(2, 2));
  EXPECT_EQ(std::get<executorch::TensorValue>(all.values[4]).constant,
            std::get<executorch::TensorValue>(all.values[3]).constant);
  EXPECT_THAT(all.encoded_outputs, HasSubstr("builtins.list"));
}

TEST(ConstantMethod, KeepsTheStructureItIsGiven) {
  executorch::PteProgram program;
  ASSERT_TRUE(add_constant_method(program, {"ids", {int64_t{1}, int64_t{2}}, "[1, given]"}).ok());
  EXPECT_EQ(program.plans[0].encoded_outputs, "[1, given]");
  EXPECT_FALSE(add_constant_method(program, {"ids", {int64_t{1}}, {}}).ok()) << "a name twice";
}

}  // namespace
}  // namespace cortland::edge
