// A model that is loaded and can be run again and again: what `run` and `bench` have in common. One thread at a time.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>

#include "archive/npy.h"
#include "engine/engine.h"

namespace cortland::engine_cli {

struct LoadOptions {
  std::string method;  // of a .pte, function of an .mlpackage; empty: the usual one
  int threads = 0;
  bool reference = false;
  engine::Precision precision = engine::Precision::Exact;
  // Called after each step of a Core ML part, with its kind, its name, its seconds and whether a fast kernel ran it.
  std::function<void(std::string_view kind, std::string_view name, double seconds, bool fast)> trace;
};

void add_load_options(CLI::App& app, LoadOptions& options);

class LoadedModel {
 public:
  virtual ~LoadedModel() = default;
  // By position ("in0") or name; `file` is what errors call the arrays.
  virtual Status set_inputs(const archive::NamedArrays& arrays, const std::string& file) = 0;
  virtual Status run() = 0;
  // Of the last run: "out0", "out1", ...
  virtual Result<archive::NamedArrays> outputs() = 0;
};

// A .pte goes into the ExecuTorch runtime, an .mlpackage into the engine.
Result<std::unique_ptr<LoadedModel>> load_model(const std::string& path, const LoadOptions& options);
Result<std::unique_ptr<LoadedModel>> load_pte(const std::string& path, const LoadOptions& options);

}  // namespace cortland::engine_cli
