#define SEGMETER_SIMD_NAMESPACE neon
#include "simd/region_inl.hpp"
