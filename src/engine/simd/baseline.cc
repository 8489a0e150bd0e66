// What every processor of the target runs: SSE2 on x86-64, NEON on 64-bit ARM.
#define CORTLAND_SIMD_SET baseline
#include "engine/simd/set.h"
