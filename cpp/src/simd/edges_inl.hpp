// Where labels change: 64 labels at a time to a bit mask, and masks to lists of positions. For the
// inner loops of the families; included, like them, once per instruction set.
//
// Everything has internal linkage, so no copy compiled for a wider machine can replace another at
// link time.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__) && !defined(SEGMETER_SIMD_PORTABLE)
#define SEGMETER_SIMD_NEON
#include <arm_neon.h>
#endif

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// Distance of the software prefetch, bytes: a tile and a half or more, or memory would idle while a
// tile's second pass runs from cache. Wide labels, which are limited by memory, want two tiles.
template <class T>
constexpr std::int64_t kPrefetch = sizeof(T) < 4 ? 6144 : 8192;

// --- where do labels differ? ---
// unequal(x, y): bit i of the result says x[i] != y[i], for i in [0, 64).

#if defined(__AVX512BW__)

inline __m512i load(const void* x) { return _mm512_loadu_si512(x); }

// Bit i: x[i] is not zero, for i in [0, 64).
inline std::uint64_t nonzero(const std::uint8_t* x) {
    return _mm512_test_epi8_mask(load(x), load(x));
}
inline std::uint64_t unequal(const std::uint8_t* x, const std::uint8_t* y) {
    return _mm512_cmpneq_epi8_mask(load(x), load(y));
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

inline __mmask32 differ(const std::uint16_t* x, const std::uint16_t* y) {
    return _mm512_cmpneq_epi16_mask(load(x), load(y));
}
inline __mmask16 differ(const std::uint32_t* x, const std::uint32_t* y) {
    return _mm512_cmpneq_epi32_mask(load(x), load(y));
}
inline __mmask8 differ(const std::uint64_t* x, const std::uint64_t* y) {
    return _mm512_cmpneq_epi64_mask(load(x), load(y));
}
inline std::uint64_t unequal(const std::uint16_t* x, const std::uint16_t* y) {
    return join(differ(x, y), differ(x + 32, y + 32));
}
inline std::uint64_t unequal(const std::uint32_t* x, const std::uint32_t* y) {
    const auto part = [&](int i) { return differ(x + i, y + i); };
    return join(part(0), part(16), part(32), part(48));
}
inline std::uint64_t unequal(const std::uint64_t* x, const std::uint64_t* y) {
    const auto part = [&](int i) { return differ(x + i, y + i); };
    return join(join(part(0), part(8), part(16), part(24)),
                join(part(32), part(40), part(48), part(56)));
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

inline std::uint64_t unequal(const std::uint8_t* x, const std::uint8_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i same = _mm256_cmpeq_epi8(load(x + i), load(y + i));
        equal |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(same))} << i;
    }
    return ~equal;
}
inline std::uint64_t unequal(const std::uint16_t* x, const std::uint16_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i low = _mm256_cmpeq_epi16(load(x + i), load(y + i));
        const __m256i high = _mm256_cmpeq_epi16(load(x + i + 16), load(y + i + 16));
        // The pack interleaves 128-bit lanes; the permutation puts them back in order.
        const __m256i same = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
        equal |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(same))} << i;
    }
    return ~equal;
}
inline std::uint64_t unequal(const std::uint32_t* x, const std::uint32_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 8) {
        const __m256i same = _mm256_cmpeq_epi32(load(x + i), load(y + i));
        equal |= static_cast<std::uint64_t>(_mm256_movemask_ps(_mm256_castsi256_ps(same))) << i;
    }
    return ~equal;
}
inline std::uint64_t unequal(const std::uint64_t* x, const std::uint64_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 4) {
        const __m256i same = _mm256_cmpeq_epi64(load(x + i), load(y + i));
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

inline std::uint64_t unequal(const std::uint8_t* x, const std::uint8_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 16) {
        const __m128i same = _mm_cmpeq_epi8(load(x + i), load(y + i));
        equal |= static_cast<std::uint64_t>(_mm_movemask_epi8(same)) << i;
    }
    return ~equal;
}
inline std::uint64_t unequal(const std::uint16_t* x, const std::uint16_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 16) {
        const __m128i low = _mm_cmpeq_epi16(load(x + i), load(y + i));
        const __m128i high = _mm_cmpeq_epi16(load(x + i + 8), load(y + i + 8));
        equal |= static_cast<std::uint64_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high))) << i;
    }
    return ~equal;
}
inline std::uint64_t unequal(const std::uint32_t* x, const std::uint32_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 4) {
        const __m128i same = _mm_cmpeq_epi32(load(x + i), load(y + i));
        equal |= static_cast<std::uint64_t>(_mm_movemask_ps(_mm_castsi128_ps(same))) << i;
    }
    return ~equal;
}
inline std::uint64_t unequal(const std::uint64_t* x, const std::uint64_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 2) {
        // Both halves of a 64-bit label must be equal; SSE2 compares 32 bits at most.
        const __m128i halves = _mm_cmpeq_epi32(load(x + i), load(y + i));
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
// Bytes that are all ones where 16 labels are equal.
inline uint8x16_t same(const std::uint8_t* x, const std::uint8_t* y) {
    return vceqq_u8(vld1q_u8(x), vld1q_u8(y));
}
inline uint8x16_t same(const std::uint16_t* x, const std::uint16_t* y) {
    const auto half = [&](int i) {
        return vreinterpretq_u8_u16(vceqq_u16(vld1q_u16(x + i), vld1q_u16(y + i)));
    };
    return vuzp1q_u8(half(0), half(8));
}
inline uint8x16_t same(const std::uint32_t* x, const std::uint32_t* y) {
    const auto quarter = [&](int i) {
        return vreinterpretq_u16_u32(vceqq_u32(vld1q_u32(x + i), vld1q_u32(y + i)));
    };
    return vuzp1q_u8(vreinterpretq_u8_u16(vuzp1q_u16(quarter(0), quarter(4))),
                     vreinterpretq_u8_u16(vuzp1q_u16(quarter(8), quarter(12))));
}
inline uint8x16_t same(const std::uint64_t* x, const std::uint64_t* y) {
    const auto eighth = [&](int i) {
        return vreinterpretq_u32_u64(vceqq_u64(vld1q_u64(x + i), vld1q_u64(y + i)));
    };
    const auto quarter = [&](int i) {
        return vreinterpretq_u16_u32(vuzp1q_u32(eighth(i), eighth(i + 2)));
    };
    return vuzp1q_u8(vreinterpretq_u8_u16(vuzp1q_u16(quarter(0), quarter(4))),
                     vreinterpretq_u8_u16(vuzp1q_u16(quarter(8), quarter(12))));
}
template <class T>
inline std::uint64_t unequal(const T* x, const T* y) {
    return ~bits_of(same(x, y), same(x + 16, y + 16), same(x + 32, y + 32), same(x + 48, y + 48));
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
inline std::uint64_t unequal(const T* x, const T* y) {
    std::uint64_t mask = 0;
    for (int i = 0; i < 64; ++i) mask |= static_cast<std::uint64_t>(x[i] != y[i]) << i;
    return mask;
}
#endif

#endif

// Bit i of the result: x[i] != x[i - 1], for i in [0, 64). Reads x[-1].
template <class T>
inline std::uint64_t changes(const T* x) {
    return unequal(x, x - 1);
}

// Bit i of the result: x[i] != x[i - 1] or y[i] != y[i - 1], for i in [0, 64). Reads x[-1], y[-1].

#if defined(__AVX512BW__)

// Bits that differ from the label before, in either map.
template <class T>
inline __m512i differences(const T* x, const T* y) {
    return _mm512_ternarylogic_epi64(_mm512_xor_si512(load(x), load(x - 1)), load(y), load(y - 1),
                                     0xF6);
}
inline std::uint64_t joint_changes(const std::uint8_t* x, const std::uint8_t* y) {
    const __m512i differing = differences(x, y);
    return _mm512_test_epi8_mask(differing, differing);
}
inline std::uint64_t joint_changes(const std::uint16_t* x, const std::uint16_t* y) {
    const auto part = [&](int i) {
        const __m512i differing = differences(x + i, y + i);
        return _mm512_test_epi16_mask(differing, differing);
    };
    return join(part(0), part(32));
}

// Wide labels are limited by memory, and the fewer instructions there are between loads, the more
// of them a core has under way. So labels are moved up by one in registers, with the last of the
// vector before (loading them once more would touch two cache lines), and only those that have not
// changed in the first map are compared in the second.
class Walker32 {
   public:
    using Mask = __mmask16;
    explicit Walker32(const std::uint32_t* x)
        : x_(x), last_(_mm512_set1_epi32(static_cast<int>(x[-1]))) {}
    // Which of the next 16 labels, out of `those`, are equal to the ones before.
    Mask next(Mask those) {
        const __m512i before = last_;
        last_ = load(x_);
        x_ += 16;
        return _mm512_mask_cmpeq_epi32_mask(those, last_, _mm512_alignr_epi32(last_, before, 15));
    }

   private:
    const std::uint32_t* x_;
    __m512i last_;
};
class Walker64 {
   public:
    using Mask = __mmask8;
    explicit Walker64(const std::uint64_t* x)
        : x_(x), last_(_mm512_set1_epi64(static_cast<long long>(x[-1]))) {}
    // The same of 8 labels.
    Mask next(Mask those) {
        const __m512i before = last_;
        last_ = load(x_);
        x_ += 8;
        return _mm512_mask_cmpeq_epi64_mask(those, last_, _mm512_alignr_epi64(last_, before, 7));
    }

   private:
    const std::uint64_t* x_;
    __m512i last_;
};
// The labels at which both walks go on, `kParts` vectors of each.
template <int kParts, class Walker>
inline void walk(Walker x, Walker y, typename Walker::Mask (&alike)[kParts]) {
#pragma GCC unroll 8
    for (auto& part : alike) part = y.next(x.next(static_cast<typename Walker::Mask>(-1)));
}
inline std::uint64_t joint_changes(const std::uint32_t* x, const std::uint32_t* y) {
    __mmask16 alike[4];
    walk(Walker32(x), Walker32(y), alike);
    return ~static_cast<std::uint64_t>(join(alike[0], alike[1], alike[2], alike[3]));
}
inline std::uint64_t joint_changes(const std::uint64_t* x, const std::uint64_t* y) {
    __mmask8 alike[8];
    walk(Walker64(x), Walker64(y), alike);
    return ~static_cast<std::uint64_t>(join(join(alike[0], alike[1], alike[2], alike[3]),
                                            join(alike[4], alike[5], alike[6], alike[7])));
}

#else

template <class T>
inline std::uint64_t joint_changes(const T* x, const T* y) {
    return changes(x) | changes(y);
}

#if defined(__AVX2__)
inline std::uint64_t joint_changes(const std::uint8_t* x, const std::uint8_t* y) {
    std::uint64_t equal = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i same = _mm256_and_si256(_mm256_cmpeq_epi8(load(x + i), load(x + i - 1)),
                                              _mm256_cmpeq_epi8(load(y + i), load(y + i - 1)));
        equal |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(same))} << i;
    }
    return ~equal;
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

