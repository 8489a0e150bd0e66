// Reads any bytes as a .pte and as a delegate blob, and everything small found inside: nothing may crash or take memory
// out of proportion. What is accepted must survive being written and read again.
#include <cstdlib>

#include "executorch/compile_specs.h"
#include "executorch/delegate_blob.h"
#include "executorch/pte_reader.h"
#include "executorch/pte_writer.h"

namespace {

using namespace cortland;
using namespace cortland::executorch;

void read_blob(Bytes blob) {
  (void)parse_multifunction_reference(blob);
  const auto files = unflatten_directory(blob);
  if (!files.ok()) return;
  for (const auto& file : *files) (void)parse_metadata(file.bytes);
}

void read_program(std::string bytes) {
  const auto program = read_pte(MappedFile::from_bytes(std::move(bytes), "fuzz.pte"));
  if (!program.ok()) return;
  for (const auto& blob : program->blobs) read_blob(blob.bytes.memory);
  for (const auto& plan : program->plans)
    for (const auto& delegate : plan.delegates) (void)parse_compile_specs(delegate.compile_specs);
  auto again = pte_bytes(*program);
  if (!again.ok() || !read_pte(MappedFile::from_bytes(std::move(*again), "again.pte")).ok()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read_blob(std::as_bytes(std::span(data, size)));
  (void)parse_metadata(std::as_bytes(std::span(data, size)));
  read_program(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
