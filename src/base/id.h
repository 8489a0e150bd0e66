// Id<Tag>: a typed index. Store<Id, T>: an append-only table; references stay valid while it grows, and truncate() rolls
// back to an earlier size. Not synchronised.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

namespace cortland {

template <class Tag>
struct Id {
  int32_t index = -1;

  constexpr bool valid() const { return index >= 0; }
  constexpr explicit operator bool() const { return valid(); }
  friend constexpr auto operator<=>(Id, Id) = default;
};

template <class I, class T>
class Store {
 public:
  I add(T item) {
    items_.push_back(std::move(item));
    return I{static_cast<int32_t>(items_.size()) - 1};
  }
  T& operator[](I id) { return items_[static_cast<size_t>(id.index)]; }
  const T& operator[](I id) const { return items_[static_cast<size_t>(id.index)]; }
  int32_t size() const { return static_cast<int32_t>(items_.size()); }
  bool contains(I id) const { return id.index >= 0 && id.index < size(); }
  void truncate(int32_t size) {
    while (this->size() > size) items_.pop_back();
  }
  auto begin() { return items_.begin(); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::deque<T> items_;  // chunked, so growth never moves an element
};

}  // namespace cortland

template <class Tag>
struct std::hash<cortland::Id<Tag>> {
  size_t operator()(cortland::Id<Tag> id) const noexcept { return std::hash<int32_t>()(id.index); }
};
