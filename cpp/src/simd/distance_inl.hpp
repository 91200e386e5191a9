// The inner loops of the distance transform; included once per instruction set, with
// SEGMETER_SIMD_NAMESPACE naming the level. Everything but the function table has internal
// linkage.
//
// Vectors are the compiler's own (GCC, Clang): eight doubles are one register of AVX-512, two of
// AVX2, four of SSE2 and NEON.

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__) && !defined(SEGMETER_SIMD_PORTABLE)
#include <arm_neon.h>
#else
#include <cmath>
#endif

#include "simd/distance_kernels.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

using Doubles [[gnu::vector_size(64)]] = double;
using Longs [[gnu::vector_size(64)]] = long long;
using Ints [[gnu::vector_size(32)]] = std::int32_t;
// The same at any address of their elements.
using DoublesAt [[gnu::vector_size(64), gnu::aligned(8), gnu::may_alias]] = double;
using IntsAt [[gnu::vector_size(32), gnu::aligned(4), gnu::may_alias]] = std::int32_t;

inline const DoublesAt& at(const double* x) { return *reinterpret_cast<const DoublesAt*>(x); }
inline DoublesAt& at(double* x) { return *reinterpret_cast<DoublesAt*>(x); }
inline const IntsAt& at(const std::int32_t* x) { return *reinterpret_cast<const IntsAt*>(x); }
inline IntsAt& at(std::int32_t* x) { return *reinterpret_cast<IntsAt*>(x); }

constexpr double kInfinity = __builtin_inf();

// --- steps along an axis ---

template <bool kMask, bool kBackground, class T>
void scan_forward(const void* labels, const void* before, const std::int32_t* steps_before,
                  std::int64_t n, std::int32_t* steps) {
    const T* here = static_cast<const T*>(labels);
    const T* there = static_cast<const T*>(before);
    for (std::int64_t i = 0; i < n; ++i) {
        std::int32_t step = steps_before[i] - 1;
        if constexpr (!kMask) step = here[i] == there[i] ? step : -1;
        if constexpr (kBackground) step = here[i] == 0 ? 0 : step;
        steps[i] = step;
    }
}

template <bool kMask, bool kBackground, class T>
void scan_backward(const void* labels, const void* behind, std::int64_t n, std::int32_t* ahead,
                   std::int32_t* steps) {
    const T* here = static_cast<const T*>(labels);
    const T* there = static_cast<const T*>(behind);
    for (std::int64_t i = 0; i < n; ++i) {
        std::int32_t step = ahead[i] + 1;
        if constexpr (!kMask) step = here[i] == there[i] ? step : 1;
        if constexpr (kBackground) step = here[i] == 0 ? 0 : step;
        ahead[i] = step;
        steps[i] = step < -steps[i] ? step : steps[i];
    }
}

template <class T>
void scan_beyond(const void* labels, std::int64_t n, std::int32_t* steps) {
    const T* here = static_cast<const T*>(labels);
    for (std::int64_t i = 0; i < n; ++i) steps[i] = here[i] == 0 ? kNoStep : 0;
}

template <bool kMask, bool kBackground, class T>
void scan_along(const void* labels, std::int64_t n, bool border_is_background,
                std::int32_t* steps) {
    const T* here = static_cast<const T*>(labels);
    const auto beyond = [&](std::int64_t i) {
        return border_is_background && here[i] != 0 ? 0 : kNoStep;
    };
    const auto next = [&](std::int64_t i, std::int64_t neighbour, std::int32_t step) {
        if (kBackground && here[i] == 0) return 0;
        return kMask || here[i] == here[neighbour] ? step + 1 : 1;
    };
    std::int32_t back = beyond(0);
    for (std::int64_t i = 0; i < n; ++i) {
        back = next(i, i > 0 ? i - 1 : i, back);
        steps[i] = -back;
    }
    std::int32_t ahead = beyond(n - 1);
    for (std::int64_t i = n - 1; i >= 0; --i) {
        ahead = next(i, i < n - 1 ? i + 1 : i, ahead);
        steps[i] = ahead < -steps[i] ? ahead : steps[i];
    }
}

