// Inner loops of the losses, one copy per instruction set. Plain data only: these types cross the
// border between translation units that are compiled for different machines.
#pragma once

#include <cstdint>

namespace segmeter::simd {

// Pixels of a tile, and the lanes that every sum is spread over: lane i takes pixels i, i + 16, ...
// at every level, so that all levels with fused multiply-add give the same bits.
inline constexpr int kLossTile = 64;
inline constexpr int kLossLanes = 16;
inline constexpr int kMostLossTerms = 8;
// Most tiles of a run.
inline constexpr int kLossRun = 16;
// Of a softmax, whose kernel asks for the next run's logits: they must fit the second cache.
inline constexpr int kSoftmaxRun = 8;

// In the order of segmeter::TermKind.
enum class LossTerm : int {
    kCrossEntropy,
    kFocal,
    kReducedFocal,
    kPoly,
    kGeneralised,
    kPowerCrossEntropy,
};

template <class Real>
struct TermRule {
    LossTerm kind;
    Real parameter;
    Real threshold;
    // Twice the power that is taken of 1 - p, where that is a small integer; else -1.
    int half_powers;
};

// What stays the same in a sweep.
template <class Real>
struct LossRule {
    int channels;
    int num_terms;
    TermRule<Real> terms[kMostLossTerms];
    // Labels as the terms see them: smooth_keep * y + smooth_add.
    Real smooth_keep;
    Real smooth_add;
    bool smoothed;
    bool softmax;
    bool sigmoid;  // neither: the inputs are probabilities
    bool hinge;    // for errors: 1 - x where true and 1 + x where not, x the logit itself
};

// Levels that errors in [0, 1] are rounded to, at i / (kErrorLevels - 1).
inline constexpr int kErrorLevels = 65536;

// kLossTile pixels; those that do not count have weight 0, and channels that may be read. Or a run
// of `tiles` of them that are plain: logits, labels and gradient go on from one to the next, and
// all have the weights of the first.
template <class Real>
struct LossTile {
    const Real* x;  // channel c at x + c * stride
    std::int64_t stride;
    const Real* next;           // logits that are asked for later, as x; null if not known
    const std::int32_t* label;  // class of each pixel, -1 for none; null with dense targets
    const Real* y;              // dense targets: channel c at y + c * kLossTile
    const Real* weight;
    bool plain;  // all weights are 1
    int tiles;
};

// Sums as lanes: [C][kLossLanes], terms [T][C][kLossLanes]. Null where not wanted: `pred` and
// `intersection` together. `target_squared` is for dense targets only.
template <class Real>
struct LossSums {
    Real* intersection;
    Real* pred;
    Real* pred_squared;
    Real* target;
    Real* target_squared;
    Real* terms;
    Real* terms_negative;
    Real* costs;  // [kLossTile]: the first term of each pixel, not weighted; channels added up
};

// Derivatives by the sums: [C], terms [T][C]. `pred` null: all but those of the terms are zero;
// `pred_squared` null: zero.
template <class Real>
struct LossSlopes {
    const Real* intersection;
    const Real* pred;
    const Real* own;  // intersection + pred
    const Real* pred_squared;
    const Real* terms;
    const Real* terms_negative;
    bool uniform_terms;  // the same for all classes
};

// The gradient of a tile: channel c at data + c * stride. `stream`: past the caches (data must be
// aligned to 64 bytes).
template <class Real>
struct LossGradient {
    Real* data;
    std::int64_t stride;
    bool stream;
};

// Adds a tile, or a run where there is no `costs`, to `sums` and writes the gradient; either may be
// null.
// `scratch`: 2 * channels * kLossTile elements, aligned to 64 bytes.
template <class Real>
using SweepLossTile = void (*)(const LossTile<Real>& tile, const LossRule<Real>& rule,
                               const LossSums<Real>* sums, const LossSlopes<Real>* slopes,
                               const LossGradient<Real>* gradient, Real* scratch);

template <class Real>
struct LossKernels {
    // One label per pixel, not smoothed; at most kSoftmaxRun tiles.
    SweepLossTile<Real> softmax_labels;
    SweepLossTile<Real> softmax_dense;
    SweepLossTile<Real> channelwise;
    // Probabilities of a tile (or logits, for the hinge), channel c at p + c * kLossTile.
    void (*chances)(const LossTile<Real>& tile, const LossRule<Real>& rule, Real* p);
    // How far they are from the truth; the sign bit says that the class is true, infinity that the
    // pixel does not count.
    void (*errors)(const LossTile<Real>& tile, const LossRule<Real>& rule, const Real* p, Real* e);
    // The gradient by the logits from that by the probabilities. May be in place.
    void (*pull_back)(const LossTile<Real>& tile, const LossRule<Real>& rule, const Real* p,
                      const Real* by_p, const LossGradient<Real>& gradient);
    // Errors as codes of their levels, 2 * level + (1 where true), -1 where a pixel does not count.
    // Returns whether no counted one is NaN, whose codes may be anything. float32 only.
    bool (*levels)(const LossTile<Real>& tile, const LossRule<Real>& rule, const Real* p, Real* e);
    // Counts n codes above 0 in counts[2 kErrorLevels]. float32 only.
    void (*count_levels)(const float* codes, std::int64_t n, std::uint32_t* counts);
    // Replaces n codes by what table[2 kErrorLevels] has there, float32 by its bits; at -1 that of
    // 0. float32 only.
    void (*look_up_levels)(float* codes, std::int64_t n, const std::uint32_t* table);
    // Adds the weights of a tile or run with labels to lanes of their classes.
    void (*count_labels)(const LossTile<Real>& tile, Real* target);
    // sums[i] (8 lanes each) += lanes[i] (kLossLanes each), and lanes[i] = 0, for i in [0, n).
    void (*flush)(Real* lanes, std::int64_t n, double* sums);
};

// n contiguous labels as 32 bits, less `shift`; those that, read without sign, are not below
// `limit` become `odd`. Returns whether there was one.
using ReadLabels = bool (*)(const void* from, std::int64_t n, std::uint64_t limit,
                            std::int32_t shift, std::int32_t odd, std::int32_t* to);

struct LabelKernels {
    ReadLabels read[4];  // labels of 1, 2, 4, 8 bytes
};

// Conversions of n contiguous elements. Rounding is to nearest, ties to even.
struct HalfKernels {
    void (*from_half)(const std::uint16_t* from, std::int64_t n, float* to);
    void (*to_half)(const float* from, std::int64_t n, std::uint16_t* to);
    void (*from_bfloat)(const std::uint16_t* from, std::int64_t n, float* to);
    void (*to_bfloat)(const float* from, std::int64_t n, std::uint16_t* to);
};

namespace baseline {
extern const LossKernels<float> kLossKernels;
extern const HalfKernels kHalfKernels;
extern const LabelKernels kLabelKernels;
}  // namespace baseline
namespace avx2 {
extern const LossKernels<float> kLossKernels;
extern const HalfKernels kHalfKernels;
extern const LabelKernels kLabelKernels;
}  // namespace avx2
namespace avx512 {
extern const LossKernels<float> kLossKernels;
extern const HalfKernels kHalfKernels;
extern const LabelKernels kLabelKernels;
}  // namespace avx512
namespace neon {
extern const LossKernels<float> kLossKernels;
extern const HalfKernels kHalfKernels;
extern const LabelKernels kLabelKernels;
}  // namespace neon
namespace float64 {
extern const LossKernels<double> kLossKernels;
}  // namespace float64

}  // namespace segmeter::simd
