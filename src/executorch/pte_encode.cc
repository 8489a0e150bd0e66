#include "executorch/pte_encode.h"

#include <algorithm>

#include "pte_generated.h"

namespace cortland::executorch {
namespace {

using flatbuffers::Offset;
using Builder = flatbuffers::FlatBufferBuilder;

template <class T, class F>
auto encode_all(Builder& b, const std::vector<T>& items, F encode) {
  std::vector<decltype(encode(items[0]))> tables;
  tables.reserve(items.size());
  for (const auto& item : items) tables.push_back(encode(item));
  return b.CreateVector(tables);
}

Offset<fbs::ExtraTensorInfo> encode_extra(Builder& b, const TensorValue& t) {
  if (t.fqn.empty()) return 0;
  return fbs::CreateExtraTensorInfoDirect(b, 0, t.fqn.c_str(),
                                          t.external ? fbs::TensorDataLocation::External : fbs::TensorDataLocation::Segment);
}

Offset<fbs::Tensor> encode_tensor(Builder& b, const PteLayout& layout, const TensorValue& t) {
  const auto sizes = b.CreateVector(t.sizes);
  const auto dim_order = b.CreateVector(t.dim_order);
  const auto extra = encode_extra(b, t);
  Offset<fbs::AllocationDetails> allocation;
  if (t.allocation)
    allocation = fbs::CreateAllocationDetails(b, t.allocation->memory_id, static_cast<uint32_t>(t.allocation->offset),
                                              static_cast<uint32_t>(t.allocation->offset >> 32));
  fbs::TensorBuilder tensor(b);
  tensor.add_scalar_type(static_cast<int8_t>(t.type));
  tensor.add_sizes(sizes);
  tensor.add_dim_order(dim_order);
  if (t.constant >= 0) tensor.add_data_buffer_idx(layout.constants.number[static_cast<size_t>(t.constant)]);
  if (t.initial >= 0) tensor.add_data_buffer_idx(layout.initial_values.number[static_cast<size_t>(t.initial)]);
  if (!allocation.IsNull()) tensor.add_allocation_info(allocation);
  tensor.add_shape_dynamism(static_cast<fbs::ShapeDynamism>(t.dynamism));
  if (!extra.IsNull()) tensor.add_extra_tensor_info(extra);
  return tensor.Finish();
}

struct ValueEncoder {
  Builder& b;
  const PteLayout& layout;

  Offset<void> operator()(const Null&) { return fbs::CreateNull(b).Union(); }
  Offset<void> operator()(const Int& v) { return fbs::CreateInt(b, v.value).Union(); }
  Offset<void> operator()(const Bool& v) { return fbs::CreateBool(b, v.value).Union(); }
  Offset<void> operator()(const Double& v) { return fbs::CreateDouble(b, v.value).Union(); }
  Offset<void> operator()(const TensorValue& v) { return encode_tensor(b, layout, v).Union(); }
  Offset<void> operator()(const String& v) { return fbs::CreateString(b, b.CreateString(v.value)).Union(); }
  Offset<void> operator()(const IntList& v) {
    return fbs::CreateIntList(b, b.CreateVector(std::vector<int64_t>(v.items.begin(), v.items.end()))).Union();
  }
  Offset<void> operator()(const DoubleList& v) { return fbs::CreateDoubleList(b, b.CreateVector(v.items)).Union(); }
  Offset<void> operator()(const BoolList& v) { return fbs::CreateBoolList(b, b.CreateVector(v.items)).Union(); }
  Offset<void> operator()(const TensorList& v) { return fbs::CreateTensorList(b, b.CreateVector(v.items)).Union(); }
  Offset<void> operator()(const OptionalTensorList& v) {
    return fbs::CreateOptionalTensorList(b, b.CreateVector(v.items)).Union();
  }
};

Offset<fbs::EValue> encode_value(Builder& b, const PteLayout& layout, const EValue& value) {
  const auto table = std::visit(ValueEncoder{b, layout}, value);
  return fbs::CreateEValue(b, static_cast<fbs::KernelTypes>(value.index() + 1), table);
}

struct InstructionEncoder {
  Builder& b;

