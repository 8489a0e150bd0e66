#include "base/result.h"

#include <fmt/format.h>

namespace cortland {

void check_failed(const char* file, int line, const char* condition, const std::string& detail) {
  throw InternalError(fmt::format("internal error: {} failed at {}:{}{}{}", condition, file, line, detail.empty() ? "" : ": ", detail));
}

}  // namespace cortland
