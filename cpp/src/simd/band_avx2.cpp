#define SEGMETER_SIMD_NAMESPACE avx2
#include "simd/band_inl.hpp"
