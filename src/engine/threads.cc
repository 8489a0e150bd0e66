#include "engine/threads.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#ifdef _OPENMP
#include <omp.h>
#include <unistd.h>

#include <cstdlib>
#endif

namespace cortland::engine {
namespace {

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

#ifdef _OPENMP

bool waiting_is_configured() { return std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT"); }

// At the end of a parallel section GNU's OpenMP spins for milliseconds, which on a busy machine takes the processor from the
// very thread it waits for: models ran ten times slower. It spins only shortly when there are more OpenMP threads than
// processors, so one extra team of two exists from the first section on; it sleeps all its life.
void wait_politely() {
  static const bool once = [] {
    if (waiting_is_configured()) return false;
    std::thread([] {
      block_signals();
      std::atomic<int> members = 0;
#pragma omp parallel num_threads(2)
      ++members;  // an empty section would be optimised away
      for (;;) pause();
    }).detach();
    return true;
  }();
  static_cast<void>(once);
}

#endif

// The thread sanitizer does not see OpenMP's barriers.
#if defined(_OPENMP) && !defined(__SANITIZE_THREAD__)
#define LOOPS_ON_OPENMP
#endif

using Clock = std::chrono::steady_clock;

// OpenMP's threads wait for more work for a while after a section, on processors that other threads would have to share with
// them; so a loop that comes then is a section of its own.
thread_local Clock::time_point openmp_used, pool_used;
bool openmp_is_awake() { return Clock::now() - openmp_used < std::chrono::milliseconds(1); }

int default_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();  // OMP_NUM_THREADS
#else
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#endif
}

thread_local int limit = 0;             // 0: the default
thread_local bool inside_loop = false;  // of this thread or one it works for

using Chunk = std::function<void(int64_t)>;

// Waits for something that another thread is about to do: first on the spot, then giving way to whoever wants the processor.
class Patience {
 public:
  static constexpr auto kLong = std::chrono::microseconds(200);
  bool is_over() const { return waited_ > kLong; }
  void wait() {
    if (waited_ > kShort) std::this_thread::yield();
#if defined(__x86_64__)
    for (int i = 0; i < 16; ++i) __builtin_ia32_pause();
#endif
    waited_ = Clock::now() - start_;
  }

 private:
  static constexpr auto kShort = std::chrono::microseconds(20);
  Clock::time_point start_ = Clock::now();
  Clock::duration waited_{0};
};

// Threads that take chunks of one job at a time. Between jobs they look for the next one for a while, giving way to whoever
// wants the processor, before they sleep: waking up takes as long as a small product.
class Pool {
 public:
  static Pool& instance() {
    static auto* pool = new Pool;  // its threads end with the process
    return *pool;
  }

  // False, and nothing done, while another thread has a job.
  bool run(int threads, int64_t chunks, const Chunk& chunk) {
    const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    for (; workers_ < threads - 1; ++workers_) std::thread([this, id = workers_] { work(id); }).detach();
    chunk_ = &chunk;
    chunks_ = chunks;
    done_.store(0);
    Job job{job_.load()};
    job_.store(Job::make(job.number() + 1, threads - 1, static_cast<uint32_t>(chunks)).bits);
    number_.store(static_cast<int>(job.number() + 1));
    number_.notify_all();
    take_chunks(job.number() + 1);
    for (Patience patience; done_.load() < chunks;) patience.wait();
    return true;
  }

 private:
  // What is to be done in one word, so that a thread takes a chunk of the job it looked at or none.
  struct Job {
    uint64_t bits;
    static Job make(uint64_t number, int workers, uint32_t left) {
      return {(number & 0xffff) << 48 | static_cast<uint64_t>(workers & 0xffff) << 32 | left};
    }
    uint64_t number() const { return bits >> 48; }
    int workers() const { return static_cast<int>(bits >> 32 & 0xffff); }
    uint32_t left() const { return static_cast<uint32_t>(bits); }
  };

  void take_chunks(uint64_t number) {
    for (Job job{job_.load()}; job.number() == (number & 0xffff) && job.left() > 0;) {
      if (!job_.compare_exchange_weak(job.bits, job.bits - 1)) continue;
      (*chunk_)(chunks_ - job.left());  // the job is not over before this chunk is
      done_.fetch_add(1);
      job.bits = job_.load();
    }
  }

  void work(int id) {
    block_signals();
    inside_loop = true;
    for (;;) {
      const int seen = number_.load();
      Job job{job_.load()};
      for (Patience patience; job.left() == 0 || id >= job.workers(); job.bits = job_.load()) {
        if (patience.is_over()) {
          number_.wait(seen);
          break;
        }
        patience.wait();
      }
      if (id < job.workers()) take_chunks(job.number());
    }
  }

  std::mutex busy_;
  int workers_ = 0;
  const Chunk* chunk_ = nullptr;
  int64_t chunks_ = 0;
  std::atomic<uint64_t> job_{0};
  std::atomic<int64_t> done_{0};
  std::atomic<int> number_{0};  // of the last job, for sleepers
};

}  // namespace

ThreadLimit::ThreadLimit(int threads) : before_(limit) {
#ifdef _OPENMP
  wait_politely();
  openmp_before_ = omp_get_max_threads();
  if (threads > 0) omp_set_num_threads(threads);
#endif
  if (threads > 0) limit = threads;
}

ThreadLimit::~ThreadLimit() {
  limit = before_;
#ifdef _OPENMP
  omp_set_num_threads(openmp_before_);
#endif
}

int thread_count() { return limit > 0 ? limit : default_threads(); }

void openmp_was_used() {
#ifdef LOOPS_ON_OPENMP
  openmp_used = Clock::now();
#endif
}

// All threads are asked for: others would end, and have to be started again.
void parallel_on_openmp(int64_t parts, const std::function<void(int64_t)>& part) {
#ifdef LOOPS_ON_OPENMP
#pragma omp parallel for num_threads(thread_count()) schedule(static, 1)
#endif
  for (int64_t i = 0; i < parts; ++i) {
    inside_loop = true;
    part(i);
    inside_loop = false;
  }
  openmp_was_used();
}

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  constexpr int64_t kChunksEach = 16;  // so that threads which start late, or are slow, take fewer
  constexpr int64_t kAwake = 4;        // how much less a thread costs that is awake
  const int threads = thread_count();
  const bool openmp = openmp_is_awake(), awake = openmp || Clock::now() - pool_used < Patience::kLong;
  grain = std::max<int64_t>(awake ? grain / kAwake : grain, 1);
  // One chunk each lies where the same rows of the operands did, so in the thread's own cache.
  const int64_t chunks = std::min<int64_t>(count / grain, openmp ? threads : kChunksEach * threads);
  const Chunk chunk = [&](int64_t i) { body(count * i / chunks, count * (i + 1) / chunks); };
  if (chunks > 1 && threads > 1 && !inside_loop) {
    if (openmp) return parallel_on_openmp(chunks, chunk);
    inside_loop = true;
    const bool done = Pool::instance().run(static_cast<int>(std::min<int64_t>(threads, chunks)), chunks, chunk);
    inside_loop = false;
    pool_used = Clock::now();
    if (done) return;
  }
  if (count > 0) body(0, count);
}

}  // namespace cortland::engine
