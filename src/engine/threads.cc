#include "engine/threads.h"

#include <algorithm>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace cortland::engine {

#ifdef _OPENMP

ThreadLimit::ThreadLimit(int threads) {
  if (threads <= 0) return;
  before_ = omp_get_max_threads();
  omp_set_num_threads(threads);
}

ThreadLimit::~ThreadLimit() {
  if (before_ > 0) omp_set_num_threads(before_);
}

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  const int64_t chunks = std::min<int64_t>(omp_get_max_threads(), count / std::max<int64_t>(grain, 1));
  if (chunks <= 1) {
    if (count > 0) body(0, count);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(chunks))
  for (int64_t i = 0; i < chunks; ++i) body(count * i / chunks, count * (i + 1) / chunks);
}

#else

ThreadLimit::ThreadLimit(int) {}
ThreadLimit::~ThreadLimit() = default;

void parallel_for(int64_t count, int64_t, const std::function<void(int64_t, int64_t)>& body) {
  if (count > 0) body(0, count);
}

#endif

}  // namespace cortland::engine
