// The inner loops of the pixel family; included once per instruction set, with
// SEGMETER_SIMD_NAMESPACE naming the level. Everything but the function table has internal
// linkage, so no copy compiled for a wider machine can replace another at link time.
//
// Counting by joint runs
// ----------------------
// Label maps are piecewise constant. For 64 pixels at a time a bit mask says where pred or target
// differs from the pixel before; every set bit starts a joint run, and each run is one addition
// to one cell:
//
//   cells[target_offset + pred_offset] += length
//
// Two passes over a tile that stays in L1: masks to a flat list of run starts (as JSON parsers do
// it), and runs to cells. Tiles with a run every few pixels are counted pixel by pixel into
// several copies of the table, so that equal neighbours do not wait for each other's store.
// Overflow: a caller adds fewer than 2^32 pixels between two flushes of the cells.
// Bytes per pixel: the label bytes, once.

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__) && !defined(SEGMETER_SIMD_PORTABLE)
#define SEGMETER_SIMD_NEON
#include <arm_neon.h>
#endif

#include "simd/pixel_kernels.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// A tile with more runs than pixels / kBusyTile is counted pixel by pixel.
constexpr std::int64_t kBusyTile = 3;
// Pixels looked at where a busy tile is expected.
constexpr std::int64_t kSample = 256;
// Distance of the software prefetch, bytes: about two tiles, or memory would idle while a tile's
// second pass runs from cache.
constexpr std::int64_t kPrefetch = 4096;
// The same for a loop that reads its arrays once.
constexpr std::int64_t kPrefetchOnePass = 1024;

// --- where do labels change? ---
// Bit i of the result: x[i] != x[i - 1], for i in [0, 64). Reads x[-1].

#if defined(__AVX512BW__)

inline __m512i load(const void* x) { return _mm512_loadu_si512(x); }

// Bit i: x[i] is not zero, for i in [0, 64).
inline std::uint64_t nonzero(const std::uint8_t* x) {
    return _mm512_test_epi8_mask(load(x), load(x));
}
inline std::uint64_t changes(const std::uint8_t* x) {
    return _mm512_cmpneq_epi8_mask(load(x), load(x - 1));
}

// Masks are joined in mask registers. Widened to 64 bits first, as integers, GCC 12 may spill a
// narrow one and load it again with whatever lies behind it on the stack.
inline __mmask16 join(__mmask8 low, __mmask8 high) { return _mm512_kunpackb(high, low); }
inline __mmask32 join(__mmask16 low, __mmask16 high) { return _mm512_kunpackw(high, low); }
inline __mmask64 join(__mmask32 low, __mmask32 high) { return _mm512_kunpackd(high, low); }
template <class Mask>
inline auto join(Mask a, Mask b, Mask c, Mask d) {
    return join(join(a, b), join(c, d));
}

inline __mmask32 differ(const std::uint16_t* x) {
    return _mm512_cmpneq_epi16_mask(load(x), load(x - 1));
}
inline __mmask16 differ(const std::uint32_t* x) {
    return _mm512_cmpneq_epi32_mask(load(x), load(x - 1));
}
inline __mmask8 differ(const std::uint64_t* x) {
    return _mm512_cmpneq_epi64_mask(load(x), load(x - 1));
}
inline std::uint64_t changes(const std::uint16_t* x) { return join(differ(x), differ(x + 32)); }
inline std::uint64_t changes(const std::uint32_t* x) {
    return join(differ(x), differ(x + 16), differ(x + 32), differ(x + 48));
}
inline std::uint64_t changes(const std::uint64_t* x) {
    return join(join(differ(x), differ(x + 8), differ(x + 16), differ(x + 24)),
                join(differ(x + 32), differ(x + 40), differ(x + 48), differ(x + 56)));
}

#elif defined(__AVX2__)

inline __m256i load(const void* x) { return _mm256_loadu_si256(static_cast<const __m256i*>(x)); }

