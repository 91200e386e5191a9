#define SEGMETER_SIMD_NAMESPACE baseline
#include "simd/surface_inl.hpp"
