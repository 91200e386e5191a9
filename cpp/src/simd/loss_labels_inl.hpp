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

// Asks for the logits that come after a run, a row of all its tiles after the other: memory likes
// to be read in long pieces. The first cache will not hold them all, as channels are often whole
// pages apart; yet what is asked for the second one alone comes later where memory is busy.
struct Ahead {
    const Real* row;
    std::int64_t stride;
    int vecs;  // of a row
    int asked = 0;

    // Not a function that GCC can take for one without effect.
    template <int n>
    [[gnu::always_inline]] void ask() {
        constexpr int kLine = 64 / static_cast<int>(sizeof(Real));
        for (int i = 0; i < n * kLossLanes; i += kLine)
            __builtin_prefetch(row + kLossLanes * asked + i, 0, 3);
        asked += n;
        if (asked < vecs) return;
        asked = 0;
        row += stride;
    }
};

// What a sweep is compiled for.
struct Kind {
    bool entropy;  // no term but cross entropy, with the same slope for all classes
    bool costs;    // values of the terms are wanted
    bool gradient;
    bool regions;  // slopes by `pred` and `intersection`
    bool squares;  // slopes by `pred_squared`
};

// What is known of a vector of pixels.
struct Pixel {
    Vec largest;      // m
    Vec at;           // x[t] - m; 0 where there is no label
    Vec own_slope;    // slopes by the sums of the labelled class: `own`,
    Vec own_squared;  // and `pred_squared`
    Vec others;       // sum of e without the labelled class
    Vec slope;        // sum of e * slope without the labelled class
};

// Copies the logits of a tile, 0 where a pixel does not count and -infinity for the labelled class:
// so it adds nothing to the others, whose sum must not come from a difference.
template <Kind kKind, bool kPlain>
inline void take_logits_as(const Tile& tile, int channels, const Slopes* slopes, Real* copy,
                           Pixel (&pixel)[kVecs]) {
    const Vec nothing = all(-static_cast<Real>(__builtin_inff()));
    for (int first = 0; first < kVecs; first += kAbreast) {
        Labels labels[kAbreast];
        Mask out[kAbreast];
        Vec largest[kAbreast];
        Vec at[kAbreast];
        Vec own_slope[kAbreast];
        Vec own_squared[kAbreast];
        for (int j = 0; j < kAbreast; ++j) {
            labels[j] = load_labels(tile.label + kLossLanes * (first + j));
            out[j] = equal(load(tile.weight + kLossLanes * (first + j)), zero());
            largest[j] = nothing;
            at[j] = own_slope[j] = own_squared[j] = zero();
        }
        const Real* from = tile.x + kLossLanes * first;
        Real* to = copy + kLossLanes * first;
        for (int c = 0; c < channels; ++c) {
            for (int j = 0; j < kAbreast; ++j) {
                const Vec given = load(from + kLossLanes * j);
                const Vec x = kPlain ? given : drop(out[j], given);
                const Mask here = equal(labels[j], c);
                largest[j] = max(x, largest[j]);
                at[j] = select(here, x, at[j]);
                if constexpr (kKind.regions)
                    own_slope[j] = select(here, all(slopes->own[c]), own_slope[j]);
                if constexpr (kKind.squares)
                    own_squared[j] = select(here, all(slopes->pred_squared[c]), own_squared[j]);
                store(to + kLossLanes * j, select(here, nothing, x));
            }
            from += tile.stride;
            to += kLossTile;
        }
        for (int j = 0; j < kAbreast; ++j)
            pixel[first + j] = {
                largest[j], at[j] - largest[j], own_slope[j], own_squared[j], zero(), zero()};
    }
}

template <Kind kKind>
inline void take_logits(const Tile& tile, const Rule& rule, const Slopes* slopes, Real* copy,
                        Pixel (&pixel)[kVecs]) {
    if (tile.plain)
        take_logits_as<kKind, true>(tile, rule.channels, slopes, copy, pixel);
    else
        take_logits_as<kKind, false>(tile, rule.channels, slopes, copy, pixel);
}

