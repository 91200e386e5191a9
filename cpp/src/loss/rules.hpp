// What the sweeps of all losses have in common.
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <type_traits>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "segmeter/loss.hpp"

#include "loss/elements.hpp"
#include "simd/loss_kernels.hpp"

namespace segmeter::loss {

// Results too small to be normal become zero: they cost a hundred times the others.
class FlushDenormals {
   public:
#if defined(__x86_64__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8000U); }
    ~FlushDenormals() { _mm_setcsr(before_); }
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;

   private:
    unsigned before_;
#endif
};

// Whether the sweep is computed in float64.
inline bool in_float64(const LossInput& input) {
    return input.logits.dtype == DType::kFloat64 || input.activation == Activation::kNone;
}

// Whether tiles hold the share of every class, not labels.
inline bool dense_tiles(const LossInput& input) {
    return input.dense ||
           (input.activation == Activation::kSoftmax && input.label_smoothing != 0.0);
}

template <class Real>
const simd::LossKernels<Real>& kernels_of() {
    if constexpr (std::is_same_v<Real, double>)
        return simd::float64::kLossKernels;
    else
        return loss_kernels();
}

template <class Real>
simd::LossRule<Real> rule_of(const LossInput& input) {
    if (input.terms.size() > static_cast<std::size_t>(simd::kMostLossTerms))
        throw std::invalid_argument("too many pixel terms in one sweep");
    simd::LossRule<Real> rule{};
    rule.channels = static_cast<int>(input.logits.shape[1]);
    rule.num_terms = static_cast<int>(input.terms.size());
    for (std::size_t t = 0; t < input.terms.size(); ++t) {
        const PixelTerm& term = input.terms[t];
        const double halves = 2.0 * term.parameter;
        const bool whole = halves >= 0.0 && halves <= 16.0 && halves == std::floor(halves);
        rule.terms[t] = {static_cast<simd::LossTerm>(term.kind), static_cast<Real>(term.parameter),
                         static_cast<Real>(term.threshold), whole ? static_cast<int>(halves) : -1};
    }
    const bool softmax = input.activation == Activation::kSoftmax;
    // One question among all classes, or one of yes and no per class.
    const bool apart = input.activation == Activation::kSigmoid ||
                       (input.activation == Activation::kNone && rule.channels == 1);
    const double among = apart ? 2.0 : static_cast<double>(rule.channels);
    rule.smooth_keep = static_cast<Real>(1.0 - input.label_smoothing);
    rule.smooth_add = static_cast<Real>(input.label_smoothing / among);
    rule.smoothed = input.label_smoothing != 0.0;
    rule.softmax = softmax;
    rule.sigmoid = input.activation == Activation::kSigmoid;
    return rule;
}

}  // namespace segmeter::loss
