// Any bytes as a model and as its weight file; the first two bytes say where one ends. What is accepted must print and be
// written or refused, and what was written without weights must read and write to the same bytes.
#include "coreml/manifest.h"
#include "coreml/package_reader.h"
#include "coreml/package_writer.h"
#include "mil/text.h"

namespace {

using namespace cortland;
using namespace cortland::coreml;

Result<mil::Program> read(std::string_view model, std::string_view weights) {
  auto file = [](std::string_view path, std::string_view bytes) {
    return PackageFile{std::string(path), MappedFile::from_bytes(std::string(bytes), std::string(path))};
  };
  const PackageFile files[] = {file(kManifestPath, write_manifest(model, true)), file(kModelPath, model),
                               file(kWeightPath, weights)};
  return read_package(files);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t split = std::min<size_t>(bytes.size(), data[0] + 256u * data[1]);
  const auto program = read(bytes.substr(0, split), bytes.substr(split));
  if (!program.ok()) return 0;
  (void)mil::print(*program);
  const auto plan = plan_package(*program);
  if (!plan.ok() || plan->weight_bytes() > 0) return 0;
  const auto again = read(plan->model, {});
  if (!again.ok() || plan_package(*again)->model != plan->model) __builtin_trap();
  return 0;
}
