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

}  // namespace

Status write_pte(const PteProgram& program, OutputFile& out) {
  CHECK(out.size() == 0, "a .pte starts at the beginning of its file");
  TRY_DO(validate(program));
  const auto layout = lay_out(program);
  auto table = encode_program(program, layout);
  if (layout.data_size == 0) {
    table.resize(std::max(table.size(), kSmallestFile));
    return out.append(as_bytes(table));
  }
  const uint64_t base = round_up(table.size() + kHeaderSize, layout.alignment);
  insert_header(table, base, layout.data_size);
  TRY_DO(out.append(as_bytes(table)));
  for (const auto& piece : layout.pieces) TRY_DO(piece.bytes->write_to(out, base + piece.offset));
  return {};
}

Result<std::string> pte_bytes(const PteProgram& program) {
  return collect([&](OutputFile& out) { return write_pte(program, out); });
}

}  // namespace cortland::executorch
