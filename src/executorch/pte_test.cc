#include <gmock/gmock.h>

#include <bit>
#include <cstring>
#include <random>

#include "executorch/pte_reader.h"
#include "executorch/pte_writer.h"

namespace cortland::executorch {
namespace {

std::string floats(std::initializer_list<float> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float));
}

TensorValue tensor(std::vector<int32_t> sizes, std::optional<Allocation> allocation = {}) {
  TensorValue t;
  t.sizes = std::move(sizes);
  for (size_t i = 0; i < t.sizes.size(); ++i) t.dim_order.push_back(static_cast<uint8_t>(i));
  t.allocation = allocation;
  return t;
}

TensorValue constant(std::vector<int32_t> sizes, int32_t index) {
  auto t = tensor(std::move(sizes));
  t.constant = index;
  return t;
}

// y = x + c, then a delegate turns y into d.
PteProgram small_program() {
  Plan plan;
  plan.name = "forward";
  plan.values = {tensor({2, 3}, Allocation{1, 0}), constant({3}, 0), Int{1}, tensor({2, 3}, Allocation{1, 32}),
                 tensor({2, 3}, Allocation{1, 64})};
  plan.inputs = {0};
  plan.outputs = {4, 3};
  plan.operators = {{"aten::add", "out"}};
  plan.delegates = {{"CoreMLBackend", 0, {{"compute_units", "all"}}}};
  plan.instructions = {KernelCall{0, {0, 1, 2, 3, 3}}, DelegateCall{0, {3, 4}}};
  plan.non_const_buffer_sizes = {0, 128};
  PteProgram program;
  program.plans = {plan};
  program.constants = {{"c", owned_bytes(floats({1, 2, 3}))}};
  program.blobs = {{"blob", owned_bytes("blobbytes")}};
  return program;
}

// Every kind of value and instruction, two methods, all kinds of stored bytes.
PteProgram large_program() {
  auto program = small_program();
  auto& plan = program.plans[0];
  plan.encoded_inputs = "[1, 2]";
  plan.encoded_outputs = "[3]";
  auto state = tensor({1}, Allocation{2, (1ull << 32) + 16});
  state.initial = 1;
  state.fqn = "cache.k";
  auto outside = tensor({2});
  outside.external = true;
  outside.fqn = "weight";
  auto dynamic = tensor({4, 2, 1, 1}, Allocation{1, 96});
  dynamic.dynamism = Dynamism::UpperBound;
  dynamic.dim_order = {0, 2, 3, 1};
  auto scalar = tensor({}, Allocation{1, 0});
  scalar.type = ScalarType::BF16;
  for (EValue value : {EValue(Null{}), EValue(Bool{true}), EValue(Double{-0.5}), EValue(String{"none"}),
                       EValue(IntList{{2, 2}}), EValue(DoubleList{{1.5, -2}}), EValue(BoolList{{1, 0}}),
                       EValue(TensorList{{0, 3}}), EValue(OptionalTensorList{{-1, 1}}), EValue(state), EValue(outside),
                       EValue(dynamic), EValue(scalar), EValue(constant({2, 1}, 2)), EValue(constant({2}, 1))})
    plan.values.push_back(std::move(value));
  plan.non_const_buffer_sizes = {0, 128, (1ll << 32) + 20};
  plan.delegates.push_back({"Other", 1, {}});
  plan.delegates.push_back({"Empty", -1, {{"key", ""}}});
  plan.instructions.insert(plan.instructions.end(), {MoveCall{3, 4}, JumpFalseCall{6, 5}, FreeCall{4}});
  Plan meta;
  meta.name = "vocab_size";
  meta.values = {Int{32000}};
  meta.outputs = {0};
  program.plans.push_back(meta);
  program.constants.push_back({"", owned_bytes(floats({4, 5}))});
  program.constants.push_back({"", owned_bytes(floats({6, 7}))});
  program.initial_values = {{"", owned_bytes(std::string(3, 'i'))}, {"", owned_bytes(floats({9}))}};
  program.blobs.push_back({"page", owned_bytes("page"), 4096});
  program.named_data = {{"model", {"m", owned_bytes("named bytes")}}, {"alias", {"m", owned_bytes("named bytes")}}};
  return program;
}

std::string bytes_of(const PteProgram& program) {
  auto bytes = pte_bytes(program);
  EXPECT_TRUE(bytes.ok()) << (bytes.ok() ? "" : bytes.error().what);
  return bytes.ok() ? *bytes : std::string();
}

Result<PteProgram> read(std::string bytes) { return read_pte(MappedFile::from_bytes(std::move(bytes), "test.pte")); }

