// Little-endian integers at any alignment, as zip, npy and pickle hold them. The caller has checked the bounds.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/file.h"

namespace cortland::archive {

static_assert(std::endian::native == std::endian::little, "payloads are viewed in place");

template <class T>
T load_le(Bytes bytes, uint64_t offset = 0) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <class T>
void append_le(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

}  // namespace cortland::archive
