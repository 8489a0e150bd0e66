// Lowers an exported program to Core ML: lower model.pt2 model.pte
#include <cortland/cortland.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: lower model.pt2 model.pte\n", stderr), 2;
  const auto specs =
      cortland::CoreMLBackend::generate_compile_specs({.minimum_deployment_target = cortland::DeploymentTarget::iOS18});
  const cortland::CoreMLPartitioner partitioner{.compile_specs = specs.value()};
  const auto program = cortland::to_edge_transform_and_lower(argv[1], partitioner);
  const auto done = program.ok() ? program->to_executorch().write_to_file(argv[2]) : cortland::Status(program.error());
  if (!done.ok()) return std::fputs(cortland::render(done.error()).c_str(), stderr), 1;
  for (const auto& message : program->report().messages()) std::fprintf(stderr, "warning: %s\n", message.c_str());
}
