// Errors of probabilities, for the Lovasz losses. Part of loss_inl.hpp.
#pragma once

#include "simd/loss_channels_inl.hpp"
#include "simd/loss_labels_inl.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

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

// In place of the functions below, whose names they have.
// NOLINTBEGIN(readability-identifier-naming)
constexpr bool (*levels)(const Tile&, const Rule&, const Real*, Real*) = nullptr;
constexpr void (*count_levels)(const float*, std::int64_t, std::uint32_t*) = nullptr;
constexpr void (*look_up_levels)(float*, std::int64_t, const std::uint32_t*) = nullptr;
// NOLINTEND(readability-identifier-naming)

#else

bool levels(const Tile& tile, const Rule& rule, const Real* p, Real* codes) {
    bool known = true;
    Mask outside[kVecs];
    for (int j = 0; j < kVecs; ++j) outside[j] = equal(load(tile.weight + kLossLanes * j), zero());
    for (int c = 0; c < rule.channels; ++c)
        for (int j = 0; j < kVecs; ++j) {
            const int at = c * kLossTile + kLossLanes * j;
            const Vec chance = load(p + at);
            const Mask is = true_at(tile, c, kLossLanes * j);
            const Vec error = select(is, one() - chance, chance);
            const Vec inside = min(max(error, zero()), one());
            const Vec level = nearest(inside * all(Real{kErrorLevels - 1}));
            const Vec code = level + level + select(is, one(), zero());
            store(codes + at, select(outside[j], zero() - one(), code));
            const Mask real = equal(chance, chance);
            known &= every(real) || (~bits(outside[j]) & ~bits(real) & 0xFFFFU) == 0;
        }
    return known;
}

void count_levels(const Real* codes, std::int64_t n, std::uint32_t* counts) {
    std::int64_t i = 0;
    for (; i + kLossLanes <= n; i += kLossLanes) {
        const Vec code = load(codes + i);
        std::uint32_t left = bits(less(zero(), code));
        if (left == 0) continue;
        alignas(64) std::int32_t whole[kLossLanes];
        store_whole(whole, code);
        for (; left != 0; left &= left - 1) ++counts[whole[__builtin_ctz(left)]];
    }
    for (; i < n; ++i)
        if (codes[i] > Real{0}) ++counts[static_cast<std::int32_t>(codes[i])];
}

void look_up_levels(Real* codes, std::int64_t n, const std::uint32_t* table) {
    const auto slope = [table](std::int32_t code) {
        return __builtin_bit_cast(float, table[code]);
    };
    std::int64_t i = 0;
    for (; i + kLossLanes <= n; i += kLossLanes) {
        const Vec code = max(zero(), load(codes + i));
        if (!any(less(zero(), code))) {
            store(codes + i, all(slope(0)));
            continue;
        }
        alignas(64) std::int32_t whole[kLossLanes];
        store_whole(whole, code);
        for (int k = 0; k < kLossLanes; ++k) codes[i + k] = slope(whole[k]);
    }
    for (; i < n; ++i)
        codes[i] = slope(codes[i] > Real{0} ? static_cast<std::int32_t>(codes[i]) : 0);
}

#endif

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