template <class T>
T number(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string error_of(const PteProgram& program) {
  const auto status = validate(program);
  return status.ok() ? "" : status.error().what;
}

TEST(PteWriter, HeaderDescribesTheFile) {
  const auto bytes = bytes_of(small_program());
  EXPECT_EQ(bytes.substr(4, 8), "ET12eh00");
  EXPECT_EQ(number<uint32_t>(bytes, 12), 32u);
  const auto program_size = number<uint64_t>(bytes, 16), base = number<uint64_t>(bytes, 24),
             data = number<uint64_t>(bytes, 32);
  EXPECT_EQ(base, round_up(program_size, 128));
  EXPECT_EQ(data, 128u + 9);  // twelve bytes of constants, then the blob at the next 128
  EXPECT_EQ(bytes.size(), base + data);
  EXPECT_EQ(bytes.substr(base, 12), floats({1, 2, 3}));
  EXPECT_EQ(bytes.substr(base + 12, 116), std::string(116, '\0'));
  EXPECT_EQ(bytes.substr(base + 128), "blobbytes");
}

TEST(PteWriter, WithoutBytesThereIsNoHeader) {
  PteProgram program;
  program.plans.resize(1);
  program.plans[0].name = "f";
  const auto bytes = bytes_of(program);
  EXPECT_EQ(bytes.substr(4, 4), "ET12");
  EXPECT_NE(bytes.substr(8, 4), "eh00");
  EXPECT_GE(bytes.size(), 64u);
  EXPECT_TRUE(read(bytes).ok());
}

TEST(PteWriter, EqualKeysShareTheirPlace) {
  auto program = small_program();
  const auto once = bytes_of(program).size();
  program.constants.push_back(program.constants[0]);
  program.blobs.push_back(program.blobs[0]);
  program.plans[0].values.push_back(constant({3}, 1));
  program.plans[0].delegates.push_back({"CoreMLBackend", 1, {}});
  const auto again = read(bytes_of(program));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->constants.size(), 1u);
  EXPECT_EQ(again->blobs.size(), 1u);
  EXPECT_EQ(std::get<TensorValue>(again->plans[0].values.back()).constant, 0);
  EXPECT_LT(bytes_of(program).size(), once + 200);
}

TEST(PteWriter, StreamsItsSources) {
  auto program = small_program();
  const auto expected = bytes_of(program);
  program.blobs[0].bytes = streamed_bytes(9, [](OutputFile& out, uint64_t at) -> Status {
    TRY_DO(out.write_at(at + 4, as_bytes("bytes")));
    return out.write_at(at, as_bytes("blob"));
  });
  EXPECT_EQ(bytes_of(program), expected);
  program.blobs[0].bytes =
      streamed_bytes(9, [](OutputFile&, uint64_t) -> Status { return diag(DiagKind::FileAccess, "disk full"); });
  const auto failed = pte_bytes(program);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().what, "disk full");
}

TEST(PteWriter, EmptyConstantsStillHaveASegment) {
  auto program = small_program();
  program.constants = {{"", owned_bytes("")}};
  program.plans[0].values[1] = constant({0}, 0);
  const auto bytes = bytes_of(program);
  const auto again = read(bytes);
  ASSERT_TRUE(again.ok()) << again.error().what;
  EXPECT_EQ(again->constants.size(), 1u);
  EXPECT_EQ(number<uint64_t>(bytes, 32), 128u + 9);
}

TEST(PteRoundTrip, ReadsBackWhatWasWritten) {
  const auto bytes = bytes_of(large_program());
  const auto program = read(bytes);
  ASSERT_TRUE(program.ok()) << program.error().what;
  const auto& plan = program->plans[0];
  EXPECT_EQ(plan.encoded_inputs, "[1, 2]");
  EXPECT_EQ(plan.values.size(), 20u);
  EXPECT_EQ(value_kind(plan.values[5]), "Null");
  EXPECT_EQ(std::get<Double>(plan.values[7]).value, -0.5);
  EXPECT_EQ(std::get<String>(plan.values[8]).value, "none");
  EXPECT_THAT(std::get<OptionalTensorList>(plan.values[13]).items, testing::ElementsAre(-1, 1));
  const auto& state = std::get<TensorValue>(plan.values[14]);
  EXPECT_EQ(state.allocation, (Allocation{2, (1ull << 32) + 16}));
  EXPECT_EQ(state.fqn, "cache.k");
  EXPECT_EQ(as_text(program->initial_values[static_cast<size_t>(state.initial)].bytes.memory), floats({9}));
  EXPECT_TRUE(std::get<TensorValue>(plan.values[15]).external);
  EXPECT_THAT(std::get<TensorValue>(plan.values[16]).dim_order, testing::ElementsAre(0, 2, 3, 1));
  EXPECT_EQ(std::get<TensorValue>(plan.values[17]).type, ScalarType::BF16);
  EXPECT_EQ(as_text(program->constants[2].bytes.memory), floats({6, 7}));
  EXPECT_EQ(as_text(program->blobs[1].bytes.memory), "page");
  EXPECT_EQ(plan.delegates[2].blob, -1);
  EXPECT_EQ(plan.delegates[2].compile_specs, (std::vector<CompileSpec>{{"key", ""}}));
  EXPECT_EQ(std::get<JumpFalseCall>(plan.instructions[3]).destination, 5);
  EXPECT_EQ(program->plans[1].name, "vocab_size");
  EXPECT_EQ(program->named_data[1].name, "alias");
  EXPECT_EQ(as_text(program->named_data[1].data.bytes.memory), "named bytes");
}

