#include "boundary/nearest.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <tuple>

namespace segmeter {
namespace {

// Beyond so many rows, or columns to a side, cubes are faster.
constexpr std::size_t kMostRows = 200;
constexpr std::int64_t kMostColumns = PointGrid::kBefore;
// Zero bytes before and after each row, so that windows of neighbours may be read.
constexpr std::int64_t kGap = 5;

}  // namespace

// --- rows nearby ---

NearRows::NearRows(const SquaredSteps& squares, std::span<const double, 3> spacing,
                   const Place& extents) {
    // The rectangle around an ellipse of about as many rows as are wanted.
    const double radius = std::sqrt(kMostRows / std::numbers::pi * spacing[0] * spacing[1]);
    const auto reach = [&](std::size_t axis) {
        const double most = std::min(radius / spacing[axis], static_cast<double>(kMostColumns));
        return std::min(static_cast<std::int64_t>(most) + 1, extents[axis] - 1);
    };
    const std::int64_t planes_reached = reach(0);
    const std::int64_t rows_reached =
        extents[0] > 1 ? reach(1) : std::min(kMostColumns, extents[1] - 1);
    std::vector<Step> all;
    for (std::int64_t z = -planes_reached; z <= planes_reached; ++z)
        for (std::int64_t y = -rows_reached; y <= rows_reached; ++y)
            all.push_back({static_cast<std::int32_t>(z), static_cast<std::int32_t>(y)});
    const auto square = [&](const Step& step) {
        return squares.along(0, step.plane) + squares.along(1, step.row);
    };
    std::sort(all.begin(), all.end(), [&](const Step& a, const Step& b) {
        return std::tuple(square(a), a.plane, a.row) < std::tuple(square(b), b.plane, b.row);
    });
    // Nearer than this there is no row that was left out, and no point outside of the window.
    complete = squares.along(2, kMostColumns + 1);
    if (extents[0] - 1 > planes_reached)
        complete = std::min(complete, squares.along(0, planes_reached + 1));
    if (extents[1] - 1 > rows_reached)
        complete = std::min(complete, squares.along(1, rows_reached + 1));
    if (all.size() > kMostRows) complete = std::min(complete, square(all[kMostRows]));
    for (const Step& step : all) {
        if (!(square(step) < complete)) break;
        steps.push_back(step);
        planes.push_back(squares.along(0, step.plane));
        rows.push_back(squares.along(1, step.row));
        both.push_back(square(step));
        planes_around = std::max(planes_around, step.plane);
        rows_around = std::max(rows_around, step.row);
    }
}

// --- bits ---

namespace {

Place extents_of(const Place& low, const Place& high, const NearRows& near) {
    return {high[0] - low[0] + 1 + std::int64_t{2} * near.planes_around,
            high[1] - low[1] + 1 + std::int64_t{2} * near.rows_around, high[2] - low[2] + 1};
}

std::int64_t bytes_of_row(const Place& extents) { return (extents[2] + 7) / 8 + kGap; }

std::int64_t bytes_of_rows(const Place& extents) {
    return extents[0] * extents[1] * bytes_of_row(extents) + std::int64_t{2} * 8;
}

// Extents in cubes of 4 points' side, of 16, ...: one for each level.
std::vector<Place> extents_of_levels(Place extents) {
    std::vector<Place> levels;
    const auto grow = [&] {
        for (std::int64_t& extent : extents) extent = (extent + 3) / 4;
    };
    grow();
    do {
        grow();
        levels.push_back(extents);
    } while (extents != Place{1, 1, 1});
    return levels;
}

std::size_t size_of(const Place& extents) {
    return static_cast<std::size_t>(extents[0] * extents[1] * extents[2]);
}

}  // namespace

std::int64_t PointGrid::bytes(const Place& low, const Place& high, const NearRows& near) {
    const Place extents = extents_of(low, high, near);
    std::int64_t sum = bytes_of_rows(extents);
    for (const Place& level : extents_of_levels(extents))
        sum += static_cast<std::int64_t>(sizeof(std::uint64_t) * size_of(level));
    return sum;
}

PointGrid::PointGrid(const Place& low, const Place& high, const NearRows& near)
    : low_{low[0] - near.planes_around, low[1] - near.rows_around, low[2]},
      extents_(extents_of(low, high, near)),
      row_bytes_(bytes_of_row(extents_)),
      plane_bytes_(extents_[1] * row_bytes_),
      memory_(static_cast<std::size_t>(bytes_of_rows(extents_))),
      rows_(memory_.data() + 8) {
    for (const Place& extents : extents_of_levels(extents_))
        levels_.push_back({extents, std::vector<std::uint64_t>(size_of(extents))});
}

void PointGrid::add(std::span<const std::uint64_t> points, const SurfacePoints& layout) {
    // What is the same for all points of a row is found once.
    const int column_bits = 8 + layout.bits[2];
    std::uint64_t last = ~std::uint64_t{0};
    Place p{};
    std::uint8_t* row = rows_;
    Level& cubes = levels_.front();
    std::uint64_t* children = cubes.children.data();
    int child = 0;
    for (const std::uint64_t point : points) {
        if (point >> column_bits != last) {
            last = point >> column_bits;
            p = inside(layout.place(point));
            row = rows_ + offset(p[0], p[1]);
            children = cubes.children.data() + cubes.index({p[0] >> 4, p[1] >> 4, 0});
            child = static_cast<int>(16 * (p[0] >> 2 & 3) + 4 * (p[1] >> 2 & 3));
        }
        const std::int64_t x = layout.column(point) - low_[2];
        row[x >> 3] = static_cast<std::uint8_t>(row[x >> 3] | 1U << (x & 7));
        const std::uint64_t bit = std::uint64_t{1} << (child + (x >> 2 & 3));
        if ((children[x >> 4] & bit) != 0) continue;  // then the larger cubes are known, too
        children[x >> 4] |= bit;
        add_cube({p[0] >> 4, p[1] >> 4, x >> 4});
    }
}

// Makes a cube of the first level known to the next ones.
void PointGrid::add_cube(Place cube) {
    for (std::size_t i = 1; i < levels_.size(); ++i) {
        const std::int64_t child = 16 * (cube[0] & 3) + 4 * (cube[1] & 3) + (cube[2] & 3);
        for (std::int64_t& at : cube) at >>= 2;
        std::uint64_t& children = levels_[i].children[levels_[i].index(cube)];
        if ((children >> child & 1) != 0) return;
        children |= std::uint64_t{1} << child;
    }
}

// --- search ---

template <int kLast>
NearestSearch<kLast>::NearestSearch(const PointGrid& grid, const NearRows& near,
                                    const SquaredSteps& squares)
    : grid_(grid),
      near_(near),
      squares_(squares),
      search_rows_(surface_kernels().search_rows[kLast]) {
    for (const NearRows::Step& step : near.steps)
        offsets_.push_back(grid.offset(step.plane, step.row));
    known_.assign(kSquares, kNone);
}

template <int kLast>
double NearestSearch<kLast>::squared(const Place& from) {
    const std::size_t square = square_of(from);
    if (grid_.holds(from)) {
        remember(square, from);
        return 0.0;
    }
    from_ = from;
    best_ = kUnknown;
    bound_by(known_[square]);
    bound_by(last_);
    search_rows();
    if (best_ > near_.complete) visit(grid_.levels().size() - 1, {0, 0, 0});
    remember(square, nearest_);
    return best_;
}

template <int kLast>
void NearestSearch<kLast>::bound_by(const Known& point) {
    if (point[0] < 0) return;
    const double square = sum_of_squares<kLast>(squares_.along(0, point[0] - from_[0]),
                                                squares_.along(1, point[1] - from_[1]),
                                                squares_.along(2, point[2] - from_[2]));
    if (square < best_) {
        best_ = square;
        nearest_ = {point[0], point[1], point[2]};
    }
}

template <int kLast>
void NearestSearch<kLast>::search_rows() {
    const simd::RowSearch search = {grid_.window_at(from_),
                                    offsets_.data(),
                                    near_.both.data(),
                                    near_.planes.data(),
                                    near_.rows.data(),
                                    squares_.steps[2].data(),
                                    static_cast<std::int64_t>(offsets_.size()),
                                    PointGrid::kBefore + static_cast<int>(from_[2] & 7)};
    const simd::RowFound found = search_rows_(search, std::min(best_, near_.complete));
    if (found.index < 0) return;
    best_ = found.best;
    const NearRows::Step& step = near_.steps[static_cast<std::size_t>(found.index)];
    nearest_ = {from_[0] + step.plane, from_[1] + step.row, from_[2] + found.steps};
    // Both sides may be that far; then the point on the right is there.
    if (nearest_[2] >= grid_.extents()[2] || !grid_.holds(nearest_)) nearest_[2] -= 2 * found.steps;
}

// Children number first, first + 1, ... of side 2^shift.
template <int kLast>
auto NearestSearch<kLast>::parts_of(std::size_t axis, std::int64_t first, int shift) const noexcept
    -> Parts {
    Parts parts{};
    const std::vector<double>& squares = squares_.steps[axis];
    const auto farthest = static_cast<std::int64_t>(squares.size()) - 1;  // beyond all points
    const std::int64_t side = std::int64_t{1} << shift;
    // How far the first child begins behind the point; each next one by a side more.
    std::int64_t behind = (first << shift) - from_[axis];
    for (unsigned i = 0; i < 4; ++i, behind += side) {
        const std::int64_t steps = std::max(behind, std::max<std::int64_t>(0, 1 - side - behind));
        parts.squares[i] = squares[static_cast<std::size_t>(std::min(steps, farthest))];
        parts.nearer |= static_cast<unsigned>(parts.squares[i] < best_) << i;
    }
    return parts;
}

template <int kLast>
void NearestSearch<kLast>::visit(std::size_t level, const Place& cube) {
    const PointGrid::Level& cubes = grid_.levels()[level];
    const int shift = 2 * static_cast<int>(level) + 2;
    const Parts planes = parts_of(0, 4 * cube[0], shift);
    const Parts rows = parts_of(1, 4 * cube[1], shift);
    const Parts columns = parts_of(2, 4 * cube[2], shift);
    // Bit 16 z + 4 y + x of a child that is near enough along each axis.
    static constexpr std::array<std::uint64_t, 16> kPlanes = [] {
        std::array<std::uint64_t, 16> masks{};
        for (unsigned set = 0; set < 16; ++set)
            for (unsigned i = 0; i < 4; ++i)
                if ((set >> i & 1) != 0) masks[set] |= std::uint64_t{0xFFFF} << 16 * i;
        return masks;
    }();
    static constexpr std::array<std::uint64_t, 16> kRows = [] {
        std::array<std::uint64_t, 16> masks{};
        for (unsigned set = 0; set < 16; ++set)
            for (unsigned i = 0; i < 4; ++i)
                if ((set >> i & 1) != 0) masks[set] |= std::uint64_t{0x000F000F000F000F} << 4 * i;
        return masks;
    }();
    std::uint64_t children = cubes.children[cubes.index(cube)] & kPlanes[planes.nearer] &
                             kRows[rows.nearer] & (columns.nearer * 0x1111111111111111U);
    ++work_;
    const auto enter = [&](int child) {
        const auto z = static_cast<std::size_t>(child >> 4);
        const auto y = static_cast<std::size_t>(child >> 2 & 3);
        const auto x = static_cast<std::size_t>(child & 3);
        if (sum_of_squares<kLast>(planes.squares[z], rows.squares[y], columns.squares[x]) >= best_)
            return;
        const Place next = {4 * cube[0] + (child >> 4), 4 * cube[1] + (child >> 2 & 3),
                            4 * cube[2] + (child & 3)};
        if (level > 0)
            visit(level - 1, next);
        else
            visit_points(next);
    };
    // The one that the point is nearest to comes first.
    const auto nearest = [&](std::size_t axis) {
        return std::clamp<std::int64_t>((from_[axis] >> shift) - 4 * cube[axis], 0, 3);
    };
    const int first = static_cast<int>(16 * nearest(0) + 4 * nearest(1) + nearest(2));
    if ((children >> first & 1) != 0) {
        enter(first);
        children &= ~(std::uint64_t{1} << first);
    }
    for (; children != 0; children &= children - 1) enter(std::countr_zero(children));
}

template <int kLast>
void NearestSearch<kLast>::visit_points(const Place& cube) {
    const Parts planes = parts_of(0, 4 * cube[0], 0);
    const Parts rows = parts_of(1, 4 * cube[1], 0);
    const Parts columns = parts_of(2, 4 * cube[2], 0);
    ++work_;
    const std::uint8_t* corner = grid_.row(4 * cube[0], 4 * cube[1]) + (cube[2] >> 1);
    const int shift = 4 * static_cast<int>(cube[2] & 1);
    const auto inside = [&](std::size_t axis) {
        return static_cast<unsigned>(
            std::min<std::int64_t>(4, grid_.extents()[axis] - 4 * cube[axis]));
    };
    const unsigned rows_inside = inside(1);
    for (unsigned z = 0; z < inside(0); ++z) {
        if ((planes.nearer >> z & 1) == 0) continue;
        for (unsigned y = 0; y < rows_inside; ++y) {
            if (planes.squares[z] + rows.squares[y] >= best_) continue;
            for (unsigned bits = corner[grid_.offset(z, y)] >> shift & columns.nearer; bits != 0;
                 bits &= bits - 1) {
                const auto x = static_cast<unsigned>(std::countr_zero(bits));
                const double square =
                    sum_of_squares<kLast>(planes.squares[z], rows.squares[y], columns.squares[x]);
                if (square >= best_) continue;
                best_ = square;
                nearest_ = {4 * cube[0] + z, 4 * cube[1] + y, 4 * cube[2] + x};
            }
        }
    }
}

template class NearestSearch<0>;
template class NearestSearch<1>;
template class NearestSearch<2>;

}  // namespace segmeter
