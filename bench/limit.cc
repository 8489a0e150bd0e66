// The physical limit of lowering: maps a file, converts its bytes from float32 (or bfloat16) to float16 and writes them, in
// parallel tiles, as fast as this machine can. No program is read, nothing is compared, hashed or laid out.
// Tiles of half a megabyte stay in the second cache, as those of `cortland` do; with twice as much small files took a tenth longer.
//
//   limit m.pt2 out.bin [f32 | bf16]
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

constexpr size_t kTile = size_t{1} << 18;    // elements, of 2 bytes
constexpr unsigned kMaxThreads = 4;          // as many as lowering takes
constexpr size_t kStays = size_t{64} << 20;  // bytes of a file that may stay in memory whole, as lowering has it

#if defined(__x86_64__)
__attribute__((target("avx2,f16c"))) void convert(const float* in, uint16_t* out, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < count; ++i) out[i] = _cvtss_sh(in[i], _MM_FROUND_TO_NEAREST_INT);
}
#else
void convert(const float* in, uint16_t* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = std::bit_cast<uint16_t>(static_cast<__fp16>(in[i]));
}
#endif

void widen(const uint16_t* in, float* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = std::bit_cast<float>(static_cast<uint32_t>(in[i]) << 16);
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

void write_all(int fd, const void* data, size_t bytes, size_t at) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = pwrite(fd, p, bytes, static_cast<off_t>(at));
    if (n <= 0) fail("write");
    p += n;
    at += static_cast<size_t>(n);
    bytes -= static_cast<size_t>(n);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: limit in out [f32 | bf16]\n"), 2;
  const bool half_width = argc > 3 && std::string_view(argv[3]) == "bf16";
  const int in = open(argv[1], O_RDONLY), out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0666);
  struct stat info{};
  if (in < 0 || out < 0 || fstat(in, &info) != 0) fail("open");
  const auto bytes = static_cast<size_t>(info.st_size);
  auto* data = static_cast<const char*>(mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, in, 0));
  if (data == MAP_FAILED) fail("map");
  const size_t width = half_width ? 2 : 4, elements = bytes / width;
#ifdef __linux__
  if (fallocate(out, 0, 0, static_cast<off_t>(elements * 2)) != 0 && errno != EOPNOTSUPP) fail("write");  // faster than block by block
#endif
  std::atomic<size_t> next{0};
  auto run = [&] {
    const auto converted = std::make_unique_for_overwrite<uint16_t[]>(kTile);
    const auto wide = std::make_unique_for_overwrite<float[]>(half_width ? kTile : 0);
    for (size_t first; (first = kTile * next++) < elements;) {
      const size_t count = std::min(kTile, elements - first);
      const char* tile = data + first * width;
      if (half_width) widen(reinterpret_cast<const uint16_t*>(tile), wide.get(), count);
      convert(half_width ? wide.get() : reinterpret_cast<const float*>(tile), converted.get(), count);
      write_all(out, converted.get(), count * 2, first * 2);
      if (bytes > kStays) madvise(const_cast<char*>(tile), count * width, MADV_DONTNEED);
    }
  };
  std::vector<std::thread> others;
  for (unsigned t = 1; t < std::clamp(std::thread::hardware_concurrency(), 1u, kMaxThreads); ++t) others.emplace_back(run);
  run();
  for (auto& other : others) other.join();
  return close(out) == 0 ? 0 : 1;
}
