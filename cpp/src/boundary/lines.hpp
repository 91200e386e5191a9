// What a search along the lines of an image needs: the kernels of the distance transform, tables of
// squares, and scratch memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "simd/distance_kernels.hpp"

namespace segmeter {

[[nodiscard]] const simd::DistanceKernels& distance_kernels();

// Memory whose content nobody has set.
template <class T>
class Scratch {
   public:
    explicit Scratch(std::int64_t n)
        : values_(std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(n))) {}
    [[nodiscard]] T* data() noexcept { return values_.get(); }

   private:
    std::unique_ptr<T[]> values_;
};

// Squared lengths of d steps for |d| < n, by length(d); none leads farther, which is infinite.
class StepSquares {
   public:
    template <class Length>
    StepSquares(std::int64_t n, const Length& length)
        : n_(n), values_(static_cast<std::size_t>(2 * n + 1)) {
        values_.front() = values_.back() = std::numeric_limits<double>::infinity();
        for (std::int64_t d = 1 - n; d < n; ++d) {
            const double along = length(d);
            values_[static_cast<std::size_t>(n + d)] = along * along;
        }
    }
    // Of 0 steps; those of d are d entries behind it.
    [[nodiscard]] const double* middle() const noexcept { return values_.data() + n_; }

   private:
    std::int64_t n_;
    std::vector<double> values_;
};

// Lines of one axis, some of them side by side, with all that is needed to search them.
class LineSearch {
   public:
    LineSearch(std::int64_t n, bool is_monotone, bool with_nearest)
        : values_(n * simd::kLanes),
          best_(n * simd::kLanes),
          nearest_(with_nearest ? n * simd::kLanes : 0),
          low_(n + 1),
          high_(n + 1),
          place_(n),
          tile_{n,
                best_.data(),
                with_nearest ? nearest_.data() : nullptr,
                nullptr,
                is_monotone,
                values_.data(),
                place_.data(),
                low_.data(),
                high_.data()} {}
    // Of lines along which d steps have the length whose square is square[d].
    [[nodiscard]] simd::Tile tile(const double* square) const noexcept {
        simd::Tile tile = tile_;
        tile.square = square;
        return tile;
    }

   private:
    Scratch<double> values_;
    Scratch<double> best_;
    Scratch<std::int32_t> nearest_;
    Scratch<std::int32_t> low_;
    Scratch<std::int32_t> high_;
    Scratch<std::int32_t> place_;
    simd::Tile tile_;
};

}  // namespace segmeter
