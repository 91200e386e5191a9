#define SEGMETER_SIMD_NAMESPACE avx512
#include "simd/distance_inl.hpp"
