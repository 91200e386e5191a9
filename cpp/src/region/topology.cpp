#include <array>
#include <cstdint>

#include "segmeter/region/components.hpp"

#include "region/labeller.hpp"
#include "region/rows.hpp"

namespace segmeter {
namespace {

RunRange row_of(const Runs& runs, std::int64_t row) {
    const auto r = static_cast<std::size_t>(row);
    return {runs.row_begin[r], runs.row_begin[r + 1]};
}

// Calls function(i, j) for runs of the two rows that touch and are of one region.
template <class Function>
void for_each_inner_contact(const Regions& regions, std::int64_t row, std::int64_t before,
                            int reach, Function&& function) {
    const Runs& runs = regions.runs;
    for_each_contact(runs.begin.data(), runs.end.data(), row_of(runs, row), runs.begin.data(),
                     runs.end.data(), row_of(runs, before), reach,
                     [&](std::int64_t i, std::int64_t j) {
                         const auto a = static_cast<std::size_t>(i);
                         const auto b = static_cast<std::size_t>(j);
                         if (regions.run_region[a] == regions.run_region[b]) function(a, b);
                     });
}

}  // namespace

// A run has two faces along its row and two more per pixel on every other axis; each pixel that
// it shares with a run of the same region in a neighbouring row hides two.
Buffer<std::int64_t> exposed_faces(const Regions& regions) {
    const Runs& runs = regions.runs;
    const VolumeShape shape(runs.shape);
    const auto other_axes = static_cast<std::int64_t>(runs.shape.size()) - 1;
    Buffer<std::int64_t> faces(regions.facts.size());
    for (std::size_t i = 0; i < faces.size(); ++i)
        faces[i] = 2 * regions.facts[i].num_runs + 2 * other_axes * regions.facts[i].area;
    const auto hide = [&](std::size_t a, std::size_t b) {
        const std::int64_t shared = std::int64_t{std::min(runs.end[a], runs.end[b])} -
                                    std::int64_t{std::max(runs.begin[a], runs.begin[b])};
        faces[static_cast<std::size_t>(regions.run_region[a])] -= 2 * shared;
    };
    for (std::int64_t row = 0; row < shape.all_rows(); ++row) {
        if (row % shape.rows > 0) for_each_inner_contact(regions, row, row - 1, 0, hide);
        if (row >= shape.rows) for_each_inner_contact(regions, row, row - shape.rows, 0, hide);
    }
    return faces;
}

// Runs are contractible and so is what two runs of neighbouring rows share; no three share
// anything. So the characteristic of their union is runs minus contacts.
Buffer<std::int64_t> euler_numbers(const Regions& regions, Connectivity connectivity) {
    const VolumeShape shape(regions.runs.shape);
    const int reach = Reach(connectivity).same_slice;
    Buffer<std::int64_t> euler(regions.facts.size());
    for (std::size_t i = 0; i < euler.size(); ++i) euler[i] = regions.facts[i].num_runs;
    for (std::int64_t row = 1; row < shape.all_rows(); ++row)
        for_each_inner_contact(regions, row, row - 1, reach, [&](std::size_t a, std::size_t /*b*/) {
            --euler[static_cast<std::size_t>(regions.run_region[a])];
        });
    return euler;
}

}  // namespace segmeter
