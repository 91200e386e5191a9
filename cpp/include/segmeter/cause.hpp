// Cause family: why each wrong pixel is wrong, one cause for each side of it.
//
// A pixel whose prediction p and target t differ is a false positive (FP) of class p and a false
// negative (FN) of class t. For a class, TP are the pixels of it in both maps, TN those in neither.
//   boundary  near the true outline: within a distance of TP and of TN, or that near to such a
//             pixel, in a connected piece that touches both TP and TN
//   extent    else, in a segment of the class (of pred for FP, of target for FN) that has a TP
//   segment   else: the whole segment is wrong
// Source: Bernhard et al., "What's Outside the Intersection?", WACV 2024.
//
// Both maps are read once, into joint runs: stretches of a row in which neither changes. All
// classes are worked on together from there, in time proportional to the runs, and for wrong ones
// to the rows of the distance's element; beyond inputs and outputs memory is 40 bytes per joint
// run. Counts are exact int64 and do not depend on threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "segmeter/pixel.hpp"
#include "segmeter/region/overlap.hpp"
#include "segmeter/view.hpp"

namespace segmeter {

// What a pixel can be for one class, in the order of the counts.
inline constexpr std::int64_t kCauseKinds = 9;
enum class CauseKind : std::uint8_t {
    kTruePositive,
    kTrueNegative,
    kFpBoundary,
    kFnBoundary,
    kFpExtent,
    kFnExtent,
    kFpSegment,
    kFnSegment,
    kIgnored,
};

// What a pixel can be on one side, in the map of causes.
enum class SideCause : std::uint8_t { kNone, kBoundary, kExtent, kSegment, kIgnored };

// One row of the set of offsets that count as near: plane and row offset, and how far it reaches
// to either side along the row. All rows together must be symmetric.
struct NearRow {
    std::int64_t plane;
    std::int64_t row;
    std::int64_t reach;
};

struct CauseOptions {
    bool ignore_invalid = false;  // pixels with an invalid label in either map are left out
    int threads = 0;
};

// Where pixels are painted; null where nothing is asked for. C-contiguous, of the maps' shape.
struct CauseMaps {
    std::uint8_t* fp = nullptr;     // SideCause of each pixel for its predicted class
    std::uint8_t* fn = nullptr;     // SideCause of each pixel for its target class
    std::uint8_t* kinds = nullptr;  // CauseKind of each pixel for `kinds_class`
    std::int64_t kinds_class = 0;
};

// pred, target: integer or bool, equal shapes of 2 or 3 axes, the last one below 2^31.
// mask: bool of the same shape, true = ignored. element: in order of distance, (0, 0) first.
// counts: num_classes x kCauseKinds, row-major; added to. Ignored pixels have no cause, but their
// predictions are there when distances are taken and segments formed. Returns the pixels with void
// and invalid labels; a void prediction is a false negative only, and so is an invalid one.
PixelTally error_causes(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                        const LabelTable& pred_labels, const LabelTable& target_labels,
                        std::span<const NearRow> element, const CauseOptions& options,
                        std::int64_t* counts, const CauseMaps& maps);

// The connected segments of every class of two maps (8 or 26 neighbours, in raster order), and the
// pixels that each pair of them shares.
struct SegmentOverlap {
    Overlap overlap;  // labels are 1, 2, ...
    std::vector<std::int64_t> pred_class;
    std::vector<std::int64_t> target_class;
    PixelTally tally;
};

// Maps, mask and labels as for error_causes. Ignored pixels belong to segments of pred only, where
// they are the void area.
SegmentOverlap segment_overlap(const ArrayView& pred, const ArrayView& target,
                               const ArrayView* mask, const LabelTable& pred_labels,
                               const LabelTable& target_labels, const CauseOptions& options);

}  // namespace segmeter
