// Sweeps of channels that stand alone. Part of loss_inl.hpp.
#pragma once

#include "simd/loss_terms_inl.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

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

#if !defined(SEGMETER_LOSS_DOUBLE)
// --- yes or no by sigmoid, with cross entropy or no term: most binary losses ---

// The two sides of an answer: the one that the logit is on, and the other.
struct Sides {
    Vec size;  // of the logit
    Vec z;     // exp(-size)
    Vec sum;   // 1 + z
    Vec near;
    Vec far;
};

[[gnu::always_inline]] inline void find_sides(const Vec (&x)[kAbreast], Sides (&side)[kAbreast]) {
    Vec z[kAbreast];
    for (int j = 0; j < kAbreast; ++j) {
        side[j].size = absolute(x[j]);
        z[j] = zero() - side[j].size;
    }
    exp_each(z);
    for (int j = 0; j < kAbreast; ++j) {
        side[j].z = z[j];
        side[j].sum = one() + z[j];
        side[j].near = one() / side[j].sum;
        side[j].far = z[j] * side[j].near;
    }
}

// What a channel's gradient is made of, for yes and for no.
struct AnswerSlopes {
    Vec by_p_yes;
    Vec by_p_no;
    Vec by_cost_yes;
    Vec by_cost_no;
};

inline AnswerSlopes answer_slopes(const Rule& rule, const Slopes& slopes, int c) {
    AnswerSlopes all_of{zero(), zero(), zero(), zero()};
    if (slopes.pred != nullptr) {
        all_of.by_p_no = all(slopes.pred[c]);
        all_of.by_p_yes = all(slopes.intersection[c]) + all_of.by_p_no;
    }
    if (rule.num_terms != 0) {
        all_of.by_cost_yes = zero() - all(slopes.terms[c]);
        all_of.by_cost_no = all(slopes.terms_negative[c]);
    }
    return all_of;
}

// Sums of a channel, to which a vector of answers is added.
struct AnswerSums {
    Vec pred;
    Vec intersection;
    Vec target;
    Vec cost_yes;
    Vec cost_no;
    // Products of 1 + z so far, less 1.
    Vec product_yes;
    Vec product_no;
};

inline AnswerSums load_sums(const Rule& rule, const Sums& sums, int at) {
    AnswerSums so_far{zero(), zero(), load(sums.target + at), zero(), zero(), zero(), zero()};
    if (sums.pred != nullptr) {
        so_far.pred = load(sums.pred + at);
        so_far.intersection = load(sums.intersection + at);
    }
    if (rule.num_terms != 0) {
        so_far.cost_yes = load(sums.terms + at);
        so_far.cost_no = load(sums.terms_negative + at);
    }
    return so_far;
}

inline void store_sums(const Rule& rule, const AnswerSums& so_far, int at, const Sums& sums) {
    store(sums.target + at, so_far.target);
    if (sums.pred != nullptr) {
        store(sums.pred + at, so_far.pred);
        store(sums.intersection + at, so_far.intersection);
    }
    if (rule.num_terms != 0) {
        store(sums.terms + at, so_far.cost_yes + log1p_of(so_far.product_yes));
        store(sums.terms_negative + at, so_far.cost_no + log1p_of(so_far.product_no));
    }
}

// The cost is log(1 + z), and the size of the logit where the answer is wrong. Where nothing is
// weighted, a sum of logarithms is that of a product, (1 + q) (1 + z) = 1 + (q (1 + z) + z): at
// most 2 to the power of a run's vectors.
template <bool kPlain>
[[gnu::always_inline]] inline void add_answer(const Sides& side, Mask yes, Mask negative, Vec w,
                                              AnswerSums& so_far) {
    Vec p = select(negative, side.far, side.near);
    if constexpr (kPlain) {
        so_far.product_yes = fma_where(yes, so_far.product_yes, side.sum, side.z);
        so_far.product_no = fma_where_not(yes, so_far.product_no, side.sum, side.z);
        const Vec size = drop(either(yes, negative), side.size);
        so_far.cost_yes = so_far.cost_yes + keep(yes, size);
        so_far.cost_no = so_far.cost_no + drop(yes, size);
    } else {
        p = w * p;
        const Vec cost = w * (log1p_small(side.z) + drop(either(yes, negative), side.size));
        so_far.cost_yes = so_far.cost_yes + keep(yes, cost);
        so_far.cost_no = so_far.cost_no + drop(yes, cost);
    }
    so_far.pred = so_far.pred + p;
    so_far.intersection = so_far.intersection + keep(yes, p);
    so_far.target = so_far.target + keep(yes, w);
}