template <class T>
void negate(const void* labels, std::int64_t n, double* values) {
    const T* here = static_cast<const T*>(labels);
    for (std::int64_t i = 0; i < n; ++i) values[i] = here[i] == 0 ? values[i] : -values[i];
}

void square_steps(const std::int32_t* steps, std::int64_t n, double spacing, double* squared) {
    for (std::int64_t i = 0; i < n; ++i) {
        const std::int32_t step = steps[i] < 0 ? -steps[i] : steps[i];
        const double length = step * spacing;
        squared[i] = step >= kNoStep ? kInfinity : length * length;
    }
}

void merge_steps(const std::int32_t* steps, std::int64_t n, double spacing, std::int32_t place,
                 std::int32_t place_step, double* squared, std::int32_t* nearest) {
    for (std::int64_t i = 0; i < n; ++i) {
        const std::int32_t step = steps[i] < 0 ? -steps[i] : steps[i];
        const double length = step * spacing;
        const double by_step = step >= kNoStep ? kInfinity : length * length;
        if (nearest != nullptr && step < kNoStep) {
            const auto entry = static_cast<std::int32_t>(place + i * place_step) + steps[i];
            const bool is_tie = by_step == squared[i] && entry < nearest[i];
            if (by_step < squared[i] || is_tie) nearest[i] = ~entry;
        }
        squared[i] = by_step < squared[i] ? by_step : squared[i];
    }
}

// --- tiles: in and out ---

// The lanes of an entry, as two vectors: one comparison does not wait for the other.
struct Pair {
    Doubles low;
    Doubles high;
};

inline void load(const double* x, Pair& pair) {
    pair.low = at(x);
    pair.high = at(x + 8);
}
inline void store(const Pair& pair, double* x) {
    at(x) = pair.low;
    at(x + 8) = pair.high;
}

// Whether any element is not 0.
inline bool is_any(const Longs& truth) {
#if defined(__AVX512DQ__)
    return _mm512_movepi64_mask(reinterpret_cast<const __m512i&>(truth)) != 0;
#else
    long long any = 0;
    for (int lane = 0; lane < 8; ++lane) any |= truth[lane];
    return any != 0;
#endif
}

// Collects the entries of a tile that have a finite value.
class Filler {
   public:
    explicit Filler(const Tile& tile) : tile_(tile) {}

    void add(const Pair& value, std::int64_t i) {
        store(value, tile_.value + entries_ * kLanes);
        tile_.place[entries_] = static_cast<std::int32_t>(i);
        smallest_.low = value.low < smallest_.low ? value.low : smallest_.low;
        smallest_.high = value.high < smallest_.high ? value.high : smallest_.high;
        entries_ += is_any((value.low < kInfinity) | (value.high < kInfinity)) ? 1 : 0;
    }

    Filled finish(std::int64_t lanes) const {
        Filled filled{entries_, 0};
        for (int lane = 0; lane < 8; ++lane) {
            if (smallest_.low[lane] < kInfinity) filled.finite |= 1U << lane;
            if (smallest_.high[lane] < kInfinity) filled.finite |= 1U << (lane + 8);
        }
        filled.finite &= (1U << lanes) - 1;
        if (filled.finite != 0 && filled.finite != (1U << kLanes) - 1) copy_lanes(filled.finite);
        return filled;
    }

   private:
    void copy_lanes(std::uint32_t finite) const {
        const int first = __builtin_ctz(finite);
        for (std::int64_t k = 0; k < entries_; ++k) {
            double* value = tile_.value + k * kLanes;
            for (int lane = 0; lane < static_cast<int>(kLanes); ++lane)
                value[lane] = (finite >> lane & 1U) != 0 ? value[lane] : value[first];
        }
    }

    const Tile& tile_;
    Pair smallest_{Doubles{} + kInfinity, Doubles{} + kInfinity};
    std::int64_t entries_ = 0;
};

inline void square_of(const std::int32_t* steps, double spacing, Doubles& squared) {
    const Ints step = at(steps);
    const Doubles length = __builtin_convertvector(step, Doubles) * spacing;
    const Doubles size = __builtin_convertvector(step < 0 ? -step : step, Doubles);
    squared = size >= double{kNoStep} ? Doubles{} + kInfinity : length * length;
}