inline std::uint64_t nonzero(const std::uint8_t* x) {
    std::uint64_t zero = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i same = _mm256_cmpeq_epi8(load(x + i), _mm256_setzero_si256());
        zero |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(same))} << i;
    }
    return ~zero;
}

inline std::uint64_t changes(const std::uint8_t* x) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i same = _mm256_cmpeq_epi8(load(x + i), load(x + i - 1));
        equal |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(same))} << i;
    }
    return ~equal;
}
inline std::uint64_t changes(const std::uint16_t* x) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i low = _mm256_cmpeq_epi16(load(x + i), load(x + i - 1));
        const __m256i high = _mm256_cmpeq_epi16(load(x + i + 16), load(x + i + 15));
        // The pack interleaves 128-bit lanes; the permutation puts them back in order.
        const __m256i same = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
        equal |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(same))} << i;
    }
    return ~equal;
}
inline std::uint64_t changes(const std::uint32_t* x) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 8) {
        const __m256i same = _mm256_cmpeq_epi32(load(x + i), load(x + i - 1));
        equal |= static_cast<std::uint64_t>(_mm256_movemask_ps(_mm256_castsi256_ps(same))) << i;
    }
    return ~equal;
}
inline std::uint64_t changes(const std::uint64_t* x) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 4) {
        const __m256i same = _mm256_cmpeq_epi64(load(x + i), load(x + i - 1));
        equal |= static_cast<std::uint64_t>(_mm256_movemask_pd(_mm256_castsi256_pd(same))) << i;
    }
    return ~equal;
}

#else

#if defined(__SSE2__)
inline __m128i load(const void* x) { return _mm_loadu_si128(static_cast<const __m128i*>(x)); }

inline std::uint64_t nonzero(const std::uint8_t* x) {
    std::uint64_t zero = 0;
    for (int i = 0; i < 64; i += 16) {
        const __m128i same = _mm_cmpeq_epi8(load(x + i), _mm_setzero_si128());
        zero |= static_cast<std::uint64_t>(_mm_movemask_epi8(same)) << i;
    }
    return ~zero;
}

inline std::uint64_t changes(const std::uint8_t* x) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 16) {
        const __m128i same = _mm_cmpeq_epi8(load(x + i), load(x + i - 1));
        equal |= static_cast<std::uint64_t>(_mm_movemask_epi8(same)) << i;
    }
    return ~equal;
}
inline std::uint64_t changes(const std::uint16_t* x) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 16) {
        const __m128i low = _mm_cmpeq_epi16(load(x + i), load(x + i - 1));
        const __m128i high = _mm_cmpeq_epi16(load(x + i + 8), load(x + i + 7));
        equal |= static_cast<std::uint64_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high))) << i;
    }
    return ~equal;
}
inline std::uint64_t changes(const std::uint32_t* x) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 4) {
        const __m128i same = _mm_cmpeq_epi32(load(x + i), load(x + i - 1));
        equal |= static_cast<std::uint64_t>(_mm_movemask_ps(_mm_castsi128_ps(same))) << i;
    }
    return ~equal;
}
inline std::uint64_t changes(const std::uint64_t* x) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 2) {
        // Both halves of a 64-bit label must be equal; SSE2 compares 32 bits at most.
        const __m128i halves = _mm_cmpeq_epi32(load(x + i), load(x + i - 1));
        const __m128i same = _mm_and_si128(halves, _mm_shuffle_epi32(halves, 0xB1));
        equal |= static_cast<std::uint64_t>(_mm_movemask_pd(_mm_castsi128_pd(same))) << i;
    }
    return ~equal;
}
#elif defined(SEGMETER_SIMD_NEON)
// One bit per byte of 64 bytes that are all ones or all zeros.
inline std::uint64_t bits_of(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
    const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t low = vpaddq_u8(vandq_u8(a, bit), vandq_u8(b, bit));
    const uint8x16_t high = vpaddq_u8(vandq_u8(c, bit), vandq_u8(d, bit));
    const uint8x16_t sums = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}
