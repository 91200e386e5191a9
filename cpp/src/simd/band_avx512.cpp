#define SEGMETER_SIMD_NAMESPACE avx512
#include "simd/band_inl.hpp"
