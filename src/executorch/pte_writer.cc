#include "executorch/pte_writer.h"

#include <algorithm>

#include "executorch/pte_encode.h"
#include "executorch/pte_layout.h"

namespace cortland::executorch {
namespace {

constexpr size_t kHeaderOffset = 8, kHeaderSize = 32;  // behind the root offset and the identifier
constexpr size_t kSmallestFile = 64;                   // the loader reads that much before it looks

void put(std::string& text, size_t at, uint64_t value, size_t size) {
  for (size_t i = 0; i < size; ++i) text[at + i] = static_cast<char>(value >> (8 * i));
}

uint64_t get(const std::string& text, size_t at, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value |= uint64_t{static_cast<unsigned char>(text[at + i])} << (8 * i);
  return value;
}

// Makes room behind the identifier; offsets inside the table are relative, so only the root offset moves.
void insert_header(std::string& table, uint64_t segment_base, uint64_t data_size) {
  const uint64_t root = get(table, 0, 4);
  table.insert(kHeaderOffset, kHeaderSize, '\0');
  put(table, 0, root + kHeaderSize, 4);
  table.replace(kHeaderOffset, 4, "eh00");
  put(table, 12, kHeaderSize, 4);
  put(table, 16, table.size(), 8);
  put(table, 24, segment_base, 8);
  put(table, 32, data_size, 8);
}

// A file of which everything is known but the content of its segments.
struct FilePlan {
  std::string table;  // header included
  PteLayout layout;
  uint64_t base = 0, size = 0;  // start of the segments, end of the file
};

Result<FilePlan> plan_file(const PteProgram& program) {
  TRY_DO(validate(program));
  FilePlan plan;
  plan.layout = lay_out(program);
  plan.table = encode_program(program, plan.layout);
  if (plan.layout.data_size == 0) {
    plan.table.resize(std::max(plan.table.size(), kSmallestFile));
    plan.size = plan.table.size();
    return plan;
  }
  plan.base = round_up(plan.table.size() + kHeaderSize, plan.layout.alignment);
  plan.size = plan.base + plan.layout.data_size;
  insert_header(plan.table, plan.base, plan.layout.data_size);
  return plan;
}

Status write(const FilePlan& plan, OutputFile& out) {
  CHECK(out.size() == 0, "a .pte starts at the beginning of its file");
  TRY_DO(out.reserve(plan.size));
  TRY_DO(out.append(as_bytes(plan.table)));
  for (const auto& piece : plan.layout.pieces) TRY_DO(piece.bytes->write_to(out, plan.base + piece.offset));
  return {};
}

}  // namespace

Status write_pte(const PteProgram& program, OutputFile& out) {
  TRY(const FilePlan file, plan_file(program));
  return write(file, out);
}

Status write_pte(const PteProgram& program, const std::function<std::span<std::byte>(uint64_t size)>& allocate) {
  TRY(const FilePlan file, plan_file(program));
  auto out = OutputFile::in_memory(allocate(file.size));
  return write(file, out);
}

Result<std::string> pte_bytes(const PteProgram& program) {
  std::string bytes;
  TRY_DO(write_pte(program, [&](uint64_t size) {
    bytes.resize(size);
    return std::as_writable_bytes(std::span(bytes));
  }));
  return bytes;
}

}  // namespace cortland::executorch