// Bytes that are all ones where 16 labels are equal to the ones before.
inline uint8x16_t same(const std::uint8_t* x) { return vceqq_u8(vld1q_u8(x), vld1q_u8(x - 1)); }
inline uint8x16_t same(const std::uint16_t* x) {
    const auto half = [&](int i) {
        return vreinterpretq_u8_u16(vceqq_u16(vld1q_u16(x + i), vld1q_u16(x + i - 1)));
    };
    return vuzp1q_u8(half(0), half(8));
}
inline uint8x16_t same(const std::uint32_t* x) {
    const auto quarter = [&](int i) {
        return vreinterpretq_u16_u32(vceqq_u32(vld1q_u32(x + i), vld1q_u32(x + i - 1)));
    };
    return vuzp1q_u8(vreinterpretq_u8_u16(vuzp1q_u16(quarter(0), quarter(4))),
                     vreinterpretq_u8_u16(vuzp1q_u16(quarter(8), quarter(12))));
}
inline uint8x16_t same(const std::uint64_t* x) {
    const auto eighth = [&](int i) {
        return vreinterpretq_u32_u64(vceqq_u64(vld1q_u64(x + i), vld1q_u64(x + i - 1)));
    };
    const auto quarter = [&](int i) {
        return vreinterpretq_u16_u32(vuzp1q_u32(eighth(i), eighth(i + 2)));
    };
    return vuzp1q_u8(vreinterpretq_u8_u16(vuzp1q_u16(quarter(0), quarter(4))),
                     vreinterpretq_u8_u16(vuzp1q_u16(quarter(8), quarter(12))));
}
template <class T>
inline std::uint64_t changes(const T* x) {
    return ~bits_of(same(x), same(x + 16), same(x + 32), same(x + 48));
}
inline std::uint64_t nonzero(const std::uint8_t* x) {
    const auto is_zero = [&](int i) { return vceqzq_u8(vld1q_u8(x + i)); };
    return ~bits_of(is_zero(0), is_zero(16), is_zero(32), is_zero(48));
}
#else
inline std::uint64_t nonzero(const std::uint8_t* x) {
    std::uint64_t mask = 0;
    for (int i = 0; i < 64; ++i) mask |= static_cast<std::uint64_t>(x[i] != 0) << i;
    return mask;
}

template <class T>
inline std::uint64_t changes(const T* x) {
    std::uint64_t mask = 0;
    for (int i = 0; i < 64; ++i) mask |= static_cast<std::uint64_t>(x[i] != x[i - 1]) << i;
    return mask;
}
#endif

#endif

// The same for the `n` <= 64 pixels at x; bits from n on are clear, and without `has_previous` so
// is bit 0.
template <class T>
inline std::uint64_t changes_at_edge(const T* x, std::int64_t n, bool has_previous) {
    std::uint64_t mask = has_previous ? std::uint64_t{x[0] != x[-1]} : 0U;
    for (std::int64_t i = 1; i < n; ++i) mask |= std::uint64_t{x[i] != x[i - 1]} << i;
    return mask;
}

template <std::int64_t kDistance = kPrefetch, class T>
inline void prefetch_ahead(const T* x) {
    const char* ahead = reinterpret_cast<const char*>(x) + kDistance;
    for (std::size_t line = 0; line < sizeof(T); ++line) __builtin_prefetch(ahead + 64 * line);
}

