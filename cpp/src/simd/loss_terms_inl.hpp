// Pixel terms, and sums by labelled class. Part of loss_inl.hpp.
#pragma once

#include "simd/loss_kernels.hpp"
#include "simd/loss_vec.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

constexpr int kVecs = kLossTile / kLossLanes;
using Rule = LossRule<Real>;
using Tile = LossTile<Real>;
using Sums = LossSums<Real>;
using Slopes = LossSlopes<Real>;
using Gradient = LossGradient<Real>;

// The vectors of a tile, lane by lane.
inline Vec lane_sum(const Vec (&a)[kVecs]) { return (a[0] + a[1]) + (a[2] + a[3]); }
inline void add_lanes(Real* sums, Vec a) { store(sums, load(sums) + a); }

template <bool kStream>
inline void put(Real* to, Vec a) {
    if constexpr (kStream)
        stream(to, a);
    else
        store(to, a);
}

// The tile that follows in a run.
inline Tile next_tile(const Tile& tile) {
    Tile next = tile;
    next.x += kLossTile;
    next.label += kLossTile;
    return next;
}

// --- terms: f(p), and h = -p f'(p) ---

struct Term {
    Vec f;
    Vec h;
};

// u^power for u in [0, 1].
inline Vec power_of(Vec u, Real power, int half_powers) {
    if (half_powers < 0) {
        const Vec value = exp_of(all(power) * log_of(u));
        return drop(equal(u, zero()), value);
    }
    Vec value = (half_powers & 1) != 0 ? root(u) : one();
    for (int i = 0; i < half_powers / 2; ++i) value = value * u;
    return value;
}

inline Term focal(const TermRule<Real>& rule, Vec power, Vec p, Vec rest, Vec ce) {
    // -p log p / (1 - p): 1 at p = 1, 0 at p = 0.
    const Vec odds = drop(equal(p, zero()), select(equal(rest, zero()), one(), ce * p / rest));
    return {select(equal(rest, zero()), zero(), power * ce),
            power * fma(all(rule.parameter), odds, one())};
}

// `p` of what is true, `rest` = 1 - p and `ce` = -log p.
inline Term evaluate(const TermRule<Real>& rule, Vec p, Vec rest, Vec ce) {
    const Vec k = all(rule.parameter);
    switch (rule.kind) {
        case LossTerm::kCrossEntropy: return {ce, one()};
        case LossTerm::kFocal:
            return focal(rule, power_of(rest, rule.parameter, rule.half_powers), p, rest, ce);
        case LossTerm::kReducedFocal: {
            const Vec u = rest / all(rule.threshold);
            // Below the threshold u may exceed 1: not used there.
            const Vec power = power_of(min(u, all(Real{2})), rule.parameter, rule.half_powers);
            const Term reduced = focal(rule, power, p, rest, ce);
            const Mask hard = less(p, all(rule.threshold));
            return {select(hard, ce, reduced.f), select(hard, one(), reduced.h)};
        }
        case LossTerm::kPoly: {
            const Vec power = power_of(rest, rule.parameter, rule.half_powers);
            // At p = 1 the derivative of a power below 1 has no bound: cut to 0.
            const Vec slope = k * power * p / rest;
            const Vec end = all(rule.parameter == Real{1} ? Real{1} : Real{0});
            return {power, select(equal(rest, zero()), end, slope)};
        }
        case LossTerm::kGeneralised: {
            const Vec part = one_minus_exp(zero() - k * ce);
            const Vec power = exp_of(zero() - k * ce);
            return {part / k, power};
        }
        case LossTerm::kPowerCrossEntropy: {
            // (-log p)^k = exp(k log ce), with ce = 1 / u above 1.
            const Mask large = less(one(), ce);
            const Vec u = select(large, one() / ce, ce);
            const Vec low = power_of(u, rule.parameter, rule.half_powers);
            const Vec power = select(large, one() / low, low);
            const Vec end = all(rule.parameter == Real{1} ? Real{1} : Real{0});
            const Vec slope = select(equal(ce, zero()), end, k * power / ce);
            return {power, slope};
        }
    }
    return {zero(), zero()};
}

