#include "boundary/nearest.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace segmeter {
namespace {

// Beyond so many rows, or columns to a side, cubes are faster.
constexpr std::size_t kMostRows = 200;
constexpr std::int64_t kMostColumns = PointGrid::kBefore;
// Zero bytes before and after each row, so that windows of neighbours may be read.
constexpr std::int64_t kGap = 5;

constexpr Place kNowhere = {-1, -1, -1};

}  // namespace

// --- rows nearby ---

NearRows::NearRows(const SquaredSteps& squares, std::span<const double, 3> spacing,
                   const Place& extents) {
    // The rectangle around an ellipse of about as many rows as are wanted.
    const double radius = std::sqrt(kMostRows / std::numbers::pi * spacing[0] * spacing[1]);
    const auto reach = [&](std::size_t axis) {
        const double steps = std::min(radius / spacing[axis], static_cast<double>(kMostColumns));
        return std::min(static_cast<std::int64_t>(steps) + 1, extents[axis] - 1);
    };
    const std::int64_t planes = reach(0);
    const std::int64_t across = extents[0] > 1 ? reach(1) : std::min(kMostColumns, extents[1] - 1);
    std::vector<Row> all;
    for (std::int64_t z = -planes; z <= planes; ++z)
        for (std::int64_t y = -across; y <= across; ++y) {
            const double plane = squares.along(0, z);
            const double row = squares.along(1, y);
            all.push_back({plane, row, plane + row, static_cast<std::int32_t>(z),
                           static_cast<std::int32_t>(y)});
        }
    std::sort(all.begin(), all.end(), [](const Row& a, const Row& b) {
        if (a.both != b.both) return a.both < b.both;
        return a.plane_step != b.plane_step ? a.plane_step < b.plane_step : a.row_step < b.row_step;
    });
    // Nearer than this there is no row that was left out, and no point outside of the window.
    complete = squares.along(2, kMostColumns + 1);
    if (extents[0] - 1 > planes) complete = std::min(complete, squares.along(0, planes + 1));
    if (extents[1] - 1 > across) complete = std::min(complete, squares.along(1, across + 1));
    if (all.size() > kMostRows) complete = std::min(complete, all[kMostRows].both);
    for (const Row& row : all) {
        if (!(row.both < complete)) break;
        rows.push_back(row);
        planes_around = std::max(planes_around, row.plane_step);
        rows_around = std::max(rows_around, row.row_step);
    }
}

// --- bits ---

namespace {

Place extents_of(const Place& low, const Place& high, const NearRows& near) {
    return {high[0] - low[0] + 1 + 2 * near.planes_around,
            high[1] - low[1] + 1 + 2 * near.rows_around, high[2] - low[2] + 1};
}

// Calls visit(extents, bytes of a row, bytes of all) for each level.
template <class Visit>
void for_each_level(Place extents, Visit&& visit) {
    std::int64_t gap = kGap;
    while (true) {
        const std::int64_t row_bytes = (extents[2] + 7) / 8 + gap;
        visit(extents, row_bytes, extents[0] * extents[1] * row_bytes + 2 * 8);
        if (extents[0] == 1 && extents[1] == 1 && extents[2] == 1) return;
        for (std::int64_t& extent : extents) extent = (extent + 7) / 8;
        gap = 0;
    }
}

}  // namespace

std::int64_t PointGrid::bytes(const Place& low, const Place& high, const NearRows& near) {
    std::int64_t sum = 0;
    for_each_level(extents_of(low, high, near),
                   [&](const Place&, std::int64_t, std::int64_t all) { sum += all; });
    return sum;
}

PointGrid::PointGrid(const Place& low, const Place& high, const NearRows& near)
    : low_{low[0] - near.planes_around, low[1] - near.rows_around, low[2]},
      memory_(static_cast<std::size_t>(bytes(low, high, near))) {
    std::uint8_t* next = memory_.data();
    for_each_level(extents_of(low, high, near),
                   [&](const Place& extents, std::int64_t row_bytes, std::int64_t all) {
                       levels_.push_back({extents, row_bytes, extents[1] * row_bytes, next + 8});
                       next += all;
                   });
}

void PointGrid::add(const Place& point) {
    Place p = inside(point);
    for (const Level& level : levels_) {
        std::uint8_t* row = level.data + p[0] * level.plane_bytes + p[1] * level.row_bytes;
        row[p[2] >> 3] = static_cast<std::uint8_t>(row[p[2] >> 3] | 1U << (p[2] & 7));
        for (std::int64_t& at : p) at >>= 3;
    }
}

// --- search ---

template <int kLast>
NearestSearch<kLast>::NearestSearch(const PointGrid& grid, const NearRows& near,
                                    const SquaredSteps& squares, std::span<const double, 3> spacing)
    : grid_(grid), near_(near), squares_(squares), spacing_{spacing[0], spacing[1], spacing[2]} {
    for (const NearRows::Row& row : near.rows)
        offsets_.push_back(grid.offset(row.plane_step, row.row_step));
    last_ = static_cast<std::size_t>(grid.levels()[0].extents[2] / kColumns) + 1;
    known_.assign(last_ + 1, kNowhere);
}

template <int kLast>
double NearestSearch<kLast>::squared(const Place& from) {
    const auto column = static_cast<std::size_t>(from[2] / kColumns);
    if (grid_.holds(from)) {
        known_[column] = known_[last_] = from;
        return 0.0;
    }
    from_ = from;
    best_ = kUnknown;
    bound_by(column);
    bound_by(last_);
    if (best_ <= near_.complete)
        search_rows();
    else
        search_cubes();
    known_[column] = known_[last_] = nearest_;
    return best_;
}

