// The inner loops of the losses; included once per instruction set, with SEGMETER_SIMD_NAMESPACE
// naming the level. Everything but the function tables has internal linkage.
//
// Notation: x logit, m largest logit of the pixel, e = exp(x - m), s their sum, p = e / s, t the
// labelled class. 1 - p[t] is the sum of the other e over s and log p[t] comes from log1p of sums
// without the largest, so that neither cancels where a network is sure of itself.
//
// A sum runs over lanes first; its order depends on the tile alone. Tiles are float32 sums of four
// pixels per lane; the driver turns lanes into float64 after a few tiles.

#include <type_traits>

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

// Adds values[row][pixel] to the lanes of the pixel's label in sums[row].
inline void book(const std::int32_t* label, int rows, const Real (*values)[kLossTile],
                 Real* const* sums) {
    // Most tiles of most maps have few labels.
    constexpr int kFew = 6;
    Labels labels[kVecs];
    for (int j = 0; j < kVecs; ++j) labels[j] = load_labels(label + kLossLanes * j);
    std::uint64_t left = 0;
    for (int j = 0; j < kVecs; ++j)
        left |= std::uint64_t{bits(equal(labels[j], -1))} << (kLossLanes * j);
    left = ~left;
    for (int round = 0; round < kFew && left != 0; ++round) {
        const std::int32_t found = label[__builtin_ctzll(left)];
        Mask mask[kVecs];
        std::uint64_t same = 0;
        for (int j = 0; j < kVecs; ++j) {
            mask[j] = equal(labels[j], found);
            same |= std::uint64_t{bits(mask[j])} << (kLossLanes * j);
        }
        left &= ~same;
        for (int row = 0; row < rows; ++row) {
            Vec part[kVecs];
            for (int j = 0; j < kVecs; ++j)
                part[j] = select(mask[j], load(values[row] + kLossLanes * j), zero());
            add_lanes(sums[row] + kLossLanes * found, lane_sum(part));
        }
    }
    for (; left != 0; left &= left - 1) {
        const int i = __builtin_ctzll(left);
        const int at = kLossLanes * label[i] + i % kLossLanes;
        for (int row = 0; row < rows; ++row) sums[row][at] += values[row][i];
    }
}

// --- softmax, one label per pixel ---

// Copies the logits of a tile, 0 where a pixel does not count, and finds the largest ones.
inline void copy_and_find_largest(const Tile& tile, int channels, Real* copy,
                                  Vec (&largest)[kVecs]) {
    for (int j = 0; j < kVecs; ++j) largest[j] = all(-__builtin_inff());
    const auto channel = [&](int c, auto&& value) {
        for (int j = 0; j < kVecs; ++j) {
            const Vec x = value(tile.x + c * tile.stride + kLossLanes * j, j);
            store(copy + c * kLossTile + kLossLanes * j, x);
            largest[j] = max(x, largest[j]);
        }
    };
    if (tile.plain) {
        for (int c = 0; c < channels; ++c) channel(c, [](const Real* x, int) { return load(x); });
        return;
    }
    Mask out[kVecs];
    for (int j = 0; j < kVecs; ++j) out[j] = equal(load(tile.weight + kLossLanes * j), zero());
    for (int c = 0; c < channels; ++c)
        channel(c, [&](const Real* x, int j) { return drop(out[j], load(x)); });
}

template <bool kStream>
inline void put(Real* to, Vec a) {
    if constexpr (kStream)
        stream(to, a);
    else
        store(to, a);
}

// What a pixel's softmax comes to.
struct Pixel {
    Vec others;  // sum of e without the labelled class
    Vec at;      // x[t] - m
    Vec slope;   // sum of e * slope without the labelled class
};

