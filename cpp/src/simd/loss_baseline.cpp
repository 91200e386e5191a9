#define SEGMETER_SIMD_NAMESPACE baseline
#include "simd/loss_inl.hpp"
