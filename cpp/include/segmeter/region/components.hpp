// Region family: connected components and given instances as unions of runs.
//
// No label image is read or written: a component is the set of its runs, and everything known
// about it (area, box, centroid) is a sum over runs. All numbers are exact integers and do not
// depend on threads or instruction set.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "segmeter/region/runs.hpp"
#include "segmeter/view.hpp"

namespace segmeter {

// Which pixels are neighbours: those that share an edge (4, 6), an edge or a corner (8), a face
// or an edge (18), a face, an edge or a corner (26).
enum class Connectivity : int { k4 = 4, k8 = 8, k6 = 6, k18 = 18, k26 = 26 };

// What is known about one region. Axes are (z, y, x); in 2-D z is 0.
struct RegionFacts {
    std::int64_t value;  // class label or instance id; of uint64 maps the bit pattern
    std::int64_t first;  // position of its first pixel in row-major order
    std::int64_t area;
    std::int64_t num_runs;
    std::array<std::int64_t, 3> sum;  // of coordinates over the pixels
    std::array<std::int64_t, 3> low;  // bounding box: [low, high)
    std::array<std::int64_t, 3> high;
};

struct Regions {
    Runs runs;                        // runs.value is empty: see facts
    Buffer<std::int32_t> run_region;  // index into facts of every run
    Buffer<RegionFacts> facts;        // components: in order of first; instances: of value
    bool is_unsigned = false;         // values are those of uint64
};

// Components of every label of the map at once: two pixels are of one component if a path of
// neighbours of the same label joins them.
// connectivity: k4 or k8 in 2-D, k6, k18 or k26 in 3-D; std::invalid_argument otherwise.
// keeps_runs: otherwise there are only facts. Of a flat map of one label, no more than two rows of
// runs are held then; of a binary volume with few runs in a row, no more than two slices.
[[nodiscard]] Regions label_components(const ArrayView& labels, Connectivity connectivity,
                                       const RunOptions& options, bool keeps_runs = true);
// Components of a run list; lists without values are binary.
[[nodiscard]] Regions label_components(Runs runs, bool is_unsigned, Connectivity connectivity,
                                       int threads);

// One region for every value, connected or not.
[[nodiscard]] Regions instance_regions(const ArrayView& labels, const RunOptions& options);
[[nodiscard]] Regions instance_regions(Runs runs, bool is_unsigned, int threads);

// Pixel edges (2-D) or voxel faces (3-D) of each region that do not lie between two pixels of it;
// those at the border of the map count.
[[nodiscard]] Buffer<std::int64_t> exposed_faces(const Regions& regions);

// Euler characteristic of each region of a 2-D map: components minus holes.
[[nodiscard]] Buffer<std::int64_t> euler_numbers(const Regions& regions, Connectivity connectivity);

}  // namespace segmeter