// Asks for the 64 labels that lie so many bytes ahead.
template <std::int64_t kDistance, class T>
inline void prefetch_ahead(const T* x) {
    const char* ahead = reinterpret_cast<const char*>(x) + kDistance;
    for (std::size_t line = 0; line < sizeof(T); ++line) __builtin_prefetch(ahead + 64 * line);
}
template <class T>
inline void prefetch_ahead(const T* x) {
    prefetch_ahead<kPrefetch<T>>(x);
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
    const auto next = [&](std::int64_t i) {
        prefetch_ahead(pred + i);
        prefetch_ahead(target + i);
        return joint_changes(pred + i, target + i);
    };
    std::uint64_t first = 1;
    std::int64_t i = 0;
    if (!has_previous || n < 64) {
        visit(edge(0, n < 64 ? n : 64, has_previous) | first, i);
        first = 0;
        i = 64;
    }
    // What visitors store may look like what is loaded next (addresses equal in their last 12
    // bits), which then waits: the masks of 512 bytes are made, in registers, before any is
    // visited.
    constexpr std::int64_t kTogether = 8 / sizeof(T);
    for (; i + 64 * kTogether <= n; i += 64 * kTogether) {
        std::uint64_t mask[kTogether];
#pragma GCC unroll 8
        for (std::int64_t k = 0; k < kTogether; ++k) mask[k] = next(i + 64 * k);
        mask[0] |= first;
        first = 0;
#pragma GCC unroll 8
        for (std::int64_t k = 0; k < kTogether; ++k) visit(mask[k], i + 64 * k);
    }
    for (; i + 64 <= n; i += 64) {
        visit(next(i) | first, i);
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
    // Most often there are few: narrow stores seldom cross the border of a cache line.
    const __m512i from = _mm512_set1_epi16(static_cast<short>(base));
    const __m256i few = _mm256_cvtepu8_epi16(_mm512_castsi512_si128(at));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm256_add_epi16(few, _mm512_castsi512_si256(from)));
    if (count > 16) [[unlikely]] {
        const __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(at));
        const __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(at, 1));
        _mm512_storeu_si512(out, _mm512_add_epi16(low, from));
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

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
