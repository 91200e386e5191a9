// Sixteen numbers at a time: one, two, four or eight registers, the same arithmetic in all of them.
// Included once per instruction set; with SEGMETER_LOSS_DOUBLE the numbers are float64.
#pragma once

#include <cstdint>

#if defined(__AVX2__) && !defined(SEGMETER_LOSS_DOUBLE)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__) && !defined(SEGMETER_SIMD_PORTABLE)
#include <arm_neon.h>
#endif

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

#if defined(SEGMETER_LOSS_DOUBLE)
using Real = double;
#else
using Real = float;
#endif

#if defined(__AVX512F__) && !defined(SEGMETER_LOSS_DOUBLE)

struct Vec {
    __m512 v;
};
struct Mask {
    __mmask16 m;
};
struct Labels {
    __m512i v;
};

inline Vec load(const float* x) { return {_mm512_loadu_ps(x)}; }
inline void store(float* x, Vec a) { _mm512_storeu_ps(x, a.v); }
inline void stream(float* x, Vec a) { _mm512_stream_ps(x, a.v); }
inline Vec all(float x) { return {_mm512_set1_ps(x)}; }
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// The second operand where one is NaN.
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec root(Vec a) { return {_mm512_sqrt_ps(a.v)}; }
inline Vec absolute(Vec a) { return {_mm512_abs_ps(a.v)}; }
inline Mask less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
// Where one is NaN, too.
inline Mask not_less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NLT_UQ)}; }
inline Mask equal(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
inline Vec select(Mask m, Vec a, Vec b) { return {_mm512_mask_blend_ps(m.m, b.v, a.v)}; }
// a * b, or `otherwise` where m does not hold.
inline Vec product(Mask m, Vec a, Vec b, Vec otherwise) {
    return {_mm512_mask_mul_ps(otherwise.v, m.m, a.v, b.v)};
}
inline Vec keep(Mask m, Vec a) { return {_mm512_maskz_mov_ps(m.m, a.v)}; }
inline Vec drop(Mask m, Vec a) { return {_mm512_mask_mov_ps(a.v, m.m, _mm512_setzero_ps())}; }
// a * b + c, or a where m does not hold, or where it does.
inline Vec fma_where(Mask m, Vec a, Vec b, Vec c) {
    return {_mm512_mask_fmadd_ps(a.v, m.m, b.v, c.v)};
}
inline Vec fma_where_not(Mask m, Vec a, Vec b, Vec c) {
    return {_mm512_mask_fmadd_ps(a.v, _knot_mask16(m.m), b.v, c.v)};
}
inline Labels load_labels(const std::int32_t* x) { return {_mm512_loadu_si512(x)}; }
inline Mask equal(Labels a, std::int32_t b) {
    return {_mm512_cmpeq_epi32_mask(a.v, _mm512_set1_epi32(b))};
}
inline Mask unequal(Labels a, std::int32_t b) {
    return {_mm512_cmpneq_epi32_mask(a.v, _mm512_set1_epi32(b))};
}
// Where one of them holds, not both.
inline Mask either(Mask a, Mask b) { return {_kxor_mask16(a.m, b.m)}; }
inline bool every(Mask m) { return m.m == 0xFFFF; }
inline bool any(Mask m) { return m.m != 0; }
inline std::uint32_t bits(Mask m) { return m.m; }

inline Vec nearest(Vec a) {
    return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a * 2^n, n whole; both normal.
inline Vec scale(Vec a, Vec n) { return {_mm512_scalef_ps(a.v, n.v)}; }
// For a >= 1: a = 2^n (1 + rest).
inline Vec exponent(Vec a) {
    const __m512i n = _mm512_srli_epi32(_mm512_castps_si512(a.v), 23);
    return {_mm512_cvtepi32_ps(_mm512_sub_epi32(n, _mm512_set1_epi32(127)))};
}
inline Vec mantissa(Vec a) {
    const __m512i low = _mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x007FFFFF));
    return {_mm512_castsi512_ps(_mm512_or_si512(low, _mm512_set1_epi32(0x3F800000)))};
}
// Adds to the bits so far those of a, plus an offset.
inline Labels gather_bits(Labels so_far, Vec a, std::int32_t offset) {
    const __m512i sum = _mm512_add_epi32(_mm512_castps_si512(a.v), _mm512_set1_epi32(offset));
    return {_mm512_or_si512(so_far.v, sum)};
}
// Of a limit that is a power of two: whether no bit is set but those below.
inline bool none_beyond(Labels bits, std::int32_t limit) {
    return _mm512_test_epi32_mask(bits.v, _mm512_set1_epi32(-limit)) == 0;
}
// Adds the last bits of t to the exponent of a.
inline Vec raise(Vec a, Vec t) {
    const __m512i power = _mm512_slli_epi32(_mm512_castps_si512(t.v), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), power))};
}
// Of whole numbers.
inline void store_whole(std::int32_t* to, Vec a) {
    _mm512_storeu_si512(to, _mm512_cvtps_epi32(a.v));
}
inline void add_to_doubles(double* sums, Vec a) {
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a.v));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1));
    _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), _mm512_add_pd(low, high)));
}

