#define SEGMETER_SIMD_NAMESPACE baseline
#include "simd/band_inl.hpp"
