// A 128-bit hash of bytes, to tell contents apart by. Equal on every machine; not for secrets. Plain values.
#pragma once

#include <string>

#include "base/file.h"

namespace cortland::coreml {

class ContentHash {
 public:
  void add(Bytes bytes);
  void add(uint64_t number);
  // In the form of a UUID, version 8: "0f8b...-....-8...-....-............".
  std::string uuid() const;
  uint64_t word() const;

 private:
  void mix(uint64_t word);
  uint64_t low_ = 0x6a09e667f3bcc908, high_ = 0xbb67ae8584caa73b;
};

}  // namespace cortland::coreml
