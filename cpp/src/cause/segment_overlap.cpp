#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "segmeter/cause.hpp"
#include "segmeter/parallel.hpp"

#include "cause/joint_runs.hpp"
#include "cause/segments.hpp"
#include "region/pair_table.hpp"

namespace segmeter {
namespace {

using cause::JointRun;
using cause::JointRuns;
using cause::kNoSegment;

OverlapSide empty_side(std::size_t size) {
    OverlapSide side;
    side.label.resize(size);
    std::iota(side.label.begin(), side.label.end(), 1U);
    side.area.resize(size);
    side.void_area.resize(size);
    return side;
}

OverlapPairs sorted_pairs(const PairTable<std::uint64_t>& table) {
    std::vector<std::pair<std::uint64_t, std::int64_t>> entries;
    table.for_each([&](std::uint64_t key, std::int64_t n) { entries.emplace_back(key, n); });
    std::sort(entries.begin(), entries.end());
    OverlapPairs pairs;
    for (const auto& [key, n] : entries) {
        pairs.target.push_back(static_cast<std::int64_t>(target_of(key)));
        pairs.pred.push_back(static_cast<std::int64_t>(pred_of(key)));
        pairs.intersection.push_back(n);
    }
    return pairs;
}

Overlap overlap_of(const JointRuns& runs, const cause::BothSegments& segments) {
    Overlap overlap;
    overlap.pred = empty_side(segments.pred.classes.size());
    overlap.target = empty_side(segments.target.classes.size());
    PairTable<std::uint64_t> table;
    for (std::size_t i = 0; i < runs.items.size(); ++i) {
        const JointRun& run = runs.items[i];
        const std::int32_t pred = segments.pred.of_run[i];
        const std::int32_t target = segments.target.of_run[i];
        if (run.is_ignored()) overlap.num_ignored += run.size();
        if (pred != kNoSegment) {
            overlap.pred.area[static_cast<std::size_t>(pred)] += run.size();
            if (run.is_ignored())
                overlap.pred.void_area[static_cast<std::size_t>(pred)] += run.size();
        }
        if (target != kNoSegment)
            overlap.target.area[static_cast<std::size_t>(target)] += run.size();
        if (pred != kNoSegment && target != kNoSegment)
            table.add(
                pair_key(static_cast<std::uint32_t>(pred), static_cast<std::uint32_t>(target)),
                run.size());
    }
    overlap.pairs = sorted_pairs(table);
    return overlap;
}

}  // namespace

SegmentOverlap segment_overlap(const ArrayView& pred, const ArrayView& target,
                               const ArrayView* mask, const LabelTable& pred_labels,
                               const LabelTable& target_labels, const CauseOptions& options) {
    SegmentOverlap result;
    const std::int64_t pixels = target.size();
    if (pixels == 0) return result;
    JointRuns runs = cause::read_joint_runs({pred, target, mask, pred_labels, target_labels},
                                            thread_count(options.threads, pixels));
    result.tally = cause::settle_invalid(runs, options.ignore_invalid);
    const cause::BothSegments segments = cause::find_segments(runs, VolumeShape(target.shape));
    result.overlap = overlap_of(runs, segments);
    result.pred_class.assign(segments.pred.classes.begin(), segments.pred.classes.end());
    result.target_class.assign(segments.target.classes.begin(), segments.target.classes.end());
    return result;
}

}  // namespace segmeter
