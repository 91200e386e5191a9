// The nearest point of a surface, exactly, without a distance transform.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "segmeter/boundary/surface.hpp"

#include "simd/surface_kernels.hpp"

namespace segmeter {

using Place = std::array<std::int64_t, 3>;

// Squares of multiples of the spacing along each axis, ((d s)^2 for d = 0, 1, ...), and their sum
// in the order that defines a distance. kLast: the axis that is added last.
struct SquaredSteps {
    SquaredSteps(std::span<const double, 3> spacing, const Place& extents) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            steps[axis].resize(static_cast<std::size_t>(extents[axis]) + 64);
            for (std::size_t d = 0; d < steps[axis].size(); ++d) {
                const double length = static_cast<double>(d) * spacing[axis];
                steps[axis][d] = length * length;
            }
        }
    }
    [[nodiscard]] double along(std::size_t axis, std::int64_t d) const noexcept {
        return steps[axis][static_cast<std::size_t>(d < 0 ? -d : d)];
    }

    std::array<std::vector<double>, 3> steps;
};

template <int kLast>
constexpr double sum_of_squares(double plane, double row, double column) noexcept {
    if constexpr (kLast == 2) return (plane + row) + column;
    if constexpr (kLast == 1) return (plane + column) + row;
    return (row + column) + plane;
}

// Rows of points around a point, nearest first: all that are nearer than `complete`, the square of
// a distance that is so small that a window of bits holds all points nearer than that.
struct NearRows {
    NearRows(const SquaredSteps& squares, std::span<const double, 3> spacing, const Place& extents);

    struct Step {
        std::int32_t plane;
        std::int32_t row;
    };
    std::vector<Step> steps;
    // Squares of these steps and their sums, in ascending order of the sum.
    std::vector<double> planes;
    std::vector<double> rows;
    std::vector<double> both;
    double complete = 0.0;
    std::int32_t planes_around = 0;  // largest step among them
    std::int32_t rows_around = 0;
};

// Points as bits, row by row, and which cubes of 4, 16, 64, ... points' side hold any. Coordinates
// are those of a box with room for all of NearRows around it.
class PointGrid {
   public:
    PointGrid(const Place& low, const Place& high, const NearRows& near);

    [[nodiscard]] static std::int64_t bytes(const Place& low, const Place& high,
                                            const NearRows& near);
    void add(std::span<const std::uint64_t> points, const SurfacePoints& layout);
    [[nodiscard]] Place inside(const Place& point) const noexcept {
        return {point[0] - low_[0], point[1] - low_[1], point[2] - low_[2]};
    }
    // 64 points of the row of p; p itself is bit kBefore + p[2] % 8.
    [[nodiscard]] const std::uint8_t* window_at(const Place& p) const noexcept {
        return row(p[0], p[1]) + (p[2] >> 3) - kBefore / 8;
    }
    [[nodiscard]] std::int64_t offset(std::int64_t planes, std::int64_t rows) const noexcept {
        return planes * plane_bytes_ + rows * row_bytes_;
    }
    [[nodiscard]] const std::uint8_t* row(std::int64_t z, std::int64_t y) const noexcept {
        return rows_ + offset(z, y);
    }
    [[nodiscard]] bool holds(const Place& p) const noexcept {
        return (row(p[0], p[1])[p[2] >> 3] >> (p[2] & 7) & 1) != 0;
    }

    static constexpr int kBefore = 24;

    // Which of the 4x4x4 children of each cube hold points; bit 16 z + 4 y + x. The children of
    // level 0 are cubes of 4 points' side, those of each next level four times as large; the last
    // level is one cube.
    struct Level {
        [[nodiscard]] std::size_t index(const Place& cube) const noexcept {
            return static_cast<std::size_t>((cube[0] * extents[1] + cube[1]) * extents[2] +
                                            cube[2]);
        }
        Place extents;
        std::vector<std::uint64_t> children;
    };
    [[nodiscard]] const Place& extents() const noexcept { return extents_; }
    [[nodiscard]] const std::vector<Level>& levels() const noexcept { return levels_; }

   private:
    void add_cube(Place cube);

    Place low_;
    Place extents_;
    std::int64_t row_bytes_;
    std::int64_t plane_bytes_;
    std::vector<std::uint8_t> memory_;
    std::uint8_t* rows_;
    std::vector<Level> levels_;
};

// Searches for points one after another, which are near each other mostly: where the last ones
// found their nearest point bounds how far the next one has to look.
template <int kLast>
class NearestSearch {
   public:
    NearestSearch(const PointGrid& grid, const NearRows& near, const SquaredSteps& squares);

    // Squared distance from a point of the grid.
    double squared(const Place& from);
    // Cubes looked into so far.
    [[nodiscard]] std::int64_t work() const noexcept { return work_; }

   private:
    static constexpr double kUnknown = std::numeric_limits<double>::infinity();
    // The four children of a cube along one axis: their squared distances, and a bit for each that
    // is nearer than the best point.
    struct Parts {
        std::array<double, 4> squares;
        unsigned nearer;
    };

    // Nearest points of the last points in each square of rows and columns (of several squares, if
    // there are many), and of the very last point.
    using Known = std::array<std::int32_t, 3>;
    static constexpr Known kNone = {-1, -1, -1};
    static constexpr std::size_t kSquares = 4096;
    [[nodiscard]] static std::size_t square_of(const Place& p) noexcept {
        return static_cast<std::size_t>((p[1] >> 2) * 67 + (p[2] >> 2)) % kSquares;
    }
    void remember(std::size_t square, const Place& point) noexcept {
        known_[square] =
            last_ = {static_cast<std::int32_t>(point[0]), static_cast<std::int32_t>(point[1]),
                     static_cast<std::int32_t>(point[2])};
    }
    void bound_by(const Known& point);
    void search_rows();
    void visit(std::size_t level, const Place& cube);
    void visit_points(const Place& cube);
    [[nodiscard]] Parts parts_of(std::size_t axis, std::int64_t first, int shift) const noexcept;

    const PointGrid& grid_;
    const NearRows& near_;
    const SquaredSteps& squares_;
    simd::SearchRows search_rows_;
    std::vector<std::int64_t> offsets_;
    Place from_{};
    double best_ = kUnknown;
    Place nearest_{};
    std::int64_t work_ = 0;
    std::vector<Known> known_;
    Known last_ = kNone;
};

}  // namespace segmeter
