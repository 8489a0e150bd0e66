#include "mil_passes/pipeline.h"

namespace cortland::mil_passes {

Status run_pipeline(mil::Program& program) {
  TRY_DO(remove_dead_ops(program));
  return {};
}

}  // namespace cortland::mil_passes