template <bool kRegionSlopes, bool kSquares>
inline void exponentials(const Rule& rule, const Labels (&labels)[kVecs], const Slopes* slopes,
                         const Vec (&largest)[kVecs], Real* e, Pixel (&pixel)[kVecs]) {
    for (int j = 0; j < kVecs; ++j) pixel[j] = {zero(), zero(), zero()};
    for (int c = 0; c < rule.channels; ++c) {
        Real* row = e + c * kLossTile;
        for (int j = 0; j < kVecs; ++j) {
            const Vec d = load(row + kLossLanes * j) - largest[j];
            const Mask here = equal(labels[j], c);
            const Vec value = exp_of(d);
            const Vec other = drop(here, value);
            store(row + kLossLanes * j, value);
            pixel[j].others = pixel[j].others + other;
            pixel[j].at = select(here, d, pixel[j].at);
            if constexpr (kRegionSlopes && !kSquares)
                pixel[j].slope = fma(other, all(slopes->pred[c]), pixel[j].slope);
        }
    }
}

// sum over k != t of p[k] (a[k] + 2 q[k] p[k]), where squares count.
inline void square_slopes(const Rule& rule, const Labels (&labels)[kVecs], const Slopes& slopes,
                          const Vec (&inverse)[kVecs], const Real* e, Pixel (&pixel)[kVecs]) {
    for (int c = 0; c < rule.channels; ++c)
        for (int j = 0; j < kVecs; ++j) {
            const Vec other = drop(equal(labels[j], c), load(e + c * kLossTile + kLossLanes * j));
            const Vec by_p =
                fma(all(2 * slopes.pred_squared[c]), other * inverse[j], all(slopes.pred[c]));
            pixel[j].slope = fma(other, by_p, pixel[j].slope);
        }
}

template <bool kStream, bool kRegions, bool kSquares>
inline void write_gradient(const Rule& rule, const Labels (&labels)[kVecs], const Slopes& slopes,
                           const Vec (&inverse)[kVecs], const Vec (&factor)[kVecs],
                           const Vec (&weighted)[kVecs], const Vec (&at_label)[kVecs],
                           const Real* e, const Gradient& gradient) {
    for (int c = 0; c < rule.channels; ++c) {
        const Real* row = e + c * kLossTile;
        Real* to = gradient.data + c * gradient.stride;
        for (int j = 0; j < kVecs; ++j) {
            const Vec value = load(row + kLossLanes * j);
            Vec by_e = factor[j];
            if constexpr (kRegions) {
                Vec by_p = all(slopes.pred[c]);
                if constexpr (kSquares)
                    by_p = fma(all(2 * slopes.pred_squared[c]), value * inverse[j], by_p);
                by_e = fma(weighted[j], by_p, by_e);
            }
            put<kStream>(to + kLossLanes * j,
                         select(equal(labels[j], c), at_label[j], value * by_e));
        }
    }
}

