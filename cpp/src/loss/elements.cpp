#include "loss/elements.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "segmeter/cpu.hpp"

namespace segmeter::loss {
namespace {

template <class T>
T element(const std::byte* from, bool swapped) {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), from, sizeof(T));
    if (swapped) std::reverse(bytes.begin(), bytes.end());
    return std::bit_cast<T>(bytes);
}

template <class T>
void put_element(std::byte* to, T value, bool swapped) {
    auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
    if (swapped) std::reverse(bytes.begin(), bytes.end());
    std::memcpy(to, bytes.data(), sizeof(T));
}

template <class T, class Real, bool kSwapped>
void read_plain(const std::byte* from, std::int64_t stride, std::int64_t n,
                const simd::HalfKernels&, Real* to) {
    if (!kSwapped && stride == static_cast<std::int64_t>(sizeof(T))) {
        for (std::int64_t i = 0; i < n; ++i)
            to[i] = static_cast<Real>(
                element<T>(from + i * static_cast<std::int64_t>(sizeof(T)), false));
        return;
    }
    for (std::int64_t i = 0; i < n; ++i)
        to[i] = static_cast<Real>(element<T>(from + i * stride, kSwapped));
}

template <class T, class Real, bool kSwapped>
void write_plain(const Real* from, std::int64_t n, const simd::HalfKernels&, std::byte* to,
                 std::int64_t stride) {
    for (std::int64_t i = 0; i < n; ++i)
        put_element(to + i * stride, static_cast<T>(from[i]), kSwapped);
}

// Half types pass through a buffer of this many elements.
constexpr std::int64_t kPiece = 64;

template <class Real, bool kBfloat, bool kSwapped>
void read_half(const std::byte* from, std::int64_t stride, std::int64_t n,
               const simd::HalfKernels& halves, Real* to) {
    const auto convert = kBfloat ? halves.from_bfloat : halves.from_half;
    std::array<std::uint16_t, kPiece> bits;
    std::array<float, kPiece> values;
    for (std::int64_t i = 0; i < n; i += kPiece) {
        const std::int64_t piece = std::min(kPiece, n - i);
        for (std::int64_t k = 0; k < piece; ++k)
            bits[static_cast<std::size_t>(k)] =
                element<std::uint16_t>(from + (i + k) * stride, kSwapped);
        convert(bits.data(), piece, values.data());
        std::copy_n(values.begin(), piece, to + i);
    }
}

template <class Real, bool kBfloat, bool kSwapped>
void write_half(const Real* from, std::int64_t n, const simd::HalfKernels& halves, std::byte* to,
                std::int64_t stride) {
    const auto convert = kBfloat ? halves.to_bfloat : halves.to_half;
    std::array<std::uint16_t, kPiece> bits;
    std::array<float, kPiece> values;
    for (std::int64_t i = 0; i < n; i += kPiece) {
        const std::int64_t piece = std::min(kPiece, n - i);
        for (std::int64_t k = 0; k < piece; ++k)
            values[static_cast<std::size_t>(k)] = static_cast<float>(from[i + k]);
        convert(values.data(), piece, bits.data());
        for (std::int64_t k = 0; k < piece; ++k)
            put_element(to + (i + k) * stride, bits[static_cast<std::size_t>(k)], kSwapped);
    }
}

template <class T, class Real>
Elements<Real> plain(bool swapped) {
    if (swapped) return {read_plain<T, Real, true>, write_plain<T, Real, true>};
    return {read_plain<T, Real, false>, write_plain<T, Real, false>};
}

template <class Real, bool kBfloat>
Elements<Real> half(bool swapped) {
    if (swapped) return {read_half<Real, kBfloat, true>, write_half<Real, kBfloat, true>};
    return {read_half<Real, kBfloat, false>, write_half<Real, kBfloat, false>};
}

}  // namespace

