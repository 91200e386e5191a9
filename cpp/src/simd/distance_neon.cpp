#define SEGMETER_SIMD_NAMESPACE neon
#include "simd/distance_inl.hpp"