// Turns the logits in `e` into exponentials. Memory would rest while this computes, and there are
// too many streams for the processor to foresee: asks for what comes next.
template <Kind kKind>
[[gnu::always_inline]] inline void exponentials(const Rule& rule, const Slopes* slopes, Real* e,
                                                Pixel (&pixel)[kVecs], Ahead& ahead) {
    const std::int64_t channels = rule.channels;
    for (int first = 0; first < kVecs; first += kAbreast) {
        Real* row = e + kLossLanes * first;
        Vec largest[kAbreast];
        Vec others[kAbreast];
        Vec slope[kAbreast];
        for (int j = 0; j < kAbreast; ++j) {
            largest[j] = pixel[first + j].largest;
            others[j] = slope[j] = zero();
        }
        for (std::int64_t c = 0; c < channels; ++c) {
            Vec value[kAbreast];
            ahead.ask<kAbreast>();
            for (int j = 0; j < kAbreast; ++j) value[j] = load(row + kLossLanes * j) - largest[j];
            exp_each(value);
            for (int j = 0; j < kAbreast; ++j) {
                store(row + kLossLanes * j, value[j]);
                others[j] = others[j] + value[j];
                if constexpr (kKind.regions && !kKind.squares)
                    slope[j] = fma(value[j], all(slopes->pred[c]), slope[j]);
            }
            row += kLossTile;
        }
        for (int j = 0; j < kAbreast; ++j) {
            pixel[first + j].others = others[j];
            pixel[first + j].slope = slope[j];
        }
    }
}

// sum over k != t of e[k] (a[k] + 2 q[k] p[k]), where squares count.
inline Vec square_slopes(const Rule& rule, const Slopes& slopes, Vec inverse, int j,
                         const Real* e) {
    Vec sum = zero();
    for (int c = 0; c < rule.channels; ++c) {
        const Vec value = load(e + c * kLossTile + kLossLanes * j);
        const Vec by_p = fma(all(2 * slopes.pred_squared[c]), value * inverse, all(slopes.pred[c]));
        sum = fma(value, by_p, sum);
    }
    return sum;
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
[[gnu::always_inline]] inline void write_gradient(const Rule& rule, const GradientParts& pixels,
                                                  const Slopes& slopes, const Real* e,
                                                  const Gradient& gradient) {
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
                         product(unequal(labels[j], c), value, by_e, at_label[j]));
        }
    }
}

// A vector of pixels after the exponentials.
struct Chances {
    Vec w;
    Vec inverse;
    Vec own;   // e[t]
    Vec p;     // p[t]
    Vec rest;  // 1 - p[t]
};

// The gradient of one vector of pixels, from the derivative of the terms by -log p[t].
template <Kind kKind>
[[gnu::always_inline]] inline void combine_slopes(const Pixel& pixel, const Chances& chance,
                                                  Vec by_terms, int j, GradientParts& parts) {
    Vec at = zero() - chance.rest * by_terms;
    Vec balance = by_terms;
    if constexpr (kKind.regions) {
        Vec own = pixel.own_slope;
        if constexpr (kKind.squares)
            own = fma(pixel.own_squared + pixel.own_squared, chance.p, own);
        const Vec others = pixel.slope * chance.inverse;
        at = fma(chance.p, fma(own, chance.rest, zero() - others), at);
        balance = by_terms - fma(chance.p, own, others);
    }
    parts.factor[j] = parts.weighted[j] * balance;
    parts.at_label[j] = chance.w * at;
}

// What is booked to the labelled classes of a run's pixels.
struct LabelRows {
    alignas(64) Real pred[kSoftmaxRun * kLossTile];
    alignas(64) Real pred_squared[kSoftmaxRun * kLossTile];
    alignas(64) Real terms[kMostLossTerms][kSoftmaxRun * kLossTile];
};

// -log p[t]
[[gnu::always_inline]] inline Vec entropy_of(const Pixel& pixel, Vec own) {
    const Vec beside_largest =
        select(equal(pixel.at, zero()), pixel.others, pixel.others + own - one());
    return log1p_of(beside_largest) - pixel.at;
}