#elif defined(__AVX2__) && !defined(SEGMETER_LOSS_DOUBLE)

struct Vec {
    __m256 a, b;
};
struct Mask {
    __m256 a, b;
};
struct Labels {
    __m256i a, b;
};

inline Vec load(const float* x) { return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
inline void store(float* x, Vec a) {
    _mm256_storeu_ps(x, a.a);
    _mm256_storeu_ps(x + 8, a.b);
}
inline void stream(float* x, Vec a) {
    _mm256_stream_ps(x, a.a);
    _mm256_stream_ps(x + 8, a.b);
}
inline Vec all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec operator+(Vec x, Vec y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Vec operator-(Vec x, Vec y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline Vec operator*(Vec x, Vec y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline Vec operator/(Vec x, Vec y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline Vec fma(Vec x, Vec y, Vec z) {
    return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
// The second operand where one is NaN.
inline Vec max(Vec x, Vec y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline Vec min(Vec x, Vec y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline Vec root(Vec x) { return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)}; }
inline Vec absolute(Vec x) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline Mask less(Vec x, Vec y) {
    return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
// Where one is NaN, too.
inline Mask not_less(Vec x, Vec y) {
    return {_mm256_cmp_ps(x.a, y.a, _CMP_NLT_UQ), _mm256_cmp_ps(x.b, y.b, _CMP_NLT_UQ)};
}
inline Mask equal(Vec x, Vec y) {
    return {_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ)};
}
inline Vec select(Mask m, Vec x, Vec y) {
    return {_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)};
}
// x * y, or `otherwise` where m does not hold.
inline Vec product(Mask m, Vec x, Vec y, Vec otherwise) { return select(m, x * y, otherwise); }
inline Vec keep(Mask m, Vec x) { return {_mm256_and_ps(m.a, x.a), _mm256_and_ps(m.b, x.b)}; }
inline Vec drop(Mask m, Vec x) { return {_mm256_andnot_ps(m.a, x.a), _mm256_andnot_ps(m.b, x.b)}; }
// x * y + z, or x where m does not hold, or where it does.
inline Vec fma_where(Mask m, Vec x, Vec y, Vec z) { return select(m, fma(x, y, z), x); }
inline Vec fma_where_not(Mask m, Vec x, Vec y, Vec z) { return select(m, x, fma(x, y, z)); }
inline Labels load_labels(const std::int32_t* x) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 8))};
}
inline Mask equal(Labels x, std::int32_t y) {
    const __m256i wanted = _mm256_set1_epi32(y);
    return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(x.a, wanted)),
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(x.b, wanted))};
}
inline Mask unequal(Labels x, std::int32_t y) {
    const __m256 every_bit = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    const Mask same = equal(x, y);
    return {_mm256_xor_ps(same.a, every_bit), _mm256_xor_ps(same.b, every_bit)};
}
// Where one of them holds, not both.
inline Mask either(Mask x, Mask y) { return {_mm256_xor_ps(x.a, y.a), _mm256_xor_ps(x.b, y.b)}; }
inline std::uint32_t bits(Mask m) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(m.a)) |
           (static_cast<std::uint32_t>(_mm256_movemask_ps(m.b)) << 8);
}
inline bool every(Mask m) { return bits(m) == 0xFFFF; }
inline bool any(Mask m) { return bits(m) != 0; }

