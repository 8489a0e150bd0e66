#include "executorch/pte_decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "pte_generated.h"

namespace cortland::executorch {
namespace {

template <class... T>
Diagnostic bad(fmt::format_string<T...> format, T&&... args) {
  return diag(DiagKind::BadPte, fmt::format(format, std::forward<T>(args)...));
}

// A vector of tables that may be absent.
template <class T>
using Tables = const flatbuffers::Vector<flatbuffers::Offset<T>>*;

template <class T>
uint32_t count(const T* vector) {
  return vector ? vector->size() : 0;
}

class Decoder {
 public:
  Decoder(const fbs::Program& table, Bytes segments, std::shared_ptr<const void> owner, size_t table_size)
      : table_(table), segments_(segments), owner_(std::move(owner)), budget_(8 * uint64_t{table_size} + (1 << 20)) {}

  Result<PteProgram> decode();

 private:
  // Vectors may overlap in a hostile table, so what is copied out of it is counted.
  Status charge(uint64_t bytes) {
    if (bytes > budget_) return bad("the program table expands to far more than its size");
    budget_ -= bytes;
    return {};
  }

  Result<std::string> text(const flatbuffers::String* string, std::string_view what);
  template <class To, class From>
  Result<std::vector<To>> list(const flatbuffers::Vector<From>* items, std::string_view what);

  Result<Bytes> segment(uint64_t index);
  Status decode_buffers(const fbs::SubsegmentOffsets& buffers, std::string_view what, std::vector<Data>& to);
  Status decode_named_data();

  Status decode_tensor_data(const fbs::Tensor& t, TensorValue& to);
  Result<EValue> decode_tensor(const fbs::Tensor& t);
  Result<EValue> decode_value(const fbs::EValue& value);
  Result<Instruction> decode_instruction(const fbs::Instruction& instruction);
  Result<int32_t> decode_blob(const fbs::BlobReference* reference);
  Result<Delegate> decode_delegate(const fbs::BackendDelegate& delegate);
  Status decode_chain(const fbs::ExecutionPlan& from, Plan& plan);
  Result<Plan> decode_plan(const fbs::ExecutionPlan& from);

