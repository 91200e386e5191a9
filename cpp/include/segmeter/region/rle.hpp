// Masks as runs in column-major order (the COCO run-length encoding), without ever painting one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "segmeter/view.hpp"

namespace segmeter {

// Pixels of one mask: its runs as begin, end, begin, end, ... in column-major flat positions,
// strictly increasing, so that no run is empty and no two touch.
using RunBounds = std::span<const std::uint32_t>;

// Half-open box; all zero for an empty mask.
struct PixelBox {
    std::int64_t top = 0;
    std::int64_t bottom = 0;
    std::int64_t left = 0;
    std::int64_t right = 0;
};

// Borrowed list of masks of one image size: mask k lies at bounds[offsets[k]:offsets[k + 1]].
struct RunMaskView {
    std::int64_t height = 0;
    std::int64_t width = 0;
    RunBounds bounds;
    std::span<const std::int64_t> offsets;

    [[nodiscard]] std::int64_t size() const noexcept {
        return static_cast<std::int64_t>(offsets.size()) - 1;
    }
    [[nodiscard]] RunBounds operator[](std::int64_t k) const noexcept {
        const auto index = static_cast<std::size_t>(k);
        const auto first = static_cast<std::size_t>(offsets[index]);
        return bounds.subspan(first, static_cast<std::size_t>(offsets[index + 1]) - first);
    }
};

// Throws std::invalid_argument unless the offsets delimit canonical runs inside the image, as
// every function below takes for granted.
void check_masks(const RunMaskView& masks);

// A growing list of masks of one image size. An append that throws leaves the list as it was.
class RunMasks {
   public:
    // Throws std::invalid_argument unless 0 <= height * width < 2^32.
    RunMasks(std::int64_t height, std::int64_t width);

    [[nodiscard]] RunMaskView view() const noexcept;

    // Lengths of alternating runs, background first. Zero lengths are allowed anywhere.
    // Throws std::invalid_argument for a negative length or a total that is not height * width.
    void append_counts(std::span<const std::int64_t> counts);

    // The text form: each length less the one two places before (from the fourth on), in groups
    // of five bits, least significant first, with bit 5 for "more follows" and 48 added. Throws
    // std::invalid_argument for other characters, for text that ends within a number, and as
    // append_counts does.
    void append_text(std::string_view text);

    // Union of polygons, polygon p being x, y, x, y, ... from coordinates[ends[p - 1]] (0 for the
    // first) to coordinates[ends[p]]. Equal to the official rasterisation bit for bit: corners are
    // rounded to a grid five times finer, edges walked along their longer axis, and a column's
    // pixels toggle where the walk passes the middle of the column. Only those passages are
    // computed. Throws std::invalid_argument for fewer than three points or numbers that are not
    // finite or beyond +-1e8.
    void append_polygons(std::span<const double> coordinates, std::span<const std::size_t> ends);

    // Every nonzero byte of a height x width array with strides in bytes.
    void append_pixels(const std::byte* data, std::int64_t row_stride, std::int64_t column_stride);

    // Pixels in any (union) or in all (intersection) of some masks of the same image size; no
    // mask at all: empty.
    void append_merged(const RunMaskView& masks, bool intersection);

    void append_empty();

   private:
    void append_toggles();

    std::int64_t height_;
    std::int64_t width_;
    std::vector<std::uint32_t> bounds_;
    std::vector<std::int64_t> offsets_{0};
    std::vector<std::uint32_t> toggles_;  // scratch
};

[[nodiscard]] std::int64_t mask_area(RunBounds mask) noexcept;
[[nodiscard]] PixelBox mask_box(RunBounds mask, std::int64_t height) noexcept;

// Pixels in both masks. Touches each run once at most.
[[nodiscard]] std::int64_t mask_intersection(RunBounds a, RunBounds b) noexcept;

// Lengths of alternating runs, background first; an empty image has one run of length 0.
[[nodiscard]] std::vector<std::int64_t> mask_counts(RunBounds mask, std::int64_t pixels);
[[nodiscard]] std::string mask_text(RunBounds mask, std::int64_t pixels);

// Sets the bytes of the mask in a zeroed row-major height x width array.
void paint_mask(RunBounds mask, std::int64_t height, std::int64_t width, std::uint8_t* out);

// Intersection over union of every pair, row-major pred x target. Where crowd[t] is set: over the
// area of pred instead. 0 where nothing intersects. Both lists must have the same image size.
void mask_iou(const RunMaskView& pred, const RunMaskView& target, const std::uint8_t* crowd,
              double* out);

// Areas and boxes of a list, computed once.
struct MaskTable {
    explicit MaskTable(const RunMaskView& masks);

    std::vector<std::int64_t> areas;
    std::vector<PixelBox> boxes;
};

// Pixels in the intersection of two boxes: at most so many pixels two masks share.
[[nodiscard]] std::int64_t box_intersection(const PixelBox& a, const PixelBox& b) noexcept;

}  // namespace segmeter
