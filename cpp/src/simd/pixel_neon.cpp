#define SEGMETER_SIMD_NAMESPACE neon
#include "simd/pixel_inl.hpp"