Filled load_columns(const Tile& tile, const std::int32_t* steps, std::int64_t stride,
                    std::int64_t lanes, double spacing) {
    std::int32_t some[kLanes];
    for (std::int32_t& step : some) step = kNoStep;
    Filler filler(tile);
    for (std::int64_t i = 0; i < tile.n; ++i) {
        const std::int32_t* row = steps + i * stride;
        if (lanes < kLanes) {
            for (std::int64_t lane = 0; lane < lanes; ++lane) some[lane] = row[lane];
            row = some;
        }
        Pair value;
        square_of(row, spacing, value.low);
        square_of(row + 8, spacing, value.high);
        filler.add(value, i);
    }
    return filler.finish(lanes);
}

Filled load_rows(const Tile& tile, const double* squared, std::int64_t stride, std::int64_t lanes) {
    const double* row[kLanes];
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
        row[lane] = squared + (lane < lanes ? lane : 0) * stride;
    Filler filler(tile);
    for (std::int64_t i = 0; i < tile.n; ++i) {
        Pair value;
        value.low = Doubles{row[0][i], row[1][i], row[2][i], row[3][i],
                            row[4][i], row[5][i], row[6][i], row[7][i]};
        value.high = Doubles{row[8][i],  row[9][i],  row[10][i], row[11][i],
                             row[12][i], row[13][i], row[14][i], row[15][i]};
        filler.add(value, i);
    }
    return filler.finish(lanes);
}

void store_columns(const Tile& tile, std::uint32_t finite, std::int64_t lanes, std::int64_t stride,
                   double* squared, std::int32_t* nearest) {
    for (std::int64_t i = 0; i < tile.n; ++i) {
        const double* best = tile.best + i * kLanes;
        if (finite == (1U << kLanes) - 1) {
            Pair pair;
            load(best, pair);
            store(pair, squared + i * stride);
        } else {
            for (std::int64_t lane = 0; lane < lanes; ++lane)
                squared[i * stride + lane] = (finite >> lane & 1U) != 0 ? best[lane] : kInfinity;
        }
        if (nearest != nullptr)
            for (std::int64_t lane = 0; lane < lanes; ++lane)
                nearest[i * stride + lane] = tile.nearest[i * kLanes + lane];
    }
}

void store_rows(const Tile& tile, std::uint32_t finite, std::int64_t lanes, std::int64_t stride,
                double* squared, std::int32_t* nearest) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const bool is_finite = (finite >> lane & 1U) != 0;
        for (std::int64_t i = 0; i < tile.n; ++i) {
            squared[lane * stride + i] = is_finite ? tile.best[i * kLanes + lane] : kInfinity;
            if (nearest != nullptr) nearest[lane * stride + i] = tile.nearest[i * kLanes + lane];
        }
    }
}

// --- tiles: the search ---

// Entries by number: which one is the best of each lane.
struct Numbers {
    Longs low;
    Longs high;
};

// Smallest and largest of sixteen.
inline void extremes(const Numbers& x, std::int32_t& smallest, std::int32_t& largest) {
    Longs low = x.low < x.high ? x.low : x.high;
    Longs high = x.low < x.high ? x.high : x.low;
    const auto fold = [&](const Longs& order) {
        const Longs other_low = __builtin_shuffle(low, order);
        const Longs other_high = __builtin_shuffle(high, order);
        low = other_low < low ? other_low : low;
        high = other_high > high ? other_high : high;
    };
    fold(Longs{4, 5, 6, 7, 0, 1, 2, 3});
    fold(Longs{2, 3, 0, 1, 6, 7, 4, 5});
    fold(Longs{1, 0, 3, 2, 5, 4, 7, 6});
    smallest = static_cast<std::int32_t>(low[0]);
    largest = static_cast<std::int32_t>(high[0]);
}

