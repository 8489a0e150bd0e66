// Attention whose groups of query heads share keys and values: programs repeat those (the op wants equal heads), which here
// would only be copied.
#pragma once

#include <vector>

#include "engine/plan.h"

namespace cortland::engine {

// Lets attention read keys and values before their heads are repeated, and drops the repetition where nobody else reads it.
void share_heads(const Plan& plan, std::vector<Step>& steps);

}  // namespace cortland::engine
