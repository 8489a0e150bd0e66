#include "et_runner/log.h"

#include <executorch/runtime/platform/platform.h>

#include <cstdio>
#include <mutex>
#include <utility>

namespace cortland::et_runner {
namespace {

constexpr size_t kMostMessages = 100;

struct Log {
  std::mutex mutex;
  std::vector<std::string> errors;
};

Log& log() {
  static Log log;
  return log;
}

}  // namespace

extern "C" {
static void keep_message(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, size_t, const char* message, size_t length) {
  if (level == kFatal) std::fprintf(stderr, "ExecuTorch: %.*s\n", static_cast<int>(length), message);
  if (level != kError && level != kFatal) return;
  const std::lock_guard lock(log().mutex);
  if (log().errors.size() < kMostMessages) log().errors.emplace_back(message, length);
}
}

void capture_log() {
  static const bool once = ::executorch::runtime::register_pal(::executorch::runtime::PalImpl::create(keep_message, __FILE__));
  static_cast<void>(once);
}

std::vector<std::string> take_logged_errors() {
  const std::lock_guard lock(log().mutex);
  return std::exchange(log().errors, {});
}

}  // namespace cortland::et_runner