  Offset<void> operator()(const KernelCall& c) { return fbs::CreateKernelCall(b, c.op, b.CreateVector(c.args)).Union(); }
  Offset<void> operator()(const DelegateCall& c) {
    return fbs::CreateDelegateCall(b, c.delegate, b.CreateVector(c.args)).Union();
  }
  Offset<void> operator()(const MoveCall& c) { return fbs::CreateMoveCall(b, c.from, c.to).Union(); }
  Offset<void> operator()(const JumpFalseCall& c) { return fbs::CreateJumpFalseCall(b, c.condition, c.destination).Union(); }
  Offset<void> operator()(const FreeCall& c) { return fbs::CreateFreeCall(b, c.value).Union(); }
};

Offset<fbs::Instruction> encode_instruction(Builder& b, const Instruction& instruction) {
  const auto table = std::visit(InstructionEncoder{b}, instruction);
  return fbs::CreateInstruction(b, static_cast<fbs::InstructionArguments>(instruction.index() + 1), table);
}

Offset<fbs::CompileSpec> encode_spec(Builder& b, const CompileSpec& spec) {
  const auto key = b.CreateString(spec.key);
  return fbs::CreateCompileSpec(b, key,
                                b.CreateVector(reinterpret_cast<const uint8_t*>(spec.value.data()), spec.value.size()));
}

// An empty blob is inline blob 0, which stands in the table for all of them.
bool is_inline(const PteLayout& layout, const Delegate& d) {
  return d.blob < 0 || layout.blob_segments[static_cast<size_t>(d.blob)] < 0;
}

Offset<fbs::BackendDelegate> encode_delegate(Builder& b, const PteLayout& layout, const Delegate& d) {
  const auto id = b.CreateString(d.id);
  const auto specs = encode_all(b, d.compile_specs, [&](const CompileSpec& spec) { return encode_spec(b, spec); });
  const auto blob = is_inline(layout, d)
                        ? fbs::CreateBlobReference(b)
                        : fbs::CreateBlobReference(b, fbs::BlobLocation::Segment,
                                                   static_cast<uint32_t>(layout.blob_segments[static_cast<size_t>(d.blob)]));
  return fbs::CreateBackendDelegate(b, id, blob, specs);
}

Offset<fbs::Chain> encode_chain(Builder& b, const Plan& plan) {
  const auto instructions =
      encode_all(b, plan.instructions, [&](const Instruction& instruction) { return encode_instruction(b, instruction); });
  return fbs::CreateChain(b, 0, 0, instructions);
}

Offset<fbs::ExecutionPlan> encode_plan(Builder& b, const PteLayout& layout, const Plan& plan) {
  const auto name = b.CreateString(plan.name);
  Offset<fbs::ContainerMetadata> container;
  if (!plan.encoded_inputs.empty() || !plan.encoded_outputs.empty())
    container = fbs::CreateContainerMetadataDirect(b, plan.encoded_inputs.c_str(), plan.encoded_outputs.c_str());
  const auto values = encode_all(b, plan.values, [&](const EValue& value) { return encode_value(b, layout, value); });
  const auto operators = encode_all(b, plan.operators, [&](const Operator& op) {
    const auto op_name = b.CreateString(op.name);
    return fbs::CreateOperator(b, op_name, b.CreateString(op.overload));
  });
  const auto delegates = encode_all(b, plan.delegates, [&](const Delegate& d) { return encode_delegate(b, layout, d); });
  const auto inputs = b.CreateVector(plan.inputs), outputs = b.CreateVector(plan.outputs);
  const auto chain = encode_chain(b, plan);
  const auto chains = b.CreateVector(&chain, 1);
  const auto sizes = b.CreateVector(plan.non_const_buffer_sizes);
  return fbs::CreateExecutionPlan(b, name, container, values, inputs, outputs, chains, operators, delegates, sizes);
}

Offset<fbs::SubsegmentOffsets> encode_buffers(Builder& b, const PteBuffers& buffers) {
  return fbs::CreateSubsegmentOffsets(b, buffers.segment, b.CreateVector(buffers.offsets));
}

bool needs_inline_blob(const PteProgram& program, const PteLayout& layout) {
  return std::ranges::any_of(program.plans, [&](const Plan& plan) {
    return std::ranges::any_of(plan.delegates, [&](const Delegate& d) { return is_inline(layout, d); });
  });
}

}  // namespace

std::string encode_program(const PteProgram& program, const PteLayout& layout) {
  Builder b(64 * 1024);
  const auto plans = encode_all(b, program.plans, [&](const Plan& plan) { return encode_plan(b, layout, plan); });
  const auto segments = encode_all(b, layout.segments, [&](const PteSegment& segment) {
    return fbs::CreateDataSegment(b, segment.offset, segment.size);
  });
  const auto constants = encode_buffers(b, layout.constants);
  std::vector<Offset<fbs::InlineBlob>> inline_blobs;
  if (needs_inline_blob(program, layout))
    inline_blobs.push_back(fbs::CreateInlineBlob(b, b.CreateVector(std::vector<uint8_t>{})));
  std::vector<Offset<fbs::SubsegmentOffsets>> initial_values;
  if (layout.initial_values.offsets.size() > 1) initial_values.push_back(encode_buffers(b, layout.initial_values));
  std::vector<Offset<fbs::NamedData>> named;
  for (size_t i = 0; i < program.named_data.size(); ++i)
    named.push_back(fbs::CreateNamedData(b, b.CreateString(program.named_data[i].name), layout.named_segments[i]));

  const auto blob_vector = b.CreateVector(inline_blobs);
  const auto initial_vector = initial_values.empty() ? 0 : b.CreateVector(initial_values);
  const auto named_vector = named.empty() ? 0 : b.CreateVector(named);
  const auto root = fbs::CreateProgram(b, 0, plans, 0, blob_vector, segments, constants, initial_vector, named_vector);
  fbs::FinishProgramBuffer(b, root);
  return std::string(reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize());
}

}  // namespace cortland::executorch
