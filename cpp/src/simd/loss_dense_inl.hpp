// Softmax sweeps of dense targets. Part of loss_inl.hpp.
#pragma once

#include "simd/loss_labels_inl.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// --- softmax, dense targets ---

struct DensePixel {
    Vec beside_largest;  // sum of e, less one that is 1
    Vec log_sum;
    Vec inverse;
};

inline DensePixel dense_pixel(const Rule& rule, int j, Vec largest, Real* d, Real* e) {
    Vec below = zero();
    Vec tops = zero();
    for (int c = 0; c < rule.channels; ++c) {
        const int at = c * kLossTile + kLossLanes * j;
        const Vec shifted = load(d + at) - largest;
        const Vec value = exp_of(shifted);
        store(d + at, shifted);
        store(e + at, value);
        const Mask top = equal(shifted, zero());
        below = below + drop(top, value);
        tops = tops + select(top, one(), zero());
    }
    const Vec beside = below + (tops - one());
    return {beside, log1p_of(beside), one() / (one() + beside)};
}

// Class c of one vector of pixels, as the terms and the gradient see it.
struct DenseClass {
    Vec p;
    Vec rest;
    Vec ce;
    Vec share;  // smoothed
};

inline DenseClass dense_class(const Tile& tile, const Rule& rule, const DensePixel& pixel, int at,
                              const Real* d, const Real* e) {
    const Vec shifted = load(d + at);
    const Vec value = load(e + at);
    const Vec sum = one() + pixel.beside_largest;
    const Vec others = select(equal(shifted, zero()), pixel.beside_largest, sum - value);
    return {value * pixel.inverse, others * pixel.inverse, pixel.log_sum - shifted,
            fma(all(rule.smooth_keep), load(tile.y + at), all(rule.smooth_add))};
}

inline void add_dense_sums(const Tile& tile, const Rule& rule, const Sums& sums,
                           const DensePixel (&pixel)[kVecs], const Real* d, const Real* e) {
    const std::int64_t table = std::int64_t{rule.channels} * kLossLanes;
    for (int c = 0; c < rule.channels; ++c) {
        Vec part[5][kVecs];
        Vec terms[kMostLossTerms][kVecs];
        for (int j = 0; j < kVecs; ++j) {
            const int at = c * kLossTile + kLossLanes * j;
            const Vec w = load(tile.weight + kLossLanes * j);
            const Vec y = load(tile.y + at);
            const DenseClass own = dense_class(tile, rule, pixel[j], at, d, e);
            part[0][j] = w * own.p;
            part[1][j] = part[0][j] * y;
            part[2][j] = part[0][j] * own.p;
            part[3][j] = w * y;
            part[4][j] = part[3][j] * y;
            const Vec share = w * own.share;
            for (int t = 0; t < rule.num_terms; ++t) {
                const Vec f = evaluate(rule.terms[t], own.p, own.rest, own.ce).f;
                terms[t][j] = select(equal(share, zero()), zero(), share * f);
            }
        }
        const int to = c * kLossLanes;
        if (sums.pred != nullptr) {
            add_lanes(sums.pred + to, lane_sum(part[0]));
            add_lanes(sums.intersection + to, lane_sum(part[1]));
        }
        if (sums.pred_squared != nullptr) add_lanes(sums.pred_squared + to, lane_sum(part[2]));
        if (sums.target != nullptr) add_lanes(sums.target + to, lane_sum(part[3]));
        if (sums.target_squared != nullptr) add_lanes(sums.target_squared + to, lane_sum(part[4]));
        for (int t = 0; t < rule.num_terms; ++t)
            add_lanes(sums.terms + t * table + to, lane_sum(terms[t]));
    }
}

// Derivative by p[c] of the regions, and by -log p[c] of the terms.
struct DenseSlope {
    Vec by_p;
    Vec by_ce;
};

inline DenseSlope dense_slope(const Tile& tile, const Rule& rule, const Slopes& slopes,
                              const DenseClass& own, int c, int at) {
    Vec by_p = zero();
    if (slopes.pred != nullptr) {
        by_p = fma(all(slopes.intersection[c]), load(tile.y + at), all(slopes.pred[c]));
        if (slopes.pred_squared != nullptr)
            by_p = fma(all(2 * slopes.pred_squared[c]), own.p, by_p);
    }
    Vec by_ce = zero();
    for (int t = 0; t < rule.num_terms; ++t) {
        const Vec share = all(slopes.terms[t * rule.channels + c]) * own.share;
        const Vec h = evaluate(rule.terms[t], own.p, own.rest, own.ce).h;
        by_ce = by_ce + select(equal(share, zero()), zero(), share * h);
    }
    return {by_p, by_ce};
}

inline void write_dense_gradient(const Tile& tile, const Rule& rule, const Slopes& slopes,
                                 const DensePixel& pixel, int j, const Real* d, const Real* e,
                                 const Gradient& gradient) {
    const Vec w = load(tile.weight + kLossLanes * j);
    Vec mean = zero();
    // The sum over classes of the terms' slopes, the largest of them apart: for its own class the
    // sum of the others must not come from a difference.
    Vec largest = zero();
    Vec beside = zero();
    for (int c = 0; c < rule.channels; ++c) {
        const int at = c * kLossTile + kLossLanes * j;
        const DenseClass own = dense_class(tile, rule, pixel, at, d, e);
        const DenseSlope slope = dense_slope(tile, rule, slopes, own, c, at);
        mean = fma(own.p, slope.by_p, mean);
        const Mask larger = less(absolute(largest), absolute(slope.by_ce));
        beside = beside + select(larger, largest, slope.by_ce);
        largest = select(larger, slope.by_ce, largest);
    }
    for (int c = 0; c < rule.channels; ++c) {
        const int at = c * kLossTile + kLossLanes * j;
        const DenseClass own = dense_class(tile, rule, pixel, at, d, e);
        const DenseSlope slope = dense_slope(tile, rule, slopes, own, c, at);
        const Vec by_others =
            select(equal(slope.by_ce, largest), beside, (beside - slope.by_ce) + largest);
        const Vec change = (slope.by_p - mean) + by_others;
        const Vec value = w * fma(own.p, change, zero() - slope.by_ce * own.rest);
        store(gradient.data + c * gradient.stride + kLossLanes * j, value);
    }
}

void softmax_dense(const Tile& tile, const Rule& rule, const Sums* sums, const Slopes* slopes,
                   const Gradient* gradient, Real* scratch) {
    Real* d = scratch;
    Real* e = scratch + rule.channels * kLossTile;
    Vec largest[kVecs];
    copy_and_find_largest(tile, rule.channels, d, largest);
    DensePixel pixel[kVecs];
    for (int j = 0; j < kVecs; ++j) pixel[j] = dense_pixel(rule, j, largest[j], d, e);
    if (sums != nullptr) add_dense_sums(tile, rule, *sums, pixel, d, e);
    if (slopes == nullptr) return;
    for (int j = 0; j < kVecs; ++j)
        write_dense_gradient(tile, rule, *slopes, pixel[j], j, d, e, *gradient);
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
