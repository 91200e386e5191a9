// COCO instance evaluation: detections matched to targets by confidence, and the precision curves.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "segmeter/region/rle.hpp"

namespace segmeter {

// What a detection is for one range of areas and one IoU threshold.
enum class CocoOutcome : std::uint8_t { kFalsePositive = 0, kTruePositive = 1, kIgnored = 2 };

struct CocoRules {
    std::span<const double> iou_thresholds;  // ascending, any number
    std::span<const double> area_ranges;     // low, high, low, high, ...; both inclusive
    std::int64_t max_detections = 0;         // of one class in one image

    [[nodiscard]] std::size_t ranges() const noexcept { return area_ranges.size() / 2; }
};

// One value per mask in every span. Areas are what the ranges are compared with; none at all: the
// pixels of the masks.
struct CocoTargets {
    RunMaskView masks;
    std::span<const std::int64_t> classes;  // 0 <= class < num_classes
    std::span<const double> areas;
    std::span<const std::uint8_t> crowd;  // matched any number of times, by intersection over pred
    std::span<const std::uint8_t> ignored;  // neither asked for nor held against a detection
    // The bands along the outlines of the masks, or nothing. With those of both sides the IoU of a
    // pair is the smaller of that of the masks and that of the bands; crowds have masks only.
    std::optional<RunMaskView> bands = std::nullopt;
};

struct CocoDetections {
    RunMaskView masks;
    std::span<const std::int64_t> classes;
    std::span<const double> areas;
    std::span<const double> scores;
    std::optional<RunMaskView> bands = std::nullopt;
};

// The detections that take part, by class, then by decreasing score (equal ones as they came).
struct CocoMatches {
    std::vector<std::int64_t> detection;  // index
    std::vector<std::int64_t> rank;       // 0, 1, ... within the class
    std::vector<CocoOutcome> outcome;     // detection x area range x threshold
    std::vector<std::int64_t> positives;  // class x area range: targets that are asked for
};

// Matches one image as the official evaluation does: in the order of scores, every detection takes
// the target of its class with the highest IoU not below the threshold that is still free (the
// last of equals); an ignored one only where there is no other. A detection without a target whose
// area is out of range, or whose target is ignored, is ignored itself. IoU is the quotient of two
// exact integers. Cost: the IoU of pairs whose boxes and areas allow one at the lowest threshold;
// the rest touches those pairs only.
// Source: Lin et al., Microsoft COCO (ECCV 2014); the evaluation code of the data set. Bands: Cheng
// et al., Boundary IoU (CVPR 2021).
[[nodiscard]] CocoMatches coco_match(const CocoDetections& pred, const CocoTargets& target,
                                     std::int64_t num_classes, const CocoRules& rules);

// Detections of a data set, one value per detection in every span.
struct CocoSample {
    std::span<const std::int64_t> classes;
    std::span<const double> scores;
    std::span<const std::int64_t> images;  // any ids: their order decides between equal scores
    std::span<const std::int64_t> ranks;
    std::span<const std::uint8_t> outcome;    // detection x area range x threshold
    std::span<const std::int64_t> positives;  // class x area range
    std::int64_t num_classes = 0;
    std::int64_t num_ranges = 0;
    std::int64_t num_thresholds = 0;
};

// Interpolated precision at each recall, (class, area range, limit, threshold, recall), and the
// recall reached, (class, area range, limit, threshold), where limit is the largest number of
// detections of one class in one image. NaN where there are no positives. Sorted by decreasing
// score, then image, then rank; precision is made non-increasing from the right, and taken at the
// first detection that reaches the recall; 0 where none does. The official code's constant, the
// distance from 1 to the next number, is in the denominator.
void coco_curves(const CocoSample& sample, std::span<const double> recalls,
                 std::span<const std::int64_t> limits, int threads, double* precision,
                 double* recall);

}  // namespace segmeter
