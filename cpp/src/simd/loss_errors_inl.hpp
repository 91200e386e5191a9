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
constexpr bool (*count_levels)(const Tile&, const Rule&, const Real*, std::uint32_t*) = nullptr;
constexpr void (*look_up_levels)(const Tile&, const Rule&, const Real*, const std::uint32_t*,
                                 Real*) = nullptr;
// NOLINTEND(readability-identifier-naming)

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

void look_up_levels(const Tile& tile, const Rule& rule, const Real* p, const std::uint32_t* table,
                    Real* by_p) {
    for (int c = 0; c < rule.channels; ++c) {
        const std::uint32_t* row = table + std::int64_t{2} * kErrorLevels * c;
        for (int i = 0; i < kLossTile; i += kLossLanes) {
            const Vec chance = load(p + c * kLossTile + i);
            const Vec code = level_codes(chance, true_at(tile, c, i));
            Real* to = by_p + c * kLossTile + i;
            if (!any(unequal_zero(code))) {
                store(to, all(__builtin_bit_cast(float, row[0])));
                continue;
            }
            alignas(64) std::int32_t codes[kLossLanes];
            store_whole(codes, code);
            for (int k = 0; k < kLossLanes; ++k) to[k] = __builtin_bit_cast(float, row[codes[k]]);
        }
    }
}

#endif

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
