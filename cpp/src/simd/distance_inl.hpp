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

// Lanes with a finite value; the others become copies of the first of these.
std::uint32_t finite_lanes(const Tile& tile, const Doubles& smallest, std::int64_t lanes) {
    std::uint32_t finite = 0;
    for (std::int64_t lane = 0; lane < lanes; ++lane)
        if (smallest[lane] < kInfinity) finite |= 1U << lane;
    if (finite == 0 || finite == (1U << kLanes) - 1) return finite;
    const int first = __builtin_ctz(finite);
    Longs source{};
    for (int lane = 0; lane < static_cast<int>(kLanes); ++lane)
        source[lane] = (finite >> lane & 1U) != 0 ? lane : first;
    for (std::int64_t i = 0; i < tile.n; ++i) {
        const Doubles value = at(tile.value + i * kLanes);
        at(tile.value + i * kLanes) = __builtin_shuffle(value, source);
    }
    return finite;
}

std::uint32_t load_columns(const Tile& tile, const std::int32_t* steps, std::int64_t stride,
                           std::int64_t lanes, double spacing) {
    const Doubles infinite = Doubles{} + kInfinity;
    Doubles smallest = infinite;
    for (std::int64_t i = 0; i < tile.n; ++i) {
        Ints step{};
        if (lanes == kLanes)
            step = at(steps + i * stride);
        else
            for (std::int64_t lane = 0; lane < lanes; ++lane) step[lane] = steps[i * stride + lane];
        const Doubles length = __builtin_convertvector(step, Doubles) * spacing;
        const Doubles size = __builtin_convertvector(step < 0 ? -step : step, Doubles);
        const Doubles value = size >= double{kNoStep} ? infinite : length * length;
        smallest = value < smallest ? value : smallest;
        at(tile.value + i * kLanes) = value;
    }
    return finite_lanes(tile, smallest, lanes);
}

std::uint32_t load_rows(const Tile& tile, const double* squared, std::int64_t stride,
                        std::int64_t lanes) {
    Doubles smallest = Doubles{} + kInfinity;
    for (std::int64_t i = 0; i < tile.n; ++i) {
        Doubles value = Doubles{} + kInfinity;
        for (std::int64_t lane = 0; lane < lanes; ++lane) value[lane] = squared[lane * stride + i];
        smallest = value < smallest ? value : smallest;
        at(tile.value + i * kLanes) = value;
    }
    return finite_lanes(tile, smallest, lanes);
}

void store_columns(const Tile& tile, std::uint32_t finite, std::int64_t lanes, std::int64_t stride,
                   double* squared, std::int32_t* nearest) {
    for (std::int64_t i = 0; i < tile.n; ++i)
        for (std::int64_t lane = 0; lane < lanes; ++lane) {
            const bool is_finite = (finite >> lane & 1U) != 0;
            squared[i * stride + lane] = is_finite ? tile.best[i * kLanes + lane] : kInfinity;
            if (nearest != nullptr) nearest[i * stride + lane] = tile.nearest[i * kLanes + lane];
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

// Smallest and largest of eight.
inline void extremes(const Longs& x, std::int32_t& smallest, std::int32_t& largest) {
    Longs low = x;
    Longs high = x;
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

// The best entry j in [first, last] for entry i of every lane; of equal ones the first.
inline void search(const Tile& tile, std::int64_t i, std::int64_t first, std::int64_t last,
                   Doubles& best, Longs& nearest) {
    const double* square = tile.square + i;
    best = at(tile.value + first * kLanes) + square[-first];
    nearest = Longs{} + first;
    for (std::int64_t j = first + 1; j <= last; ++j) {
        const Doubles sum = at(tile.value + j * kLanes) + square[-j];
        const Longs is_better = sum < best;
        best = is_better ? sum : best;
        nearest = is_better ? Longs{} + j : nearest;
    }
}

void solve(const Tile& tile) {
    const std::int64_t n = tile.n;
    std::int64_t half = 1;
    while (2 * half <= n) half *= 2;
    tile.low[0] = 0;
    for (; half >= 1; half /= 2) {
        // Entries are numbered from 1 here, so that 0 stands before the line.
        for (std::int64_t place = half; place <= n; place += 2 * half) {
            std::int64_t first = tile.low[place - half];
            std::int64_t last = place + half <= n ? tile.high[place + half] : n - 1;
            if (!tile.is_monotone) {
                first = 0;
                last = n - 1;
            }
            const std::int64_t i = place - 1;
            Doubles best;
            Longs nearest;
            search(tile, i, first, last, best, nearest);
            at(tile.best + i * kLanes) = best;
            extremes(nearest, tile.low[place], tile.high[place]);
            if (tile.nearest != nullptr)
                at(tile.nearest + i * kLanes) = __builtin_convertvector(nearest, Ints);
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
