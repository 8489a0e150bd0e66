#include "coreml/content_hash.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>

namespace cortland::coreml {
namespace {

// Spreads every input bit over the whole word (xor-shift and multiply).
uint64_t scramble(uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
  x = (x ^ (x >> 29)) * 0x9e3779b97f4a7c15;
  return x ^ (x >> 32);
}

constexpr size_t kStripe = 64;  // bytes

uint64_t word_at(Bytes bytes, size_t at) {
  uint64_t word;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

}  // namespace

// Two lanes with different rotations and odd multipliers.
void ContentHash::mix(uint64_t word) {
  low_ = std::rotl((low_ ^ word) * 0x9e3779b97f4a7c15, 31);
  high_ = std::rotl((high_ + word) * 0xc2b2ae3d27d4eb4f, 29);
}

void ContentHash::add(uint64_t number) { mix(number); }

// Long runs go through independent lanes: each word waits for the one before it in its lane only.
void ContentHash::add(Bytes bytes) {
  size_t at = 0;
  if (bytes.size() >= kStripe) {
    std::array<uint64_t, kStripe / 8> lanes;
    for (size_t i = 0; i < lanes.size(); ++i) lanes[i] = scramble(i + 1);
    for (; at + kStripe <= bytes.size(); at += kStripe)
      for (size_t i = 0; i < lanes.size(); ++i) lanes[i] = std::rotl((lanes[i] ^ word_at(bytes, at + 8 * i)) * 0x9e3779b97f4a7c15, 31);
    for (const uint64_t lane : lanes) mix(scramble(lane));
  }
  for (; at + 8 <= bytes.size(); at += 8) mix(word_at(bytes, at));
  uint64_t rest = 0;
  if (at < bytes.size()) std::memcpy(&rest, bytes.data() + at, bytes.size() - at);
  mix(rest);
  mix(bytes.size());
}

uint64_t ContentHash::word() const { return scramble(low_ ^ scramble(high_)); }

std::string ContentHash::uuid() const {
  const uint64_t a = word(), b = scramble(high_ + scramble(low_));
  return fmt::format("{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff,
                     ((b >> 48) & 0x3fff) | 0x8000, b & 0xffffffffffff);
}

}  // namespace cortland::coreml
