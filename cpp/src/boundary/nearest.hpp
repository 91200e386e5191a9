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

// Rows of points around a point, nearest first, in groups of neighbouring rows that are looked at
// together: all that are nearer than `complete`, the square of a distance that is so small that a
// window of bits holds all points nearer than that.
struct NearRows {
    NearRows(const SquaredSteps& squares, std::span<const double, 3> spacing, const Place& extents);

    struct Group {
        std::int32_t plane;
        std::int32_t first_row;
    };
    std::int64_t rows_at_once;
    std::vector<Group> groups;
    // Squares of the steps to each row of each group, and their sums.
    std::vector<double> planes;
    std::vector<double> rows;
    std::vector<double> both;
    std::vector<double> least;  // smallest sum of each group, ascending
    double complete = 0.0;
    std::int64_t planes_around = 0;  // largest step among them
    std::int64_t rows_around = 0;
};

// Points as bits: words of 64 columns, those of one column of words and one plane side by side,
// with room for NearRows around them. Coordinates are those of the box, columns from kBefore on.
//
// Cubes of 4, 16, 64, ... points' side that hold points are found when somebody first asks.
class PointGrid {
   public:
    PointGrid(const Place& low, const Place& high, const NearRows& near);

    [[nodiscard]] static std::int64_t bytes(const Place& low, const Place& high,
                                            const NearRows& near);
    void add(std::span<const std::uint64_t> points, const SurfacePoints& layout);
    void add_cubes(std::span<const std::uint64_t> points, const SurfacePoints& layout);

    [[nodiscard]] Place inside(const Place& point) const noexcept {
        return {point[0] - low_[0], point[1] - low_[1], point[2] - low_[2] + kBefore};
    }
    [[nodiscard]] simd::NearPoints near_points(const SurfacePoints& layout) const noexcept;
    [[nodiscard]] std::int64_t offset(std::int64_t planes, std::int64_t rows) const noexcept {
        return planes * plane_words_ + rows;
    }
    // Word of 64 columns, of which `column` is one.
    [[nodiscard]] const std::uint64_t* word(std::int64_t z, std::int64_t y,
                                            std::int64_t column) const noexcept {
        return words_ + (column >> 6) * column_words_ + offset(z, y);
    }

    // Columns before a point that its window of 64 has.
    static constexpr int kBefore = 31;

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
    std::int64_t plane_words_;
    std::int64_t column_words_;
    std::vector<std::uint64_t> memory_;
    std::uint64_t* words_;
    std::vector<Level> levels_;
};

// Searches in cubes, for points that have nothing in the rows near them. Those asked for one after
// another are near each other mostly: where the last ones found their nearest point bounds how far
// the next one has to look.
template <int kLast>
class FarSearch {
   public:
    FarSearch(const PointGrid& grid, const SquaredSteps& squares)
        : grid_(grid), squares_(squares), known_(kSquares, kNone) {}

    // Squared distance from a point of the grid, which is `found` unless another one is nearer.
    double squared(const Place& from, double found);
    // Cubes looked into so far.
    [[nodiscard]] std::int64_t work() const noexcept { return work_; }

   private:
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
    void bound_by(const Known& point);
    void visit(std::size_t level, const Place& cube);
    void visit_points(const Place& cube);
    [[nodiscard]] Parts parts_of(std::size_t axis, std::int64_t first, int shift) const noexcept;

    const PointGrid& grid_;
    const SquaredSteps& squares_;
    Place from_{};
    double best_ = 0.0;
    Known nearest_ = kNone;
    std::int64_t work_ = 0;
    std::vector<Known> known_;
    Known last_ = kNone;
};

}  // namespace segmeter
