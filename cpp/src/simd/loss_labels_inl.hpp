// Softmax sweeps where every pixel has one label. Part of loss_inl.hpp.
#pragma once

#include "simd/loss_terms_inl.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// --- softmax, one label per pixel ---

// Copies the logits of a tile, 0 where a pixel does not count, and finds the largest ones.
template <bool kPlain>
inline void copy_and_find_largest_as(const Tile& tile, int channels, Real* copy,
                                     Vec (&largest)[kVecs]) {
    // Local, for what a store may alias does not stay in registers.
    Vec most[kVecs];
    Mask out[kVecs];
    for (int j = 0; j < kVecs; ++j) {
        most[j] = all(-static_cast<Real>(__builtin_inff()));
        out[j] = equal(load(tile.weight + kLossLanes * j), zero());
    }
    for (int c = 0; c < channels; ++c)
        for (int j = 0; j < kVecs; ++j) {
            const Vec given = load(tile.x + c * tile.stride + kLossLanes * j);
            const Vec x = kPlain ? given : drop(out[j], given);
            store(copy + c * kLossTile + kLossLanes * j, x);
            most[j] = max(x, most[j]);
        }
    for (int j = 0; j < kVecs; ++j) largest[j] = most[j];
}

inline void copy_and_find_largest(const Tile& tile, int channels, Real* copy,
                                  Vec (&largest)[kVecs]) {
    const auto copy_as =
        tile.plain ? copy_and_find_largest_as<true> : copy_and_find_largest_as<false>;
    copy_as(tile, channels, copy, largest);
}

template <bool kStream>
inline void put(Real* to, Vec a) {
    if constexpr (kStream)
        stream(to, a);
    else
        store(to, a);
}

inline void prefetch_tile(const Real* from) {
    constexpr int kLine = 64 / static_cast<int>(sizeof(Real));
    for (int i = 0; i < kLossTile; i += kLine) __builtin_prefetch(from + i);
}

// What a pixel's softmax comes to.
struct Pixel {
    Vec others;  // sum of e without the labelled class
    Vec at;      // x[t] - m
    Vec slope;   // sum of e * slope without the labelled class
};

