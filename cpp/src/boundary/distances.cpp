// Distances between the points of two surfaces, group by group.
//
// The points of the one surface become bits, and each point of the other looks for its nearest:
// in the rows around it, nearest first, and then in cubes of 4, 16, ... points' side. What the
// points may cost is bounded for all of them together: when they have looked into more rows and
// cubes than a distance transform of the planes they lie in is worth, the rest of the group is
// measured plane by plane.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "segmeter/boundary/surface.hpp"
#include "segmeter/parallel.hpp"

#include "boundary/nearest.hpp"
#include "boundary/planes.hpp"

namespace segmeter {
namespace {

constexpr double kFar = std::numeric_limits<double>::infinity();
constexpr double kOpen = -1.0;  // not yet known

constexpr std::size_t kPart = 4096;  // points of a block of work
// Compared with each other: few pairs, or few points in a large box, of which a grid has more
// words.
constexpr std::int64_t kFewPairs = 4096;
constexpr std::int64_t kFewPoints = 1024;
constexpr std::int64_t kBatchBytes = std::int64_t{8} << 20;  // grids that exist together
// What a search may cost, in sixteenths of the time that a pixel takes plane by plane.
constexpr std::int64_t kCostOfPixel = 16;
constexpr std::int64_t kCostOfCube = 64;
constexpr std::int64_t kCostOfGroup = 2;  // of rows nearby
constexpr std::size_t kChunk = 512;       // points between two looks at what was spent
constexpr std::int64_t kFewGroups = 8;    // where points are mostly farther away than rows nearby
// In pixels, for thread_count().
constexpr std::int64_t kWorkPerPoint = 32;

using Points = std::span<const std::uint64_t>;

struct Box {
    Place low{std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max(),
              std::numeric_limits<std::int64_t>::max()};
    Place high{-1, -1, -1};

    // Points in raster order, at least one.
    void add(Points points, const SurfacePoints& layout) {
        const auto field = [&](std::size_t axis) {
            const int shift = 8 + (axis < 2 ? layout.bits[2] : 0) + (axis < 1 ? layout.bits[1] : 0);
            return ((std::uint64_t{1} << layout.bits[axis]) - 1) << shift;
        };
        const std::array<std::uint64_t, 2> fields = {field(1), field(2)};
        std::array<simd::FieldRange, 2> ranges{};
        surface_kernels().find_ranges(points.data(), static_cast<std::int64_t>(points.size()),
                                      fields.data(), ranges.data());
        const auto [rows, columns] = ranges;
        const Place first = layout.place((points.front() & field(0)) | rows.least | columns.least);
        const Place last = layout.place((points.back() & field(0)) | rows.most | columns.most);
        for (std::size_t axis = 0; axis < 3; ++axis) {
            low[axis] = std::min(low[axis], first[axis]);
            high[axis] = std::max(high[axis], last[axis]);
        }
    }
    void add(const Box& other) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            low[axis] = std::min(low[axis], other.low[axis]);
            high[axis] = std::max(high[axis], other.high[axis]);
        }
    }
};

// Distances of one group in one direction.
struct Direction {
    Points from;
    Points to;
    double* distances;
    Box box;  // around both
    PlaneOrder order;
    std::int64_t budget;
    std::once_flag made;  // by whoever needs it first
    std::unique_ptr<PointGrid> grid;
    std::once_flag cubes_made;
    std::atomic<std::int64_t> parts_left{0};
    std::atomic<std::int64_t> spent{0};

    Direction(Points from_points, Points to_points, double* out, const Box& around_from,
              const Box& around_both, int last_axis)
        : from(from_points),
          to(to_points),
          distances(out),
          box(around_both),
          order(box.low, box.high, last_axis),
          budget(kCostOfPixel * order.pixels(around_from.low, around_from.high)) {}
    [[nodiscard]] bool is_small(const NearRows& near) const {
        const auto own = static_cast<std::int64_t>(from.size());
        const auto others = static_cast<std::int64_t>(to.size());
        if (own * others <= kFewPairs) return true;
        return others <= kFewPoints &&
               PointGrid::bytes(box.low, box.high, near) / 8 > kFewPoints / 16 * (own + others);
    }
    [[nodiscard]] bool is_overspent() const { return spent > budget; }
};

// What all groups share.
struct Job {
    const SurfacePoints& layout;  // how points are packed
    std::span<const double, 3> spacing;
    int last_axis;
    int threads;
    SquaredSteps squares;
    NearRows near;
};

