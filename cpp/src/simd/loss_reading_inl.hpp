// Labels and half precision to what the sweeps take. Part of loss_inl.hpp.
#pragma once

#include <cstdint>
#include <type_traits>

#include "simd/loss_kernels.hpp"
#include "simd/loss_vec.hpp"

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// --- labels ---

template <class T>
inline T label_at(const unsigned char* bytes, std::int64_t i) {
    T label;
    __builtin_memcpy(&label, bytes + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    return label;
}

template <class T>
bool read_labels(const void* from, std::int64_t n, std::uint64_t limit, std::int32_t shift,
                 std::int32_t odd, std::int32_t* to) {
    const auto* bytes = static_cast<const unsigned char*>(from);
    // Compared in their own width, as many at a time as fit. Mostly none is odd.
    constexpr std::uint64_t kLast = static_cast<T>(-1);
    const auto last = static_cast<T>(limit - 1 < kLast ? limit - 1 : kLast);
    T beyond = 0;
    for (std::int64_t i = 0; i < n; ++i)
        beyond = static_cast<T>(beyond | static_cast<T>(label_at<T>(bytes, i) > last));
    if (beyond == 0) {
        for (std::int64_t i = 0; i < n; ++i)
            to[i] = static_cast<std::int32_t>(label_at<T>(bytes, i)) - shift;
        return false;
    }
    for (std::int64_t i = 0; i < n; ++i) {
        const T label = label_at<T>(bytes, i);
        to[i] = label <= last ? static_cast<std::int32_t>(label) - shift : odd;
    }
    return true;
}

// --- half precision ---

// By bits, for machines without an instruction for it.
[[maybe_unused]] inline float float_of_half(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
    const std::uint32_t exponent = (half >> 10) & 31U;
    std::uint32_t fraction = half & 1023U;
    std::uint32_t bits = sign | ((exponent + 112U) << 23) | (fraction << 13);
    if (exponent == 31) bits = sign | 0x7F800000U | (fraction << 13);
    if (exponent == 0) {
        const float small = static_cast<float>(fraction) * 5.9604644775390625e-8F;
        __builtin_memcpy(&bits, &small, sizeof(bits));
        bits |= sign;
    }
    float value = 0.0F;
    __builtin_memcpy(&value, &bits, sizeof(value));
    return value;
}

[[maybe_unused]] inline std::uint16_t half_of_float(float value) {
    std::uint32_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(bits));
    const std::uint32_t sign = (bits >> 16) & 0x8000U;
    const std::uint32_t size = bits & 0x7FFFFFFFU;
    std::uint32_t half = 0;
    if (size > 0x7F800000U) {
        half = 0x7E00U | ((size >> 13) & 0x3FFU);
    } else if (size >= 0x477FF000U) {
        half = 0x7C00U;  // rounds beyond the largest, or is infinite
    } else if (size < 0x38800000U) {
        // Below the normal numbers: the sum rounds at the last bit that is left.
        float small = 0.0F;
        __builtin_memcpy(&small, &size, sizeof(small));
        small += 0.5F;
        __builtin_memcpy(&half, &small, sizeof(half));
        half -= 0x3F000000U;
    } else {
        half = (size + 0xFFFU + ((size >> 13) & 1U) - (112U << 23)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | half);
}

void from_half(const std::uint16_t* from, std::int64_t n, float* to) {
    std::int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(
            to + i,
            _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            to + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
#endif
    for (; i < n; ++i) to[i] = float_of_half(from[i]);
}

void to_half(const float* from, std::int64_t n, std::uint16_t* to) {
    std::int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                            _mm512_cvtps_ph(_mm512_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; ++i) to[i] = half_of_float(from[i]);
}

void from_bfloat(const std::uint16_t* from, std::int64_t n, float* to) {
    for (std::int64_t i = 0; i < n; ++i) {
        const std::uint32_t bits = static_cast<std::uint32_t>(from[i]) << 16;
        __builtin_memcpy(to + i, &bits, sizeof(bits));
    }
}

void to_bfloat(const float* from, std::int64_t n, std::uint16_t* to) {
    for (std::int64_t i = 0; i < n; ++i) {
        std::uint32_t bits = 0;
        __builtin_memcpy(&bits, from + i, sizeof(bits));
        const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
        const bool nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
        to[i] = static_cast<std::uint16_t>(nan ? 0x7FC0U : rounded);
    }
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
