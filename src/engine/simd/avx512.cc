#define CORTLAND_SIMD_SET avx512
#include "engine/simd/set.h"