template <int kLast>
void NearestSearch<kLast>::bound_by(std::size_t known) {
    const Place& point = known_[known];
    if (point[0] < 0) return;
    const double square = sum_of_squares<kLast>(squares_.along(0, point[0] - from_[0]),
                                                squares_.along(1, point[1] - from_[1]),
                                                squares_.along(2, point[2] - from_[2]));
    if (square < best_) {
        best_ = square;
        nearest_ = point;
    }
}

template <int kLast>
void NearestSearch<kLast>::search_rows() {
    const std::uint8_t* at = grid_.window_at(from_);
    const int here = PointGrid::kBefore + static_cast<int>(from_[2] & 7);
    const double* columns = squares_.steps[2].data();
    const std::size_t count = near_.rows.size();
    double best = best_;
    for (std::size_t i = 0; i < count && near_.rows[i].both < best; ++i) {
        const std::uint64_t bits = grid_.window(at + offsets_[i]);
        if (bits == 0) continue;
        const std::uint64_t right = bits >> here;
        const std::uint64_t left = bits << (63 - here);
        // One of them may be empty, not both; 64 is farther than the other.
        const int steps = std::min(std::countr_zero(right), std::countl_zero(left));
        const NearRows::Row& row = near_.rows[i];
        const double square = sum_of_squares<kLast>(row.plane, row.row, columns[steps]);
        if (square < best) {
            best = square;
            const bool is_right = right != 0 && std::countr_zero(right) == steps;
            nearest_ = {from_[0] + row.plane_step, from_[1] + row.row_step,
                        from_[2] + (is_right ? steps : -steps)};
        }
    }
    best_ = best;
}

template <int kLast>
void NearestSearch<kLast>::search_cubes() {
    const auto& extents = grid_.levels()[0].extents;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        low_[axis] = 0;
        high_[axis] = extents[axis] - 1;
        if (best_ == kUnknown) continue;
        // Farther along one axis no point can be nearer.
        const double steps = std::sqrt(best_) / spacing_[axis];
        if (steps >= static_cast<double>(extents[axis])) continue;
        const std::int64_t most = static_cast<std::int64_t>(steps) + 1;
        low_[axis] = std::max<std::int64_t>(0, from_[axis] - most);
        high_[axis] = std::min(extents[axis] - 1, from_[axis] + most);
    }
    visit(grid_.levels().size() - 1, {0, 0, 0});
}

// Square of the smallest distance along an axis to a cube of side 2^shift.
template <int kLast>
double NearestSearch<kLast>::square_to(std::size_t axis, std::int64_t at,
                                       int shift) const noexcept {
    const std::int64_t first = at << shift;
    const std::int64_t last = first + (std::int64_t{1} << shift) - 1;
    const std::int64_t here = from_[axis];
    return squares_.steps[axis][static_cast<std::size_t>(
        here < first ? first - here : std::max<std::int64_t>(0, here - last))];
}

// Children of a cube along an axis, nearest first.
template <int kLast>
auto NearestSearch<kLast>::parts_of(std::size_t axis, std::size_t level, std::int64_t cube) const
    -> Parts {
    const int shift = 3 * static_cast<int>(level - 1);
    const std::int64_t first = std::max(8 * cube, low_[axis] >> shift);
    const std::int64_t last = std::min(8 * cube + 7, high_[axis] >> shift);
    Parts found{};
    if (first > last) return found;
    const std::int64_t here = std::clamp(from_[axis] >> shift, first, last);
    const auto add = [&](std::int64_t at) {
        found.parts[found.count++] = {at, square_to(axis, at, shift)};
    };
    add(here);
    for (std::int64_t step = 1; here - step >= first || here + step <= last; ++step) {
        if (here - step >= first) add(here - step);
        if (here + step <= last) add(here + step);
    }
    return found;
}

template <int kLast>
void NearestSearch<kLast>::visit(std::size_t level, const Place& cube) {
    if (level == 0) {  // a grid of a single point
        known_[last_] = cube;
        bound_by(last_);
        return;
    }
    const PointGrid::Level& children = grid_.levels()[level - 1];
    const int shift = 3 * static_cast<int>(level - 1);
    const Parts planes = parts_of(0, level, cube[0]);
    const Parts rows = parts_of(1, level, cube[1]);
    work_ += static_cast<std::int64_t>(planes.count * rows.count);
    for (std::size_t i = 0; i < planes.count; ++i) {
        const auto [z, plane] = planes.parts[i];
        for (std::size_t j = 0; j < rows.count; ++j) {
            const auto [y, row] = rows.parts[j];
            if (plane + row >= best_) continue;
            unsigned bits = children.row(z, y)[cube[2]];
            for (; bits != 0; bits &= bits - 1) {
                const std::int64_t x = 8 * cube[2] + std::countr_zero(bits);
                const double square = sum_of_squares<kLast>(plane, row, square_to(2, x, shift));
                if (square >= best_) continue;
                if (level > 1) {
                    visit(level - 1, {z, y, x});
                } else {
                    best_ = square;
                    nearest_ = {z, y, x};
                }
            }
        }
    }
}

template class NearestSearch<0>;
template class NearestSearch<1>;
template class NearestSearch<2>;

}  // namespace segmeter
