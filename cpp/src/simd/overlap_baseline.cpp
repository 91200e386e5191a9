#define SEGMETER_SIMD_NAMESPACE baseline
#include "simd/overlap_inl.hpp"
