#define SEGMETER_SIMD_NAMESPACE avx2
#include "simd/region_inl.hpp"
