#include "engine/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace cortland::engine {
namespace {

// How often each index was covered.
std::vector<int> covered(int64_t count, int64_t grain) {
  std::vector<std::atomic<int>> times(static_cast<size_t>(count));
  parallel_for(count, grain, [&](int64_t first, int64_t last) {
    EXPECT_LT(first, last);
    for (int64_t i = first; i < last; ++i) ++times[static_cast<size_t>(i)];
  });
  return {times.begin(), times.end()};
}

TEST(ParallelFor, CoversEveryIndexOnce) {
  for (int threads : {1, 2, 3, 8}) {
    const ThreadLimit limit(threads);
    for (int64_t count : {0, 1, 2, 7, 100, 1001})
      for (int64_t grain : {0, 1, 3, 1000})
        EXPECT_EQ(covered(count, grain), std::vector<int>(static_cast<size_t>(count), 1))
            << threads << " " << count << " " << grain;
  }
}

TEST(ParallelFor, KeepsItsGrainAndItsLimit) {
  const ThreadLimit limit(2);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  for (int i = 0; i < 100; ++i)
    parallel_for(64, 8, [&](int64_t first, int64_t last) {
      EXPECT_GE(last - first, 8 / 4) << "a quarter once threads are awake";
      const std::scoped_lock lock(mutex);
      ids.insert(std::this_thread::get_id());
    });
  EXPECT_LE(ids.size(), 2u);
  const ThreadLimit one(1);
  parallel_for(64, 1, [&](int64_t first, int64_t last) {
    EXPECT_EQ(first, 0);
    EXPECT_EQ(last, 64);
  });
}

TEST(ParallelFor, RunsOnAnotherThreadWhenOneIsFree) {
  const ThreadLimit limit(2);
  // The chunks wait for each other, so two threads are needed.
  std::atomic<int> inside = 0;
  parallel_for(2, 1, [&](int64_t, int64_t) {
    ++inside;
    while (inside < 2) std::this_thread::yield();
  });
  EXPECT_EQ(inside, 2);
}

TEST(ParallelFor, NestsAndServesSeveralThreads) {
  std::atomic<int64_t> sum = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      const ThreadLimit limit(3);
      for (int i = 0; i < 50; ++i)
        parallel_for(20, 1, [&](int64_t first, int64_t last) {
          for (int64_t j = first; j < last; ++j) parallel_for(10, 1, [&](int64_t from, int64_t to) { sum += to - from; });
        });
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(sum, 4 * 50 * 20 * 10);
}

}  // namespace
}  // namespace cortland::engine
