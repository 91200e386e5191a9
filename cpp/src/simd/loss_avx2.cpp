#define SEGMETER_SIMD_NAMESPACE avx2
#include "simd/loss_inl.hpp"
