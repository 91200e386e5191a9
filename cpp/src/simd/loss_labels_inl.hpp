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

// Asks for the cache lines of a vector.
[[gnu::always_inline]] inline void ask_for(const Real* vector) {
    constexpr int kLine = 64 / static_cast<int>(sizeof(Real));
    for (int i = 0; i < kLossLanes; i += kLine) __builtin_prefetch(vector + i, 0, 3);
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
        for (int i = 0; i < n; ++i) ask_for(row + kLossLanes * (asked + i));
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
    bool regions;  // `pred` and `intersection`: their slopes for a gradient, else their sums
    bool squares;  // `pred_squared` too
};

// What is known of a vector of pixels.
struct Pixel {
    Vec others;       // sum of e without the labelled class
    Vec own;          // e[t]; 1 where there is no label
    Vec slope;        // sum of e * slope without the labelled class
    Vec own_slope;    // slopes by the sums of the labelled class: `own`,
    Vec own_squared;  // and `pred_squared`
    Vec largest;      // m and x[t] - m, where that was taken from the logits
    Vec at;
};

// What is done with a tile's exponentials, kClassesAbreast vectors at a time: `begin` at vector
// `first`, then class by class. Of the tile before the one whose exponentials are computed in the
// same loop: so memory that is written has time, and none waits for the one before it.
struct NothingLeft {
    void begin(int) {}
    void take_class(int) {}
};

// Turns logits into exponentials, of x, or lowered of x - m. Returns whether x was near enough to 0
// not to be lowered. Memory would rest while this computes, and there are too many streams for
// the processor to foresee: asks for what comes next.
template <bool kSlopes, bool kSquares, bool kPlain, bool kLowered, class Left>
[[gnu::always_inline]] inline bool exponentials(const Tile& tile, int channels,
                                                const Slopes* slopes, Real* e,
                                                Pixel (&pixel)[kVecs], Ahead& ahead, Left& left) {
    Labels powers{};
    for (int first = 0; first < kVecs; first += kClassesAbreast) {
        const Real* from = tile.x + kLossLanes * first;
        Real* to = e + kLossLanes * first;
        Labels labels[kClassesAbreast];
        Mask out[kClassesAbreast];
        Vec largest[kClassesAbreast];
        Vec others[kClassesAbreast];
        Vec own[kClassesAbreast];
        Vec slope[kClassesAbreast];
        Vec own_slope[kClassesAbreast];
        Vec own_squared[kClassesAbreast];
        for (int j = 0; j < kClassesAbreast; ++j) {
            labels[j] = load_labels(tile.label + kLossLanes * (first + j));
            out[j] = equal(load(tile.weight + kLossLanes * (first + j)), zero());
            largest[j] = pixel[first + j].largest;
            others[j] = slope[j] = own_slope[j] = own_squared[j] = zero();
            own[j] = one();
        }
        left.begin(first);
        for (int c = 0; c < channels; ++c) {
            Vec value[kClassesAbreast];
            if constexpr (!kLowered) {
                ahead.ask<kClassesAbreast>();
                // Requests are dropped where too many are on their way: the next tile's once more.
                for (int j = 0; j < kClassesAbreast; ++j)
                    ask_for(from + kLossTile + kLossLanes * j);
            }
            for (int j = 0; j < kClassesAbreast; ++j) {
                const Vec given = load(from + kLossLanes * j);
                value[j] = kPlain ? given : drop(out[j], given);
                if constexpr (kLowered) value[j] = value[j] - largest[j];
            }
            if constexpr (kLowered)
                exp_each(value);
            else
                exp_near_each(value, powers);
            for (int j = 0; j < kClassesAbreast; ++j) {
                const Mask other = unequal(labels[j], c);
                const Vec of_other = keep(other, value[j]);
                store(to + kLossLanes * j, value[j]);
                others[j] = others[j] + of_other;
                own[j] = select(other, own[j], value[j]);
                if constexpr (kSlopes) {
                    own_slope[j] = select(other, own_slope[j], all(slopes->own[c]));
                    if constexpr (kSquares)
                        own_squared[j] =
                            select(other, own_squared[j], all(slopes->pred_squared[c]));
                    else
                        slope[j] = fma(of_other, all(slopes->pred[c]), slope[j]);
                }
            }
            left.take_class(c);
            from += tile.stride;
            to += kLossTile;
        }
        for (int j = 0; j < kClassesAbreast; ++j) {
            Pixel& of = pixel[first + j];
            of.others = others[j];
            of.own = own[j];
            of.slope = slope[j];
            of.own_slope = own_slope[j];
            of.own_squared = own_squared[j];
        }
    }
    return kLowered || are_near(powers);
}