template <bool kSlopes, bool kRegions, bool kSquares>
void softmax_labels_as(const Tile& tile, const Rule& rule, const Sums* sums, const Slopes* slopes,
                       const Gradient* gradient, Real* e) {
    Vec largest[kVecs];
    copy_and_find_largest(tile, rule.channels, e, largest);
    Labels labels[kVecs];
    for (int j = 0; j < kVecs; ++j) labels[j] = load_labels(tile.label + kLossLanes * j);
    Pixel pixel[kVecs];
    exponentials<kSlopes && kRegions, kSquares>(rule, labels, slopes, largest, e, pixel);

    // Rows that are booked under the label: w p[t], w, and the terms.
    alignas(64) Real rows[2 + kMostLossTerms][kLossTile];
    alignas(64) Real by_label[3 + kMostLossTerms][kLossTile];
    if constexpr (kSlopes) {
        if constexpr (kRegions) {
            look_up(slopes->intersection, tile.label, by_label[0]);
            look_up(slopes->pred, tile.label, by_label[1]);
            if constexpr (kSquares) look_up(slopes->pred_squared, tile.label, by_label[2]);
        }
        if (!slopes->uniform_terms)
            for (int t = 0; t < rule.num_terms; ++t)
                look_up(slopes->terms + t * rule.channels, tile.label, by_label[3 + t]);
    }
    Vec inverse[kVecs];
    Vec weighted[kVecs];
    for (int j = 0; j < kVecs; ++j) {
        const Vec s = pixel[j].others + exp_of(pixel[j].at);
        inverse[j] = one() / s;
        weighted[j] = tile.plain ? inverse[j] : inverse[j] * load(tile.weight + kLossLanes * j);
    }
    if constexpr (kSlopes && kSquares) square_slopes(rule, labels, *slopes, inverse, e, pixel);
    Vec factor[kVecs];
    Vec at_label[kVecs];
    for (int j = 0; j < kVecs; ++j) {
        const int i = kLossLanes * j;
        const Vec w = load(tile.weight + i);
        const Vec p = exp_of(pixel[j].at) * inverse[j];
        const Vec rest = pixel[j].others * inverse[j];
        const Vec s = pixel[j].others + exp_of(pixel[j].at);
        const Vec beside_largest = select(equal(pixel[j].at, zero()), pixel[j].others, s - one());
        const Vec ce = log1p_of(beside_largest) - pixel[j].at;
        Vec total = zero();  // derivative of all terms by -log p[t]
        for (int t = 0; t < rule.num_terms; ++t) {
            const Term term = evaluate(rule.terms[t], p, rest, ce);
            if (sums != nullptr) store(rows[2 + t] + i, select(equal(w, zero()), w, w * term.f));
            if (sums != nullptr && sums->costs != nullptr && t == 0) store(sums->costs + i, term.f);
            if constexpr (kSlopes) {
                const Vec slope = slopes->uniform_terms ? all(slopes->terms[t * rule.channels])
                                                        : load(by_label[3 + t] + i);
                total = fma(slope, term.h, total);
            }
        }
        if (sums != nullptr) {
            store(rows[0] + i, w * p);
            store(rows[1] + i, w);
        }
        if constexpr (kSlopes) {
            Vec at = zero() - rest * total;
            Vec balance = total;
            if constexpr (kRegions) {
                Vec own = load(by_label[0] + i) + load(by_label[1] + i);
                if constexpr (kSquares)
                    own = fma(load(by_label[2] + i) + load(by_label[2] + i), p, own);
                const Vec others = pixel[j].slope * inverse[j];
                at = fma(p, fma(own, rest, zero() - others), at);
                balance = total - fma(p, own, others);
            }
            factor[j] = weighted[j] * balance;
            at_label[j] = w * at;
        }
    }
    if constexpr (kSlopes) {
        const auto write = gradient->stream ? write_gradient<true, kRegions, kSquares>
                                            : write_gradient<false, kRegions, kSquares>;
        write(rule, labels, *slopes, inverse, factor, weighted, at_label, e, *gradient);
    }
    if (sums == nullptr) return;
    Real* to[2 + kMostLossTerms] = {sums->intersection, sums->target};
    for (int t = 0; t < rule.num_terms; ++t)
        to[2 + t] = sums->terms + t * rule.channels * kLossLanes;
    const int first = sums->pred != nullptr ? 0 : sums->target != nullptr ? 1 : 2;
    book(tile.label, 2 + rule.num_terms - first, rows + first, to + first);
    if (sums->pred == nullptr) return;
    for (int c = 0; c < rule.channels; ++c) {
        Vec part[kVecs];
        for (int j = 0; j < kVecs; ++j)
            part[j] = weighted[j] * load(e + c * kLossTile + kLossLanes * j);
        add_lanes(sums->pred + kLossLanes * c, lane_sum(part));
        if (sums->pred_squared == nullptr) continue;
        for (int j = 0; j < kVecs; ++j)
            part[j] = part[j] * (inverse[j] * load(e + c * kLossTile + kLossLanes * j));
        add_lanes(sums->pred_squared + kLossLanes * c, lane_sum(part));
    }
}

