#include "segmeter/region/morphology.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>

#include "segmeter/parallel.hpp"

namespace segmeter {
namespace {

struct Interval {
    std::int64_t begin;
    std::int64_t end;
};

// Runs of a row, none where the row lies outside of the image.
struct RowRuns {
    const std::uint32_t* begin = nullptr;
    const std::uint32_t* end = nullptr;
    std::int64_t count = 0;
};

RowRuns row_of(const RunRows& mask, std::int64_t plane, std::int64_t row) {
    if (plane < 0 || plane >= mask.planes || row < 0 || row >= mask.rows) return {};
    const auto index = static_cast<std::size_t>(plane * mask.rows + row);
    const std::int64_t first = mask.row_begin[index];
    return {mask.begin.data() + first, mask.end.data() + first, mask.row_begin[index + 1] - first};
}

// What run work costs in the quarter nanoseconds of thread_count().
constexpr std::int64_t kWorkPerRun = 64;

int threads_for(const RunRows& mask, int requested, std::int64_t runs_per_run) {
    const auto runs = static_cast<std::int64_t>(mask.begin.size());
    return thread_count(requested, runs * kWorkPerRun * runs_per_run);
}

// --- dilation ---------------------------------------------------------------------------------

struct Plane {
    std::vector<std::int64_t> row_end;
    std::vector<std::uint32_t> begin;
    std::vector<std::uint32_t> end;
};

void append_union(std::vector<Interval>& intervals, Plane& out) {
    std::sort(intervals.begin(), intervals.end(),
              [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
    Interval open = intervals.front();
    const auto close = [&] {
        out.begin.push_back(static_cast<std::uint32_t>(open.begin));
        out.end.push_back(static_cast<std::uint32_t>(open.end));
    };
    for (const Interval& interval : intervals) {
        if (interval.begin > open.end) {
            close();
            open = interval;
        } else {
            open.end = std::max(open.end, interval.end);
        }
    }
    close();
}

void dilate_plane(const RunRows& mask, std::span<const ElementRow> element, std::int64_t plane,
                  Plane& out) {
    std::vector<Interval> intervals;
    out.row_end.reserve(static_cast<std::size_t>(mask.rows));
    for (std::int64_t row = 0; row < mask.rows; ++row) {
        intervals.clear();
        for (const ElementRow& part : element) {
            const RowRuns source = row_of(mask, plane - part.plane, row - part.row);
            for (std::int64_t i = 0; i < source.count; ++i) {
                const Interval reach{std::max<std::int64_t>(source.begin[i] + part.first, 0),
                                     std::min(source.end[i] + part.last, mask.width)};
                if (reach.begin < reach.end) intervals.push_back(reach);
            }
        }
        if (!intervals.empty()) append_union(intervals, out);
        out.row_end.push_back(static_cast<std::int64_t>(out.begin.size()));
    }
}

OwnedRunRows dilate_once(const RunRows& mask, std::span<const ElementRow> element, int threads) {
    std::vector<Plane> planes(static_cast<std::size_t>(mask.planes));
    run_blocks(mask.planes, threads, [&](std::int64_t plane) {
        dilate_plane(mask, element, plane, planes[static_cast<std::size_t>(plane)]);
    });
    OwnedRunRows out;
    std::size_t runs = 0;
    for (const Plane& plane : planes) runs += plane.begin.size();
    out.row_begin.reserve(static_cast<std::size_t>(mask.planes * mask.rows) + 1);
    out.begin.reserve(runs);
    out.end.reserve(runs);
    out.row_begin.push_back(0);
    for (const Plane& plane : planes) {
        const auto before = static_cast<std::int64_t>(out.begin.size());
        for (const std::int64_t end : plane.row_end) out.row_begin.push_back(before + end);
        out.begin.insert(out.begin.end(), plane.begin.begin(), plane.begin.end());
        out.end.insert(out.end.end(), plane.end.begin(), plane.end.end());
    }
    return out;
}

// --- Euler characteristic ---------------------------------------------------------------------

// Number of separate closed intervals in the union of a few rows; intervals that touch are one.
std::int64_t count_union(std::span<const RowRuns> rows) {
    std::array<std::int64_t, 4> at{};
    std::int64_t found = 0;
    std::int64_t open_end = -1;
    while (true) {
        std::size_t next = rows.size();
        for (std::size_t k = 0; k < rows.size(); ++k)
            if (at[k] < rows[k].count &&
                (next == rows.size() || rows[k].begin[at[k]] < rows[next].begin[at[next]]))
                next = k;
        if (next == rows.size()) return found;
        if (rows[next].begin[at[next]] > open_end) ++found;
        open_end = std::max<std::int64_t>(open_end, rows[next].end[at[next]]);
        ++at[next];
    }
}

// Number of runs of pixels that all of a few rows have in common.
std::int64_t count_intersection(std::span<const RowRuns> rows) {
    std::array<std::int64_t, 4> at{};
    std::int64_t found = 0;
    while (true) {
        std::int64_t begin = 0;
        std::int64_t end = INT64_MAX;
        std::size_t first_to_end = 0;
        for (std::size_t k = 0; k < rows.size(); ++k) {
            if (at[k] == rows[k].count) return found;
            begin = std::max<std::int64_t>(begin, rows[k].begin[at[k]]);
            if (rows[k].end[at[k]] < end) {
                end = rows[k].end[at[k]];
                first_to_end = k;
            }
        }
        if (begin < end) ++found;
        ++at[first_to_end];
    }
}

// Sum over the cells of one level, with the sign of their dimension: a plane's rows and the walls
// between them, or, `between` that plane and the next, the walls and the lines where four rows
// meet.
std::int64_t level(const RunRows& mask, std::int64_t plane, bool between, bool full) {
    // Outside of the image closed pixels still have walls; common pixels there are none.
    const std::int64_t first = full ? -1 : 0;
    std::int64_t within = 0;
    std::int64_t across = 0;
    for (std::int64_t row = first; row < mask.rows; ++row) {
        const std::array<RowRuns, 4> around{row_of(mask, plane, row), row_of(mask, plane, row + 1),
                                            between ? row_of(mask, plane + 1, row) : RowRuns{},
                                            between ? row_of(mask, plane + 1, row + 1) : RowRuns{}};
        const std::array<RowRuns, 2> same_row{around[0], around[2]};
        const auto count = full ? count_union : count_intersection;
        if (between) {
            within += count(same_row);
            across += count(around);
        } else {
            within += around[0].count;
            across += count(std::span(around).first(2));
        }
    }
    return within - across;
}

}  // namespace

OwnedRunRows dilate(const RunRows& mask, std::span<const ElementRow> element, int iterations,
                    int threads) {
    OwnedRunRows current{{mask.row_begin.begin(), mask.row_begin.end()},
                         {mask.begin.begin(), mask.begin.end()},
                         {mask.end.begin(), mask.end.end()}};
    const int team = threads_for(mask, threads, static_cast<std::int64_t>(element.size()));
    for (int i = 0; i < iterations; ++i) current = dilate_once(current.view(mask), element, team);
    return current;
}

std::int64_t euler_characteristic(const RunRows& mask, bool is_volume, bool full, int threads) {
    const std::int64_t first = full && is_volume ? -1 : 0;
    const std::int64_t levels = mask.planes - first;
    std::vector<std::int64_t> sums(static_cast<std::size_t>(levels));
    run_blocks(levels, threads_for(mask, threads, 8), [&](std::int64_t k) {
        const std::int64_t plane = first + k;
        std::int64_t sum = plane < 0 ? 0 : level(mask, plane, false, full);
        if (is_volume) sum -= level(mask, plane, true, full);
        sums[static_cast<std::size_t>(k)] = sum;
    });
    const std::int64_t total = std::accumulate(sums.begin(), sums.end(), std::int64_t{0});
    // Closed rows are cells of dimension 2 in a volume, of dimension 1 in an image.
    return full && !is_volume ? -total : total;
}

}  // namespace segmeter
