#include "engine/threads.h"

#include <algorithm>

#ifdef _OPENMP
#include <omp.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#endif

namespace cortland::engine {

#ifdef _OPENMP

namespace {

// At the end of a parallel section GNU's OpenMP spins for milliseconds, which on a busy machine takes the processor from the
// very thread it waits for: models ran ten times slower. It spins only shortly when there are more OpenMP threads than
// processors, so one extra team of two exists from the first section on; it sleeps all its life.
void wait_politely() {
  static const bool once = [] {
    if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return false;
    std::thread([] {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_BLOCK, &all, nullptr);
      std::atomic<int> members = 0;
#pragma omp parallel num_threads(2)
      ++members;  // an empty section would be optimised away
      for (;;) pause();
    }).detach();
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace

ThreadLimit::ThreadLimit(int threads) {
  wait_politely();
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
