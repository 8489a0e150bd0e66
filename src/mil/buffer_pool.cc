#include "mil/buffer_pool.h"

#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace cortland::mil {
namespace {

thread_local BufferPool* in_use = nullptr;

// Four sizes to each power of two: what is a little smaller fits as well, and at most a fifth is lost.
size_t size_class(size_t bytes) {
  constexpr size_t kSmallest = 256;
  if (bytes <= kSmallest) return kSmallest;
  const size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

}  // namespace

struct BufferPool::Free {
  std::mutex mutex;
  std::unordered_map<size_t, std::vector<void*>> by_size;

  ~Free() { clear(); }
  void clear() {
    for (auto& [size, buffers] : by_size)
      for (void* p : buffers) std::free(p);
    by_size.clear();
  }
};

BufferPool::BufferPool() : free_(std::make_shared<Free>()) {}

std::shared_ptr<std::byte> BufferPool::take(size_t bytes) {
  const size_t size = size_class(bytes);
  void* memory = nullptr;
  {
    const std::lock_guard lock(free_->mutex);
    if (auto& buffers = free_->by_size[size]; !buffers.empty()) {
      memory = buffers.back();  // the last one given back is the likeliest to be in the cache
      buffers.pop_back();
    }
  }
  if (!memory) memory = std::aligned_alloc(64, size);
  if (!memory) throw std::bad_alloc();
  // The list outlives the pool when a tensor does.
  return {static_cast<std::byte*>(memory), [free = free_, size](std::byte* p) {
            const std::lock_guard lock(free->mutex);
            free->by_size[size].push_back(p);
          }};
}

void BufferPool::trim() {
  const std::lock_guard lock(free_->mutex);
  free_->clear();
}

BufferPool* BufferPool::current() { return in_use; }

BufferPool::Use::Use(BufferPool& pool) : before_(in_use) { in_use = &pool; }
BufferPool::Use::~Use() { in_use = before_; }

}  // namespace cortland::mil
