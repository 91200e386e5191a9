#define SEGMETER_SIMD_NAMESPACE avx2
#include "simd/overlap_inl.hpp"