// The best of the entries [first, last] for pixel i of every lane; of equal ones the first.
inline void search(const Tile& tile, std::int64_t i, std::int64_t first, std::int64_t last,
                   Pair& best, Numbers& nearest) {
    const double* square = tile.square + i;
    const auto sum_up = [&](std::int64_t k, Pair& sum) {
        const double along = square[-tile.place[k]];
        load(tile.value + k * kLanes, sum);
        sum.low += along;
        sum.high += along;
    };
    sum_up(first, best);
    nearest.low = nearest.high = Longs{} + first;
    for (std::int64_t k = first + 1; k <= last; ++k) {
        Pair sum;
        sum_up(k, sum);
        const Longs is_better_low = sum.low < best.low;
        const Longs is_better_high = sum.high < best.high;
        best.low = is_better_low ? sum.low : best.low;
        best.high = is_better_high ? sum.high : best.high;
        nearest.low = is_better_low ? Longs{} + k : nearest.low;
        nearest.high = is_better_high ? Longs{} + k : nearest.high;
    }
}

void solve(const Tile& tile, std::int64_t entries) {
    const std::int64_t n = tile.n;
    std::int64_t half = 1;
    while (2 * half <= n) half *= 2;
    tile.low[0] = 0;
    for (; half >= 1; half /= 2) {
        // Pixels are numbered from 1 here, so that 0 stands before the line.
        for (std::int64_t number = half; number <= n; number += 2 * half) {
            const bool has_next = number + half <= n;
            const std::int64_t first = tile.is_monotone ? tile.low[number - half] : 0;
            const std::int64_t last =
                tile.is_monotone && has_next ? tile.high[number + half] : entries - 1;
            const std::int64_t i = number - 1;
            Pair best;
            Numbers nearest;
            search(tile, i, first, last, best, nearest);
            store(best, tile.best + i * kLanes);
            if (half > 1) extremes(nearest, tile.low[number], tile.high[number]);
            if (tile.nearest == nullptr) continue;
            for (std::int64_t lane = 0; lane < 8; ++lane) {
                tile.nearest[i * kLanes + lane] = tile.place[nearest.low[lane]];
                tile.nearest[i * kLanes + lane + 8] = tile.place[nearest.high[lane]];
            }
        }
    }
}

// --- roots ---

void root(double* values, std::int64_t n) {
    std::int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 8 <= n; i += 8)
        _mm512_storeu_pd(values + i, _mm512_sqrt_pd(_mm512_loadu_pd(values + i)));
#elif defined(__AVX__)
    for (; i + 4 <= n; i += 4)
        _mm256_storeu_pd(values + i, _mm256_sqrt_pd(_mm256_loadu_pd(values + i)));
#endif
#if defined(__SSE2__)
    for (; i < n; ++i) {
        const __m128d value = _mm_load_sd(values + i);
        _mm_store_sd(values + i, _mm_sqrt_sd(value, value));
    }
#elif defined(__ARM_NEON) && defined(__aarch64__) && !defined(SEGMETER_SIMD_PORTABLE)
    for (; i < n; ++i) vst1_f64(values + i, vsqrt_f64(vld1_f64(values + i)));
#else
    for (; i < n; ++i) values[i] = std::sqrt(values[i]);
#endif
}

template <bool kMask, bool kBackground, class T>
constexpr ScanKernels kScan{&scan_forward<kMask, kBackground, T>,
                            &scan_backward<kMask, kBackground, T>,
                            &scan_along<kMask, kBackground, T>, &scan_beyond<T>, &negate<T>};

}  // namespace

extern const DistanceKernels kDistanceKernels;
const DistanceKernels kDistanceKernels = {
    kScan<true, true, std::uint8_t>,
    {kScan<false, false, std::uint8_t>, kScan<false, false, std::uint16_t>,
     kScan<false, false, std::uint32_t>, kScan<false, false, std::uint64_t>},
    {kScan<false, true, std::uint8_t>, kScan<false, true, std::uint16_t>,
     kScan<false, true, std::uint32_t>, kScan<false, true, std::uint64_t>},
    &square_steps,
    &load_columns,
    &load_rows,
    &solve,
    &store_columns,
    &store_rows,
    &merge_steps,
    &root,
};

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
