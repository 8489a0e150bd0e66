// Any bytes as a .npy file and as a .npz archive. What is accepted must be as large as its shape says.
#include "archive/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cortland;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (const auto array = archive::parse_npy(as_bytes(bytes), "fuzz.npy")) {
    if (!archive::npy_header(*array).ok()) __builtin_trap();  // checks the size against the shape
  }
  (void)archive::read_npz(MappedFile::from_bytes(bytes, "fuzz.npz")).ok();
  return 0;
}