TEST(PteRoundTrip, WritingWhatWasReadGivesTheSameFile) {
  auto program = large_program();
  program.blobs[1].alignment = 1;  // not stored
  const auto bytes = bytes_of(program);
  const auto again = read(bytes);
  ASSERT_TRUE(again.ok()) << again.error().what;
  EXPECT_EQ(bytes_of(*again), bytes);
}

TEST(PteRoundTrip, ALargerAlignmentMovesTheSegmentBase) {
  const auto bytes = bytes_of(large_program());
  const auto base = number<uint64_t>(bytes, 24);
  EXPECT_EQ(base % 4096, 0u);
  EXPECT_EQ(bytes.find("page") % 4096, 0u);
}

TEST(PteRoundTrip, EmptyConstantsMayShareAnOffset) {
  auto program = small_program();
  program.constants = {{"", owned_bytes("")}, {"", owned_bytes(floats({1, 2, 3}))}, {"", owned_bytes("")}};
  program.plans[0].values[1] = constant({3}, 1);
  for (int32_t index : {0, 2}) program.plans[0].values.push_back(constant({0}, index));
  const auto bytes = bytes_of(program);
  const auto again = read(bytes);
  ASSERT_TRUE(again.ok()) << again.error().what;
  EXPECT_EQ(again->constants[0].bytes.size, 0u);
  EXPECT_EQ(as_text(again->constants[1].bytes.memory), floats({1, 2, 3}));
  EXPECT_EQ(again->constants[2].bytes.size, 0u);
  EXPECT_EQ(bytes_of(*again), bytes);
}

TEST(PteRoundTrip, NothingButEmptyBytes) {
  PteProgram program;
  program.plans.resize(1);
  program.plans[0].name = "f";
  program.initial_values = {{"", owned_bytes("")}};
  program.named_data = {{"nothing", {"", owned_bytes("")}}};
  const auto again = read(bytes_of(program));
  ASSERT_TRUE(again.ok()) << again.error().what;
  EXPECT_EQ(again->named_data[0].data.bytes.size, 0u);
}

TEST(PteReader, SaysWhatIsWrongWithAFile) {
  const auto good = bytes_of(large_program());
  const auto error = [](std::string bytes) {
    const auto program = read(std::move(bytes));
    EXPECT_FALSE(program.ok());
    if (program.ok()) return std::string();
    EXPECT_EQ(program.error().kind, DiagKind::BadPte);
    return program.error().what;
  };
  EXPECT_THAT(error(""), testing::HasSubstr("not an ExecuTorch program"));
  EXPECT_THAT(error("PK\3\4 this is a zip archive"), testing::HasSubstr("not an ExecuTorch program"));
  EXPECT_THAT(error(good.substr(0, 100)), testing::HasSubstr("truncated"));
  EXPECT_THAT(error(good.substr(0, good.size() - 1)), testing::HasSubstr("truncated"));
  EXPECT_THAT(error("\x08\0\0\0ET12" + std::string(60, '\0')), testing::HasSubstr("not an ExecuTorch program"));
  EXPECT_THAT(error(std::string("\x7f\0\0\0ET12", 8) + std::string(60, '\0')), testing::HasSubstr("damaged"));
  auto moved = good;
  moved[31] = '\x7f';  // the segment base
  EXPECT_THAT(error(moved), testing::HasSubstr("places its segments"));
}

TEST(PteReader, NoTruncationIsAccepted) {
  const auto good = bytes_of(large_program());
  for (size_t size = 0; size < good.size(); ++size) ASSERT_FALSE(read(good.substr(0, size)).ok()) << size;
}

