// From strided arrays to contiguous tiles of one element type.
//
// Pixel counts do not depend on the order of the pixels, only on which pixel of one array meets
// which of the other. So the axes may be reordered, flipped and merged, for all arrays alike,
// until as much as possible is contiguous; what is left is copied tile by tile into scratch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "segmeter/view.hpp"

namespace segmeter {

inline constexpr int kMaxDims = 64;
inline constexpr std::size_t kMaxLanes = 4;

// A number for each axis, as far as there are axes. No allocation: small images come in millions.
using PerAxis = std::array<std::int64_t, kMaxDims>;

// One array's part in a walk: where pixel 0 lies and how far apart pixels are along each axis.
struct Lane {
    const std::byte* data;
    DType dtype;
    bool byte_swapped;
    PerAxis strides;
};

// Arrays of equal shape, visited together in one order that suits their memory.
class Walk {
   public:
    // At most kMaxLanes views of equal shapes. The first one decides the order of the axes.
    explicit Walk(std::span<const ArrayView* const> views);

    [[nodiscard]] std::int64_t size() const noexcept { return size_; }
    [[nodiscard]] const Lane& lane(std::size_t i) const noexcept { return lanes_[i]; }
    [[nodiscard]] std::span<const std::int64_t> shape() const noexcept {
        return std::span(shape_).first(dims_);
    }
    // True if the lane's elements lie one after another, aligned and in native byte order.
    [[nodiscard]] bool is_contiguous(std::size_t i) const noexcept;

   private:
    void flip_negative_axes();
    void sort_axes();
    void merge_axes();
    void swap_axes(std::size_t a, std::size_t b);

    [[nodiscard]] std::span<Lane> lanes() noexcept { return std::span(lanes_).first(count_); }

    PerAxis shape_;
    std::array<Lane, kMaxLanes> lanes_;
    std::size_t dims_;
    std::size_t count_;
    std::int64_t size_;
};

// Copies n elements, `stride` bytes apart, to `out` as the element type it was made for.
using CopyElements = void (*)(const std::byte* data, std::int64_t stride, std::int64_t n,
                              void* out);

// Label of any type -> unsigned integer of `width` bytes with the same value modulo 2^(8 width).
CopyElements label_copier(DType dtype, bool byte_swapped, std::int64_t width);
// Number of any type -> float or double (`width` 4 or 8).
CopyElements score_copier(DType dtype, bool byte_swapped, std::int64_t width);

// Elements [begin, begin + n) of a lane in walk order, each `byte_offset` bytes further on (a
// channel of scores), to `out` at `out_width` bytes an element.
void gather(const Walk& walk, std::size_t lane, std::int64_t byte_offset, std::int64_t begin,
            std::int64_t n, CopyElements copy, std::int64_t out_width, std::byte* out);

}  // namespace segmeter
