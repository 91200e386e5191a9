// The inner loops of the distance transform; included once per instruction set, with
// SEGMETER_SIMD_NAMESPACE naming the level. Everything but the function table has internal
// linkage.
//
// Vectors are the compiler's own (GCC, Clang), as wide as the machine's registers: of others GCC 12
// computes every element by itself.

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

#if defined(__AVX512F__)
constexpr int kWidth = 8;
#elif defined(__AVX2__)
constexpr int kWidth = 4;
#else
constexpr int kWidth = 2;
#endif
constexpr int kParts = kLanes / kWidth;

using Doubles [[gnu::vector_size(kWidth * 8)]] = double;
// The same at any address of its elements.
using DoublesAt [[gnu::vector_size(kWidth * 8), gnu::aligned(8), gnu::may_alias]] = double;

inline const DoublesAt& at(const double* x) { return *reinterpret_cast<const DoublesAt*>(x); }
inline DoublesAt& at(double* x) { return *reinterpret_cast<DoublesAt*>(x); }

constexpr double kInfinity = __builtin_inf();
constexpr std::uint32_t kAllLanes = (1U << kLanes) - 1;

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

// One number per lane. More than one vector even on the widest machine: a comparison then need not
// wait for the one before.
struct Lanes {
    Doubles part[kParts];
};

inline void load(const double* x, Lanes& lanes) {
    for (int p = 0; p < kParts; ++p) lanes.part[p] = at(x + p * kWidth);
}
inline void store(const Lanes& lanes, double* x) {
    for (int p = 0; p < kParts; ++p) at(x + p * kWidth) = lanes.part[p];
}
inline void fill(double value, Lanes& lanes) {
    for (Doubles& part : lanes.part) part = Doubles{} + value;
}

inline void keep_smaller(const Doubles& other, Doubles& x) { x = other < x ? other : x; }
inline void keep_larger(const Doubles& other, Doubles& x) { x = other > x ? other : x; }

// Whether any element is finite; none is negative or NaN.
inline bool is_any_finite(const Doubles& x) {
#if defined(__AVX512F__)
    return _mm512_cmp_pd_mask(x, _mm512_set1_pd(kInfinity), _CMP_LT_OQ) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_pd(_mm256_cmp_pd(x, _mm256_set1_pd(kInfinity), _CMP_LT_OQ)) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_pd(_mm_cmplt_pd(x, _mm_set1_pd(kInfinity))) != 0;
#else
    return x[0] < kInfinity || x[1] < kInfinity;
#endif
}

// Lanes without a finite value become copies of the first one with.
void copy_lanes(const Tile& tile, const Filled& filled) {
    const int first = __builtin_ctz(filled.finite);
    for (std::int64_t k = 0; k < filled.entries; ++k) {
        double* value = tile.value + k * kLanes;
        for (int lane = 0; lane < static_cast<int>(kLanes); ++lane)
            value[lane] = (filled.finite >> lane & 1U) != 0 ? value[lane] : value[first];
    }
}

// Moves the entries that have a finite value to the front.
Filled gather_entries(const Tile& tile, std::int64_t lanes) {
    Lanes smallest;
    fill(kInfinity, smallest);
    Filled filled{0, 0};
    for (std::int64_t i = 0; i < tile.n; ++i) {
        Lanes value;
        load(tile.value + i * kLanes, value);
        store(value, tile.value + filled.entries * kLanes);
        tile.place[filled.entries] = static_cast<std::int32_t>(i);
        Doubles least = value.part[0];
        for (int p = 0; p < kParts; ++p) {
            keep_smaller(value.part[p], smallest.part[p]);
            keep_smaller(value.part[p], least);
        }
        filled.entries += is_any_finite(least) ? 1 : 0;
    }
    double of_lane[kLanes];
    store(smallest, of_lane);
    for (std::int64_t lane = 0; lane < lanes; ++lane)
        if (of_lane[lane] < kInfinity) filled.finite |= 1U << lane;
    if (filled.finite != 0 && filled.finite != kAllLanes) copy_lanes(tile, filled);
    return filled;
}

