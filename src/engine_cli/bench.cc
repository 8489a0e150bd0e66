// `cortland bench`: loads a model, runs it again and again on one set of inputs, and says how long each part took.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "cli/number_check.h"
#include "engine_cli/commands.h"
#include "engine_cli/loaded_model.h"
#include "engine_cli/profile.h"
#include "engine/threads.h"

namespace cortland::engine_cli {
namespace {

struct BenchOptions {
  std::string model, inputs;
  LoadOptions load;
  int runs = 20, warmup = 3;
  bool json = false, profile = false;
};

double milliseconds(const timeval& t) { return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3; }

// Wall-clock time and processor time of all threads since its making.
class Watch {
 public:
  Watch() : start_(std::chrono::steady_clock::now()), cpu_(cpu()) {}
  double wall_ms() const { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count(); }
  double cpu_ms() const { return cpu() - cpu_; }

 private:
  static double cpu() {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime);
  }

  std::chrono::steady_clock::time_point start_;
  double cpu_;
};

struct Measured {
  double load_ms = 0, first_ms = 0, cpu_ms = 0, peak_mb = 0;  // cpu_ms: of one run
  std::vector<double> runs_ms;
};

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
}

Result<Measured> measure(const BenchOptions& options, Profile& profile) {
  Measured m;
  archive::NamedArrays inputs;
  if (!options.inputs.empty()) {
    TRY(inputs, archive::read_npz(options.inputs));
  }
  const engine::ThreadLimit limit(options.load.threads);
  const Watch load;
  TRY(const auto model, load_model(options.model, options.load));
  m.load_ms = load.wall_ms();
  TRY_DO(model->set_inputs(inputs, options.inputs));
  const Watch first;
  TRY_DO(model->run());
  m.first_ms = first.wall_ms();
  for (int i = 1; i < options.warmup; ++i) TRY_DO(model->run());
  profile.clear();
  const Watch all;
  for (int i = 0; i < options.runs; ++i) {
    const Watch one;
    TRY_DO(model->run());
    m.runs_ms.push_back(one.wall_ms());
  }
  m.cpu_ms = all.cpu_ms() / options.runs;
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  m.peak_mb = static_cast<double>(usage.ru_maxrss) / 1024;
  return m;
}

Status bench(BenchOptions& options) {
  Profile profile;
  if (options.profile)
    options.load.trace = [&](std::string_view kind, std::string_view name, double seconds, bool fast) { profile.add(kind, name, seconds, fast); };
  TRY(const Measured m, measure(options, profile));
  if (options.json) {
    fmt::print("{{\"load_ms\": {:.3f}, \"first_ms\": {:.3f}, \"cpu_ms\": {:.3f}, \"peak_mb\": {:.1f}, \"runs_ms\": [{:.4f}]}}\n", m.load_ms,
               m.first_ms, m.cpu_ms, m.peak_mb, fmt::join(m.runs_ms, ", "));
  } else {
    fmt::print("load        {:10.3f} ms\nfirst run   {:10.3f} ms\n", m.load_ms, m.first_ms);
    fmt::print("run         {:10.3f} ms (median of {}; min {:.3f}, max {:.3f})\n", median(m.runs_ms), m.runs_ms.size(),
               *std::min_element(m.runs_ms.begin(), m.runs_ms.end()), *std::max_element(m.runs_ms.begin(), m.runs_ms.end()));
    fmt::print("processor   {:10.3f} ms a run, all threads\nmemory      {:10.1f} MB at most\n", m.cpu_ms, m.peak_mb);
  }
  if (options.profile) profile.print(options.runs);
  return {};
}

std::function<Status()> add_bench(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  app.add_option("model", options->model, "a .pte or .mlpackage")->required();
  app.add_option("--inputs", options->inputs, "an .npz as for `cortland run`");
  app.add_option("--runs", options->runs, "runs to measure (20)")->check(cli::at_least(1));
  app.add_option("--warmup", options->warmup, "runs before those, at least the first one (3)")->check(cli::at_least(1));
  add_load_options(app, options->load);
  app.add_flag("--json", options->json, "print one line of JSON, each run in it");
  app.add_flag("--profile", options->profile, "print where the time of the Core ML parts goes");
  return [options] { return bench(*options); };
}

}  // namespace

const cli::Command kBench{cli::kBenchName, add_bench};

}  // namespace cortland::engine_cli
