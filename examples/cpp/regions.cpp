// Finds the objects of two small masks with the C++ library alone, and prints how much of each true
// object every predicted one covers.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "segmeter/region/components.hpp"
#include "segmeter/region/overlap.hpp"
#include "segmeter/view.hpp"

namespace {

segmeter::RegionRuns runs_of(const segmeter::Regions& regions) {
    const segmeter::Runs& runs = regions.runs;
    return {.row_begin = {runs.row_begin.data(), runs.row_begin.size()},
            .begin = {runs.begin.data(), runs.begin.size()},
            .end = {runs.end.data(), runs.end.size()},
            .region = {regions.run_region.data(), regions.run_region.size()},
            .num_regions = static_cast<std::int64_t>(regions.facts.size())};
}

}  // namespace

int main() {
    static constexpr std::array<std::int64_t, 2> kShape{3, 8};
    static constexpr std::array<std::int64_t, 2> kStrides{8, 1};  // in bytes
    const std::vector<std::uint8_t> target{
        1, 1, 1, 1, 0, 0, 0, 0,  //
        1, 1, 1, 1, 0, 0, 1, 1,  //
        0, 0, 0, 0, 0, 0, 1, 1,
    };
    const std::vector<std::uint8_t> pred{
        1, 1, 0, 1, 0, 0, 0, 0,  //
        1, 1, 0, 1, 0, 0, 1, 0,  //
        0, 0, 0, 0, 0, 0, 1, 0,
    };
    const auto components = [&](const std::vector<std::uint8_t>& mask) {
        const segmeter::ArrayView view{.data = reinterpret_cast<const std::byte*>(mask.data()),
                                       .dtype = segmeter::DType::kUInt8,
                                       .shape = kShape,
                                       .strides = kStrides};
        return segmeter::label_components(view, segmeter::Connectivity::k8, {});
    };
    const segmeter::Regions found = components(pred);
    const segmeter::Regions truth = components(target);
    const segmeter::OverlapPairs pairs =
        segmeter::overlap_of_runs(runs_of(found), runs_of(truth), 0);

    std::printf("%zu objects predicted, %zu true\n", found.facts.size(), truth.facts.size());
    for (std::size_t i = 0; i < pairs.intersection.size(); ++i) {
        const std::int64_t area = truth.facts[static_cast<std::size_t>(pairs.target[i])].area;
        std::printf("object %lld: %lld of %lld pixels in prediction %lld\n",
                    static_cast<long long>(pairs.target[i]),
                    static_cast<long long>(pairs.intersection[i]), static_cast<long long>(area),
                    static_cast<long long>(pairs.pred[i]));
    }
    return 0;
}