// Calls visit(mask, i) for every 64 pixels i, i + 1, ... of a tile, the mask saying where a joint
// run starts. Pixel 0 starts one.
template <class T, class Visit>
inline void for_each_mask(const T* pred, const T* target, std::int64_t n, bool has_previous,
                          Visit&& visit) {
    const auto edge = [&](std::int64_t i, std::int64_t count, bool previous) {
        return changes_at_edge(pred + i, count, previous) |
               changes_at_edge(target + i, count, previous);
    };
    std::uint64_t first = 1;
    std::int64_t i = 0;
    if (!has_previous || n < 64) {
        visit(edge(0, n < 64 ? n : 64, has_previous) | first, i);
        first = 0;
        i = 64;
    }
    for (; i + 64 <= n; i += 64) {
        prefetch_ahead(pred + i);
        prefetch_ahead(target + i);
        visit(changes(pred + i) | changes(target + i) | first, i);
        first = 0;
    }
    if (i < n) visit(edge(i, n - i, true), i);
}

// --- masks to run starts ---

// Writes base + (position of each set bit) and returns their number; may write 64 entries.
#if defined(__AVX512VBMI2__)

inline std::int64_t append_positions(std::uint64_t mask, std::int64_t base, std::uint16_t* out) {
    alignas(64) static constexpr std::uint8_t kCount[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const std::int64_t count = __builtin_popcountll(mask);
    const __m512i at = _mm512_maskz_compress_epi8(mask, _mm512_load_si512(kCount));
    const __m512i from = _mm512_set1_epi16(static_cast<short>(base));
    const __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(at));
    _mm512_storeu_si512(out, _mm512_add_epi16(low, from));
    if (count > 32) {
        const __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(at, 1));
        _mm512_storeu_si512(out + 32, _mm512_add_epi16(high, from));
    }
    return count;
}

#else

inline std::int64_t append_positions(std::uint64_t mask, std::int64_t base, std::uint16_t* out) {
    if (mask == 0) return 0;
    const std::int64_t count = __builtin_popcountll(mask);
    // Four steps without asking how many bits there are; the guard bit keeps ctz defined.
    for (int i = 0; i < 4; ++i, mask &= mask - 1)
        out[i] = static_cast<std::uint16_t>(base + __builtin_ctzll(mask | (1ULL << 63)));
    for (std::int64_t i = 4; i < count; ++i, mask &= mask - 1)
        out[i] = static_cast<std::uint16_t>(base + __builtin_ctzll(mask));
    return count;
}

#endif

template <class T>
std::int64_t count_runs(const T* pred, const T* target, std::int64_t n, bool has_previous) {
    std::int64_t count = 0;
    for_each_mask(pred, target, n, has_previous,
                  [&](std::uint64_t mask, std::int64_t) { count += __builtin_popcountll(mask); });
    return count;
}

// All run starts of a tile, and n behind them; returns their number.
template <class T>
std::int64_t list_runs(const T* pred, const T* target, std::int64_t n, bool has_previous,
                       std::uint16_t* runs) {
    std::int64_t count = 0;
    for_each_mask(pred, target, n, has_previous, [&](std::uint64_t mask, std::int64_t i) {
        count += append_positions(mask, i, runs + count);
    });
    runs[count] = static_cast<std::uint16_t>(n);
    return count;
}

// --- labels to cells ---

inline std::uint64_t far_offset(const Lookup& lookup, std::int64_t label) {
    std::int64_t low = 0;
    std::int64_t high = lookup.far_count;
    while (low < high) {
        const std::int64_t middle = (low + high) / 2;
        if (lookup.far_label[middle] < label)
            low = middle + 1;
        else
            high = middle;
    }
    return low < lookup.far_count && lookup.far_label[low] == label ? lookup.far_offset[low]
                                                                    : lookup.invalid;
}

inline std::uint64_t offset_of(const Lookup& lookup, std::uint8_t label) {
    return lookup.near_offset[label];
}

