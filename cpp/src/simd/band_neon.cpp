#define SEGMETER_SIMD_NAMESPACE neon
#include "simd/band_inl.hpp"