inline Vec nearest(Vec x) {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_ps(x.a, kNearest), _mm256_round_ps(x.b, kNearest)};
}
// x * 2^n, n whole; both normal.
inline Vec scale(Vec x, Vec n) {
    const auto part = [](__m256 of, __m256 power) {
        const __m256i shift = _mm256_slli_epi32(_mm256_cvtps_epi32(power), 23);
        return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(of), shift));
    };
    return {part(x.a, n.a), part(x.b, n.b)};
}
// For x >= 1: x = 2^n (1 + rest).
inline Vec exponent(Vec x) {
    const auto part = [](__m256 of) {
        const __m256i n = _mm256_srli_epi32(_mm256_castps_si256(of), 23);
        return _mm256_cvtepi32_ps(_mm256_sub_epi32(n, _mm256_set1_epi32(127)));
    };
    return {part(x.a), part(x.b)};
}
inline Vec mantissa(Vec x) {
    const auto part = [](__m256 of) {
        const __m256i low =
            _mm256_and_si256(_mm256_castps_si256(of), _mm256_set1_epi32(0x007FFFFF));
        return _mm256_castsi256_ps(_mm256_or_si256(low, _mm256_set1_epi32(0x3F800000)));
    };
    return {part(x.a), part(x.b)};
}
// Adds to the bits so far those of x, plus an offset.
inline Labels gather_bits(Labels so_far, Vec x, std::int32_t offset) {
    const auto part = [offset](__m256i before, __m256 of) {
        const __m256i sum = _mm256_add_epi32(_mm256_castps_si256(of), _mm256_set1_epi32(offset));
        return _mm256_or_si256(before, sum);
    };
    return {part(so_far.a, x.a), part(so_far.b, x.b)};
}
// Of a limit that is a power of two: whether no bit is set but those below.
inline bool none_beyond(Labels bits, std::int32_t limit) {
    const __m256i beyond = _mm256_set1_epi32(-limit);
    return _mm256_testz_si256(_mm256_or_si256(bits.a, bits.b), beyond) != 0;
}
// Adds the last bits of t to the exponent of x.
inline Vec raise(Vec x, Vec t) {
    const auto part = [](__m256 of, __m256 power) {
        const __m256i shift = _mm256_slli_epi32(_mm256_castps_si256(power), 23);
        return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(of), shift));
    };
    return {part(x.a, t.a), part(x.b, t.b)};
}
// Of whole numbers.
inline void store_whole(std::int32_t* to, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtps_epi32(x.a));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), _mm256_cvtps_epi32(x.b));
}
inline void add_to_doubles(double* sums, Vec x) {
    const auto part = [sums](int at, __m128 low, __m128 high) {
        const __m256d both = _mm256_add_pd(_mm256_cvtps_pd(low), _mm256_cvtps_pd(high));
        _mm256_storeu_pd(sums + at, _mm256_add_pd(_mm256_loadu_pd(sums + at), both));
    };
    part(0, _mm256_castps256_ps128(x.a), _mm256_castps256_ps128(x.b));
    part(4, _mm256_extractf128_ps(x.a, 1), _mm256_extractf128_ps(x.b, 1));
}

#else

// Any machine with 16-byte registers, by the compiler's vectors.
#if defined(SEGMETER_LOSS_DOUBLE)
using Whole = std::int64_t;
#else
using Whole = std::int32_t;
#endif
using Part [[gnu::vector_size(16)]] = Real;
using WholePart [[gnu::vector_size(16)]] = Whole;
constexpr int kParts = static_cast<int>(16 * sizeof(Real) / sizeof(Part));
constexpr int kInPart = 16 / kParts;

struct Vec {
    Part v[kParts];
};
struct Mask {
    WholePart v[kParts];
};
struct Labels {
    WholePart v[kParts];
};

