#define SEGMETER_SIMD_NAMESPACE avx2
#include "simd/pixel_inl.hpp"