template <bool kPlain>
[[gnu::always_inline]] inline Vec answer_gradient(const AnswerSlopes& by, const Sides& side,
                                                  Mask yes, Mask negative, Vec w) {
    const Vec error = select(either(yes, negative), side.far, side.near);
    const Vec by_p = select(yes, by.by_p_yes, by.by_p_no);
    const Vec by_cost = select(yes, by.by_cost_yes, by.by_cost_no);
    const Vec value = fma(side.near * side.far, by_p, by_cost * error);
    return kPlain ? value : w * value;
}

// Logits between those that are read and those that are asked for.
constexpr int kAnswersAhead = 512;

template <bool kSums, bool kSlopes, bool kPlain, bool kStream>
void answers_as(const Tile& run, const Rule& rule, const Sums* sums, const Slopes* slopes,
                const Gradient* gradient) {
    for (int c = 0; c < rule.channels; ++c) {
        AnswerSums so_far{};
        AnswerSlopes by{};
        if constexpr (kSums) so_far = load_sums(rule, *sums, c * kLossLanes);
        if constexpr (kSlopes) by = answer_slopes(rule, *slopes, c);
        const Real* from = run.x + c * run.stride;
        Real* to = kSlopes ? gradient->data + c * gradient->stride : nullptr;
        for (int i = 0; i < run.tiles * kLossTile; i += kAbreast * kLossLanes) {
            Vec w[kAbreast];
            Vec x[kAbreast];
            Mask yes[kAbreast];
            Mask negative[kAbreast];
            for (int j = 0; j < kAbreast; ++j) {
                const int at = i + kLossLanes * j;
                w[j] = kPlain ? one() : load(run.weight + at);
                x[j] = load(from + at);
                __builtin_prefetch(from + at + kAnswersAhead);
                if constexpr (!kPlain) x[j] = select(equal(w[j], zero()), all(Real{0.5}), x[j]);
                yes[j] = equal(load_labels(run.label + at), c);
                negative[j] = less(x[j], zero());
            }
            Sides side[kAbreast];
            find_sides(x, side);
            if constexpr (kSums)
                for (int j = 0; j < kAbreast; ++j)
                    add_answer<kPlain>(side[j], yes[j], negative[j], w[j], so_far);
            if constexpr (kSlopes)
                for (int j = 0; j < kAbreast; ++j)
                    put<kStream>(to + i + kLossLanes * j,
                                 answer_gradient<kPlain>(by, side[j], yes[j], negative[j], w[j]));
        }
        if constexpr (kSums) store_sums(rule, so_far, c * kLossLanes, *sums);
    }
}

template <bool kPlain, bool kStream>
void answers(const Tile& run, const Rule& rule, const Sums* sums, const Slopes* slopes,
             const Gradient* gradient) {
    const auto sweep = sums == nullptr     ? answers_as<false, true, kPlain, kStream>
                       : slopes == nullptr ? answers_as<true, false, kPlain, false>
                                           : answers_as<true, true, kPlain, kStream>;
    sweep(run, rule, sums, slopes, gradient);
}

inline bool are_answers(const Tile& tile, const Rule& rule, const Sums* sums,
                        const Slopes* slopes) {
    const bool plain_term = rule.num_terms == 0 ||
                            (rule.num_terms == 1 && rule.terms[0].kind == LossTerm::kCrossEntropy);
    const bool few_sums = sums == nullptr || (sums->pred_squared == nullptr &&
                                              sums->costs == nullptr && sums->target != nullptr);
    return rule.sigmoid && plain_term && few_sums && tile.label != nullptr && !rule.smoothed &&
           (slopes == nullptr || slopes->pred_squared == nullptr) &&
           (sums != nullptr || slopes != nullptr);
}
#endif

void channelwise(const Tile& run, const Rule& rule, const Sums* sums, const Slopes* slopes,
                 const Gradient* gradient, Real*) {
#if !defined(SEGMETER_LOSS_DOUBLE)
    if (are_answers(run, rule, sums, slopes)) {
        const bool past_caches = gradient != nullptr && gradient->stream;
        const auto sweep = run.plain ? (past_caches ? answers<true, true> : answers<true, false>)
                                     : (past_caches ? answers<false, true> : answers<false, false>);
        sweep(run, rule, sums, slopes, gradient);
        return;
    }
#endif
    const bool soft = run.label == nullptr || rule.smoothed;
    const auto sweep = soft ? channelwise_as<true> : channelwise_as<false>;
    Tile tile = run;
    Gradient to = gradient != nullptr ? *gradient : Gradient{};
    for (int k = 0; k < run.tiles; ++k) {
        sweep(tile, rule, sums, slopes, &to);
        if (k + 1 == run.tiles) break;
        tile = next_tile(tile);
        if (gradient != nullptr) to.data += kLossTile;
    }
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
