// Losses of segmentation: one sweep over logits gives a small table of sums that every pixel and
// region loss is a formula of, and a second sweep turns the derivative by that table into the
// gradient with respect to the logits.
//
// With p the probability of a class at a pixel, y what is true there and w the pixel's weight, the
// table holds, per sample and class, sums over the counted pixels of w p y, w p, w p^2, w y, w y^2
// and w y f(p) for pixel terms f; for channels that stand alone (sigmoid, probabilities) also of
// w (1 - y) f(1 - p). Smoothed labels concern the terms alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "segmeter/view.hpp"

namespace segmeter {

enum class Activation : int { kSoftmax, kSigmoid, kNone };

// f(p) of what is true at a pixel.
enum class TermKind : int {
    kCrossEntropy,  // -log p
    kFocal,         // (1 - p)^parameter * -log p
    kReducedFocal,  // -log p below the threshold, else ((1 - p) / threshold)^parameter * -log p
    kPoly,          // (1 - p)^parameter
    kGeneralised,   // (1 - p^parameter) / parameter
    kPowerCrossEntropy,  // (-log p)^parameter
};

struct PixelTerm {
    TermKind kind = TermKind::kCrossEntropy;
    double parameter = 1.0;
    double threshold = 0.5;
};

inline constexpr int kMostPixelTerms = 8;

struct LossInput {
    // (N, C, ...) in any strides: float16, float32 or float64, or with `bfloat16` uint16.
    ArrayView logits;
    bool bfloat16 = false;
    // (N, ...) labels of any integer type, or (N, C, ...) shares in 0..1 of any type. With one
    // channel labels are 0 and 1, and the channel scores 1.
    ArrayView target;
    bool dense = false;
    std::span<const std::int64_t> ignored;    // labels; those of uint64 by bit pattern
    const ArrayView* mask = nullptr;          // (N, ...) bool, true where a pixel is left out
    const ArrayView* pixel_weight = nullptr;  // (N, ...) floating point, finite, not negative
    Activation activation = Activation::kSoftmax;
    double label_smoothing = 0.0;
    std::span<const PixelTerm> terms;  // at most kMostPixelTerms
    bool squares = false;              // sum w p^2 too
    int threads = 0;
};

// The table, in the caller's memory: (N, C) each, terms (T, N, C), valid and weight (N).
struct SoftCountsView {
    double* intersection;
    double* pred;
    double* pred_squared;
    double* target;
    double* target_squared;
    double* terms;
    double* terms_negative;
    std::int64_t* valid;
    double* weight;
};

// The derivative of a loss by the table.
struct SoftCountsGradientView {
    const double* intersection;
    const double* pred;
    const double* pred_squared;
    const double* terms;
    const double* terms_negative;
};

// The first pixel that the rules do not allow, if there is one. The table is worthless then, and
// a gradient takes the pixel as left out.
struct LossFault {
    enum class Kind : int { kNone, kLabel, kShare, kWeight };
    Kind kind = Kind::kNone;
    std::int64_t sample = 0;
    std::int64_t channel = 0;  // of a share
    std::int64_t pixel = 0;    // flat, in C order
};

// Fills `counts`. Computed in float32 with float64 sums; float64 logits, and probabilities, in
// float64. Reads the logits once. The same bits for every number of threads, and for all
// instruction sets with fused multiply-add.
[[nodiscard]] LossFault soft_counts(const LossInput& input, const SoftCountsView& counts);

// Writes the gradient: shape and type of the logits, strides in bytes; the memory must not overlap
// theirs. Reads the logits once and writes the gradient once; zero at pixels that do not count.
[[nodiscard]] LossFault soft_counts_backward(const LossInput& input,
                                             const SoftCountsGradientView& slopes,
                                             std::byte* gradient,
                                             std::span<const std::int64_t> strides);

// Fills `target`, `target_squared`, `valid` and `weight` of `counts`, without reading a logit, and
// sets the others to zero.
[[nodiscard]] LossFault target_counts(const LossInput& input, const SoftCountsView& counts);

// For losses that are linear in the terms and take nothing else of the logits: the table (`pred`,
// `pred_squared` and `intersection` are set to zero) and, unless `gradient` is null, the gradient,
// in one sweep. Of `slopes` only those by the terms are read.
[[nodiscard]] LossFault pixel_terms(const LossInput& input, const SoftCountsView& counts,
                                    const SoftCountsGradientView* slopes, std::byte* gradient,
                                    std::span<const std::int64_t> strides);

// The first pixel term of every pixel, (N, ...) in C order, not weighted; 0 where a pixel does not
// count. Labels only, without smoothing; channels that stand alone are added up.
[[nodiscard]] LossFault pixel_costs(const LossInput& input, float* costs);
[[nodiscard]] LossFault pixel_costs(const LossInput& input, double* costs);

// A score of overlap: (above . s + smooth_above) / max(below . s + smooth_below, least) of the sums
// s = (intersection, size, target), 1 for 0 / 0; its loss is offset - score.
struct QuotientRule {
    double above[3];
    double below[3];
    double smooth_above;
    double smooth_below;
    double least;
    double offset;
};

// The sums of n regions and classes; size: of p or of p^2.
struct QuotientSums {
    const double* intersection;
    const double* size;
    const double* target;
};

// Returns the sum of shares * loss, with its derivatives by intersection and size; none by a
// denominator below the least.
[[nodiscard]] double mean_of_quotients(const QuotientRule& rule, std::int64_t n,
                                       const QuotientSums& sums, const double* shares,
                                       double* by_intersection, double* by_size);

// The Lovasz extension of the Jaccard loss of errors |y - p|, or for the hinge max(0, 1 - x s) with
// s = 1 where true and -1 where not. Berman, Rannen Triki and Blaschko, CVPR 2018.
struct LovaszOptions {
    bool per_sample = false;  // groups: samples, or the whole batch
    bool hinge = false;
    // Errors are sorted (radix sort), else rounded to 65,536 levels in 0..1: the value of a class
    // is off by 2^-17 at most, since slopes are positive and add up to 1. Float64 input, the hinge
    // and small groups are always exact.
    bool exact = false;
};

// values[g, c]: loss of class c in group g; gradient (unless null): that of
// sum weights[g, c] * values[g, c], where `weights` are not negative. Classes of weight 0 are left
// out, with value 0. Dense targets are true where they are positive. Errors that are equal share
// the mean of the slopes of the two orders in which those of one kind come first. Memory beside the
// gradient: 1/2 MiB per thread; sorted, 8 bytes per pixel of a class and thread. Without a
// gradient, or where it is no contiguous float32 (float64 for such logits), a copy of the logits'
// size too.
[[nodiscard]] LossFault lovasz(const LossInput& input, const LovaszOptions& options,
                               const double* weights, double* values, std::byte* gradient,
                               std::span<const std::int64_t> strides);

}  // namespace segmeter