// Each point with all others that may be nearer than the best so far: both are in raster order, so
// that planes (in 2-D rows) are farther and farther away on either side of it.
template <int kLast>
void compare_outwards(const Job& job, Direction& d) {
    const auto others = static_cast<std::int64_t>(d.to.size());
    const bool is_flat = job.layout.shape[0] == 1;
    std::vector<Place> places;
    places.reserve(d.to.size());
    for (const std::uint64_t point : d.to) places.push_back(job.layout.place(point));
    std::int64_t behind = 0;  // the first of the others that does not come before the point
    for (std::size_t i = 0; i < d.from.size(); ++i) {
        while (behind < others && d.to[static_cast<std::size_t>(behind)] >> 8 < d.from[i] >> 8)
            ++behind;
        const Place a = job.layout.place(d.from[i]);
        double best = kFar;
        // Whether those beyond it may be nearer.
        const auto compare = [&](std::int64_t other) {
            const Place& b = places[static_cast<std::size_t>(other)];
            const double plane = job.squares.along(0, a[0] - b[0]);
            const double row = job.squares.along(1, a[1] - b[1]);
            if ((is_flat ? row : plane) >= best) return false;
            best = std::min(best,
                            sum_of_squares<kLast>(plane, row, job.squares.along(2, a[2] - b[2])));
            return true;
        };
        for (std::int64_t other = behind; other < others && compare(other);) ++other;
        for (std::int64_t other = behind - 1; other >= 0 && compare(other);) --other;
        d.distances[i] = std::sqrt(best);
    }
}

void make_grid(const Job& job, Direction& d) {
    d.grid = std::make_unique<PointGrid>(d.box.low, d.box.high, job.near);
    d.grid->add(d.to, job.layout);
}

simd::NearGroups groups_of(const Job& job, const std::vector<std::int64_t>& offsets) {
    return {offsets.data(),       job.near.least.data(),
            job.near.both.data(), job.near.planes.data(),
            job.near.rows.data(), static_cast<std::int64_t>(offsets.size()),
            job.spacing[2],       job.near.complete};
}

// Points [begin, end) of a direction, as far as the budget lasts: in the rows near each, and those
// that have nothing there in cubes.
template <int kLast>
class Search {
   public:
    Search(const Job& job, Direction& d)
        : job_(job), d_(d), points_(d.grid->near_points(job.layout)) {
        for (const NearRows::Group& group : job.near.groups)
            offsets_.push_back(d.grid->offset(group.plane, group.first_row));
        all_ = few_ = groups_of(job, offsets_);
        if (all_.count <= kFewGroups) return;
        few_.count = kFewGroups;
        few_.complete = all_.least[kFewGroups];
    }

    void run(std::size_t begin, std::size_t end) {
        bool is_far = false;
        for (std::size_t i = begin; i < end; i += kChunk) {
            const std::size_t chunk_end = std::min(i + kChunk, end);
            if (d_.is_overspent()) {
                std::fill(d_.distances + i, d_.distances + chunk_end, kOpen);
                continue;
            }
            const simd::NearFound found = surface_kernels().search_near[kLast](
                points_, is_far ? few_ : all_, d_.from.data() + i,
                static_cast<std::int64_t>(chunk_end - i), d_.distances + i);
            d_.spent += kCostOfGroup * found.groups;
            if (found.open > 0) search_far(i, chunk_end);
            is_far = 2 * found.open > static_cast<std::int64_t>(chunk_end - i);
        }
    }

   private:
    void search_far(std::size_t begin, std::size_t end) {
        std::call_once(d_.cubes_made, [&] { d_.grid->add_cubes(d_.to, job_.layout); });
        if (!far_) far_.emplace(*d_.grid, job_.squares);
        for (std::size_t i = begin; i < end; ++i) {
            double& distance = d_.distances[i];
            if (distance >= 0) continue;
            if (d_.is_overspent()) {
                distance = kOpen;
                continue;
            }
            const std::int64_t before = far_->work();
            const Place from = d_.grid->inside(job_.layout.place(d_.from[i]));
            distance = std::sqrt(far_->squared(from, -distance));
            d_.spent += kCostOfCube * (far_->work() - before);
        }
    }

    const Job& job_;
    Direction& d_;
    simd::NearPoints points_;
    std::vector<std::int64_t> offsets_;
    simd::NearGroups all_{};
    simd::NearGroups few_{};
    std::optional<FarSearch<kLast>> far_;
};