// The terms' slopes at the labelled class of each pixel.
struct TermSlopes {
    alignas(64) Real rows[kMostLossTerms][kLossTile];
};

// The terms of vector j of a tile, at `at` of the run; returns their derivative by -log p[t].
template <Kind kKind>
[[gnu::always_inline]] inline Vec evaluate_terms(const Rule& rule, const Sums* sums,
                                                 const Slopes* slopes, const TermSlopes& by_label,
                                                 const Pixel& pixel, const Chances& chance, int j,
                                                 int at, LabelRows& rows) {
    const int i = kLossLanes * j;
    Vec by_terms = zero();
    if (rule.num_terms == 0) return by_terms;
    if constexpr (!kKind.costs) return all(slopes->terms[0]);
    const Vec ce = entropy_of(pixel, chance.own);
    for (int t = 0; t < (kKind.entropy ? 1 : rule.num_terms); ++t) {
        const Term term =
            kKind.entropy ? Term{ce, one()} : evaluate(rule.terms[t], chance.p, chance.rest, ce);
        store(rows.terms[t] + at, drop(equal(chance.w, zero()), chance.w * term.f));
        if (t == 0 && sums != nullptr && sums->costs != nullptr) store(sums->costs + i, term.f);
        if constexpr (kKind.gradient) {
            const Vec slope = kKind.entropy || slopes->uniform_terms
                                  ? all(slopes->terms[t * rule.channels])
                                  : load(by_label.rows[t] + i);
            by_terms = fma(slope, term.h, by_terms);
        }
    }
    return by_terms;
}

// A tile between its steps.
struct Step {
    Tile tile;
    Real* e;  // without those of the labelled classes
    Pixel pixel[kVecs];
    GradientParts parts;
    TermSlopes slopes;
};

// From what the classes come to, what the gradient and the sums are made of; tile `number` of a
// run.
template <Kind kKind>
inline void weigh_classes(const Rule& rule, const Sums* sums, const Slopes* slopes, Step& step,
                          int number, LabelRows& rows) {
    const Tile& tile = step.tile;
    GradientParts& parts = step.parts;
    if constexpr (kKind.gradient && !kKind.entropy)
        for (int t = 0; t < rule.num_terms && !slopes->uniform_terms; ++t)
            look_up(slopes->terms + t * rule.channels, tile.label, step.slopes.rows[t]);
    Vec own[kVecs];
    for (int first = 0; first < kVecs; first += kAbreast) {
        Vec part[kAbreast];
        for (int j = 0; j < kAbreast; ++j) part[j] = step.pixel[first + j].at;
        exp_each(part);
        for (int j = 0; j < kAbreast; ++j) own[first + j] = part[j];
    }
    for (int j = 0; j < kVecs; ++j) {
        const int i = kLossLanes * j;
        Pixel pixel = step.pixel[j];
        const Vec w = load(tile.weight + i);
        const Vec inverse = one() / (pixel.others + own[j]);
        const Chances chance{w, inverse, own[j], own[j] * inverse, pixel.others * inverse};
        parts.labels[j] = load_labels(tile.label + i);
        parts.inverse[j] = inverse;
        parts.weighted[j] = w * inverse;
        if constexpr (kKind.squares) pixel.slope = square_slopes(rule, *slopes, inverse, j, step.e);
        const int at = number * kLossTile + i;
        const Vec by_terms =
            evaluate_terms<kKind>(rule, sums, slopes, step.slopes, pixel, chance, j, at, rows);
        if constexpr (kKind.costs) {
            store(rows.pred + at, w * chance.p);
            store(rows.pred_squared + at, w * chance.p * chance.p);
        }
        if constexpr (kKind.gradient) combine_slopes<kKind>(pixel, chance, by_terms, j, parts);
    }
}

