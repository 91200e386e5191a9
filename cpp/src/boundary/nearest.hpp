// The nearest point of a surface, exactly, without a distance transform.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

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
// a distance that also says how far along a row one has to look.
struct NearRows {
    NearRows(const SquaredSteps& squares, std::span<const double, 3> spacing, const Place& extents);

    struct Row {
        double plane;
        double row;
        double both;
        std::int32_t plane_step;
        std::int32_t row_step;
    };
    std::vector<Row> rows;
    double complete = 0.0;
    std::int32_t planes_around = 0;  // largest step among them
    std::int32_t rows_around = 0;
};

// Points as bits, and which cubes of 8, 64, ... points' side hold any. Coordinates are those of a
// box with room for all of NearRows around it.
class PointGrid {
   public:
    PointGrid(const Place& low, const Place& high, const NearRows& near);

    [[nodiscard]] static std::int64_t bytes(const Place& low, const Place& high,
                                            const NearRows& near);
    void add(const Place& point);
    [[nodiscard]] Place inside(const Place& point) const noexcept {
        return {point[0] - low_[0], point[1] - low_[1], point[2] - low_[2]};
    }
    // 64 points of a row; that at column x of the grid is bit kBefore + x % 8.
    [[nodiscard]] std::uint64_t window(const std::uint8_t* at) const noexcept {
        std::uint64_t bits;
        std::memcpy(&bits, at, sizeof(bits));
        if constexpr (std::endian::native == std::endian::big) bits = __builtin_bswap64(bits);
        return bits;
    }
    [[nodiscard]] const std::uint8_t* window_at(const Place& p) const noexcept {
        return levels_[0].row(p[0], p[1]) + (p[2] >> 3) - kBefore / 8;
    }
    [[nodiscard]] std::int64_t offset(std::int64_t planes, std::int64_t rows) const noexcept {
        return planes * levels_[0].plane_bytes + rows * levels_[0].row_bytes;
    }
    [[nodiscard]] bool holds(const Place& p) const noexcept {
        return (levels_[0].row(p[0], p[1])[p[2] >> 3] >> (p[2] & 7) & 1) != 0;
    }

    static constexpr int kBefore = 24;

    // Bits of the points (level 0), or of cubes of 8^level.
    struct Level {
        [[nodiscard]] const std::uint8_t* row(std::int64_t z, std::int64_t y) const noexcept {
            return data + z * plane_bytes + y * row_bytes;
        }
        Place extents;
        std::int64_t row_bytes;
        std::int64_t plane_bytes;
        std::uint8_t* data;
    };
    [[nodiscard]] std::span<const Level> levels() const noexcept { return levels_; }

   private:
    Place low_;
    std::vector<Level> levels_;
    std::vector<std::uint8_t> memory_;
};

// Searches for points one after another, which are near each other mostly: where the last ones
// found their nearest point bounds how far the next one has to look.
template <int kLast>
class NearestSearch {
   public:
    NearestSearch(const PointGrid& grid, const NearRows& near, const SquaredSteps& squares,
                  std::span<const double, 3> spacing);

    // Squared distance from a point of the grid.
    double squared(const Place& from);
    // Rows of bits looked at so far in cubes.
    [[nodiscard]] std::int64_t work() const noexcept { return work_; }

   private:
    static constexpr double kUnknown = std::numeric_limits<double>::infinity();
    // One child of a cube along one axis.
    struct Part {
        std::int64_t at;
        double square;
    };
    struct Parts {
        std::array<Part, 8> parts;
        std::size_t count;
    };

    void bound_by(std::size_t known);
    void search_rows();
    void search_cubes();
    void visit(std::size_t level, const Place& cube);
    [[nodiscard]] Parts parts_of(std::size_t axis, std::size_t level, std::int64_t cube) const;
    [[nodiscard]] double square_to(std::size_t axis, std::int64_t at, int shift) const noexcept;

    const PointGrid& grid_;
    const NearRows& near_;
    const SquaredSteps& squares_;
    std::array<double, 3> spacing_;
    std::vector<std::int64_t> offsets_;
    Place from_{};
    double best_ = kUnknown;
    Place nearest_{};
    Place low_{};
    Place high_{};
    std::int64_t work_ = 0;
    // Nearest points of the last points, by column / kColumns; one entry more for the very last.
    static constexpr std::int64_t kColumns = 4;
    std::vector<Place> known_;
    std::size_t last_ = 0;
};

}  // namespace segmeter
