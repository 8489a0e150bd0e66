// How many threads kernels use: OpenMP's, which oneDNN uses too. Without OpenMP everything runs on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>

namespace cortland::engine {

// While it lives, parallel sections started by this thread use at most `threads` threads; 0 leaves the limit as it is.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads);
  ~ThreadLimit();
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  int before_ = 0;
};

// body(first, last) over [0, count) in chunks of at least `grain`.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

}  // namespace cortland::engine