// Any answer will do; the sanitizers judge. A program that is accepted can be written.
TEST(PteReader, DamageIsSurvived) {
  const auto good = bytes_of(large_program());
  const auto table = number<uint64_t>(good, 16);
  std::mt19937 random(11);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = good;
    for (int k = 1 + static_cast<int>(random() % 4); k-- > 0;) {
      const auto at = random() % table;
      bytes[at] = static_cast<char>(random() % 3 == 0 ? random() : bytes[at] ^ (1 << random() % 8));
    }
    const auto program = read(std::move(bytes));
    if (!program.ok()) continue;
    ++accepted;
    if (round % 50 == 0) {
      EXPECT_TRUE(pte_bytes(*program).ok());
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_LT(accepted, 19000);
}

TEST(PteReader, ReadsFromAnyAddress) {
  const auto good = bytes_of(large_program());
  auto owner = std::make_shared<std::string>("x" + good);
  const auto file = MappedFile::from_memory(as_bytes(*owner).subspan(1), owner, "shifted.pte");
  const auto program = read_pte(file);
  ASSERT_TRUE(program.ok()) << program.error().what;
  EXPECT_EQ(as_text(program->blobs[0].bytes.memory), "blobbytes");
}

TEST(Validate, NamesTheRuleThatIsBroken) {
  EXPECT_EQ(error_of(small_program()), "");
  EXPECT_EQ(error_of(large_program()), "");
  const auto broken = [](auto change) {
    auto program = small_program();
    change(program, program.plans[0]);
    return error_of(program);
  };
  const auto first = [](Plan& plan) -> TensorValue& { return std::get<TensorValue>(plan.values[0]); };
  using testing::HasSubstr;
  EXPECT_THAT(broken([](auto& p, auto& plan) { p.plans.push_back(plan); }), HasSubstr("occurs twice"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.inputs = {5}; }), HasSubstr("refers to value 5, but there are 5"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.outputs = {-1}; }), HasSubstr("refers to value -1"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.non_const_buffer_sizes = {0, 80}; }), HasSubstr("ends after pool 1"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.non_const_buffer_sizes = {0}; }),
              HasSubstr("pool 1, which does not exist"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.non_const_buffer_sizes = {}; }), HasSubstr("reserved"));
  EXPECT_THAT(broken([](auto& p, auto&) { p.constants[0].bytes = owned_bytes("short"); }), HasSubstr("only 5"));
  EXPECT_THAT(broken([&](auto&, auto& plan) { first(plan).constant = 7; }), HasSubstr("constant 7"));
  EXPECT_THAT(broken([&](auto&, auto& plan) { first(plan).dim_order = {1, 1}; }), HasSubstr("not a permutation"));
  EXPECT_THAT(broken([&](auto&, auto& plan) { first(plan).sizes = {1 << 30, 1 << 30}; }), HasSubstr("ends after pool"));
  EXPECT_THAT(broken([&](auto&, auto& plan) {
                first(plan) = tensor({1 << 30, 1 << 30, 1 << 30});
              }),
              HasSubstr("too many bytes"));
  EXPECT_THAT(broken([&](auto&, auto& plan) { first(plan).type = ScalarType(9); }), HasSubstr("unknown type"));
  EXPECT_THAT(broken([&](auto&, auto& plan) { first(plan).dynamism = Dynamism::Unbounded; }), HasSubstr("no upper bound"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.values[2] = TensorList{{0, 3}}; }), HasSubstr("stands before it"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.values[2] = IntList{{0}}; }), HasSubstr("not an Int"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.operators.clear(); }), HasSubstr("calls operator 0 of 0"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.operators[0].overload = std::string(99, 'x'); }),
              HasSubstr("longer than 99"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.delegates[0].blob = 1; }), HasSubstr("blob 1 of 1"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.instructions[0] = JumpFalseCall{2, 0}; }), HasSubstr("kind Int"));
  EXPECT_THAT(broken([](auto&, auto& plan) { plan.instructions[0] = JumpFalseCall{0, 3}; }), HasSubstr("jumps to 3"));
  EXPECT_THAT(broken([](auto& p, auto&) { p.blobs[0].alignment = 24; }), HasSubstr("power of two"));
}

TEST(ScalarTypes, AgreeWithTheElementTypes) {
  for (int t = 0; t <= static_cast<int>(DType::String); ++t) {
    const auto type = static_cast<DType>(t);
    const auto scalar = scalar_type(type);
    if (!scalar) continue;
    EXPECT_EQ(dtype(*scalar), type);
    EXPECT_EQ(element_size(*scalar) * 8, bit_width(type));
  }
  EXPECT_EQ(scalar_type(DType::F32), ScalarType::F32);
  EXPECT_EQ(scalar_type(DType::C64), std::nullopt);
  EXPECT_EQ(scalar_type(DType::Unknown), std::nullopt);
  EXPECT_EQ(element_size(ScalarType(8)), 0);
}

}  // namespace
}  // namespace cortland::executorch
