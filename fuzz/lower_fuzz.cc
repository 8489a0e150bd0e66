// A .pt2 file through the whole compiler, into memory. Mutations change literals of the program inside: sizes, arguments,
// operators and names that lie about the tensors they go with. Nothing may crash, whatever is refused.
#include <functional>
#include <random>

#include "archive/test_zip.h"
#include "driver/driver.h"
#include "executorch/pte_writer.h"

using namespace cortland;

namespace {

const std::string kProgramPath = "models/model.json";

// Takes the archive apart and puts it together again with another program.
std::string with_program(const std::string& pt2, const std::function<void(std::string&)>& change) {
  const auto zip = archive::test::open_zip(pt2);
  if (!zip) return pt2;
  std::vector<archive::test::Part> parts;
  for (const auto& entry : zip->entries()) {
    const auto bytes = zip->read(entry, 1 << 26);
    if (!bytes) return pt2;
    parts.push_back({std::string(entry.name), *bytes});
    if (parts.back().name.ends_with(kProgramPath)) change(parts.back().data);
  }
  return archive::test::make_zip(parts);
}

struct Span {
  size_t at, length;
};

// Every number and every text of a JSON document.
std::vector<Span> literals(const std::string& json) {
  std::vector<Span> found;
  for (size_t i = 0; i < json.size();) {
    const size_t start = i;
    if (json[i] == '"') {
      for (++i; i < json.size() && json[i] != '"'; ++i) i += json[i] == '\\';
      i = std::min(i + 1, json.size());
    } else if (json[i] == '-' || (json[i] >= '0' && json[i] <= '9')) {
      while (i < json.size() && std::string_view("+-.eE0123456789").find(json[i]) != std::string_view::npos) ++i;
    } else {
      ++i;
      continue;
    }
    found.push_back({start, i - start});
  }
  return found;
}

void mutate(std::string& json, unsigned seed) {
  std::mt19937 random(seed);
  for (unsigned times = 1 + random() % 3; times > 0; --times) {
    const auto all = literals(json);
    if (all.empty()) return;
    const Span to = all[random() % all.size()];
    const bool text = json[to.at] == '"';
    static const char* const kNumbers[] = {"0", "1", "-1", "2", "7", "5000000000", "-9223372036854775808", "9223372036854775807", "1.5"};
    std::string other = kNumbers[random() % std::size(kNumbers)];
    if (text || random() % 2) {
      const Span from = all[random() % all.size()];
      if ((json[from.at] == '"') != text) continue;
      other = json.substr(from.at, from.length);
    }
    json.replace(to.at, to.length, other);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = MappedFile::from_bytes(std::string(reinterpret_cast<const char*>(data), size), "fuzz.pt2");
  for (const mil::Target target : {mil::Target::iOS15, mil::Target::iOS18}) {
    driver::LowerOptions options;
    options.partition.target = target;
    const auto lowered = driver::lower(file, options);
    if (lowered) (void)executorch::pte_bytes(lowered->program).ok();
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  const std::string pt2(reinterpret_cast<const char*>(data), size);
  const std::string changed = with_program(pt2, [&](std::string& json) { mutate(json, seed); });
  if (changed.size() > max_size) return size;
  std::copy(changed.begin(), changed.end(), reinterpret_cast<char*>(data));
  return changed.size();
}
