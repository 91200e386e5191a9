// Logits of float64, and probabilities, are computed in float64.
#define SEGMETER_SIMD_NAMESPACE float64
#define SEGMETER_LOSS_DOUBLE
#include "simd/loss_inl.hpp"
