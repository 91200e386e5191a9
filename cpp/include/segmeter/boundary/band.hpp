// Boundary family: bands of pixels along outlines, and outlines that lie near each other.
//
// Band: the pixels of a label whose window, of `reach` pixels to either side along each axis, holds
// another label. It is the label's mask without its erosion, for all labels at once, in time that
// depends neither on the reach nor on the number of labels.
// Source: Cheng et al., "Boundary IoU", CVPR 2021; mask minus erosion by 3x3 squares, once per
// pixel of reach.
//
// Where labels change is one bit a pixel; a window is uniform if no change lies in it, which is an
// "or" over a window of bits, formed by doubling along one axis after the other. Pixels of unknown
// label (ignored ones) are neither an outline nor part of a band: then windows of the smallest and
// the largest known label are compared instead.
// Memory beyond inputs and outputs: a few bits a pixel; where labels are not classes in one byte, a
// class for each; with unknown pixels two labels and a byte more.
// Counts are exact int64 and do not depend on threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "segmeter/cause.hpp"
#include "segmeter/pixel.hpp"
#include "segmeter/view.hpp"

namespace segmeter {

// Pixels to either side along slices, rows and columns. A 2-D map has one slice.
using Reach = std::array<std::int64_t, 3>;

// Sets out[i] where pixel i lies in the band of its label. labels: contiguous, 2 or 3 axes, native
// byte order. unknown: null, or a byte for each pixel, not 0 where its label is unknown. border:
// beyond the image everything is of another label.
void label_band(const ArrayView& labels, const std::uint8_t* unknown, const Reach& reach,
                bool border, int threads, std::uint8_t* out);

struct BandOptions {
    bool border = true;
    bool ignore_invalid = false;  // pixels with an invalid label in either map are left out
    int threads = 0;
};

// What overlap of bands is made of, in the order of the counts of each class.
inline constexpr std::int64_t kBandCounts = 3;  // intersection, pred, target

// pred, target: integer or bool, equal shapes of 2 or 3 axes. mask: bool of the same shape, true =
// ignored: unknown in both maps. counts: num_classes x kBandCounts, added to.
PixelTally band_overlap(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                        const LabelTable& pred_labels, const LabelTable& target_labels,
                        const Reach& reach, const BandOptions& options, std::int64_t* counts);

// Confusion matrices of the pixels in the band of target, one for each reach: reaches x classes x
// (classes + 1), rows are target, the last column is void. Added to.
PixelTally trimap_confusion(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                            const LabelTable& pred_labels, const LabelTable& target_labels,
                            std::span<const Reach> reaches, const BandOptions& options,
                            std::int64_t* matrices);

// Which pixels are the outline of a class.
enum class OutlineRule : std::uint8_t {
    // Pixels whose block of 2 x 2 (x 2), reaching to the next row and column, lies on both sides:
    // the outline between pixels, half a pixel towards the origin. The image border is none.
    kCorner,
    // Pixels of the class with a face neighbour that is not.
    kInner,
};

struct OutlineOptions {
    OutlineRule rule = OutlineRule::kCorner;
    bool border = false;              // kInner: beyond the image lies another class
    bool ignored_is_outside = false;  // ignored pixels are of no class, not unknown
    bool ignore_invalid = false;
    std::optional<std::int64_t> only_class = std::nullopt;  // the others' counts stay as they are
    int threads = 0;
};

// Pixels of the outline of pred and of target, and how many of each have one of the other nearby.
inline constexpr std::int64_t kOutlineCounts = 4;

// element: offsets that are near, (0, 0) first. counts: num_classes x kOutlineCounts (pred, target,
// pred near target, target near pred), added to. Time: for every 64 pixels of a row with an outline
// in them at most the rows of the element.
PixelTally outline_matches(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                           const LabelTable& pred_labels, const LabelTable& target_labels,
                           std::span<const NearRow> element, const OutlineOptions& options,
                           std::int64_t* counts);

}  // namespace segmeter
