#define SEGMETER_SIMD_NAMESPACE baseline
#include "simd/distance_inl.hpp"
