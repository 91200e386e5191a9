#define SEGMETER_SIMD_NAMESPACE avx512
#include "simd/pixel_inl.hpp"
