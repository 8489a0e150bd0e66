#include "driver/coreml_compiler.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

extern char** environ;

namespace cortland::driver {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHelp =
    "install Xcode on macOS, or use the model type 'model': the device compiles it when it first loads it";

// A folder that goes with its owner.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> create() {
    std::error_code error;
    std::string name = (fs::temp_directory_path(error) / "cortland.XXXXXX").string();
    if (error || !mkdtemp(name.data()))
      return diag(DiagKind::FileAccess, fmt::format("cannot create a temporary folder {}", name));
    return TemporaryFolder(name);
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

struct Ended {
  bool started = false;
  int code = 0;  // of the exit, or the signal's number negated
};

// Runs a program of PATH; what it prints goes to `log`.
Ended run_program(std::vector<std::string> arguments, const fs::path& log) {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed) return {};
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return {};
  return {true, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status)};
}

// The first line of a log, for an error of one sentence.
std::string first_line(const fs::path& log) {
  const auto file = MappedFile::open(log);
  if (!file.ok()) return {};
  const std::string_view text = as_text((*file)->bytes());
  return std::string(text.substr(0, std::min<size_t>(text.find('\n'), 300)));
}

Status add_files(const fs::path& folder, const std::string& root, std::vector<executorch::BlobFile>& files) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (auto it = fs::recursive_directory_iterator(folder, error); !error && it != fs::recursive_directory_iterator();
       it.increment(error))
    if (it->is_regular_file()) paths.push_back(it->path());
  if (error) return diag(DiagKind::FileAccess, fmt::format("cannot read {}: {}", folder.string(), error.message()));
  std::ranges::sort(paths);  // a folder has no order of its own
  for (const auto& path : paths) {
    if (fs::file_size(path, error) == 0) continue;
    TRY(auto file, MappedFile::open(path));
    files.push_back(
        {root + path.lexically_relative(folder).generic_string(), executorch::viewed_bytes(file->bytes(), file)});
  }
  return {};
}

}  // namespace

Status check_coreml_compiler() {
  TRY(const auto folder, TemporaryFolder::create());
  const fs::path log = folder.path() / "log";
  const Ended ended = run_program({"xcrun", "--find", "coremlcompiler"}, log);
  if (ended.started && ended.code == 0) return {};
  std::string what = "compile spec 'model_type': 'compiled_model' takes Apple's `xcrun coremlcompiler`";
  if (!ended.started || ended.code == 127)
    what += ", and there is no xcrun here";
  else
    what += fmt::format(", which xcrun does not find: {}", first_line(log));
  return diag(DiagKind::ToolMissing, what, std::string(kHelp));
}

Result<std::vector<executorch::BlobFile>> compile_package(const coreml::PackagePlan& plan, const std::string& root) {
  TRY(const auto folder, TemporaryFolder::create());
  const fs::path package = folder.path() / "model.mlpackage", out = folder.path() / "out", log = folder.path() / "log";
  TRY_DO(coreml::write_package(plan, package));
  std::error_code error;
  fs::create_directory(out, error);
  const Ended ended = run_program({"xcrun", "coremlcompiler", "compile", package.string(), out.string()}, log);
  if (!ended.started || ended.code != 0)
    return diag(DiagKind::ToolMissing,
                fmt::format("`xcrun coremlcompiler compile` failed with exit code {}: {}", ended.code, first_line(log)),
                std::string(kHelp));
  std::vector<executorch::BlobFile> files;
  if (fs::is_directory(out / "model.mlmodelc", error)) TRY_DO(add_files(out / "model.mlmodelc", root, files));
  if (files.empty())
    return diag(DiagKind::ToolMissing, "`xcrun coremlcompiler compile` wrote no model.mlmodelc", std::string(kHelp));
  return files;
}

}  // namespace cortland::driver