// The rest of a direction.
void measure_by_plane(const Job& job, Direction& d) {
    std::vector<StepSquares> squares;
    PlaneSearch::Squares along{};
    for (std::size_t i = 0; i < 3; ++i) {
        const double step = job.spacing[d.order.axis(i)];
        squares.emplace_back(d.order.extents()[i],
                             [&](std::int64_t n) { return static_cast<double>(n) * step; });
        along[i] = squares[i].middle();
    }
    PlaneSearch search(d.order.extents(), {{along}}, d.order.is_monotone(job.spacing, 1));
    for (const std::uint64_t point : d.to) search.add(0, d.order.inside(job.layout.place(point)));
    const PointsByPlane from(d.from, job.layout, d.order, [](std::uint64_t) { return 1; });
    search.run(
        [&](std::int64_t plane, PlaneSearch::Places& places) {
            from.for_each(plane, [&](std::uint64_t point, std::int64_t i) {
                if (d.distances[i] != kOpen) return;
                const PlaneBox p = d.order.inside(job.layout.place(point));
                places[0].push_back({p[1], p[2], i});
            });
        },
        d.distances, job.threads);
}

template <int kLast>
void measure_batch(const Job& job, std::span<Direction* const> batch) {
    struct Part {
        Direction* direction;
        std::size_t begin;
        std::size_t end;
    };
    // The first part of each direction makes its grid. Several threads make several, so that these
    // parts come before all others; one thread has one grid at a time.
    std::vector<Part> parts;
    std::vector<Part> later;
    std::int64_t points = 0;
    for (const Direction* d : batch) points += static_cast<std::int64_t>(d->from.size());
    const int threads = thread_count(job.threads, kWorkPerPoint * points, Team::kFresh);
    for (Direction* d : batch) {
        const std::size_t step = d->is_small(job.near) ? d->from.size() : kPart;
        for (std::size_t i = 0; i < d->from.size(); i += step) {
            (i == 0 || threads == 1 ? parts : later)
                .push_back({d, i, std::min(i + step, d->from.size())});
            ++d->parts_left;
        }
    }
    parts.insert(parts.end(), later.begin(), later.end());
    run_blocks(
        static_cast<std::int64_t>(parts.size()), threads,
        [&](std::int64_t i) {
            const auto& [d, begin, end] = parts[static_cast<std::size_t>(i)];
            if (d->is_small(job.near)) {
                compare_outwards<kLast>(job, *d);
                return;
            }
            std::call_once(d->made, [&job, d = d] { make_grid(job, *d); });
            Search<kLast>(job, *d).run(begin, end);
            if (--d->parts_left == 0) d->grid.reset();
        },
        Team::kFresh);
    for (Direction* d : batch)
        if (d->is_overspent()) measure_by_plane(job, *d);
}

}  // namespace

void surface_distances(const SurfacePoints& pred, const SurfacePoints& target,
                       std::span<const double, 3> spacing, int last_axis, int threads,
                       double* pred_to_target, double* target_to_pred) {
    if (pred.shape != target.shape || pred.begin.size() != target.begin.size())
        throw std::invalid_argument("both maps must have the same shape and groups");
    const SquaredSteps squares(spacing, pred.shape);
    const Job job{pred,    spacing, last_axis,
                  threads, squares, NearRows(squares, spacing, pred.shape)};
    std::vector<std::unique_ptr<Direction>> directions;
    std::vector<Direction*> batch;
    std::int64_t bytes = 0;
    const auto flush = [&] {
        switch (last_axis) {
            case 0: measure_batch<0>(job, batch); break;
            case 1: measure_batch<1>(job, batch); break;
            default: measure_batch<2>(job, batch);
        }
        batch.clear();
        bytes = 0;
    };
    const auto groups = static_cast<std::int64_t>(pred.begin.size()) - 1;
    for (std::int64_t group = 0; group < groups; ++group) {
        const std::array<Points, 2> sides = {pred.of(group), target.of(group)};
        const std::array<double*, 2> out = {
            pred_to_target + pred.begin[static_cast<std::size_t>(group)],
            target_to_pred + target.begin[static_cast<std::size_t>(group)]};
        if (sides[0].empty() || sides[1].empty()) {
            for (std::size_t side = 0; side < 2; ++side)
                std::fill_n(out[side], sides[side].size(), kFar);
            continue;
        }
        std::array<Box, 2> boxes;
        Box box;
        for (std::size_t side = 0; side < 2; ++side) {
            boxes[side].add(sides[side], pred);
            box.add(boxes[side]);
        }
        const std::int64_t grid_bytes = 2 * PointGrid::bytes(box.low, box.high, job.near);
        if (!batch.empty() && bytes + grid_bytes > kBatchBytes) flush();
        for (std::size_t side = 0; side < 2; ++side) {
            directions.push_back(std::make_unique<Direction>(
                sides[side], sides[1 - side], out[side], boxes[side], box, last_axis));
            batch.push_back(directions.back().get());
        }
        bytes += grid_bytes;
    }
    if (!batch.empty()) flush();
}

}  // namespace segmeter
