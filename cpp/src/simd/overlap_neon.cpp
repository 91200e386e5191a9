#define SEGMETER_SIMD_NAMESPACE neon
#include "simd/overlap_inl.hpp"