template <class Function>
inline Vec each(Function&& part) {
    Vec result;
    for (int i = 0; i < kParts; ++i) result.v[i] = part(i);
    return result;
}
template <class Function>
inline Mask each_mask(Function&& part) {
    Mask result;
    for (int i = 0; i < kParts; ++i) result.v[i] = part(i);
    return result;
}
template <class Function>
inline Vec each_lane(Vec a, Function&& lane) {
    for (int i = 0; i < kParts; ++i)
        for (int k = 0; k < kInPart; ++k) a.v[i][k] = lane(a.v[i][k]);
    return a;
}

inline Vec load(const Real* x) {
    Vec result;
    __builtin_memcpy(&result, x, sizeof(result));
    return result;
}
inline void store(Real* x, Vec a) { __builtin_memcpy(x, &a, sizeof(a)); }
inline void stream(Real* x, Vec a) { store(x, a); }
inline Vec all(Real x) {
    return each([x](int) { return Part{} + x; });
}
inline Vec operator+(const Vec& a, const Vec& b) {
    return each([&](int i) { return a.v[i] + b.v[i]; });
}
inline Vec operator-(const Vec& a, const Vec& b) {
    return each([&](int i) { return a.v[i] - b.v[i]; });
}
inline Vec operator*(const Vec& a, const Vec& b) {
    return each([&](int i) { return a.v[i] * b.v[i]; });
}
inline Vec operator/(const Vec& a, const Vec& b) {
    return each([&](int i) { return a.v[i] / b.v[i]; });
}
inline Vec fma(const Vec& a, const Vec& b, const Vec& c) {
#if defined(__ARM_NEON) && !defined(SEGMETER_SIMD_PORTABLE) && !defined(SEGMETER_LOSS_DOUBLE)
    return each([&](int i) { return static_cast<Part>(vfmaq_f32(c.v[i], a.v[i], b.v[i])); });
#else
    return each([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
#endif
}
inline Part blend(WholePart m, Part a, Part b) {
    return (Part)((m & (WholePart)a) | (~m & (WholePart)b));
}
// The second operand where one is NaN.
inline Vec max(const Vec& a, const Vec& b) {
    return each([&](int i) { return blend(a.v[i] > b.v[i], a.v[i], b.v[i]); });
}
inline Vec min(const Vec& a, const Vec& b) {
    return each([&](int i) { return blend(a.v[i] < b.v[i], a.v[i], b.v[i]); });
}
inline Vec root(const Vec& a) {
    return each_lane(a, [](Real x) -> Real {
        return sizeof(Real) == 8 ? static_cast<Real>(__builtin_sqrt(static_cast<double>(x)))
                                 : static_cast<Real>(__builtin_sqrtf(static_cast<float>(x)));
    });
}
inline Vec absolute(const Vec& a) {
    return each([&](int i) { return blend(a.v[i] < Part{}, Part{} - a.v[i], a.v[i] + Part{}); });
}
inline Mask less(const Vec& a, const Vec& b) {
    return each_mask([&](int i) { return a.v[i] < b.v[i]; });
}
// Where one is NaN, too.
inline Mask not_less(const Vec& a, const Vec& b) {
    return each_mask([&](int i) { return ~(a.v[i] < b.v[i]); });
}
inline Mask equal(const Vec& a, const Vec& b) {
    return each_mask([&](int i) { return a.v[i] == b.v[i]; });
}
// Where one of them holds, not both.
inline Mask either(const Mask& a, const Mask& b) {
    return each_mask([&](int i) { return a.v[i] ^ b.v[i]; });
}
inline Vec select(const Mask& m, const Vec& a, const Vec& b) {
    return each([&](int i) { return blend(m.v[i], a.v[i], b.v[i]); });
}
// a * b, or `otherwise` where m does not hold.
inline Vec product(const Mask& m, const Vec& a, const Vec& b, const Vec& otherwise) {
    return select(m, a * b, otherwise);
}
inline Vec keep(const Mask& m, const Vec& a) {
    return each([&](int i) { return (Part)(m.v[i] & (WholePart)a.v[i]); });
}
inline Vec drop(const Mask& m, const Vec& a) {
    return each([&](int i) { return (Part)(~m.v[i] & (WholePart)a.v[i]); });
}
// a * b + c, or a where m does not hold, or where it does.
inline Vec fma_where(const Mask& m, const Vec& a, const Vec& b, const Vec& c) {
    return select(m, fma(a, b, c), a);
}
inline Vec fma_where_not(const Mask& m, const Vec& a, const Vec& b, const Vec& c) {
    return select(m, a, fma(a, b, c));
}
inline Labels load_labels(const std::int32_t* x) {
    Labels result;
    for (int i = 0; i < 16; ++i) result.v[i / kInPart][i % kInPart] = x[i];
    return result;
}
inline Mask equal(const Labels& a, std::int32_t b) {
    return each_mask([&](int i) { return a.v[i] == Whole{b}; });
}
inline Mask unequal(const Labels& a, std::int32_t b) {
    return each_mask([&](int i) { return a.v[i] != Whole{b}; });
}
inline std::uint32_t bits(const Mask& m) {
    std::uint32_t result = 0;
    for (int i = 0; i < 16; ++i)
        result |= static_cast<std::uint32_t>(m.v[i / kInPart][i % kInPart] != 0) << i;
    return result;
}
inline bool every(const Mask& m) { return bits(m) == 0xFFFF; }
inline bool any(const Mask& m) { return bits(m) != 0; }

inline void add_to_doubles(double* sums, const Vec& a) {
    for (int i = 0; i < 8; ++i)
        sums[i] += static_cast<double>(a.v[i / kInPart][i % kInPart]) +
                   static_cast<double>(a.v[(i + 8) / kInPart][i % kInPart]);
}

#if !defined(SEGMETER_LOSS_DOUBLE)
// Of whole numbers.
inline void store_whole(std::int32_t* to, const Vec& a) {
    for (int i = 0; i < kParts; ++i) {
        const WholePart whole = __builtin_convertvector(a.v[i], WholePart);
        __builtin_memcpy(to + kInPart * i, &whole, sizeof(whole));
    }
}
inline Vec nearest(const Vec& a) {
    // Adding 1.5 * 2^23 leaves no bits behind the point.
    const Part magic = Part{} + 12582912.0F;
    return each([&](int i) { return (a.v[i] + magic) - magic; });
}
using BitsPart [[gnu::vector_size(16)]] = std::uint32_t;
// Adds to the bits so far those of a, plus an offset.
inline Labels gather_bits(const Labels& so_far, const Vec& a, std::int32_t offset) {
    Labels result;
    for (int i = 0; i < kParts; ++i)
        result.v[i] =
            so_far.v[i] | (WholePart)((BitsPart)a.v[i] + static_cast<std::uint32_t>(offset));
    return result;
}
// Of a limit that is a power of two: whether no bit is set but those below.
inline bool none_beyond(const Labels& bits, std::int32_t limit) {
    WholePart all_of = bits.v[0];
    for (int i = 1; i < kParts; ++i) all_of |= bits.v[i];
    return ((all_of[0] | all_of[1] | all_of[2] | all_of[3]) & -limit) == 0;
}
// Adds the last bits of t to the exponent of a.
inline Vec raise(const Vec& a, const Vec& t) {
    return each([&](int i) { return (Part)((BitsPart)a.v[i] + ((BitsPart)t.v[i] << 23)); });
}
// a * 2^n, n whole; both normal.
inline Vec scale(const Vec& a, const Vec& n) {
    return each([&](int i) {
        // Without sign: where a result is dropped afterwards, n may be anything.
        const WholePart power = __builtin_convertvector(n.v[i], WholePart);
        return (Part)((BitsPart)a.v[i] + ((BitsPart)power << 23));
    });
}
// For a >= 1: a = 2^n (1 + rest).
inline Vec exponent(const Vec& a) {
    return each(
        [&](int i) { return __builtin_convertvector(((WholePart)a.v[i] >> 23) - 127, Part); });
}
inline Vec mantissa(const Vec& a) {
    return each([&](int i) { return (Part)(((WholePart)a.v[i] & 0x007FFFFF) | 0x3F800000); });
}
#endif

#endif

// Whether `stream` is another thing than `store`.
#if defined(__AVX2__) && !defined(SEGMETER_LOSS_DOUBLE)
constexpr bool kStreams = true;
#else
constexpr bool kStreams = false;
#endif

// --- functions ---

inline Vec zero() { return all(Real{0}); }
inline Vec one() { return all(Real{1}); }
inline Mask unequal_zero(Vec a) { return less(zero(), absolute(a)); }

#if defined(SEGMETER_LOSS_DOUBLE)

constexpr int kAbreast = 1;
constexpr int kClassesAbreast = 1;

inline Vec exp_of(const Vec& a) {
    return each_lane(a, [](double x) { return __builtin_exp(x); });
}
template <int n>
inline void exp_each(Vec (&a)[n]) {
    for (Vec& one_of : a) one_of = exp_of(one_of);
}
// As of float32, below: here near is what is below 300.
template <int n>
inline void exp_near_each(Vec (&a)[n], Labels& powers) {
    for (const Vec& one_of : a) {
        const Mask near = less(absolute(one_of), all(300.0));
        for (int i = 0; i < kParts; ++i) powers.v[i] |= ~near.v[i];
    }
    exp_each(a);
}
inline bool are_near(const Labels& powers) {
    Labels all_of = powers;
    for (int i = 1; i < kParts; ++i) all_of.v[0] |= all_of.v[i];
    return (all_of.v[0][0] | all_of.v[0][1]) == 0;
}
inline Vec log1p_of(const Vec& a) {
    return each_lane(a, [](double x) { return __builtin_log1p(x); });
}
inline Vec log_of(const Vec& a) {
    return each_lane(a, [](double x) { return __builtin_log(x); });
}
inline Vec one_minus_exp(const Vec& a) {
    return each_lane(a, [](double x) { return -__builtin_expm1(x); });
}

#else

// Vectors that take the steps of a function together. One after the other, each would wait for its
// own last step, and the processor can hold only so many that wait; more do not fit the registers.
#if defined(__AVX512F__)
constexpr int kAbreast = 4;
constexpr int kClassesAbreast = 2;  // where one loop has two tiles
#else
constexpr int kAbreast = 1;
constexpr int kClassesAbreast = 1;
#endif

// exp(a) for a < 88; 0 below -87.3, where float32 ends to be normal. Relative error below 1e-7, and
// 2e-9 |a| more for ln 2 is rounded: fused, the reduction rounds once. Then a polynomial of
// degree 6 for exp on [-ln 2 / 2, ln 2 / 2].
template <int n>
[[gnu::always_inline]] inline void exp_each(Vec (&a)[n]) {
    Mask normal[n];
    Vec whole[n];
    Vec r[n];
    Vec p[n];
    for (int i = 0; i < n; ++i) normal[i] = not_less(a[i], all(-87.3F));
    for (int i = 0; i < n; ++i) whole[i] = nearest(a[i] * all(1.44269504F));
    for (int i = 0; i < n; ++i) r[i] = fma(whole[i], all(-0.693147181F), a[i]);
    for (int i = 0; i < n; ++i) p[i] = fma(all(1.39269268e-3F), r[i], all(8.36377405e-3F));
    for (int i = 0; i < n; ++i) p[i] = fma(p[i], r[i], all(4.16665487e-2F));
    for (int i = 0; i < n; ++i) p[i] = fma(p[i], r[i], all(1.66665733e-1F));
    for (int i = 0; i < n; ++i) p[i] = fma(p[i], r[i], all(0.5F));
    for (int i = 0; i < n; ++i) p[i] = fma(p[i], r[i], one());
    for (int i = 0; i < n; ++i) p[i] = fma(p[i], r[i], one());
    for (int i = 0; i < n; ++i) a[i] = keep(normal[i], scale(p[i], whole[i]));
}
[[gnu::always_inline]] inline Vec exp_of(Vec a) {
    Vec one_of[1] = {a};
    exp_each(one_of);
    return one_of[0];
}

// exp(a) where a is near 0, with an error below 1.3e-7 and that of ln 2; anything elsewhere, and of
// NaN, which `powers` then tells. Added to 1.5 * 2^23 a number is rounded to a whole one, n, which
// is in the last bits; of 2^n (1 + r + r^2 q(r)) no step waits for more than five before it.
constexpr float kRounding = 12582912.0F;
constexpr std::int32_t kRoundingBits = 0x4B400000;
constexpr std::int32_t kNearPowers = 64;
template <int n>
[[gnu::always_inline]] inline void exp_near_each(Vec (&a)[n], Labels& powers) {
    Vec t[n];
    Vec r[n];
    Vec square[n];
    Vec low[n];
    Vec high[n];
    for (int i = 0; i < n; ++i) t[i] = fma(a[i], all(1.44269504F), all(kRounding));
    for (int i = 0; i < n; ++i) powers = gather_bits(powers, t[i], kNearPowers - kRoundingBits);
    for (int i = 0; i < n; ++i) r[i] = fma(t[i] - all(kRounding), all(-0.693147181F), a[i]);
    for (int i = 0; i < n; ++i) square[i] = r[i] * r[i];
    for (int i = 0; i < n; ++i) high[i] = fma(all(8.36874545e-3F), r[i], all(4.1668389e-2F));
    for (int i = 0; i < n; ++i) low[i] = fma(all(1.66665211e-1F), r[i], all(0.49999994F));
    for (int i = 0; i < n; ++i) high[i] = fma(all(1.38145406e-3F), square[i], high[i]);
    for (int i = 0; i < n; ++i) low[i] = fma(high[i], square[i], low[i]);
    for (int i = 0; i < n; ++i) a[i] = raise(fma(low[i], square[i], one() + r[i]), t[i]);
}
// Whether all that `powers` was gathered of was near: below 44 in size.
inline bool are_near(Labels powers) { return none_beyond(powers, 2 * kNearPowers); }

// log(1 + a) for 0 <= a: 1 + a = 2^n (1 + z), and a polynomial for log(1 + z) / z on [0, 1],
// interpolated at Chebyshev's points.
[[gnu::always_inline]] inline Vec log1p_small(Vec z) {
    Vec p = fma(all(-0.00317605701F), z, all(0.0195425283F));
    p = fma(p, z, all(-0.0563736148F));
    p = fma(p, z, all(0.105436236F));
    p = fma(p, z, all(-0.152696669F));
    p = fma(p, z, all(0.196632743F));
    p = fma(p, z, all(-0.249516159F));
    p = fma(p, z, all(0.333297104F));
    p = fma(p, z, all(-0.499998927F));
    p = fma(p, z, one());
    return p * z;
}
[[gnu::always_inline]] inline Vec log1p_of(Vec a) {
    const Vec u = one() + a;
    const Mask small = less(a, one());
    const Vec z = select(small, a, mantissa(u) - one());
    const Vec n = drop(small, exponent(u));
    const Vec near = fma(n, all(0.693147181F), log1p_small(z));
    // Infinity and NaN have no mantissa.
    return select(less(a, all(3e38F)), near, a);
}

// log a for 0 < a <= 1 with an absolute error of 1e-7; -infinity at 0.
inline Vec log_of(Vec a) {
    const Vec inverse = one() / a;
    return zero() - log1p_of(select(less(inverse, all(3e38F)), inverse - one(), inverse));
}

// 1 - exp(a) for a <= 0, relative error 3e-7.
inline Vec one_minus_exp(Vec a) {
    Vec p = fma(all(1.0F / 5040.0F), a, all(1.0F / 720.0F));
    p = fma(p, a, all(1.0F / 120.0F));
    p = fma(p, a, all(1.0F / 24.0F));
    p = fma(p, a, all(1.0F / 6.0F));
    p = fma(p, a, all(0.5F));
    p = fma(p, a, one());
    return select(less(all(-0.35F), a), zero() - p * a, one() - exp_of(a));
}

#endif

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