// --- what belongs to the labelled class of each pixel ---

// table[label] of every pixel, 0 where there is none.
inline void look_up(const Real* table, const std::int32_t* label, Real* values) {
    for (int i = 0; i < kLossTile; ++i) values[i] = label[i] < 0 ? Real{0} : table[label[i]];
}

// Which pixels of a tile have a label, by bits.
inline std::uint64_t with_label(const std::int32_t* label, std::int32_t wanted) {
    std::uint64_t same = 0;
    for (int j = 0; j < kVecs; ++j)
        same |= std::uint64_t{bits(equal(load_labels(label + kLossLanes * j), wanted))}
                << (kLossLanes * j);
    return same;
}

// Values of all pixels of a run, and where the lanes of their labels' sums are.
struct LabelRow {
    const Real* values;
    Real* sums;
};

// The values of a tile's pixels that have a label, lane by lane.
inline Vec values_of_label(const Real* values, const std::int32_t* label, std::int32_t wanted) {
    Vec part[kVecs];
    for (int j = 0; j < kVecs; ++j)
        part[j] =
            keep(equal(load_labels(label + kLossLanes * j), wanted), load(values + kLossLanes * j));
    return lane_sum(part);
}

// Of all its pixels.
inline Vec values_of_tile(const Real* values) {
    Vec part[kVecs];
    for (int j = 0; j < kVecs; ++j) part[j] = load(values + kLossLanes * j);
    return lane_sum(part);
}

// Adds the values of the pixels of a tile that are named by bits to the lanes of their labels.
inline void book_pixels(const std::int32_t* label, std::uint64_t pixels, std::int64_t first,
                        Real* counts, int rows, const LabelRow* row) {
    for (; pixels != 0; pixels &= pixels - 1) {
        const int i = __builtin_ctzll(pixels);
        const std::int64_t lanes = std::int64_t{kLossLanes} * label[i];
        if (counts != nullptr) counts[lanes] += Real{1};
        for (int r = 0; r < rows; ++r)
            row[r].sums[lanes + i % kLossLanes] += row[r].values[first + i];
    }
}

// Labels of a tile that are booked one after the other. Of noise in many classes each has few
// pixels, and what is left is booked pixel by pixel.
constexpr int kMostLabels = 24;

// Books the pixels of a tile, whose values begin at `first`, to the sums of their labels: for each
// label that there is, mostly one, how many have it (unless `counts` is null), and row by row.
inline void book_tile(const std::int32_t* label, std::int64_t first, Real* counts, int rows,
                      const LabelRow* row) {
    std::uint64_t left = ~with_label(label, -1);
    for (int labels = 0; left != 0; ++labels) {
        if (labels == kMostLabels) {
            book_pixels(label, left, first, counts, rows, row);
            return;
        }
        const std::int32_t found = label[__builtin_ctzll(left)];
        const std::uint64_t same = with_label(label, found);
        left &= ~same;
        const std::int64_t lanes = std::int64_t{kLossLanes} * found;
        if (counts != nullptr) counts[lanes] += static_cast<Real>(__builtin_popcountll(same));
        const bool alone = ~same == 0;
        for (int r = 0; r < rows; ++r) {
            const Real* values = row[r].values + first;
            add_lanes(row[r].sums + lanes,
                      alone ? values_of_tile(values) : values_of_label(values, label, found));
        }
    }
}

// Books the pixels of a run.
inline void book(const std::int32_t* label, int tiles, Real* counts, int rows,
                 const LabelRow* row) {
    for (int k = 0; k < tiles; ++k)
        book_tile(label + k * kLossTile, std::int64_t{kLossTile} * k, counts, rows, row);
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