void softmax_labels(const Tile& tile, const Rule& rule, const Sums* sums, const Slopes* slopes,
                    const Gradient* gradient, Real* scratch) {
    const auto sweep = slopes == nullptr                 ? softmax_labels_as<false, false, false>
                       : slopes->pred == nullptr         ? softmax_labels_as<true, false, false>
                       : slopes->pred_squared == nullptr ? softmax_labels_as<true, true, false>
                                                         : softmax_labels_as<true, true, true>;
    sweep(tile, rule, sums, slopes, gradient, scratch);
}

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
    Vec total = zero();
    for (int c = 0; c < rule.channels; ++c) {
        const int at = c * kLossTile + kLossLanes * j;
        const DenseClass own = dense_class(tile, rule, pixel, at, d, e);
        const DenseSlope slope = dense_slope(tile, rule, slopes, own, c, at);
        mean = fma(own.p, slope.by_p, mean);
        total = total + slope.by_ce;
    }
    for (int c = 0; c < rule.channels; ++c) {
        const int at = c * kLossTile + kLossLanes * j;
        const DenseClass own = dense_class(tile, rule, pixel, at, d, e);
        const DenseSlope slope = dense_slope(tile, rule, slopes, own, c, at);
        const Vec others = (slope.by_p - mean) + (total - slope.by_ce);
        const Vec value = w * fma(own.p, others, zero() - slope.by_ce * own.rest);
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

// --- every channel a question of its own ---

// Probability, its complement, and minus their logarithms.
struct Chance {
    Vec p;
    Vec rest;
    Vec ce;
    Vec ce_rest;
};

inline Chance chance_of(Vec x, bool sigmoid, bool logarithms) {
#if defined(SEGMETER_LOSS_DOUBLE)
    if (!sigmoid) {
        const Vec rest = one() - x;
        if (!logarithms) return {x, rest, zero(), zero()};
        return {x, rest, zero() - log_of(x), zero() - log1p_of(zero() - x)};
    }
#else
    (void)sigmoid;  // probabilities are computed in float64
#endif
    const Vec size = absolute(x);
    const Vec z = exp_of(zero() - size);
    const Vec near = one() / (one() + z);
    const Vec far = z * near;
    const Mask negative = less(x, zero());
    const Vec p = select(negative, far, near);
    const Vec rest = select(negative, near, far);
    if (!logarithms) return {p, rest, zero(), zero()};
#if defined(SEGMETER_LOSS_DOUBLE)
    const Vec small = log1p_of(z);
#else
    const Vec small = log1p_small(z);
#endif
    return {p, rest, select(negative, small + size, small), select(negative, small, small + size)};
}

// What is true of channel c at a vector of pixels: yes, or for how much.
struct Truth {
    Mask yes;
    Vec y;
};

inline Truth truth_of(const Tile& tile, int c, int j) {
    if (tile.label == nullptr) return {Mask{}, load(tile.y + c * kLossTile + kLossLanes * j)};
    const Mask yes = equal(load_labels(tile.label + kLossLanes * j), c);
    return {yes, select(yes, one(), zero())};
}

template <bool kSoft>
inline void add_channel_sums(const Rule& rule, const Sums& sums, int c,
                             const Chance (&chance)[kVecs], const Truth (&truth)[kVecs],
                             const Vec (&w)[kVecs]) {
    const std::int64_t table = std::int64_t{rule.channels} * kLossLanes;
    const int to = c * kLossLanes;
    Vec part[kVecs];
    const auto add = [&](Real* row, auto&& value) {
        for (int j = 0; j < kVecs; ++j) part[j] = value(j);
        add_lanes(row, lane_sum(part));
    };
    if (sums.pred != nullptr) {
        add(sums.pred + to, [&](int j) { return w[j] * chance[j].p; });
        add(sums.intersection + to, [&](int j) { return w[j] * chance[j].p * truth[j].y; });
    }
    if (sums.pred_squared != nullptr)
        add(sums.pred_squared + to, [&](int j) { return w[j] * chance[j].p * chance[j].p; });
    if (sums.target != nullptr) add(sums.target + to, [&](int j) { return w[j] * truth[j].y; });
    if (sums.target_squared != nullptr)
        add(sums.target_squared + to, [&](int j) { return w[j] * truth[j].y * truth[j].y; });
    for (int t = 0; t < rule.num_terms; ++t) {
        Real* positive = sums.terms + t * table + to;
        Real* negative = sums.terms_negative + t * table + to;
        Vec yes[kVecs];
        Vec no[kVecs];
        for (int j = 0; j < kVecs; ++j) {
            const Chance& own = chance[j];
            if constexpr (kSoft) {
                const Vec share = fma(all(rule.smooth_keep), truth[j].y, all(rule.smooth_add));
                const Vec against = one() - share;
                const Vec f = evaluate(rule.terms[t], own.p, own.rest, own.ce).f;
                const Vec g = evaluate(rule.terms[t], own.rest, own.p, own.ce_rest).f;
                yes[j] = drop(equal(share, zero()), w[j] * share * f);
                no[j] = drop(equal(against, zero()), w[j] * against * g);
            } else {
                const Mask is = truth[j].yes;
                const Vec f = evaluate(rule.terms[t], select(is, own.p, own.rest),
                                       select(is, own.rest, own.p), select(is, own.ce, own.ce_rest))
                                  .f;
                const Vec cost = drop(equal(w[j], zero()), w[j] * f);
                if (sums.costs != nullptr && t == 0) {
                    Real* pixel = sums.costs + kLossLanes * j;
                    store(pixel, c == 0 ? f : load(pixel) + f);
                }
                yes[j] = select(is, cost, zero());
                no[j] = drop(is, cost);
            }
        }
        add_lanes(positive, lane_sum(yes));
        add_lanes(negative, lane_sum(no));
    }
}

// The derivative of one channel by its logit, or by its probability.
template <bool kSoft>
inline Vec channel_gradient(const Rule& rule, const Slopes& slopes, int c, const Chance& own,
                            const Truth& truth) {
    Vec by_p = zero();
    if (slopes.pred != nullptr) {
        by_p = fma(all(slopes.intersection[c]), truth.y, all(slopes.pred[c]));
        if (slopes.pred_squared != nullptr)
            by_p = fma(all(2 * slopes.pred_squared[c]), own.p, by_p);
    }
    Vec up = zero();    // by log p
    Vec down = zero();  // by log (1 - p)
    for (int t = 0; t < rule.num_terms; ++t) {
        const Vec a = all(slopes.terms[t * rule.channels + c]);
        const Vec b = all(slopes.terms_negative[t * rule.channels + c]);
        if constexpr (kSoft) {
            const Vec share = fma(all(rule.smooth_keep), truth.y, all(rule.smooth_add));
            const Vec yes = a * share;
            const Vec no = b * (one() - share);
            const Vec f = evaluate(rule.terms[t], own.p, own.rest, own.ce).h;
            const Vec g = evaluate(rule.terms[t], own.rest, own.p, own.ce_rest).h;
            up = up - drop(equal(yes, zero()), yes * f);
            down = down - drop(equal(no, zero()), no * g);
        } else {
            const Vec h =
                evaluate(rule.terms[t], select(truth.yes, own.p, own.rest),
                         select(truth.yes, own.rest, own.p), select(truth.yes, own.ce, own.ce_rest))
                    .h;
            up = up - select(truth.yes, a * h, zero());
            down = down - drop(truth.yes, b * h);
        }
    }
    if (rule.sigmoid) return fma(own.p * own.rest, by_p, up * own.rest - down * own.p);
    const Vec yes = drop(equal(up, zero()), up / own.p);
    const Vec no = drop(equal(down, zero()), down / own.rest);
    return by_p + (yes - no);
}

template <bool kSoft>
void channelwise_as(const Tile& tile, const Rule& rule, const Sums* sums, const Slopes* slopes,
                    const Gradient* gradient) {
    Vec w[kVecs];
    for (int j = 0; j < kVecs; ++j) w[j] = load(tile.weight + kLossLanes * j);
    const bool logarithms = rule.num_terms > 0;
    for (int c = 0; c < rule.channels; ++c) {
        Chance chance[kVecs];
        Truth truth[kVecs];
        for (int j = 0; j < kVecs; ++j) {
            Vec x = load(tile.x + c * tile.stride + kLossLanes * j);
            if (!tile.plain) x = select(equal(w[j], zero()), all(Real{0.5}), x);
            chance[j] = chance_of(x, rule.sigmoid, logarithms);
            truth[j] = truth_of(tile, c, j);
        }
        if (sums != nullptr) add_channel_sums<kSoft>(rule, *sums, c, chance, truth, w);
        if (slopes == nullptr) continue;
        Real* to = gradient->data + c * gradient->stride;
        for (int j = 0; j < kVecs; ++j) {
            const Vec value = channel_gradient<kSoft>(rule, *slopes, c, chance[j], truth[j]);
            if (gradient->stream)
                stream(to + kLossLanes * j, w[j] * value);
            else
                store(to + kLossLanes * j, w[j] * value);
        }
    }
}

void channelwise(const Tile& tile, const Rule& rule, const Sums* sums, const Slopes* slopes,
                 const Gradient* gradient, Real*) {
    const bool soft = tile.label == nullptr || rule.smoothed;
    (soft ? channelwise_as<true> : channelwise_as<false>)(tile, rule, sums, slopes, gradient);
}

// --- errors, for the Lovasz losses ---

void chances(const Tile& tile, const Rule& rule, Real* p) {
    if (!rule.softmax) {
        for (int c = 0; c < rule.channels; ++c)
            for (int i = 0; i < kLossTile; i += kLossLanes) {
                const Vec x = load(tile.x + c * tile.stride + i);
                const bool given = rule.hinge || !rule.sigmoid;
                store(p + c * kLossTile + i, given ? x : chance_of(x, true, false).p);
            }
        return;
    }
    Vec largest[kVecs];
    copy_and_find_largest(tile, rule.channels, p, largest);
    Vec sum[kVecs];
    for (int j = 0; j < kVecs; ++j) sum[j] = zero();
    for (int c = 0; c < rule.channels; ++c)
        for (int j = 0; j < kVecs; ++j) {
            Real* at = p + c * kLossTile + kLossLanes * j;
            const Vec value = exp_of(load(at) - largest[j]);
            store(at, value);
            sum[j] = sum[j] + value;
        }
    for (int j = 0; j < kVecs; ++j) sum[j] = one() / sum[j];
    for (int c = 0; c < rule.channels; ++c)
        for (int j = 0; j < kVecs; ++j) {
            Real* at = p + c * kLossTile + kLossLanes * j;
            store(at, load(at) * sum[j]);
        }
}

// Where class c is true.
inline Mask true_at(const Tile& tile, int c, int i) {
    if (tile.label == nullptr) return less(zero(), load(tile.y + c * kLossTile + i));
    return equal(load_labels(tile.label + i), c);
}

void errors(const Tile& tile, const Rule& rule, const Real* p, Real* e) {
    const Vec outside = all(static_cast<Real>(__builtin_inff()));
    const Vec most =
        all(sizeof(Real) == 8 ? static_cast<Real>(__DBL_MAX__) : static_cast<Real>(__FLT_MAX__));
    for (int c = 0; c < rule.channels; ++c)
        for (int i = 0; i < kLossTile; i += kLossLanes) {
            const Vec x = load(p + c * kLossTile + i);
            const Vec far = rule.hinge ? one() + x : x;
            const Mask is = true_at(tile, c, i);
            // A NaN stays one: min gives its second operand then.
            const Vec near = min(most, max(zero(), one() - x));
            const Vec other = min(most, max(zero(), far));
            // 0 - 0 is +0: the sign is set by a product.
            const Vec signed_near = near * all(Real{-1});
            store(e + c * kLossTile + i, select(equal(load(tile.weight + i), zero()), outside,
                                                select(is, signed_near, other)));
        }
}

void pull_back(const Tile& tile, const Rule& rule, const Real* p, const Real* by_p,
               const Gradient& gradient) {
    Vec mean[kVecs];
    for (int j = 0; j < kVecs; ++j) mean[j] = zero();
    if (rule.softmax)
        for (int c = 0; c < rule.channels; ++c)
            for (int j = 0; j < kVecs; ++j) {
                const int at = c * kLossTile + kLossLanes * j;
                mean[j] = fma(load(p + at), load(by_p + at), mean[j]);
            }
    for (int c = 0; c < rule.channels; ++c)
        for (int j = 0; j < kVecs; ++j) {
            const int at = c * kLossTile + kLossLanes * j;
            const Vec chance = load(p + at);
            Vec value = load(by_p + at);
            if (rule.softmax)
                value = chance * (value - mean[j]);
            else if (rule.sigmoid && !rule.hinge)
                value = chance * (one() - chance) * value;
            const Mask out = equal(load(tile.weight + kLossLanes * j), zero());
            Real* to = gradient.data + c * gradient.stride + kLossLanes * j;
            if (gradient.stream)
                stream(to, drop(out, value));
            else
                store(to, drop(out, value));
        }
}

#if defined(SEGMETER_LOSS_DOUBLE)

constexpr bool (*count_levels)(const Tile&, const Rule&, const Real*, std::uint32_t*) = nullptr;
constexpr void (*look_up_levels)(const Tile&, const Rule&, const Real*, const float*,
                                 Real*) = nullptr;

#else

// 2 * level + (1 where true), of the pixels i, i + 1, ...
inline Vec level_codes(Vec p, Mask is) {
    const Vec error = select(is, one() - p, p);
    const Vec inside = min(max(error, zero()), one());
    const Vec level = nearest(inside * all(Real{kErrorLevels - 1}));
    return level + level + select(is, one(), zero());
}

bool count_levels(const Tile& tile, const Rule& rule, const Real* p, std::uint32_t* counts) {
    bool known = true;
    Mask counted[kVecs];
    for (int j = 0; j < kVecs; ++j) counted[j] = unequal_zero(load(tile.weight + kLossLanes * j));
    for (int c = 0; c < rule.channels; ++c) {
        std::uint32_t* count = counts + std::int64_t{2} * kErrorLevels * c;
        for (int j = 0; j < kVecs; ++j) {
            const int i = kLossLanes * j;
            const Vec chance = load(p + c * kLossTile + i);
            const Vec code = level_codes(chance, true_at(tile, c, i));
            const Mask real = equal(chance, chance);
            known &= every(real) || (bits(counted[j]) & ~bits(real)) == 0;
            std::uint32_t left = bits(unequal_zero(code)) & bits(counted[j]);
            if (left == 0) continue;
            alignas(64) std::int32_t codes[kLossLanes];
            store_whole(codes, code);
            for (; left != 0; left &= left - 1) ++count[codes[__builtin_ctz(left)]];
        }
    }
    return !known;
}

void look_up_levels(const Tile& tile, const Rule& rule, const Real* p, const float* table,
                    Real* by_p) {
    for (int c = 0; c < rule.channels; ++c) {
        const float* row = table + std::int64_t{2} * kErrorLevels * c;
        for (int i = 0; i < kLossTile; i += kLossLanes) {
            const Vec chance = load(p + c * kLossTile + i);
            const Vec code = level_codes(chance, true_at(tile, c, i));
            Real* to = by_p + c * kLossTile + i;
            if (!any(unequal_zero(code))) {
                store(to, all(row[0]));
                continue;
            }
            alignas(64) std::int32_t codes[kLossLanes];
            store_whole(codes, code);
            for (int k = 0; k < kLossLanes; ++k) to[k] = row[codes[k]];
        }
    }
}

#endif

void count_labels(const Tile& tile, Real* target) {
    alignas(64) Real weight[1][kLossTile];
    for (int i = 0; i < kLossTile; ++i) weight[0][i] = tile.weight[i];
    book(tile.label, 1, weight, &target);
}

void flush(Real* lanes, std::int64_t n, double* sums) {
    for (std::int64_t i = 0; i < n; ++i) {
        add_to_doubles(sums + 8 * i, load(lanes + kLossLanes * i));
        store(lanes + kLossLanes * i, zero());
    }
}

#if !defined(SEGMETER_LOSS_DOUBLE)

// --- labels ---

template <class T>
bool read_labels(const void* from, std::int64_t n, std::uint64_t limit, std::int32_t odd,
                 std::int32_t* to) {
    // Narrow labels are compared in 32 bits, sixteen at a time.
    using Wide = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    const auto* bytes = static_cast<const unsigned char*>(from);
    const auto below = static_cast<Wide>(limit);
    std::uint32_t any_odd = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        T label;
        __builtin_memcpy(&label, bytes + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
        const bool inside = Wide{label} < below;
        to[i] = inside ? static_cast<std::int32_t>(label) : odd;
        any_odd |= static_cast<std::uint32_t>(!inside);
    }
    return any_odd != 0;
}

// --- half precision ---

// By bits, for machines without an instruction for it.
[[maybe_unused]] inline float float_of_half(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
    const std::uint32_t exponent = (half >> 10) & 31U;
    std::uint32_t fraction = half & 1023U;
    std::uint32_t bits = sign | ((exponent + 112U) << 23) | (fraction << 13);
    if (exponent == 31) bits = sign | 0x7F800000U | (fraction << 13);
    if (exponent == 0) {
        const float small = static_cast<float>(fraction) * 5.9604644775390625e-8F;
        __builtin_memcpy(&bits, &small, sizeof(bits));
        bits |= sign;
    }
    float value = 0.0F;
    __builtin_memcpy(&value, &bits, sizeof(value));
    return value;
}

[[maybe_unused]] inline std::uint16_t half_of_float(float value) {
    std::uint32_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(bits));
    const std::uint32_t sign = (bits >> 16) & 0x8000U;
    const std::uint32_t size = bits & 0x7FFFFFFFU;
    std::uint32_t half = 0;
    if (size > 0x7F800000U) {
        half = 0x7E00U | ((size >> 13) & 0x3FFU);
    } else if (size >= 0x477FF000U) {
        half = 0x7C00U;  // rounds beyond the largest, or is infinite
    } else if (size < 0x38800000U) {
        // Below the normal numbers: the sum rounds at the last bit that is left.
        float small = 0.0F;
        __builtin_memcpy(&small, &size, sizeof(small));
        small += 0.5F;
        __builtin_memcpy(&half, &small, sizeof(half));
        half -= 0x3F000000U;
    } else {
        half = (size + 0xFFFU + ((size >> 13) & 1U) - (112U << 23)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | half);
}

void from_half(const std::uint16_t* from, std::int64_t n, float* to) {
    std::int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(
            to + i,
            _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
#endif
    for (; i < n; ++i) to[i] = float_of_half(from[i]);
}

void to_half(const float* from, std::int64_t n, std::uint16_t* to) {
    std::int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                            _mm512_cvtps_ph(_mm512_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; ++i) to[i] = half_of_float(from[i]);
}

void from_bfloat(const std::uint16_t* from, std::int64_t n, float* to) {
    for (std::int64_t i = 0; i < n; ++i) {
        const std::uint32_t bits = static_cast<std::uint32_t>(from[i]) << 16;
        __builtin_memcpy(to + i, &bits, sizeof(bits));
    }
}

void to_bfloat(const float* from, std::int64_t n, std::uint16_t* to) {
    for (std::int64_t i = 0; i < n; ++i) {
        std::uint32_t bits = 0;
        __builtin_memcpy(&bits, from + i, sizeof(bits));
        const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
        const bool nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
        to[i] = static_cast<std::uint16_t>(nan ? 0x7FC0U : rounded);
    }
}

#endif

}  // namespace

extern const LossKernels<Real> kLossKernels;
const LossKernels<Real> kLossKernels = {softmax_labels, softmax_dense, channelwise,  chances,
                                        errors,         pull_back,     count_levels, look_up_levels,
                                        count_labels,   flush};

#if !defined(SEGMETER_LOSS_DOUBLE)
extern const HalfKernels kHalfKernels;
const HalfKernels kHalfKernels = {from_half, to_half, from_bfloat, to_bfloat};
extern const LabelKernels kLabelKernels;
const LabelKernels kLabelKernels = {{read_labels<std::uint8_t>, read_labels<std::uint16_t>,
                                     read_labels<std::uint32_t>, read_labels<std::uint64_t>}};
#endif

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