// Sums of what the labelled classes have.
inline void book_labels(const Rule& rule, const Sums& sums, const Tile& run,
                        const LabelRows& values) {
    LabelRow rows[3 + kMostLossTerms];
    int n = 0;
    const auto add = [&](const Real* of_pixel, Real* of_class) {
        if (of_class != nullptr) rows[n++] = {of_pixel, of_class};
    };
    if (!run.plain) add(run.weight, sums.target);
    add(values.pred, sums.intersection);
    add(values.pred_squared, sums.own_squared);
    for (int t = 0; t < rule.num_terms; ++t)
        add(values.terms[t], sums.terms + t * rule.channels * kLossLanes);
    book(run.label, run.tiles, run.plain ? sums.target : nullptr, n, rows);
}

// Sums of what the other classes have.
inline void add_others(const Rule& rule, const Sums& sums, const GradientParts& parts,
                       const Real* e) {
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

template <Kind kKind>
inline void write_and_add(const Rule& rule, const Sums* sums, const Slopes* slopes,
                          const Step& step, const Gradient& gradient) {
    if constexpr (kKind.gradient) {
        if (gradient.stream)
            write_gradient<true, kKind.regions, kKind.squares>(rule, step.parts, *slopes, step.e,
                                                               gradient);
        else
            write_gradient<false, kKind.regions, kKind.squares>(rule, step.parts, *slopes, step.e,
                                                                gradient);
    }
    if (kKind.costs && sums != nullptr && sums->pred != nullptr)
        add_others(rule, *sums, step.parts, step.e);
}

// Steps of two tiles take turns, so that none waits for the one before it.
template <Kind kKind>
void softmax_labels_as(const Tile& run, const Rule& rule, const Sums* sums, const Slopes* slopes,
                       const Gradient* gradient, Real* scratch) {
    Step steps[2];
    LabelRows rows;
    steps[0].e = scratch;
    steps[1].e = scratch + rule.channels * kLossTile;
    Gradient to = gradient != nullptr ? *gradient : Gradient{};
    Ahead ahead{run.next != nullptr ? run.next : run.x, run.stride, run.tiles * kVecs};
    steps[0].tile = run;
    take_logits<kKind>(run, rule, slopes, steps[0].e, steps[0].pixel);
    for (int k = 0; k < run.tiles; ++k) {
        Step& step = steps[k % 2];
        Step& other = steps[(k + 1) % 2];
        exponentials<kKind>(rule, slopes, step.e, step.pixel, ahead);
        if (k > 0) {
            write_and_add<kKind>(rule, sums, slopes, other, to);
            to.data += kLossTile;
        }
        weigh_classes<kKind>(rule, sums, slopes, step, k, rows);
        if (k + 1 == run.tiles) break;
        other.tile = next_tile(step.tile);
        take_logits<kKind>(other.tile, rule, slopes, other.e, other.pixel);
    }
    write_and_add<kKind>(rule, sums, slopes, steps[(run.tiles + 1) % 2], to);
    if (kKind.costs && sums != nullptr) book_labels(rule, *sums, run, rows);
}

template <bool kEntropy, bool kCosts>
SweepLossTile<Real> softmax_labels_for(const Slopes* slopes) {
    if (slopes == nullptr) return softmax_labels_as<Kind{kEntropy, kCosts, false, false, false}>;
    if (slopes->pred == nullptr)
        return softmax_labels_as<Kind{kEntropy, kCosts, true, false, false}>;
    if (slopes->pred_squared == nullptr)
        return softmax_labels_as<Kind{kEntropy, kCosts, true, true, false}>;
    return softmax_labels_as<Kind{kEntropy, kCosts, true, true, true}>;
}

void softmax_labels(const Tile& run, const Rule& rule, const Sums* sums, const Slopes* slopes,
                    const Gradient* gradient, Real* scratch) {
    const bool entropy = (rule.num_terms == 0 ||
                          (rule.num_terms == 1 && rule.terms[0].kind == LossTerm::kCrossEntropy)) &&
                         (slopes == nullptr || slopes->uniform_terms);
    const auto sweep = !entropy          ? softmax_labels_for<false, true>(slopes)
                       : sums != nullptr ? softmax_labels_for<true, true>(slopes)
                                         : softmax_labels_for<true, false>(slopes);
    sweep(run, rule, sums, slopes, gradient, scratch);
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
