// Any bytes as JSON: every accessor on every value, and the path of each.
#include "archive/json.h"

static void visit(cortland::archive::Json json) {
  (void)json.as_int64().ok();
  (void)json.as_uint64().ok();
  (void)json.as_double().ok();
  (void)json.as_string().ok();
  (void)json.only_field().ok();
  if (const auto items = json.items())
    for (const auto item : *items) visit(item);
  if (const auto fields = json.fields())
    for (const auto [key, value] : *fields) {
      if (!json.field(key).ok()) __builtin_trap();
      visit(value);
    }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cortland;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (const auto document = archive::parse_json(text, "fuzz.json", {.bare_non_finite = data[0] % 2 == 1}))
    visit(document->root());
  return 0;
}
