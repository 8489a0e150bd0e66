// The C interface between this program and the two shared modules that meet the ExecuTorch runtime, which may be built with
// another compiler or be absent: libcortland_runner.so runs .pte files, libcortland_executorch.so is the backend in it.
// Texts and arrays that a call gives out live until the next call on the same runner. One thread at a time for each runner.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

// A Diagnostic; null texts are empty.
struct CortlandError {
  int32_t kind;
  const char *what, *op, *node, *source, *help;
};

enum CortlandValueKind : uint32_t { kCortlandNone, kCortlandTensor, kCortlandInt, kCortlandBool, kCortlandDouble, kCortlandOther };

// A tensor's elements lie dense and row by row; numbers are in `data` as int64_t, bool and double.
struct CortlandValue {
  CortlandValueKind kind;
  uint32_t scalar_type;  // executorch::ScalarType
  uint32_t rank;
  const int64_t* sizes;
  const void* data;
  uint64_t bytes;
};

// How the backend runs what is loaded from now on.
struct CortlandBackendSettings {
  // Called after each step of a delegate; may be null. The texts live until it returns.
  void (*trace)(void* context, const char* kind, const char* name, double seconds, bool fast);
  void* trace_context;
  bool reference;       // reference kernels only
  bool fast_precision;  // compute float16 programs in float32
};

struct CortlandRunner;

// Calls that can fail return false, or null, and fill in the error.
struct CortlandRunnerApi {
  uint32_t version;
  void (*configure)(const CortlandBackendSettings* settings);  // after the first open()
  CortlandRunner* (*open)(const char* path, CortlandError* error);
  void (*close)(CortlandRunner* runner);
  // Makes `method` the one that the next calls are about. It keeps its state until another one is loaded.
  bool (*load)(CortlandRunner* runner, const char* method, CortlandError* error);
  size_t (*input_count)(const CortlandRunner* runner);
  size_t (*output_count)(const CortlandRunner* runner);
  bool (*run)(CortlandRunner* runner, const CortlandValue* inputs, size_t count, CortlandError* error);
  bool (*output)(CortlandRunner* runner, size_t index, CortlandValue* value, CortlandError* error);
};

inline constexpr uint32_t kCortlandRunnerVersion = 3;
inline constexpr const char* kCortlandRunnerEntry = "cortland_runner_api";
typedef const CortlandRunnerApi* (*CortlandRunnerEntry)();

// Of the backend: what it refused on this thread since the last call, or null.
inline constexpr const char* kCortlandLastErrorEntry = "cortland_backend_last_error";
typedef const CortlandError* (*CortlandLastErrorEntry)();
// Of the backend: takes the settings over.
inline constexpr const char* kCortlandConfigureEntry = "cortland_backend_configure";
typedef void (*CortlandConfigureEntry)(const CortlandBackendSettings*);

}  // extern "C"
