// Drives a fuzz target without libFuzzer: each file as it is, then mutations of it that depend on the seed alone.
//   <target> [--mutations N] [--seed S] file...
// The input in hand is written to <target>.crash when the process dies on it.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

namespace {

std::string input, crash_file;

void keep_input(int signal) {
  const int file = open(crash_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file >= 0 && write(file, input.data(), input.size()) >= 0) close(file);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(std::string bytes) {
  input = std::move(bytes);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

// A few bytes changed, cut out, repeated or set to a border value.
std::string mutated(std::string bytes, std::mt19937& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (size_t times = 1 + below(4); times > 0 && !bytes.empty(); --times) {
    const size_t at = below(bytes.size()), length = 1 + below(std::min<size_t>(bytes.size() - at, 16));
    switch (below(5)) {
      case 0: bytes[at] = static_cast<char>(random()); break;
      case 1: bytes.erase(at, length); break;
      case 2: bytes.insert(at, bytes.substr(below(bytes.size()), length)); break;
      case 3: bytes.replace(at, length, length, random() % 2 ? '\xff' : '\0'); break;
      default: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
    }
  }
  return bytes;
}

std::string next(const std::string& bytes, std::mt19937& random) {
  if (!LLVMFuzzerCustomMutator) return mutated(bytes, random);
  const size_t room = bytes.size() * 2 + 4096;
  std::string copy = bytes;
  copy.resize(room);
  copy.resize(LLVMFuzzerCustomMutator(reinterpret_cast<uint8_t*>(copy.data()), bytes.size(), room, static_cast<unsigned>(random())));
  return copy;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned mutations = 0, seed = 1;
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    unsigned* number = word == "--mutations" ? &mutations : word == "--seed" ? &seed : nullptr;
    if (number && i + 1 < argc)
      *number = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
    else
      files.push_back(word);
  }
  crash_file = std::string(argv[0]) + ".crash";
  for (int signal : {SIGSEGV, SIGABRT, SIGILL, SIGTRAP, SIGFPE, SIGBUS}) std::signal(signal, keep_input);
  std::mt19937 random(seed);
  size_t runs = 0;
  for (const std::string& name : files) {
    std::ifstream file(name, std::ios::binary);
    if (!file) return std::fprintf(stderr, "cannot read %s\n", name.c_str()), 2;
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    run(bytes);
    for (unsigned i = 0; i < mutations; ++i, ++runs) run(next(bytes, random));
  }
  std::printf("%zu files, %zu mutations\n", files.size(), runs);
  return files.empty() ? 2 : 0;
}
