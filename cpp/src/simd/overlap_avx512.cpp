#define SEGMETER_SIMD_NAMESPACE avx512
#include "simd/overlap_inl.hpp"
