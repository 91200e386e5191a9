// A strided view of somebody else's memory: what every kernel takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace segmeter {

enum class DType : std::uint8_t {
    kBool,
    kUInt8,
    kInt8,
    kUInt16,
    kInt16,
    kUInt32,
    kInt32,
    kUInt64,
    kInt64,
    kFloat16,
    kFloat32,
    kFloat64,
};

constexpr std::int64_t item_size(DType dtype) noexcept {
    switch (dtype) {
        case DType::kBool:
        case DType::kUInt8:
        case DType::kInt8: return 1;
        case DType::kUInt16:
        case DType::kInt16:
        case DType::kFloat16: return 2;
        case DType::kUInt32:
        case DType::kInt32:
        case DType::kFloat32: return 4;
        case DType::kUInt64:
        case DType::kInt64:
        case DType::kFloat64: return 8;
    }
    return 0;
}

constexpr bool is_signed(DType dtype) noexcept {
    return dtype == DType::kInt8 || dtype == DType::kInt16 || dtype == DType::kInt32 ||
           dtype == DType::kInt64;
}

constexpr bool is_float(DType dtype) noexcept { return dtype >= DType::kFloat16; }

// Shape in elements, strides in bytes (negative and zero allowed), as NumPy keeps them.
// The view owns nothing: data, shape and strides must outlive it.
struct ArrayView {
    const std::byte* data = nullptr;
    DType dtype = DType::kUInt8;
    bool byte_swapped = false;
    std::span<const std::int64_t> shape;
    std::span<const std::int64_t> strides;

    [[nodiscard]] std::int64_t size() const noexcept {
        std::int64_t n = 1;
        for (const std::int64_t extent : shape) n *= extent;
        return n;
    }
};

}  // namespace segmeter
