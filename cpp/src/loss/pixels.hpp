// Pixels of several arrays of different strides, as one flat row each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace segmeter::loss {

// The spatial axes that several arrays share, joined where all of them allow it. A pixel is a flat
// index in C order, whatever the strides are.
class Pixels {
   public:
    // strides: of every array, in bytes; axes as in shape.
    Pixels(std::span<const std::int64_t> shape,
           std::span<const std::span<const std::int64_t>> strides)
        : strides_(strides.size()) {
        for (const std::int64_t extent : shape) count_ *= extent;
        for (std::size_t axis = 0; axis < shape.size(); ++axis) {
            if (shape[axis] == 1) continue;
            if (!extents_.empty() && joins(strides, axis, shape[axis])) {
                extents_.back() *= shape[axis];
            } else {
                extents_.push_back(shape[axis]);
                for (auto& mine : strides_) mine.push_back(0);
            }
            for (std::size_t k = 0; k < strides_.size(); ++k) strides_[k].back() = strides[k][axis];
        }
        if (extents_.empty()) {
            extents_.push_back(count_);
            for (auto& mine : strides_) mine.push_back(0);
        }
    }

    [[nodiscard]] std::int64_t count() const { return count_; }
    [[nodiscard]] bool one_row() const { return extents_.size() == 1; }
    [[nodiscard]] std::int64_t stride(std::size_t array) const { return strides_[array].back(); }

    // Bytes from an array's first pixel to pixel `index`.
    [[nodiscard]] std::int64_t offset(std::size_t array, std::int64_t index) const {
        if (one_row()) return index * stride(array);
        std::int64_t bytes = 0;
        for (std::size_t axis = extents_.size(); axis-- > 0; index /= extents_[axis])
            bytes += index % extents_[axis] * strides_[array][axis];
        return bytes;
    }

    // Calls visit(first, at, n) for the parts of [first, first + count) that lie in one row.
    template <class Visit>
    void for_each_part(std::int64_t first, std::int64_t count, Visit&& visit) const {
        const std::int64_t row = extents_.back();
        for (std::int64_t at = 0; at < count;) {
            const std::int64_t n = std::min(count - at, row - (first + at) % row);
            visit(first + at, at, n);
            at += n;
        }
    }

   private:
    [[nodiscard]] bool joins(std::span<const std::span<const std::int64_t>> strides,
                             std::size_t axis, std::int64_t extent) const {
        for (std::size_t k = 0; k < strides.size(); ++k)
            if (strides_[k].back() != strides[k][axis] * extent) return false;
        return true;
    }

    std::int64_t count_ = 1;
    std::vector<std::int64_t> extents_;
    std::vector<std::vector<std::int64_t>> strides_;
};

}  // namespace segmeter::loss