Filled load_columns(const Tile& tile, const double* squared, std::int64_t stride,
                    std::int64_t lanes) {
    Lanes value;
    fill(kInfinity, value);
    for (std::int64_t i = 0; i < tile.n; ++i) {
        if (lanes == kLanes) load(squared + i * stride, value);
        store(value, tile.value + i * kLanes);
        if (lanes < kLanes)
            for (std::int64_t lane = 0; lane < lanes; ++lane)
                tile.value[i * kLanes + lane] = squared[i * stride + lane];
    }
    return gather_entries(tile, lanes);
}

// Element i of a few rows.
inline void collect(const double* const* row, std::int64_t i, Doubles& x) {
#if defined(__AVX512F__)
    x = Doubles{row[0][i], row[1][i], row[2][i], row[3][i],
                row[4][i], row[5][i], row[6][i], row[7][i]};
#elif defined(__AVX2__)
    x = Doubles{row[0][i], row[1][i], row[2][i], row[3][i]};
#else
    x = Doubles{row[0][i], row[1][i]};
#endif
}

Filled load_rows(const Tile& tile, const double* squared, std::int64_t stride, std::int64_t lanes) {
    const double* row[kLanes];
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
        row[lane] = squared + (lane < lanes ? lane : 0) * stride;
    for (std::int64_t i = 0; i < tile.n; ++i) {
        for (int p = 0; p < kParts; ++p) {
            Doubles value;
            collect(row + p * kWidth, i, value);
            at(tile.value + i * kLanes + p * kWidth) = value;
        }
    }
    return gather_entries(tile, lanes);
}

void store_columns(const Tile& tile, std::uint32_t finite, std::int64_t lanes, std::int64_t stride,
                   double* squared, std::int32_t* nearest) {
    for (std::int64_t i = 0; i < tile.n; ++i) {
        const double* best = tile.best + i * kLanes;
        if (finite == kAllLanes) {
            for (int p = 0; p < kParts; ++p)
                at(squared + i * stride + p * kWidth) = at(best + p * kWidth);
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

// Smallest and largest of all lanes, whole numbers.
inline void extremes(const Lanes& x, std::int32_t& smallest, std::int32_t& largest) {
    Doubles low = x.part[0];
    Doubles high = x.part[0];
    for (int p = 1; p < kParts; ++p) {
        keep_smaller(x.part[p], low);
        keep_larger(x.part[p], high);
    }
#if defined(__AVX512F__)
    smallest = static_cast<std::int32_t>(_mm512_reduce_min_pd(low));
    largest = static_cast<std::int32_t>(_mm512_reduce_max_pd(high));
#else
    double least = low[0];
    double most = high[0];
    for (int i = 1; i < kWidth; ++i) {
        least = low[i] < least ? low[i] : least;
        most = high[i] > most ? high[i] : most;
    }
    smallest = static_cast<std::int32_t>(least);
    largest = static_cast<std::int32_t>(most);
#endif
}

// The best of the entries [first, last] for pixel i of every lane, and its number; of equal ones
// the first.
inline void search(const Tile& tile, std::int64_t i, std::int64_t first, std::int64_t last,
                   Lanes& best, Lanes& nearest) {
    const double* square = tile.square + i;
    const double along_first = square[-tile.place[first]];
    for (int p = 0; p < kParts; ++p)
        best.part[p] = at(tile.value + first * kLanes + p * kWidth) + along_first;
    Doubles number = Doubles{} + static_cast<double>(first);
    for (Doubles& part : nearest.part) part = number;
    for (std::int64_t k = first + 1; k <= last; ++k) {
        number += 1.0;
        const double along = square[-tile.place[k]];
        for (int p = 0; p < kParts; ++p) {
            const Doubles sum = at(tile.value + k * kLanes + p * kWidth) + along;
            const auto is_better = sum < best.part[p];
            best.part[p] = is_better ? sum : best.part[p];
            nearest.part[p] = is_better ? number : nearest.part[p];
        }
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
            Lanes best;
            Lanes nearest;
            search(tile, i, first, last, best, nearest);
            store(best, tile.best + i * kLanes);
            if (half > 1) extremes(nearest, tile.low[number], tile.high[number]);
            if (tile.nearest == nullptr) continue;
            double numbers[kLanes];
            store(nearest, numbers);
            for (std::int64_t lane = 0; lane < kLanes; ++lane)
                tile.nearest[i * kLanes + lane] =
                    tile.place[static_cast<std::int64_t>(numbers[lane])];
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
