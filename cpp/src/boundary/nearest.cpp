#include "boundary/nearest.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <tuple>

namespace segmeter {
namespace {

// Beyond so many rows, cubes are faster.
constexpr std::int64_t kMostRows = 1600;
constexpr std::int64_t kMostColumns = PointGrid::kBefore;

}  // namespace

// --- rows nearby ---

NearRows::NearRows(const SquaredSteps& squares, std::span<const double, 3> spacing,
                   const Place& extents)
    : rows_at_once(surface_kernels().rows_at_once) {
    // The rectangle around an ellipse of about as many rows as are wanted.
    const double radius = std::sqrt(kMostRows / std::numbers::pi * spacing[0] * spacing[1]);
    const auto reach = [&](std::size_t axis) {
        const double most = std::min(radius / spacing[axis], static_cast<double>(kMostColumns));
        return std::min(static_cast<std::int64_t>(most) + 1, extents[axis] - 1);
    };
    const std::int64_t planes_reached = reach(0);
    const std::int64_t rows_reached =
        extents[0] > 1 ? reach(1) : std::min(kMostColumns, extents[1] - 1);
    // Nearer than this there is no row that is left out, and no point outside of the window.
    complete = squares.along(2, kMostColumns + 1);
    if (extents[0] - 1 > planes_reached)
        complete = std::min(complete, squares.along(0, planes_reached + 1));
    if (extents[1] - 1 > rows_reached)
        complete = std::min(complete, squares.along(1, rows_reached + 1));
    // Groups of whole rows to either side, the first around the point's own.
    std::vector<std::pair<double, Group>> all;
    const std::int64_t first =
        rows_at_once / 2 + (rows_reached + rows_at_once - 1) / rows_at_once * rows_at_once;
    for (std::int64_t z = -planes_reached; z <= planes_reached; ++z)
        for (std::int64_t y = -first; y <= rows_reached; y += rows_at_once) {
            const std::int64_t nearest = std::max<std::int64_t>({0, y, 1 - rows_at_once - y});
            const double square = squares.along(0, z) + squares.along(1, nearest);
            if (nearest <= rows_reached && square < complete)
                all.push_back(
                    {square, {static_cast<std::int32_t>(z), static_cast<std::int32_t>(y)}});
        }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
        return std::tuple(a.first, a.second.plane, a.second.first_row) <
               std::tuple(b.first, b.second.plane, b.second.first_row);
    });
    const auto most = static_cast<std::size_t>(kMostRows / rows_at_once);
    if (all.size() > most) complete = all[most].first;
    for (const auto& [square, group] : all) {
        if (!(square < complete)) break;
        groups.push_back(group);
        least.push_back(square);
        for (std::int64_t i = 0; i < rows_at_once; ++i) {
            const std::int64_t row = group.first_row + i;
            planes.push_back(squares.along(0, group.plane));
            rows.push_back(squares.along(1, row));
            both.push_back(planes.back() + rows.back());
            rows_around = std::max(rows_around, row < 0 ? -row : row);
        }
        planes_around = std::max<std::int64_t>(planes_around, group.plane);
    }
}

// --- bits ---

namespace {

// Of a box, with the columns before it.
Place extents_of(const Place& low, const Place& high) {
    return {high[0] - low[0] + 1, high[1] - low[1] + 1, high[2] - low[2] + 1 + PointGrid::kBefore};
}

// The words around a row and a plane that NearRows may look at are those behind the one before.
std::int64_t words_of_plane(const Place& extents, const NearRows& near) {
    return extents[1] + near.rows_around;
}
std::int64_t words_of_column(const Place& extents, const NearRows& near) {
    return (extents[0] + near.planes_around) * words_of_plane(extents, near);
}
std::int64_t words_before(const Place& extents, const NearRows& near) {
    return near.planes_around * words_of_plane(extents, near) + near.rows_around;
}
std::int64_t words_of(const Place& extents, const NearRows& near) {
    // A window reaches into the next column of words.
    const std::int64_t columns = (extents[2] - 1) / 64 + 2;
    return words_before(extents, near) + columns * words_of_column(extents, near) +
           near.rows_around;
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
    const Place extents = extents_of(low, high);
    std::int64_t words = words_of(extents, near);
    for (const Place& level : extents_of_levels(extents))
        words += static_cast<std::int64_t>(size_of(level));
    return words * static_cast<std::int64_t>(sizeof(std::uint64_t));
}

PointGrid::PointGrid(const Place& low, const Place& high, const NearRows& near)
    : low_(low),
      extents_(extents_of(low, high)),
      plane_words_(words_of_plane(extents_, near)),
      column_words_(words_of_column(extents_, near)),
      memory_(static_cast<std::size_t>(words_of(extents_, near))),
      words_(memory_.data() + words_before(extents_, near)) {}

void PointGrid::add(std::span<const std::uint64_t> points, const SurfacePoints& layout) {
    // Copies, which a word that is written cannot change.
    const auto [low_plane, low_row, low_column] = low_;
    const std::int64_t plane_words = plane_words_;
    const std::int64_t column_words = column_words_;
    std::uint64_t* words = words_;
    const std::array<int, 3> bits = layout.bits;
    const auto part = [](std::uint64_t point, int width) {
        return static_cast<std::int64_t>(point & ((std::uint64_t{1} << width) - 1));
    };
    for (const std::uint64_t point : points) {
        const std::int64_t column = part(point >> 8, bits[2]) - low_column + kBefore;
        const std::int64_t row = part(point >> (8 + bits[2]), bits[1]) - low_row;
        const std::int64_t plane = part(point >> (8 + bits[2] + bits[1]), bits[0]) - low_plane;
        words[(column >> 6) * column_words + plane * plane_words + row] |= std::uint64_t{1}
                                                                           << (column & 63);
    }
}

simd::NearPoints PointGrid::near_points(const SurfacePoints& layout) const noexcept {
    simd::NearPoints near{};
    near.words = words_;
    near.column_words = column_words_;
    near.plane_words = plane_words_;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        near.low[axis] = low_[axis];
        near.bits[axis] = layout.bits[axis];
    }
    return near;
}