template <class T>
inline std::uint64_t offset_of(const Lookup& lookup, T label) {
    if (label < lookup.size) return lookup.near_offset[label];
    constexpr int kUnused = 64 - 8 * static_cast<int>(sizeof(T));
    const auto bits = static_cast<std::uint64_t>(label) << kUnused;
    if (lookup.is_signed) return far_offset(lookup, static_cast<std::int64_t>(bits) >> kUnused);
    return far_offset(lookup, static_cast<std::int64_t>(label));
}

template <class T>
void add_runs(const T* pred, const T* target, const std::uint16_t* runs, std::int64_t count,
              const Lookup& pred_lookup, const Lookup& target_lookup, std::uint32_t* cells) {
    for (std::int64_t i = 0; i < count; ++i) {
        const std::uint16_t start = runs[i];
        const std::uint64_t cell =
            offset_of(target_lookup, target[start]) + offset_of(pred_lookup, pred[start]);
        cells[cell] += static_cast<std::uint32_t>(runs[i + 1] - start);
    }
}

// Where copy k of the table begins, for k = 0..3; there may be fewer than four.
struct Copies {
    explicit Copies(const Cells& cells) {
        for (std::int64_t k = 0; k < 4; ++k) at[k] = cells.table + (k % cells.copies) * cells.cells;
    }
    std::uint32_t* at[4];
};

template <class T>
void add_pixels(const T* pred, const T* target, std::int64_t n, const Lookup& pred_lookup,
                const Lookup& target_lookup, const Cells& cells, std::uint16_t* /*scratch*/) {
    const Copies copy(cells);
    std::int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (int k = 0; k < 4; ++k)
            ++copy.at[k][offset_of(target_lookup, target[i + k]) +
                         offset_of(pred_lookup, pred[i + k])];
    }
    for (; i < n; ++i)
        ++copy.at[0][offset_of(target_lookup, target[i]) + offset_of(pred_lookup, pred[i])];
}

#if defined(__AVX512VBMI__)

// 256 bytes in registers, looked up 64 at a time.
struct ByteTable {
    explicit ByteTable(const std::uint8_t* bytes)
        : part{load(bytes), load(bytes + 64), load(bytes + 128), load(bytes + 192)} {}
    [[nodiscard]] __m512i operator[](__m512i index) const {
        const __m512i below = _mm512_permutex2var_epi8(part[0], index, part[1]);
        const __m512i above = _mm512_permutex2var_epi8(part[2], index, part[3]);
        return _mm512_mask_mov_epi8(below, _mm512_movepi8_mask(index), above);
    }
    __m512i part[4];
};

// Cell numbers of 8-bit labels as 16-bit vectors first; then nothing but increments is left.
void add_pixels(const std::uint8_t* pred, const std::uint8_t* target, std::int64_t n,
                const Lookup& pred_lookup, const Lookup& target_lookup, const Cells& cells,
                std::uint16_t* scratch) {
    // Slots that fit a byte make cell numbers that fit 16 bits.
    if (pred_lookup.near_slot == nullptr) {
        add_pixels<std::uint8_t>(pred, target, n, pred_lookup, target_lookup, cells, scratch);
        return;
    }
    const ByteTable pred_slot(pred_lookup.near_slot);
    const ByteTable target_slot(target_lookup.near_slot);
    const __m512i stride = _mm512_set1_epi16(static_cast<short>(cells.stride));
    const auto cell = [&](__m256i p, __m256i t) {
        return _mm512_add_epi16(_mm512_mullo_epi16(_mm512_cvtepu8_epi16(t), stride),
                                _mm512_cvtepu8_epi16(p));
    };
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m512i p = pred_slot[load(pred + i)];
        const __m512i t = target_slot[load(target + i)];
        _mm512_storeu_si512(scratch + i,
                            cell(_mm512_castsi512_si256(p), _mm512_castsi512_si256(t)));
        _mm512_storeu_si512(scratch + i + 32,
                            cell(_mm512_extracti64x4_epi64(p, 1), _mm512_extracti64x4_epi64(t, 1)));
    }
    const Copies copy(cells);
    for (std::int64_t k = 0; k < i; k += 8) {
        std::uint64_t eight[2];
        std::memcpy(eight, scratch + k, sizeof(eight));
        for (const std::uint64_t four : eight) {
            ++copy.at[0][four & 0xFFFF];
            ++copy.at[1][four >> 16 & 0xFFFF];
            ++copy.at[2][four >> 32 & 0xFFFF];
            ++copy.at[3][four >> 48];
        }
    }
    add_pixels<std::uint8_t>(pred + i, target + i, n - i, pred_lookup, target_lookup, cells,
                             scratch);
}

