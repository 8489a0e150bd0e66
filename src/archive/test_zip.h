// Builds archives for the tests, with every field open to lies. ZipWriter writes only honest ones.
#pragma once

#include <zlib.h>

#include <optional>
#include <string>
#include <vector>

#include "archive/little_endian.h"
#include "archive/zip_reader.h"

namespace cortland::archive::test {

struct Part {
  std::string name, data;
  bool deflate = false;
  // What the headers claim; the truth when not set.
  std::optional<std::string> local_name = {};
  std::optional<uint32_t> crc = {}, size = {}, start = {};
  uint16_t flags = 0, disk = 0;
  std::optional<uint16_t> method = {}, local_method = {};
  std::string extra = {};
};

inline std::string deflated(const std::string& data) {
  std::string out(data.size() + data.size() / 100 + 64, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline void append_fields(std::string& out, const Part& part, uint16_t method, const std::string& packed) {
  append_le<uint16_t>(out, 0);
  append_le<uint16_t>(out, part.flags);
  append_le<uint16_t>(out, method);
  append_le<uint32_t>(out, 0);
  const auto* bytes = reinterpret_cast<const Bytef*>(part.data.data());
  append_le<uint32_t>(out, part.crc.value_or(static_cast<uint32_t>(crc32_z(0, bytes, part.data.size()))));
  append_le<uint32_t>(
      out, part.deflate ? static_cast<uint32_t>(packed.size()) : part.size.value_or(static_cast<uint32_t>(packed.size())));
  append_le<uint32_t>(out, part.size.value_or(static_cast<uint32_t>(part.data.size())));
}

inline std::string make_zip(const std::vector<Part>& parts, const std::string& comment = {}) {
  std::string out, directory;
  for (const Part& part : parts) {
    const auto packed = part.deflate ? deflated(part.data) : part.data;
    const auto method = part.method.value_or(part.deflate ? 8 : 0);
    const auto local_name = part.local_name.value_or(part.name);
    append_le<uint32_t>(directory, 0x02014b50);
    append_le<uint16_t>(directory, 0);
    append_fields(directory, part, method, packed);
    append_le<uint16_t>(directory, static_cast<uint16_t>(part.name.size()));
    append_le<uint16_t>(directory, static_cast<uint16_t>(part.extra.size()));
    append_le<uint16_t>(directory, 0);
    append_le<uint16_t>(directory, part.disk);
    append_le<uint16_t>(directory, 0);
    append_le<uint32_t>(directory, 0);
    append_le<uint32_t>(directory, part.start.value_or(static_cast<uint32_t>(out.size())));
    directory += part.name + part.extra;
    append_le<uint32_t>(out, 0x04034b50);
    append_fields(out, part, part.local_method.value_or(method), packed);
    append_le<uint16_t>(out, static_cast<uint16_t>(local_name.size()));
    append_le<uint16_t>(out, 0);
    out += local_name + packed;
  }
  const auto start = static_cast<uint32_t>(out.size());
  out += directory;
  append_le<uint32_t>(out, 0x06054b50);
  append_le<uint32_t>(out, 0);
  append_le<uint16_t>(out, static_cast<uint16_t>(parts.size()));
  append_le<uint16_t>(out, static_cast<uint16_t>(parts.size()));
  append_le<uint32_t>(out, static_cast<uint32_t>(directory.size()));
  append_le<uint32_t>(out, start);
  append_le<uint16_t>(out, static_cast<uint16_t>(comment.size()));
  return out + comment;
}

inline Result<ZipReader> open_zip(std::string bytes, ZipOptions options = {}) {
  return ZipReader::open(MappedFile::from_bytes(std::move(bytes), "test.zip"), options);
}

inline std::string read_file(const std::string& path) {
  const auto file = MappedFile::open(path);
  return file ? std::string(as_text((*file)->bytes())) : std::string();
}

// A folder for one test, gone when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "archive_test.XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace cortland::archive::test
