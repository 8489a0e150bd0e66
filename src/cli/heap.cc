#include "cli/heap.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CORTLAND_OWN_HEAP
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace cortland::cli {

#ifdef CORTLAND_OWN_HEAP

namespace {

constexpr size_t kGrain = 16, kLargest = 1024;  // bytes: blocks are multiples of the grain, larger ones are malloc's
constexpr size_t kSpan = size_t{1} << 14;       // bytes of blocks of one size
constexpr size_t kReserved = size_t{4} << 30;   // bytes of addresses, not of memory
constexpr size_t kLargePage = size_t{2} << 20;

struct Block {
  Block* next;
};

// Blocks of one size that a thread has: freed ones, and those of its last span that were never used.
struct Supply {
  Block* freed = nullptr;
  std::byte *next = nullptr, *end = nullptr;
};

std::byte* region = nullptr;  // whose spans are given out in order; null: everything is malloc's
std::atomic<size_t> spans_taken{0};
std::array<uint8_t, kReserved / kSpan> size_of_span;  // in grains, less one
thread_local std::array<Supply, kLargest / kGrain> supplies;

bool refill(Supply& supply, size_t index) {
  const size_t span = region ? spans_taken++ : size_of_span.size();
  if (span >= size_of_span.size()) return false;
  size_of_span[span] = static_cast<uint8_t>(index);
  supply.next = region + span * kSpan;
  supply.end = supply.next + kSpan / ((index + 1) * kGrain) * ((index + 1) * kGrain);
  return true;
}

void* from_malloc(size_t bytes) {
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}

void* allocate(size_t bytes) {
  if (bytes > kLargest) return from_malloc(bytes);
  const size_t index = bytes == 0 ? 0 : (bytes - 1) / kGrain;
  Supply& supply = supplies[index];
  if (Block* block = supply.freed) {
    supply.freed = block->next;
    return block;
  }
  if (supply.next == supply.end && !refill(supply, index)) return from_malloc(bytes);
  return std::exchange(supply.next, supply.next + (index + 1) * kGrain);
}

void release(void* p) noexcept {
  const size_t at = reinterpret_cast<uintptr_t>(p) - reinterpret_cast<uintptr_t>(region);
  if (!region || at >= kReserved) return std::free(p);
  Supply& supply = supplies[size_of_span[at / kSpan]];
  supply.freed = new (p) Block{supply.freed};
}

uintptr_t next_large_page(uintptr_t at) { return (at + kLargePage - 1) / kLargePage * kLargePage; }

// malloc's memory, which starts wherever the system put it, from the next large page on. Nothing there may be touched before
// the system knows: a small page once given stays.
void start_malloc_on_large_page() {
#ifdef __GLIBC__
  constexpr int kStep = 16 << 20, kOwnMapping = 64 << 20;
  constexpr size_t kMore = size_t{1} << 20;  // than malloc has, so that its memory grows by a step
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TOP_PAD, kStep);
  mallopt(M_MMAP_THRESHOLD, kOwnMapping);  // what is less and freed is used again, not mapped anew
  mallopt(M_TRIM_THRESHOLD, kOwnMapping);
  const uintptr_t top = reinterpret_cast<uintptr_t>(std::malloc(kMore)) + kMore, begin = next_large_page(top + kGrain);
  void* volatile kept =
      std::malloc(begin - top - 2 * kGrain);  // never used, so only addresses; what follows has its size before `begin`
  static_cast<void>(kept);
  const uintptr_t end = reinterpret_cast<uintptr_t>(sbrk(0)) / kLargePage * kLargePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace

void prepare_heap() {
  start_malloc_on_large_page();
  void* reserved =
      mmap(nullptr, kReserved + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return;
  const uintptr_t begin = next_large_page(reinterpret_cast<uintptr_t>(reserved));
  madvise(reinterpret_cast<void*>(begin), kReserved, MADV_HUGEPAGE);
  region = reinterpret_cast<std::byte*>(begin);
}

#else

void prepare_heap() {}

#endif

}  // namespace cortland::cli

#ifdef CORTLAND_OWN_HEAP

// In place of the standard library's, in the whole process. The others (arrays, nothrow) call these.
void* operator new(size_t bytes) { return cortland::cli::allocate(bytes); }
void operator delete(void* p) noexcept { cortland::cli::release(p); }
void operator delete(void* p, size_t) noexcept { cortland::cli::release(p); }

#endif
