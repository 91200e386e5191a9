#define SEGMETER_SIMD_NAMESPACE avx512
#include "simd/loss_inl.hpp"