template <bool kRegionSlopes, bool kSquares>
inline void exponentials(const Tile& tile, const Rule& rule, const Labels (&label)[kVecs],
                         const Slopes* slopes, const Vec (&most)[kVecs], Real* e,
                         Pixel (&pixel)[kVecs]) {
    // Copies that no store can alias: they stay in registers.
    Labels labels[kVecs];
    Vec largest[kVecs];
    Vec others[kVecs];
    Vec at[kVecs];
    Vec slope[kVecs];
    for (int j = 0; j < kVecs; ++j) {
        labels[j] = label[j];
        largest[j] = most[j];
        others[j] = at[j] = slope[j] = zero();
    }
    for (int c = 0; c < rule.channels; ++c) {
        Real* row = e + c * kLossTile;
        // Too many streams for the processor to foresee: memory would rest while this computes.
        if (tile.next != nullptr) prefetch_tile(tile.next + c * tile.stride);
        for (int j = 0; j < kVecs; ++j) {
            const Vec d = load(row + kLossLanes * j) - largest[j];
            const Mask here = equal(labels[j], c);
            const Vec value = exp_of(d);
            const Vec other = drop(here, value);
            store(row + kLossLanes * j, value);
            others[j] = others[j] + other;
            at[j] = select(here, d, at[j]);
            if constexpr (kRegionSlopes && !kSquares)
                slope[j] = fma(other, all(slopes->pred[c]), slope[j]);
        }
    }
    for (int j = 0; j < kVecs; ++j) pixel[j] = {others[j], at[j], slope[j]};
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

// What the gradient of a tile is made of.
struct GradientParts {
    Labels labels[kVecs];
    Vec inverse[kVecs];   // 1 / s
    Vec weighted[kVecs];  // w / s
    Vec factor[kVecs];    // of e, for all classes but the labelled one
    Vec at_label[kVecs];  // the gradient there
};

template <bool kStream, bool kRegions, bool kSquares>
inline void write_gradient(const Rule& rule, const GradientParts& pixels, const Slopes& slopes,
                           const Real* e, const Gradient& gradient) {
    // Copies that no store can alias: they stay in registers.
    Labels labels[kVecs];
    Vec factor[kVecs];
    Vec at_label[kVecs];
    Vec weighted[kVecs];
    Vec inverse[kVecs];
    for (int j = 0; j < kVecs; ++j) {
        labels[j] = pixels.labels[j];
        factor[j] = pixels.factor[j];
        at_label[j] = pixels.at_label[j];
        weighted[j] = pixels.weighted[j];
        inverse[j] = pixels.inverse[j];
    }
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

// What belongs to the labelled class of each pixel: slopes by the sums, and what is booked there.
struct LabelRows {
    alignas(64) Real intersection[kLossTile];
    alignas(64) Real pred[kLossTile];
    alignas(64) Real pred_squared[kLossTile];
    alignas(64) Real terms[kMostLossTerms][kLossTile];
    alignas(64) Real booked[2 + kMostLossTerms][kLossTile];  // w p, w, and the terms
};

template <bool kRegions, bool kSquares>
inline void look_up_slopes(const Rule& rule, const Slopes& slopes, const std::int32_t* label,
                           LabelRows& rows) {
    if constexpr (kRegions) {
        look_up(slopes.intersection, label, rows.intersection);
        look_up(slopes.pred, label, rows.pred);
    }
    if constexpr (kSquares) look_up(slopes.pred_squared, label, rows.pred_squared);
    if (slopes.uniform_terms) return;
    for (int t = 0; t < rule.num_terms; ++t)
        look_up(slopes.terms + t * rule.channels, label, rows.terms[t]);
}

// The gradient of one vector of pixels, from the derivative of the terms by -log p[t].
template <bool kRegions, bool kSquares>
inline void combine_slopes(const Pixel& pixel, const LabelRows& rows, int j, Vec w, Vec p, Vec rest,
                           Vec by_terms, GradientParts& parts) {
    const int i = kLossLanes * j;
    Vec at = zero() - rest * by_terms;
    Vec balance = by_terms;
    if constexpr (kRegions) {
        Vec own = load(rows.intersection + i) + load(rows.pred + i);
        if constexpr (kSquares) {
            const Vec squared = load(rows.pred_squared + i);
            own = fma(squared + squared, p, own);
        }
        const Vec others = pixel.slope * parts.inverse[j];
        at = fma(p, fma(own, rest, zero() - others), at);
        balance = by_terms - fma(p, own, others);
    }
    parts.factor[j] = parts.weighted[j] * balance;
    parts.at_label[j] = w * at;
}

inline void add_label_sums(const Tile& tile, const Rule& rule, const Sums& sums,
                           const LabelRows& rows, const GradientParts& parts, const Real* e) {
    Real* to[2 + kMostLossTerms] = {sums.intersection, sums.target};
    for (int t = 0; t < rule.num_terms; ++t)
        to[2 + t] = sums.terms + t * rule.channels * kLossLanes;
    const int first = sums.pred != nullptr ? 0 : 1;
    book(tile.label, 2 + rule.num_terms - first, rows.booked + first, to + first);
    if (sums.pred == nullptr) return;
    Vec inverse[kVecs];
    Vec weighted[kVecs];
    for (int j = 0; j < kVecs; ++j) {
        inverse[j] = parts.inverse[j];
        weighted[j] = parts.weighted[j];
    }
    for (int c = 0; c < rule.channels; ++c) {
        Vec part[kVecs];
        for (int j = 0; j < kVecs; ++j)
            part[j] = weighted[j] * load(e + c * kLossTile + kLossLanes * j);
        add_lanes(sums.pred + kLossLanes * c, lane_sum(part));
        if (sums.pred_squared == nullptr) continue;
        for (int j = 0; j < kVecs; ++j)
            part[j] = part[j] * (inverse[j] * load(e + c * kLossTile + kLossLanes * j));
        add_lanes(sums.pred_squared + kLossLanes * c, lane_sum(part));
    }
}

template <bool kSlopes, bool kRegions, bool kSquares>
void softmax_labels_as(const Tile& tile, const Rule& rule, const Sums* sums, const Slopes* slopes,
                       const Gradient* gradient, Real* e) {
    Vec largest[kVecs];
    copy_and_find_largest(tile, rule.channels, e, largest);
    GradientParts parts;
    for (int j = 0; j < kVecs; ++j) parts.labels[j] = load_labels(tile.label + kLossLanes * j);
    Pixel pixel[kVecs];
    exponentials<kSlopes && kRegions, kSquares>(tile, rule, parts.labels, slopes, largest, e,
                                                pixel);
    LabelRows rows;
    if constexpr (kSlopes) look_up_slopes<kRegions, kSquares>(rule, *slopes, tile.label, rows);
    Vec own[kVecs];  // e[t]
    for (int j = 0; j < kVecs; ++j) {
        own[j] = exp_of(pixel[j].at);
        parts.inverse[j] = one() / (pixel[j].others + own[j]);
        parts.weighted[j] = parts.inverse[j] * load(tile.weight + kLossLanes * j);
    }
    if constexpr (kSlopes && kSquares)
        square_slopes(rule, parts.labels, *slopes, parts.inverse, e, pixel);
    for (int j = 0; j < kVecs; ++j) {
        const int i = kLossLanes * j;
        const Vec w = load(tile.weight + i);
        const Vec p = own[j] * parts.inverse[j];
        const Vec rest = pixel[j].others * parts.inverse[j];
        const Vec beside_largest =
            select(equal(pixel[j].at, zero()), pixel[j].others, pixel[j].others + own[j] - one());
        const Vec ce = log1p_of(beside_largest) - pixel[j].at;
        Vec by_terms = zero();
        for (int t = 0; t < rule.num_terms; ++t) {
            const Term term = evaluate(rule.terms[t], p, rest, ce);
            store(rows.booked[2 + t] + i, drop(equal(w, zero()), w * term.f));
            if (t == 0 && sums != nullptr && sums->costs != nullptr) store(sums->costs + i, term.f);
            if constexpr (kSlopes) {
                const Vec slope = slopes->uniform_terms ? all(slopes->terms[t * rule.channels])
                                                        : load(rows.terms[t] + i);
                by_terms = fma(slope, term.h, by_terms);
            }
        }
        store(rows.booked[0] + i, w * p);
        store(rows.booked[1] + i, w);
        if constexpr (kSlopes)
            combine_slopes<kRegions, kSquares>(pixel[j], rows, j, w, p, rest, by_terms, parts);
    }
    if constexpr (kSlopes) {
        const auto write = gradient->stream ? write_gradient<true, kRegions, kSquares>
                                            : write_gradient<false, kRegions, kSquares>;
        write(rule, parts, *slopes, e, *gradient);
    }
    if (sums != nullptr) add_label_sums(tile, rule, *sums, rows, parts, e);
}

void softmax_labels(const Tile& tile, const Rule& rule, const Sums* sums, const Slopes* slopes,
                    const Gradient* gradient, Real* scratch) {
    const auto sweep = slopes == nullptr                 ? softmax_labels_as<false, false, false>
                       : slopes->pred == nullptr         ? softmax_labels_as<true, false, false>
                       : slopes->pred_squared == nullptr ? softmax_labels_as<true, true, false>
                                                         : softmax_labels_as<true, true, true>;
    sweep(tile, rule, sums, slopes, gradient, scratch);
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
