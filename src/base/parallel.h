// Work that splits into many independent pieces, on a few threads of its own.
#pragma once

#include <cstddef>
#include <functional>

#include "base/result.h"

namespace cortland {

// Runs work(i) for every i below `count`, in no order, and comes back when all is done. The first error is the result; what
// has not begun by then does not begin.
Status for_each_parallel(size_t count, const std::function<Status(size_t)>& work);

}  // namespace cortland
