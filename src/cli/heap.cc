#include "cli/heap.h"

#include <cstdint>
#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace cortland::cli {

#ifdef __GLIBC__

void prepare_heap() {
  constexpr uintptr_t kLargePage = uintptr_t{2} << 20;
  constexpr int kStep = 16 << 20, kOwnMapping = 64 << 20;
  mallopt(M_TOP_PAD, kStep);
  mallopt(M_MMAP_THRESHOLD, kOwnMapping);  // what is less and freed is used again, not mapped anew
  mallopt(M_TRIM_THRESHOLD, kOwnMapping);
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(sbrk(0)) + kLargePage - 1) / kLargePage * kLargePage;
  void* volatile first = std::malloc(kLargePage);  // makes the heap grow by a step
  std::free(first);
  const uintptr_t end = reinterpret_cast<uintptr_t>(sbrk(0)) / kLargePage * kLargePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

#else

void prepare_heap() {}

#endif

}  // namespace cortland::cli
