#define SEGMETER_SIMD_NAMESPACE neon
#include "simd/loss_inl.hpp"
