#include "cause/segments.hpp"

namespace segmeter::cause {
namespace {

Segments number(const JointRuns& runs, ItemSets& sets, std::int32_t JointRun::* side) {
    Segments segments;
    segments.of_run.resize(runs.items.size(), kNoSegment);
    for (std::size_t i = 0; i < runs.items.size(); ++i) {
        const std::int32_t k = runs.items[i].*side;
        if (k < 0) continue;
        const std::size_t root = sets.root(i);
        if (root == i) {
            segments.of_run[i] = static_cast<std::int32_t>(segments.classes.size());
            segments.classes.push_back(k);
        } else {
            segments.of_run[i] = segments.of_run[root];
        }
    }
    return segments;
}

}  // namespace

BothSegments find_segments(const JointRuns& runs, const VolumeShape& shape) {
    ItemSets pred(runs.items.size());
    ItemSets target(runs.items.size());
    for_all_touches(runs, shape, [&](std::int64_t a, std::int64_t b) {
        if (runs[a].pred == runs[b].pred) pred.unite(a, b);
        if (runs[a].target == runs[b].target) target.unite(a, b);
    });
    return {number(runs, pred, &JointRun::pred), number(runs, target, &JointRun::target)};
}

}  // namespace segmeter::cause