#endif

template <class T>
bool count_tile(const void* pred_data, const void* target_data, std::int64_t n, bool has_previous,
                bool expect_busy, const Lookup& pred_lookup, const Lookup& target_lookup,
                const Cells& cells, std::uint16_t* scratch) {
    const auto* pred = static_cast<const T*>(pred_data);
    const auto* target = static_cast<const T*>(target_data);
    // Where runs are short as a rule, a look at the beginning saves listing them all.
    const std::int64_t sample = n < kSample ? n : kSample;
    bool busy = expect_busy && count_runs(pred, target, sample, has_previous) * kBusyTile > sample;
    std::int64_t count = 0;
    if (!busy) {
        count = list_runs(pred, target, n, has_previous, scratch);
        busy = count * kBusyTile > n;
    }
    if (busy)
        add_pixels(pred, target, n, pred_lookup, target_lookup, cells, scratch);
    else
        add_runs(pred, target, scratch, count, pred_lookup, target_lookup, cells.table);
    return busy;
}

template <class T>
void resolve_tile(const void* pred_data, const void* target_data, std::int64_t n,
                  const Lookup& pred_lookup, const Lookup& target_lookup, std::uint64_t* cells) {
    const auto* pred = static_cast<const T*>(pred_data);
    const auto* target = static_cast<const T*>(target_data);
    for (std::int64_t i = 0; i < n; ++i)
        cells[i] = offset_of(target_lookup, target[i]) + offset_of(pred_lookup, pred[i]);
}

// --- binary maps ---

void count_bool(const std::uint8_t* pred, const std::uint8_t* target, std::int64_t n,
                std::int64_t* counts) {
    std::int64_t both = 0;
    std::int64_t in_pred = 0;
    std::int64_t in_target = 0;
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        prefetch_ahead<kPrefetchOnePass>(pred + i);
        prefetch_ahead<kPrefetchOnePass>(target + i);
        const std::uint64_t p = nonzero(pred + i);
        const std::uint64_t t = nonzero(target + i);
        both += __builtin_popcountll(p & t);
        in_pred += __builtin_popcountll(p);
        in_target += __builtin_popcountll(t);
    }
    for (; i < n; ++i) {
        both += static_cast<std::int64_t>((pred[i] != 0) & (target[i] != 0));
        in_pred += static_cast<std::int64_t>(pred[i] != 0);
        in_target += static_cast<std::int64_t>(target[i] != 0);
    }
    counts[0] += both;
    counts[1] += in_pred;
    counts[2] += in_target;
}

// --- scores to labels ---
// A score beats the best so far if it is greater, or if it alone of the two is NaN; so the first
// of equals wins, and the first NaN wins over all.

// `label` as wide as the scores makes this loop vector code for every instruction set.
template <class Score, class Label>
void challenge(const Score* scores, std::int64_t channel, std::int64_t n, Score* best,
               Label* label) {
    if (channel == 0) {
        std::memcpy(best, scores, static_cast<std::size_t>(n) * sizeof(Score));
        std::memset(label, 0, static_cast<std::size_t>(n) * sizeof(Label));
        return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
        const Score score = scores[i];
        const Score old = best[i];
        const bool better = !(score <= old) & (old == old);
        label[i] = better ? static_cast<Label>(channel) : label[i];
        best[i] = better ? score : old;
    }
}

