#define SEGMETER_SIMD_NAMESPACE baseline
#include "simd/region_inl.hpp"
