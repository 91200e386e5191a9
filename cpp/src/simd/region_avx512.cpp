#define SEGMETER_SIMD_NAMESPACE avx512
#include "simd/region_inl.hpp"