template <class Real>
Elements<Real> elements_of(DType dtype, bool byte_swapped, bool bfloat16) {
    if (bfloat16) return half<Real, true>(byte_swapped);
    switch (dtype) {
        case DType::kBool:
        case DType::kUInt8: return plain<std::uint8_t, Real>(false);
        case DType::kInt8: return plain<std::int8_t, Real>(false);
        case DType::kUInt16: return plain<std::uint16_t, Real>(byte_swapped);
        case DType::kInt16: return plain<std::int16_t, Real>(byte_swapped);
        case DType::kUInt32: return plain<std::uint32_t, Real>(byte_swapped);
        case DType::kInt32: return plain<std::int32_t, Real>(byte_swapped);
        case DType::kUInt64: return plain<std::uint64_t, Real>(byte_swapped);
        case DType::kInt64: return plain<std::int64_t, Real>(byte_swapped);
        case DType::kFloat16: return half<Real, false>(byte_swapped);
        case DType::kFloat32: return plain<float, Real>(byte_swapped);
        case DType::kFloat64: return plain<double, Real>(byte_swapped);
    }
    throw std::invalid_argument("unknown type");
}
template Elements<float> elements_of(DType, bool, bool);
template Elements<double> elements_of(DType, bool, bool);

// The largest label of a type, or of `classes` classes, plus one: with it a negative label is one
// that, read without sign, is too large.
LabelReader::LabelReader(DType dtype, bool byte_swapped, std::int32_t classes, std::int32_t shift)
    : dtype_(dtype), byte_swapped_(byte_swapped), size_(item_size(dtype)), shift_(shift) {
    if (is_float(dtype)) throw std::invalid_argument("labels must be integers");
    const int bits = static_cast<int>(8 * size_) - (is_signed(dtype) ? 1 : 0);
    limit_ = static_cast<std::uint64_t>(classes);
    if (bits < 32) limit_ = std::min(limit_, std::uint64_t{1} << bits);
    contiguous_ = label_kernels().read[std::countr_zero(static_cast<std::uint64_t>(size_))];
}

bool LabelReader::operator()(const std::byte* from, std::int64_t stride, std::int64_t n,
                             std::int32_t* to) const {
    if (stride == size_ && (size_ == 1 || !byte_swapped_))
        return contiguous_(from, n, limit_, shift_, kOddLabel, to);
    bool odd = false;
    for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t label = label_at(from + i * stride, dtype_, byte_swapped_);
        const bool inside = static_cast<std::uint64_t>(label) < limit_;
        to[i] = inside ? static_cast<std::int32_t>(label) - shift_ : kOddLabel;
        odd |= !inside;
    }
    return odd;
}

std::int64_t label_at(const std::byte* from, DType dtype, bool byte_swapped) {
    switch (dtype) {
        case DType::kBool:
        case DType::kUInt8: return element<std::uint8_t>(from, false);
        case DType::kInt8: return element<std::int8_t>(from, false);
        case DType::kUInt16: return element<std::uint16_t>(from, byte_swapped);
        case DType::kInt16: return element<std::int16_t>(from, byte_swapped);
        case DType::kUInt32: return element<std::uint32_t>(from, byte_swapped);
        case DType::kInt32: return element<std::int32_t>(from, byte_swapped);
        case DType::kUInt64:
            return static_cast<std::int64_t>(element<std::uint64_t>(from, byte_swapped));
        case DType::kInt64: return element<std::int64_t>(from, byte_swapped);
        default: throw std::invalid_argument("labels must be integers");
    }
}

const simd::LossKernels<float>& loss_kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kLossKernels;
        case SimdLevel::kAvx2: return simd::avx2::kLossKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kLossKernels;
#endif
        default: return simd::baseline::kLossKernels;
    }
}

const simd::HalfKernels& half_kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kHalfKernels;
        case SimdLevel::kAvx2: return simd::avx2::kHalfKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kHalfKernels;
#endif
        default: return simd::baseline::kHalfKernels;
    }
}

const simd::LabelKernels& label_kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kLabelKernels;
        case SimdLevel::kAvx2: return simd::avx2::kLabelKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kLabelKernels;
#endif
        default: return simd::baseline::kLabelKernels;
    }
}

}  // namespace segmeter::loss