  const fbs::Program& table_;
  Bytes segments_;
  std::shared_ptr<const void> owner_;
  uint64_t budget_;
  PteProgram program_;
  std::map<std::pair<fbs::BlobLocation, uint32_t>, int32_t> blobs_;  // already in program_
};

Result<std::string> Decoder::text(const flatbuffers::String* string, std::string_view what) {
  if (!string) return bad("{} is missing", what);
  TRY_DO(charge(string->size()));
  return std::string(string->c_str(), string->size());
}

template <class To, class From>
Result<std::vector<To>> Decoder::list(const flatbuffers::Vector<From>* items, std::string_view what) {
  if (!items) return bad("{} is missing", what);
  TRY_DO(charge(uint64_t{items->size()} * sizeof(From)));
  std::vector<To> out(items->size());
  for (uint32_t i = 0; i < items->size(); ++i) {
    From item;  // a hostile vector need not be aligned
    std::memcpy(&item, items->Data() + size_t{i} * sizeof(From), sizeof item);
    if constexpr (sizeof(To) < sizeof(From)) {
      if (item < std::numeric_limits<To>::min() || item > std::numeric_limits<To>::max())
        return bad("{} holds {}", what, item);
    }
    out[i] = static_cast<To>(item);
  }
  return out;
}

Result<Bytes> Decoder::segment(uint64_t index) {
  if (index >= count(table_.segments()))
    return bad("segment {} does not exist; there are {}", index, count(table_.segments()));
  const auto* entry = table_.segments()->Get(static_cast<uint32_t>(index));
  const uint64_t offset = entry->offset(), size = entry->size();
  if (offset > segments_.size() || size > segments_.size() - offset)
    return bad("segment {} ({} bytes at {}) ends after the file", index, size, offset);
  return segments_.subspan(offset, size);
}

// Sizes are not stored: a buffer reaches to the next one. trim_buffers() takes the padding away.
Status Decoder::decode_buffers(const fbs::SubsegmentOffsets& buffers, std::string_view what, std::vector<Data>& to) {
  TRY(const auto offsets, list<uint64_t>(buffers.offsets(), what));
  if (offsets.size() <= 1) return {};
  TRY(const auto bytes, segment(buffers.segment_index()));
  std::vector<uint64_t> ends(offsets.begin() + 1, offsets.end());
  ends.push_back(bytes.size());
  std::ranges::sort(ends);
  for (size_t i = 1; i < offsets.size(); ++i) {
    const uint64_t begin = offsets[i];
    if (begin > bytes.size()) return bad("{} {} begins after its segment", what, i);
    const auto next = std::ranges::upper_bound(ends, begin);
    const uint64_t end = next == ends.end() ? bytes.size() : std::min<uint64_t>(*next, bytes.size());
    to.push_back({fmt::format("{} {}", what, i), viewed_bytes(bytes.subspan(begin, end - begin), owner_)});
  }
  return {};
}

Status Decoder::decode_named_data() {
  for (uint32_t i = 0; i < count(table_.named_data()); ++i) {
    const auto* entry = table_.named_data()->Get(i);
    TRY(auto name, text(entry->key(), "the name of named data"));
    TRY(const auto bytes, segment(entry->segment_index()));
    program_.named_data.push_back(
        {std::move(name), {fmt::format("segment {}", entry->segment_index()), viewed_bytes(bytes, owner_)}});
  }
  return {};
}

Status Decoder::decode_tensor_data(const fbs::Tensor& t, TensorValue& to) {
  if (const auto* extra = t.extra_tensor_info()) {
    to.external = extra->location() == fbs::TensorDataLocation::External;
    if (extra->fully_qualified_name()) {
      TRY(to.fqn, text(extra->fully_qualified_name(), "the name of a tensor"));
    }
    if (extra->device_type() != fbs::DeviceType::Cpu)
      return bad("a tensor lives on device type {}", static_cast<int>(extra->device_type()));
  }
  if (const auto* a = t.allocation_info())
    to.allocation = Allocation{a->memory_id(), uint64_t{a->memory_offset_high()} << 32 | a->memory_offset_low()};
  const uint32_t buffer = t.data_buffer_idx();
  if (buffer == 0 || to.external) return {};
  const auto& stored = to.allocation ? program_.initial_values : program_.constants;
  if (buffer > stored.size()) return bad("a tensor refers to buffer {}; there are {}", buffer, stored.size());
  (to.allocation ? to.initial : to.constant) = static_cast<int32_t>(buffer) - 1;
  return {};
}

Result<EValue> Decoder::decode_tensor(const fbs::Tensor& t) {
  TensorValue to;
  if (t.storage_offset() != 0 || t.layout() != 0) return bad("a tensor has a storage offset or is not strided");
  to.type = static_cast<ScalarType>(static_cast<uint8_t>(t.scalar_type()));
  to.dynamism = static_cast<Dynamism>(static_cast<uint8_t>(t.shape_dynamism()));
  TRY(to.sizes, list<int32_t>(t.sizes(), "the shape of a tensor"));
  TRY(to.dim_order, list<uint8_t>(t.dim_order(), "the dim_order of a tensor"));
  TRY_DO(decode_tensor_data(t, to));
  return EValue(std::move(to));
}

// TRY cannot wrap a value into a kind of EValue by itself.
template <class Kind, class T>
Result<EValue> wrap(Result<T> items) {
  if (!items.ok()) return std::move(items).error();
  return EValue(Kind{std::move(items).value()});
}

Result<EValue> Decoder::decode_value(const fbs::EValue& value) {
  if (value.val_type() != fbs::KernelTypes::NONE && !value.val()) return bad("a value has no content");
  switch (value.val_type()) {
    case fbs::KernelTypes::Null:
      return EValue(Null{});
    case fbs::KernelTypes::Int:
      return EValue(Int{value.val_as_Int()->int_val()});
    case fbs::KernelTypes::Bool:
      return EValue(Bool{value.val_as_Bool()->bool_val()});
    case fbs::KernelTypes::Double:
      return EValue(Double{value.val_as_Double()->double_val()});
    case fbs::KernelTypes::Tensor:
      return decode_tensor(*value.val_as_Tensor());
    case fbs::KernelTypes::String:
      return wrap<String>(text(value.val_as_String()->string_val(), "a string"));
    case fbs::KernelTypes::IntList:
      return wrap<IntList>(list<ValueIndex>(value.val_as_IntList()->items(), "an IntList"));
    case fbs::KernelTypes::DoubleList:
      return wrap<DoubleList>(list<double>(value.val_as_DoubleList()->items(), "a DoubleList"));
    case fbs::KernelTypes::BoolList:
      return wrap<BoolList>(list<uint8_t>(value.val_as_BoolList()->items(), "a BoolList"));
    case fbs::KernelTypes::TensorList:
      return wrap<TensorList>(list<ValueIndex>(value.val_as_TensorList()->items(), "a TensorList"));
    case fbs::KernelTypes::OptionalTensorList:
      return wrap<OptionalTensorList>(list<ValueIndex>(value.val_as_OptionalTensorList()->items(), "an OptionalTensorList"));
    case fbs::KernelTypes::NONE:
      break;
  }
  return bad("a value is of the unknown kind {}", static_cast<int>(value.val_type()));
}

Result<Instruction> Decoder::decode_instruction(const fbs::Instruction& instruction) {
  const auto type = instruction.instr_args_type();
  if (type != fbs::InstructionArguments::NONE && !instruction.instr_args()) return bad("an instruction has no content");
  switch (type) {
    case fbs::InstructionArguments::KernelCall: {
      const auto* call = instruction.instr_args_as_KernelCall();
      TRY(auto args, list<ValueIndex>(call->args(), "the arguments of a kernel call"));
      return Instruction(KernelCall{call->op_index(), std::move(args)});
    }
    case fbs::InstructionArguments::DelegateCall: {
      const auto* call = instruction.instr_args_as_DelegateCall();
      TRY(auto args, list<ValueIndex>(call->args(), "the arguments of a delegate call"));
      return Instruction(DelegateCall{call->delegate_index(), std::move(args)});
    }
    case fbs::InstructionArguments::MoveCall: {
      const auto* call = instruction.instr_args_as_MoveCall();
      return Instruction(MoveCall{call->move_from(), call->move_to()});
    }
    case fbs::InstructionArguments::JumpFalseCall: {
      const auto* call = instruction.instr_args_as_JumpFalseCall();
      return Instruction(JumpFalseCall{call->cond_value_index(), call->destination_instruction()});
    }
    case fbs::InstructionArguments::FreeCall:
      return Instruction(FreeCall{instruction.instr_args_as_FreeCall()->value_index()});
    case fbs::InstructionArguments::NONE:
      break;
  }
  return bad("an instruction is of the unknown kind {}", static_cast<int>(type));
}

Result<int32_t> Decoder::decode_blob(const fbs::BlobReference* reference) {
  if (!reference) return bad("a delegate has no reference to its bytes");
  const auto key = std::pair(reference->location(), reference->index());
  if (const auto known = blobs_.find(key); known != blobs_.end()) return known->second;
  Bytes bytes;
  if (key.first == fbs::BlobLocation::Segment) {
    TRY(bytes, segment(key.second));
  } else {
    if (key.first != fbs::BlobLocation::Inline || key.second >= count(table_.backend_delegate_data()))
      return bad("a delegate refers to inline blob {} of {}", key.second, count(table_.backend_delegate_data()));
    if (const auto* data = table_.backend_delegate_data()->Get(key.second)->data())
      bytes = std::as_bytes(std::span(data->Data(), data->size()));
  }
  int32_t index = -1;
  if (!bytes.empty()) {
    index = static_cast<int32_t>(program_.blobs.size());
    const auto* kind = key.first == fbs::BlobLocation::Segment ? "segment" : "inline";
    program_.blobs.push_back({fmt::format("{} {}", kind, key.second), viewed_bytes(bytes, owner_)});
  }
  blobs_[key] = index;
  return index;
}

Result<Delegate> Decoder::decode_delegate(const fbs::BackendDelegate& from) {
  Delegate delegate;
  TRY(delegate.id, text(from.id(), "the backend name of a delegate"));
  TRY(delegate.blob, decode_blob(from.processed()));
  for (uint32_t i = 0; i < count(from.compile_specs()); ++i) {
    const auto* spec = from.compile_specs()->Get(i);
    TRY(auto key, text(spec->key(), "the key of a compile spec"));
    if (!spec->value()) return bad("compile spec '{}' has no value", key);
    TRY_DO(charge(spec->value()->size()));
    delegate.compile_specs.push_back(
        {std::move(key), std::string(reinterpret_cast<const char*>(spec->value()->Data()), spec->value()->size())});
  }
  return delegate;
}

Status Decoder::decode_chain(const fbs::ExecutionPlan& from, Plan& plan) {
  if (count(from.chains()) != 1)
    return bad("method '{}' has {} chains of instructions instead of one", plan.name, count(from.chains()));
  const auto* chain = from.chains()->Get(0);
  if (!chain->instructions()) return bad("method '{}' has no list of instructions", plan.name);
  for (const auto* instruction : *chain->instructions()) {
    TRY(auto decoded, decode_instruction(*instruction));
    plan.instructions.push_back(std::move(decoded));
  }
  return {};
}

Result<Plan> Decoder::decode_plan(const fbs::ExecutionPlan& from) {
  Plan plan;
  TRY(plan.name, text(from.name(), "the name of a method"));
  if (const auto* container = from.container_meta_type()) {
    if (container->encoded_inp_str()) {
      TRY(plan.encoded_inputs, text(container->encoded_inp_str(), "a tree of inputs"));
    }
    if (container->encoded_out_str()) {
      TRY(plan.encoded_outputs, text(container->encoded_out_str(), "a tree of outputs"));
    }
  }
  for (uint32_t i = 0; i < count(from.values()); ++i) {
    TRY(auto value, decode_value(*from.values()->Get(i)));
    plan.values.push_back(std::move(value));
  }
  TRY(plan.inputs, list<ValueIndex>(from.inputs(), "the list of inputs"));
  TRY(plan.outputs, list<ValueIndex>(from.outputs(), "the list of outputs"));
  TRY(plan.non_const_buffer_sizes, list<int64_t>(from.non_const_buffer_sizes(), "the list of pool sizes"));
  for (uint32_t i = 0; i < count(from.operators()); ++i) {
    const auto* op = from.operators()->Get(i);
    TRY(auto name, text(op->name(), "the name of an operator"));
    std::string overload;
    if (op->overload()) {
      TRY(overload, text(op->overload(), "an overload"));
    }
    plan.operators.push_back({std::move(name), std::move(overload)});
  }
  for (uint32_t i = 0; i < count(from.delegates()); ++i) {
    TRY(auto delegate, decode_delegate(*from.delegates()->Get(i)));
    plan.delegates.push_back(std::move(delegate));
  }
  TRY_DO(decode_chain(from, plan));
  return plan;
}

// Cuts each buffer to the largest tensor that uses it; one without a user keeps its padding.
void trim_buffers(PteProgram& program) {
  using Sizes = std::vector<std::optional<uint64_t>>;
  Sizes constants(program.constants.size()), initial_values(program.initial_values.size());
  const auto note = [](Sizes& sizes, int32_t index, const TensorValue& t) {
    if (index < 0) return;
    auto& size = sizes[static_cast<size_t>(index)];
    size = std::max(size.value_or(0), byte_size(t).value_or(UINT64_MAX));
  };
  for (const auto& plan : program.plans) {
    for (const auto& value : plan.values) {
      if (const auto* t = std::get_if<TensorValue>(&value)) {
        note(constants, t->constant, *t);
        note(initial_values, t->initial, *t);
      }
    }
  }
  const auto trim = [](std::vector<Data>& stored, const Sizes& sizes) {
    for (size_t i = 0; i < stored.size(); ++i) {
      auto& bytes = stored[i].bytes;
      if (sizes[i] && *sizes[i] < bytes.size) bytes = viewed_bytes(bytes.memory.first(*sizes[i]), bytes.owner);
    }
  };
  trim(program.constants, constants);
  trim(program.initial_values, initial_values);
}

Result<PteProgram> Decoder::decode() {
  if (count(table_.constant_buffer()) > 0)
    return diag(DiagKind::BadPte, "the program keeps its constants inside the table, as ExecuTorch before 0.7 did",
                "export the model again with ExecuTorch 1.0 or newer");
  if (!table_.execution_plan()) return bad("the program has no methods");
  if (!table_.constant_segment()) return bad("the program has no constant segment");
  TRY_DO(decode_buffers(*table_.constant_segment(), "constant", program_.constants));
  if (count(table_.mutable_data_segments()) > 0)
    TRY_DO(decode_buffers(*table_.mutable_data_segments()->Get(0), "initial value", program_.initial_values));
  TRY_DO(decode_named_data());
  for (const auto* from : *table_.execution_plan()) {
    TRY(auto plan, decode_plan(*from));
    program_.plans.push_back(std::move(plan));
  }
  trim_buffers(program_);
  return std::move(program_);
}

// The table where its numbers are aligned: memory of others may start anywhere.
std::shared_ptr<const void> align_table(Bytes& table) {
  if (reinterpret_cast<uintptr_t>(table.data()) % 16 == 0) return nullptr;
  auto copy = std::make_shared<std::vector<std::max_align_t>>(table.size() / sizeof(std::max_align_t) + 1);
  std::memcpy(copy->data(), table.data(), table.size());
  table = std::as_bytes(std::span(*copy)).first(table.size());
  return copy;
}

}  // namespace

Result<PteProgram> decode_program(PteParts parts, std::shared_ptr<const void> owner) {
  if (parts.table.size() >= FLATBUFFERS_MAX_BUFFER_SIZE) return bad("the program table is larger than 2 GiB");
  if (auto copy = align_table(parts.table)) {
    using Both = std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>;
    owner = std::make_shared<Both>(std::move(owner), std::move(copy));  // inline blobs view the copy
  }
  flatbuffers::Verifier::Options limits;
  limits.max_tables = static_cast<flatbuffers::uoffset_t>(parts.table.size() / 8 + 1000);
  const auto* bytes = reinterpret_cast<const uint8_t*>(parts.table.data());
  flatbuffers::Verifier verifier(bytes, parts.table.size(), limits);
  if (!fbs::VerifyProgramBuffer(verifier)) return bad("the program table is damaged or truncated");
  return Decoder(*fbs::GetProgram(bytes), parts.segments, std::move(owner), parts.table.size()).decode();
}

}  // namespace cortland::executorch
