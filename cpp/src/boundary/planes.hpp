// Distances from places of a box to the nearest of many points, plane by plane: what a distance
// transform of the box has at these places, without a box of distances.
//
// Points are of one or several kinds, and places are seen from one or several views: each kind has
// its own squared length of d steps along each axis for each view. These must be convex functions
// of d that are smallest at 0 (or at 0 and 1). The distance of a place is the root of the smallest
//   (planes + rows) + columns
// over all points of all kinds, in float64, every operation rounded once.
//
// Method: that of edt.hpp. Along the first axis the nearest points to either side are found in
// bits, 64 planes to a word, and the others are searched for the rows and columns of a plane where
// there are places. Memory beyond input and output: a bit per pixel of the box and kind; and for
// each thread 8 to 32 bytes per pixel of a plane, and 32 per place in it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "segmeter/boundary/surface.hpp"

#include "boundary/lines.hpp"

namespace segmeter {

// Planes, rows and columns; axes in the order in which squares are added.
using PlaneBox = std::array<std::int64_t, 3>;

// Where a surface's points lie in a box whose axes have been put in the order of the sum.
class PlaneOrder {
   public:
    // last_axis: which of the axes of the points is added last.
    PlaneOrder(const PlaneBox& low, const PlaneBox& high, int last_axis) : low_(low) {
        const auto last = static_cast<std::size_t>(last_axis);
        axes_ = {last == 0 ? 1U : 0U, last == 2 ? 1U : 2U, last};
        for (std::size_t i = 0; i < 3; ++i) extents_[i] = high[axes_[i]] - low[axes_[i]] + 1;
    }
    [[nodiscard]] std::size_t axis(std::size_t i) const noexcept { return axes_[i]; }
    [[nodiscard]] const PlaneBox& extents() const noexcept { return extents_; }
    // Pixels of the planes [low, high] of the points' box that is searched.
    [[nodiscard]] std::int64_t pixels(const PlaneBox& low, const PlaneBox& high) const noexcept {
        return (high[axes_[0]] - low[axes_[0]] + 1) * extents_[1] * extents_[2];
    }
    // Whether rounded sums of squares keep the order of the nearest points along an axis; lengths
    // are whole numbers of `parts` of a step. See edt.hpp.
    [[nodiscard]] bool is_monotone(std::span<const double, 3> spacing, int parts) const noexcept {
        double extent = 0;
        double finest = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < 3; ++i) {
            if (extents_[i] == 1) continue;
            const double step = spacing[axes_[i]];
            const double length = static_cast<double>(extents_[i]) * step;
            extent += length * length;
            finest = std::min(finest, step * step);
        }
        // The squares of parts of steps bend a quarter as much as those of whole ones, at least.
        return extent < (parts == 1 ? 0x1p48 : 0x1p46) * finest;
    }
    [[nodiscard]] PlaneBox inside(const PlaneBox& point) const noexcept {
        PlaneBox p{};
        for (std::size_t i = 0; i < 3; ++i) p[i] = point[axes_[i]] - low_[axes_[i]];
        return p;
    }

   private:
    PlaneBox low_;
    std::array<std::size_t, 3> axes_{};
    PlaneBox extents_{};
};

// A group's points by the plane they lie in, where planes need not be those of the raster.
class PointsByPlane {
   public:
    // `size`: how many results a point has, which follow one another in the order of the points.
    PointsByPlane(std::span<const std::uint64_t> points, const SurfacePoints& layout,
                  const PlaneOrder& order, std::function<std::int64_t(std::uint64_t)> size);

    // Calls visit(point, its first result) for those in a plane.
    template <class Visit>
    void for_each(std::int64_t plane, Visit&& visit) const {
        const auto rows = static_cast<std::int64_t>(rows_.size() - 1);
        // Planes of the raster are `rows_per_plane_` rows in a row; others one row out of each.
        const bool is_raster = order_.axis(0) == 0;
        const std::int64_t first = is_raster ? plane * rows_per_plane_ : plane;
        const std::int64_t end = is_raster ? first + rows_per_plane_ : rows;
        for (std::int64_t row = first; row < end; row += is_raster ? 1 : rows_per_plane_) {
            const Row& here = rows_[static_cast<std::size_t>(row)];
            std::int64_t result = here.first_result;
            for (auto i = here.first_point;
                 i < rows_[static_cast<std::size_t>(row) + 1].first_point; ++i) {
                visit(points_[static_cast<std::size_t>(i)], result);
                result += size_(points_[static_cast<std::size_t>(i)]);
            }
        }
    }

   private:
    struct Row {
        std::int64_t first_point = 0;
        std::int64_t first_result = 0;
    };
    std::span<const std::uint64_t> points_;
    const PlaneOrder& order_;
    std::function<std::int64_t(std::uint64_t)> size_;
    std::int64_t rows_per_plane_;
    std::vector<Row> rows_;  // of the raster
};

class PlaneSearch {
   public:
    // A place whose distance is wanted.
    struct Place {
        std::int64_t row;
        std::int64_t column;
        std::int64_t result;  // where its distance goes
    };
    // The places of a plane by view.
    using Places = std::vector<std::vector<Place>>;
    using CollectPlaces = std::function<void(std::int64_t plane, Places& places)>;
    // The middle of a table of squares for each axis.
    using Squares = std::array<const double*, 3>;

    // squares[view][kind]; kinds of equal squares along the last axis side by side are joined.
    PlaneSearch(const PlaneBox& extents, std::vector<std::vector<Squares>> squares,
                bool is_monotone);

    void add(std::size_t kind, const PlaneBox& point) noexcept {
        bits_[kind][static_cast<std::size_t>(
            ((point[0] >> 6) * extents_[1] + point[1]) * extents_[2] + point[2])] |=
            std::uint64_t{1} << (point[0] & 63);
    }
    // There must be a point. `collect` is called for every plane, by several threads.
    void run(const CollectPlaces& collect, double* distances, int threads) const;

   private:
    class Worker;

    PlaneBox extents_;
    std::vector<std::vector<Squares>> squares_;
    bool is_monotone_;
    std::vector<std::vector<std::uint64_t>> bits_;  // by kind
};

}  // namespace segmeter