void PointGrid::add_cubes(std::span<const std::uint64_t> points, const SurfacePoints& layout) {
    for (const Place& extents : extents_of_levels(extents_))
        levels_.push_back({extents, std::vector<std::uint64_t>(size_of(extents))});
    Level& cubes = levels_.front();
    for (const std::uint64_t point : points) {
        const Place p = inside(layout.place(point));
        const Place cube = {p[0] >> 4, p[1] >> 4, p[2] >> 4};
        const auto child = 16 * (p[0] >> 2 & 3) + 4 * (p[1] >> 2 & 3) + (p[2] >> 2 & 3);
        std::uint64_t& children = cubes.children[cubes.index(cube)];
        const std::uint64_t bit = std::uint64_t{1} << child;
        if ((children & bit) != 0) continue;  // then the larger cubes are known, too
        children |= bit;
        add_cube(cube);
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
double FarSearch<kLast>::squared(const Place& from, double found) {
    Known& square = known_[square_of(from)];
    from_ = from;
    best_ = found;
    nearest_ = kNone;
    bound_by(square);
    bound_by(last_);
    visit(grid_.levels().size() - 1, {0, 0, 0});
    if (nearest_ != kNone) square = last_ = nearest_;
    return best_;
}

template <int kLast>
void FarSearch<kLast>::bound_by(const Known& point) {
    if (point == kNone) return;
    const double square = sum_of_squares<kLast>(squares_.along(0, point[0] - from_[0]),
                                                squares_.along(1, point[1] - from_[1]),
                                                squares_.along(2, point[2] - from_[2]));
    if (square < best_) {
        best_ = square;
        nearest_ = point;
    }
}

// Children number first, first + 1, ... of side 2^shift.
template <int kLast>
auto FarSearch<kLast>::parts_of(std::size_t axis, std::int64_t first, int shift) const noexcept
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
void FarSearch<kLast>::visit(std::size_t level, const Place& cube) {
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
void FarSearch<kLast>::visit_points(const Place& cube) {
    const Parts planes = parts_of(0, 4 * cube[0], 0);
    const Parts rows = parts_of(1, 4 * cube[1], 0);
    const Parts columns = parts_of(2, 4 * cube[2], 0);
    ++work_;
    const std::uint64_t* corner = grid_.word(4 * cube[0], 4 * cube[1], 4 * cube[2]);
    const int shift = 4 * static_cast<int>(cube[2] & 15);
    const auto inside = [&](std::size_t axis) {
        return static_cast<unsigned>(
            std::min<std::int64_t>(4, grid_.extents()[axis] - 4 * cube[axis]));
    };
    const unsigned rows_inside = inside(1);
    for (unsigned z = 0; z < inside(0); ++z) {
        if ((planes.nearer >> z & 1) == 0) continue;
        for (unsigned y = 0; y < rows_inside; ++y) {
            if (planes.squares[z] + rows.squares[y] >= best_) continue;
            for (auto bits =
                     static_cast<unsigned>(corner[grid_.offset(z, y)] >> shift) & columns.nearer;
                 bits != 0; bits &= bits - 1) {
                const auto x = static_cast<unsigned>(std::countr_zero(bits));
                const double square =
                    sum_of_squares<kLast>(planes.squares[z], rows.squares[y], columns.squares[x]);
                if (square >= best_) continue;
                best_ = square;
                nearest_ = {static_cast<std::int32_t>(4 * cube[0] + z),
                            static_cast<std::int32_t>(4 * cube[1] + y),
                            static_cast<std::int32_t>(4 * cube[2] + x)};
            }
        }
    }
}

template class FarSearch<0>;
template class FarSearch<1>;
template class FarSearch<2>;

}  // namespace segmeter
