// BufferPool: memory of tensors that are made and dropped again and again. While a pool is in use on a thread, Tensor::make()
// takes from it what that thread makes, and what is dropped, on whatever thread and however late, goes back to it.
#pragma once

#include <cstddef>
#include <memory>

namespace cortland::mil {

class BufferPool {
 public:
  BufferPool();

  // At least `bytes`, aligned to 64, uninitialised.
  std::shared_ptr<std::byte> take(size_t bytes);
  // Gives back to the system what nobody uses.
  void trim();

  // The pool in use on this thread, or null.
  static BufferPool* current();

  // Makes `pool` the one in use until the end of its life.
  class Use {
   public:
    explicit Use(BufferPool& pool);
    ~Use();
    Use(const Use&) = delete;

   private:
    BufferPool* before_;
  };

 private:
  struct Free;
  std::shared_ptr<Free> free_;
};

}  // namespace cortland::mil
