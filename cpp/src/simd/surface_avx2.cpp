#define SEGMETER_SIMD_NAMESPACE avx2
#include "simd/surface_inl.hpp"
