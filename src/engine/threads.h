// How many threads kernels use, and the loop they share them with. oneDNN has threads of its own, OpenMP's; the limit is for both,
// and where its kernels stand, loops run on its threads too.
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
  int before_ = 0, openmp_before_ = 0;
};

// body(first, last) over [0, count) in chunks of at least `grain`, or a quarter of it on threads that are awake anyway. The caller works too and takes what no other thread has begun, so
// a busy machine costs little more than one thread would. Loops inside a body, and loops while another thread has one, are serial.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

// How many threads this one may use, itself among them.
int thread_count();

// part(i) for i in [0, parts), on OpenMP's threads: the t-th of them takes the t-th, and so on. For what runs in the midst of oneDNN's
// kernels, whose threads those are.
void parallel_on_openmp(int64_t parts, const std::function<void(int64_t)>& part);
// This thread has run something on OpenMP's threads. They stay awake for a while, in which parallel_for takes them too.
void openmp_was_used();

}  // namespace cortland::engine
