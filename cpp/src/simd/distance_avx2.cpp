#define SEGMETER_SIMD_NAMESPACE avx2
#include "simd/distance_inl.hpp"
