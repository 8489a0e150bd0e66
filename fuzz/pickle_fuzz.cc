// Any bytes as a pickle, and as the program of a torch.save file with two small storages.
#include "archive/pickle.h"
#include "archive/test_zip.h"
#include "archive/torch_save.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cortland;
  const std::string code(reinterpret_cast<const char*>(data), size);
  if (!archive::parse_pickle(as_bytes(code), "fuzz.pkl")) return 0;
  const std::string storage(64, '\1');
  auto zip = archive::test::make_zip({{"a/data.pkl", code}, {"a/data/0", storage}, {"a/data/1", storage}});
  auto save = archive::TorchSave::open(MappedFile::from_bytes(std::move(zip), "fuzz.pt"));
  if (save) (void)save->find(save->root(), "k");
  return 0;
}
