#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace cortland {
namespace {

constexpr size_t kMaxThreads = 4;

}  // namespace

Status for_each_parallel(size_t count, const std::function<Status(size_t)>& work) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  Status result;
  auto run = [&] {
    for (size_t i; (i = next++) < count;) {
      Status status = work(i);
      if (status.ok()) continue;
      const std::lock_guard lock(mutex);
      if (result.ok()) result = std::move(status);
      next = count;
    }
  };
  const size_t threads =
      std::min({kMaxThreads, count, static_cast<size_t>(std::max(1u, std::thread::hardware_concurrency()))});
  std::vector<std::future<void>> others;
  for (size_t t = 1; t < threads; ++t) others.push_back(std::async(std::launch::async, run));
  run();
  for (auto& other : others) other.get();
  return result;
}

}  // namespace cortland