// Finds the largest logit of every pixel, and that of its label.
inline void find_largest(const Tile& tile, int channels, Pixel (&pixel)[kVecs]) {
    for (int j = 0; j < kVecs; ++j) {
        const int i = kLossLanes * j;
        const Labels labels = load_labels(tile.label + i);
        const Mask out = equal(load(tile.weight + i), zero());
        Vec largest = all(-static_cast<Real>(__builtin_inff()));
        Vec at = zero();
        for (int c = 0; c < channels; ++c) {
            const Vec x = drop(out, load(tile.x + c * tile.stride + i));
            largest = max(x, largest);
            at = select(equal(labels, c), x, at);
        }
        pixel[j].largest = largest;
        pixel[j].at = at - largest;
    }
}

// sum over k != t of e[k] (a[k] + 2 q[k] p[k]), where squares count.
inline Vec square_slopes(const Rule& rule, const Slopes& slopes, Labels labels, Vec inverse, int j,
                         const Real* e) {
    Vec sum = zero();
    for (int c = 0; c < rule.channels; ++c) {
        const Vec value = keep(unequal(labels, c), load(e + c * kLossTile + kLossLanes * j));
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

// A vector of pixels after the exponentials.
struct Chances {
    Vec w;
    Vec inverse;
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
    alignas(64) Real terms[kMostLossTerms][kSoftmaxRun * kLossTile];
};

// -log p[t]
[[gnu::always_inline]] inline Vec entropy_of(const Pixel& pixel, bool lowered) {
    if (!lowered) return log1p_of(pixel.others / pixel.own);
    const Vec beside_largest =
        select(equal(pixel.at, zero()), pixel.others, pixel.others + pixel.own - one());
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
                                                 const Pixel& pixel, bool lowered,
                                                 const Chances& chance, int j, int at,
                                                 LabelRows& rows) {
    const int i = kLossLanes * j;
    Vec by_terms = zero();
    if (rule.num_terms == 0) return by_terms;
    if constexpr (!kKind.costs) return all(slopes->terms[0]);
    const Vec ce = entropy_of(pixel, lowered);
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
    Real* e;
    bool lowered;
    Pixel pixel[kVecs];
    GradientParts parts;
    TermSlopes slopes;
};

// Takes the largest logit of each pixel from its logits first. Rare: one function for many sweeps.
template <bool kSlopes, bool kSquares>
[[gnu::noinline]] void take_lowered(int channels, const Slopes* slopes, Step& step) {
    find_largest(step.tile, channels, step.pixel);
    Ahead ahead{};
    NothingLeft nothing;
    exponentials<kSlopes, kSquares, false, true>(step.tile, channels, slopes, step.e, step.pixel,
                                                 ahead, nothing);
}

// Most logits are near enough to 0 to be taken as they are. Where they are not, or a class is so
// unlikely beside the others that a quotient would end to be finite, they are lowered.
template <Kind kKind, bool kPlain, class Left>
[[gnu::always_inline]] inline void take_exponentials(const Rule& rule, const Slopes* slopes,
                                                     Step& step, Ahead& ahead, Left left) {
    constexpr bool kSlopes = kKind.gradient && kKind.regions;
    bool near = exponentials<kSlopes, kKind.squares, kPlain, false>(
        step.tile, rule.channels, slopes, step.e, step.pixel, ahead, left);
    for (const Pixel& pixel : step.pixel)
        near &= every(less(pixel.others, pixel.own * all(Real{1e37F})));
    step.lowered = !near;
    if (step.lowered) take_lowered<kSlopes, kSlopes && kKind.squares>(rule.channels, slopes, step);
}

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
    for (int j = 0; j < kVecs; ++j) {
        const int i = kLossLanes * j;
        Pixel pixel = step.pixel[j];
        const Vec w = load(tile.weight + i);
        const Vec inverse = one() / (pixel.others + pixel.own);
        const Chances chance{w, inverse, pixel.own * inverse, pixel.others * inverse};
        parts.labels[j] = load_labels(tile.label + i);
        parts.inverse[j] = inverse;
        parts.weighted[j] = w * inverse;
        if constexpr (kKind.gradient && kKind.squares)
            pixel.slope = square_slopes(rule, *slopes, parts.labels[j], inverse, j, step.e);
        const int at = number * kLossTile + i;
        const Vec by_terms = evaluate_terms<kKind>(rule, sums, slopes, step.slopes, pixel,
                                                   step.lowered, chance, j, at, rows);
        if constexpr (kKind.costs) store(rows.pred + at, w * chance.p);
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
    for (int t = 0; t < rule.num_terms; ++t)
        add(values.terms[t], sums.terms + t * rule.channels * kLossLanes);
    book(run.label, run.tiles, run.plain ? sums.target : nullptr, n, rows);
}

// Writes the gradient of a tile.
template <Kind kKind, bool kStream>
class GradientWriter {
   public:
    GradientWriter(const Step& step, const Slopes& slopes, Real* to, std::int64_t stride)
        : step_(step), slopes_(slopes), to_(to), stride_(stride) {}
    [[gnu::always_inline]] void begin(int first) {
        const GradientParts& parts = step_.parts;
        for (int j = 0; j < kClassesAbreast; ++j) {
            labels_[j] = parts.labels[first + j];
            factor_[j] = parts.factor[first + j];
            at_label_[j] = parts.at_label[first + j];
            weighted_[j] = parts.weighted[first + j];
            inverse_[j] = parts.inverse[first + j];
        }
        row_ = step_.e + kLossLanes * first;
        next_ = to_ + kLossLanes * first;
    }
    [[gnu::always_inline]] void take_class(int c) {
        for (int j = 0; j < kClassesAbreast; ++j) {
            const Vec value = load(row_ + kLossLanes * j);
            Vec by_e = factor_[j];
            if constexpr (kKind.regions) {
                Vec by_p = all(slopes_.pred[c]);
                if constexpr (kKind.squares)
                    by_p = fma(all(2 * slopes_.pred_squared[c]), value * inverse_[j], by_p);
                by_e = fma(weighted_[j], by_p, by_e);
            }
            put<kStream>(next_ + kLossLanes * j,
                         product(unequal(labels_[j], c), value, by_e, at_label_[j]));
        }
        row_ += kLossTile;
        next_ += stride_;
    }

   private:
    const Step& step_;
    const Slopes& slopes_;
    Real* to_;
    std::int64_t stride_;
    const Real* row_ = nullptr;
    Real* next_ = nullptr;
    Labels labels_[kClassesAbreast];
    Vec factor_[kClassesAbreast];
    Vec at_label_[kClassesAbreast];
    Vec weighted_[kClassesAbreast];
    Vec inverse_[kClassesAbreast];
};

// Adds the probabilities of a tile to the lanes of their classes.
template <Kind kKind>
class ClassAdder {
   public:
    ClassAdder(const Step& step, const Sums& sums) : step_(step), sums_(sums) {}
    [[gnu::always_inline]] void begin(int first) {
        for (int j = 0; j < kClassesAbreast; ++j) {
            weighted_[j] = step_.parts.weighted[first + j];
            inverse_[j] = step_.parts.inverse[first + j];
        }
        row_ = step_.e + kLossLanes * first;
    }
    [[gnu::always_inline]] void take_class(int c) {
        // One after the other: in the order of the lanes however many are abreast.
        Vec pred = load(sums_.pred + kLossLanes * c);
        for (int j = 0; j < kClassesAbreast; ++j)
            pred = fma(weighted_[j], load(row_ + kLossLanes * j), pred);
        store(sums_.pred + kLossLanes * c, pred);
        if constexpr (kKind.squares) {
            Vec squared = load(sums_.pred_squared + kLossLanes * c);
            for (int j = 0; j < kClassesAbreast; ++j) {
                const Vec value = load(row_ + kLossLanes * j);
                squared = fma(weighted_[j] * value, inverse_[j] * value, squared);
            }
            store(sums_.pred_squared + kLossLanes * c, squared);
        }
        row_ += kLossTile;
    }

   private:
    const Step& step_;
    const Sums& sums_;
    const Real* row_ = nullptr;
    Vec weighted_[kClassesAbreast];
    Vec inverse_[kClassesAbreast];
};

// What is left of tile `number` of a run after its classes were weighed.
template <Kind kKind, bool kStream>
[[gnu::always_inline]] inline auto what_is_left(const Step& step, int number, const Sums* sums,
                                                const Slopes* slopes, const Gradient* gradient) {
    if constexpr (kKind.gradient)
        return GradientWriter<kKind, kStream>(step, *slopes, gradient->data + number * kLossTile,
                                              gradient->stride);
    else if constexpr (kKind.regions)
        return ClassAdder<kKind>(step, *sums);
    else
        return NothingLeft{};
}

template <Kind kKind, bool kStream>
void softmax_labels_as(const Tile& run, const Rule& rule, const Sums* sums, const Slopes* slopes,
                       const Gradient* gradient, Real* scratch) {
    Step steps[2];
    LabelRows rows;
    steps[0].e = scratch;
    steps[1].e = scratch + rule.channels * kLossTile;
    Ahead ahead{run.next != nullptr ? run.next : run.x, run.stride, run.tiles * kVecs};
    steps[0].tile = run;
    take_exponentials<kKind, false>(rule, slopes, steps[0], ahead, NothingLeft{});
    weigh_classes<kKind>(rule, sums, slopes, steps[0], 0, rows);
    for (int k = 1; k < run.tiles; ++k) {
        Step& step = steps[k % 2];
        const Step& before = steps[(k + 1) % 2];
        step.tile = next_tile(before.tile);
        take_exponentials<kKind, true>(
            rule, slopes, step, ahead,
            what_is_left<kKind, kStream>(before, k - 1, sums, slopes, gradient));
        weigh_classes<kKind>(rule, sums, slopes, step, k, rows);
    }
    auto left = what_is_left<kKind, kStream>(steps[(run.tiles + 1) % 2], run.tiles - 1, sums,
                                             slopes, gradient);
    for (int first = 0; first < kVecs; first += kClassesAbreast) {
        left.begin(first);
        for (int c = 0; c < rule.channels; ++c) left.take_class(c);
    }
    if (kKind.costs && sums != nullptr) book_labels(rule, *sums, run, rows);
}

// Whether `pred` and `pred_squared` are wanted, or have slopes.
template <bool kEntropy, bool kCosts, bool kGradient, bool kStream>
SweepLossTile<Real> softmax_labels_with(bool regions, bool squares) {
    if (squares) return softmax_labels_as<Kind{kEntropy, kCosts, kGradient, true, true}, kStream>;
    if (regions) return softmax_labels_as<Kind{kEntropy, kCosts, kGradient, true, false}, kStream>;
    return softmax_labels_as<Kind{kEntropy, kCosts, kGradient, false, false}, kStream>;
}

template <bool kEntropy, bool kCosts>
SweepLossTile<Real> softmax_labels_for(const Sums* sums, const Slopes* slopes,
                                       const Gradient* gradient) {
    if (slopes == nullptr)
        return softmax_labels_with<kEntropy, true, false, false>(sums->pred != nullptr,
                                                                 sums->pred_squared != nullptr);
    const auto sweep = kStreams && gradient->stream
                           ? softmax_labels_with<kEntropy, kCosts, true, kStreams>
                           : softmax_labels_with<kEntropy, kCosts, true, false>;
    return sweep(slopes->pred != nullptr, slopes->pred_squared != nullptr);
}

void softmax_labels(const Tile& run, const Rule& rule, const Sums* sums, const Slopes* slopes,
                    const Gradient* gradient, Real* scratch) {
    const bool entropy = (rule.num_terms == 0 ||
                          (rule.num_terms == 1 && rule.terms[0].kind == LossTerm::kCrossEntropy)) &&
                         (slopes == nullptr || slopes->uniform_terms);
    const auto sweep_for = !entropy          ? softmax_labels_for<false, true>
                           : sums != nullptr ? softmax_labels_for<true, true>
                                             : softmax_labels_for<true, false>;
    const auto sweep = sweep_for(sums, slopes, gradient);
    sweep(run, rule, sums, slopes, gradient, scratch);
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
