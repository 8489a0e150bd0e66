// Keeps the promise that the library throws nothing: our own bugs become errors. Internal to this layer.
#pragma once

#include <fmt/format.h>

#include "base/result.h"

namespace cortland {

template <class F>
auto guarded(F f) -> decltype(f()) {
  try {
    return f();
  } catch (const InternalError& e) {
    return diag(DiagKind::InternalFault, fmt::format("this is a mistake of ours, not yours: {}", e.what()));
  }
}

}  // namespace cortland