#if defined(__AVX512BW__)

// Challenging the best with several channels at once saves that many loads and stores of it.
constexpr std::int64_t kChannelsAtOnce = 4;

struct FloatVector {
    static constexpr int kLanes = 16;
    __m512 v;
    static FloatVector at(const float* x) { return {_mm512_loadu_ps(x)}; }
    void store(float* x) const { _mm512_storeu_ps(x, v); }
    // Takes over the lanes of `score` that beat this one.
    __mmask16 challenge(FloatVector score) {
        const __mmask16 known = _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q);
        const __mmask16 better = _mm512_mask_cmp_ps_mask(known, score.v, v, _CMP_NLE_UQ);
        v = _mm512_mask_mov_ps(v, better, score.v);
        return better;
    }
};

struct DoubleVector {
    static constexpr int kLanes = 8;
    __m512d v;
    static DoubleVector at(const double* x) { return {_mm512_loadu_pd(x)}; }
    void store(double* x) const { _mm512_storeu_pd(x, v); }
    __mmask8 challenge(DoubleVector score) {
        const __mmask8 known = _mm512_cmp_pd_mask(v, v, _CMP_ORD_Q);
        const __mmask8 better = _mm512_mask_cmp_pd_mask(known, score.v, v, _CMP_NLE_UQ);
        v = _mm512_mask_mov_pd(v, better, score.v);
        return better;
    }
};

template <class Score>
struct VectorOf {
    using Type = FloatVector;
};
template <>
struct VectorOf<double> {
    using Type = DoubleVector;
};

// Labels of 64 pixels in registers: a masked store of bytes costs many times a blend.
struct Labels8 {
    __m512i v = _mm512_setzero_si512();
    void load_from(const std::uint8_t* label) { v = load(label); }
    void store(std::uint8_t* label) const { _mm512_storeu_si512(label, v); }
    void set(__mmask64 where, std::int64_t channel) {
        v = _mm512_mask_mov_epi8(v, where, _mm512_set1_epi8(static_cast<char>(channel)));
    }
};

struct Labels16 {
    __m512i low = _mm512_setzero_si512();
    __m512i high = _mm512_setzero_si512();
    void load_from(const std::uint16_t* label) {
        low = load(label);
        high = load(label + 32);
    }
    void store(std::uint16_t* label) const {
        _mm512_storeu_si512(label, low);
        _mm512_storeu_si512(label + 32, high);
    }
    void set(__mmask64 where, std::int64_t channel) {
        const __m512i value = _mm512_set1_epi16(static_cast<short>(channel));
        low = _mm512_mask_mov_epi16(low, static_cast<__mmask32>(where), value);
        high = _mm512_mask_mov_epi16(high, static_cast<__mmask32>(where >> 32), value);
    }
};

template <class Label>
struct LabelsOf {
    using Type = Labels8;
};
template <>
struct LabelsOf<std::uint16_t> {
    using Type = Labels16;
};

// 64 pixels against up to kChannelsAtOnce channels; channel 0 challenges nobody.
template <class Score, class Label>
inline void challenge_block(const Score* scores, std::int64_t channel_stride, std::int64_t first,
                            std::int64_t channels, Score* best, Label* label) {
    using Vector = typename VectorOf<Score>::Type;
    constexpr int kVectors = 64 / Vector::kLanes;
    Vector top[kVectors];
    typename LabelsOf<Label>::Type labels;
    std::int64_t c = 0;
    if (first == 0) {
        for (int k = 0; k < kVectors; ++k) top[k] = Vector::at(scores + k * Vector::kLanes);
        scores += channel_stride;
        c = 1;
    } else {
        labels.load_from(label);
        for (int k = 0; k < kVectors; ++k) top[k] = Vector::at(best + k * Vector::kLanes);
    }
    for (; c < channels; ++c, scores += channel_stride) {
        const auto better = [&](int k) {
            return top[k].challenge(Vector::at(scores + k * Vector::kLanes));
        };
        __mmask64 mask = 0;
        if constexpr (kVectors == 4)
            mask = join(better(0), better(1), better(2), better(3));
        else
            mask = join(join(better(0), better(1), better(2), better(3)),
                        join(better(4), better(5), better(6), better(7)));
        labels.set(mask, first + c);
    }
    labels.store(label);
    for (int k = 0; k < kVectors; ++k) top[k].store(best + k * Vector::kLanes);
}

