#define SEGMETER_SIMD_NAMESPACE baseline
#include "simd/pixel_inl.hpp"
