#define CORTLAND_SIMD_SET avx2
#include "engine/simd/set.h"
