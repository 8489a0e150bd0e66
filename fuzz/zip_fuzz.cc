// Any bytes as an archive: open it, then read every entry both ways.
#include "archive/zip_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cortland;
  auto zip =
      archive::ZipReader::open(MappedFile::from_bytes(std::string(reinterpret_cast<const char*>(data), size), "fuzz.zip"));
  if (!zip) return 0;
  for (const auto& entry : zip->entries()) {
    if (zip->find(entry.name) != &entry) __builtin_trap();
    (void)zip->read(entry, 1 << 20).ok();
    if (!entry.deflated) (void)zip->verify(entry).ok();
  }
  (void)zip->common_prefix();
  return 0;
}
