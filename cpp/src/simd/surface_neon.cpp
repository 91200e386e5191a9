#define SEGMETER_SIMD_NAMESPACE neon
#include "simd/surface_inl.hpp"
