#define SEGMETER_SIMD_NAMESPACE avx512
#include "simd/surface_inl.hpp"