// Asks for 64 scores of each of a few channels.
template <class Score>
inline void prefetch_block(const Score* scores, std::int64_t channel_stride,
                           std::int64_t channels) {
    for (std::int64_t c = 0; c < channels; ++c, scores += channel_stride)
        for (std::size_t byte = 0; byte < 64 * sizeof(Score); byte += 64)
            __builtin_prefetch(reinterpret_cast<const char*>(scores) + byte);
}

// Every tile jumps from channel to channel, which hardware prefetch does not foresee: the channels
// of the next round are asked for in this one, and in the last round the next tile's first ones.
template <class Score, class Label>
void argmax(const Score* scores, std::int64_t channel_stride, std::int64_t first,
            std::int64_t channels, std::int64_t n, Score* best, Label* label) {
    for (std::int64_t c = 0; c < channels; c += kChannelsAtOnce) {
        const std::int64_t left = channels - c - kChannelsAtOnce;
        const std::int64_t group = left < 0 ? left + kChannelsAtOnce : kChannelsAtOnce;
        const Score* from = scores + c * channel_stride;
        const Score* next = left > 0 ? from + kChannelsAtOnce * channel_stride : scores + n;
        const std::int64_t next_group = left > 0 && left < kChannelsAtOnce ? left : kChannelsAtOnce;
        std::int64_t i = 0;
        for (; i + 64 <= n; i += 64) {
            prefetch_block(next + i, channel_stride, next_group);
            challenge_block(from + i, channel_stride, first + c, group, best + i, label + i);
        }
        for (std::int64_t k = 0; k < group; ++k)
            challenge(from + k * channel_stride + i, first + c + k, n - i, best + i, label + i);
    }
}

#else

template <class Score>
struct WideLabel {
    using Type = std::uint32_t;
};
template <>
struct WideLabel<double> {
    using Type = std::uint64_t;
};

template <class Score, class Label>
void argmax(const Score* scores, std::int64_t channel_stride, std::int64_t first,
            std::int64_t channels, std::int64_t n, Score* best, Label* label) {
    constexpr std::int64_t kBlock = 2048;
    typename WideLabel<Score>::Type wide[kBlock];
    for (std::int64_t i = 0; i < n; i += kBlock) {
        const std::int64_t size = n - i < kBlock ? n - i : kBlock;
        if (first > 0)
            for (std::int64_t k = 0; k < size; ++k) wide[k] = label[i + k];
        for (std::int64_t c = 0; c < channels; ++c)
            challenge(scores + c * channel_stride + i, first + c, size, best + i, wide);
        for (std::int64_t k = 0; k < size; ++k) label[i + k] = static_cast<Label>(wide[k]);
    }
}

#endif

}  // namespace

extern const PixelKernels kPixelKernels;
const PixelKernels kPixelKernels = {
    {count_tile<std::uint8_t>, count_tile<std::uint16_t>, count_tile<std::uint32_t>,
     count_tile<std::uint64_t>},
    {resolve_tile<std::uint8_t>, resolve_tile<std::uint16_t>, resolve_tile<std::uint32_t>,
     resolve_tile<std::uint64_t>},
    count_bool,
    argmax<float, std::uint8_t>,
    argmax<float, std::uint16_t>,
    argmax<double, std::uint8_t>,
    argmax<double, std::uint16_t>,
};

}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
