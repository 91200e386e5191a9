// Pixel family: the confusion matrix of two label maps, or of scores and a label map.
//
//   matrix[t, p] = number of counted pixels with class t in target and class p in pred
//
// Counts are exact int64 and do not depend on threads or instruction set. Beyond inputs and output
// the kernels take, per thread, scratch of a few tiles (less than 400 KiB) and a table of 32-bit
// cells (64-bit for weights), up to four copies of it for few classes; as many threads take part
// as keep all tables within the size of the matrix or 16 MiB, whichever is more.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "segmeter/view.hpp"

namespace segmeter {

// Number of classes a confusion matrix may have.
inline constexpr std::int64_t kMaxClasses = 65536;

// What a label value means: a class (0 .. num_classes-1), void, or invalid.
// Void in target: the pixel is ignored. Void in pred: wrong, but nobody's false positive.
class LabelTable {
   public:
    // Labels 0 .. num_classes-1 are the classes of the same number.
    explicit LabelTable(std::int64_t num_classes);
    // labels[i] stands for classes[i]; a negative class means void. Later entries win. Throws
    // std::invalid_argument for a class or a number of classes out of range.
    LabelTable(std::int64_t num_classes, std::span<const std::int64_t> labels,
               std::span<const std::int64_t> classes);

    void set_void(std::int64_t label);
    // Makes `label` void unless it is a class.
    void set_void_if_invalid(std::int64_t label);

    [[nodiscard]] std::int64_t num_classes() const noexcept { return num_classes_; }
    // The class, num_classes() for void, num_classes() + 1 for invalid.
    [[nodiscard]] std::uint32_t slot(std::int64_t label) const noexcept;
    [[nodiscard]] std::uint32_t void_slot() const noexcept;
    [[nodiscard]] std::uint32_t invalid_slot() const noexcept;

    // Slots of the labels 0 .. near().size()-1, and of the few outside them, sorted by label.
    [[nodiscard]] const std::vector<std::uint32_t>& near() const noexcept { return near_; }
    [[nodiscard]] const std::vector<std::pair<std::int64_t, std::uint32_t>>& far() const noexcept {
        return far_;
    }

   private:
    std::int64_t num_classes_;
    std::vector<std::uint32_t> near_;
    std::vector<std::pair<std::int64_t, std::uint32_t>> far_;
};

// Pixels that have no cell of their own in the matrix.
struct PixelTally {
    std::int64_t ignored = 0;         // void in target, or masked
    std::int64_t void_pred = 0;       // counted pixels with a void label in pred
    std::int64_t invalid_pred = 0;    // counted pixels with an invalid label in pred
    std::int64_t invalid_target = 0;  // unmasked pixels with an invalid label in target
};

struct ConfusionOptions {
    bool per_image = false;        // the first axis counts images: one matrix and tally for each
    bool void_column = false;      // matrix has num_classes + 1 columns, void_pred in the last
    bool invalid_is_void = false;  // invalid_pred goes where void_pred goes
    int threads = 0;
};

// pred, target: integer or bool, equal shapes. mask: bool of the same shape, true = ignored.
// matrix: [images,] num_classes, num_classes (+ 1), row-major, zeroed by the caller.
// tally: one per image, or one.
void confusion_matrix(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                      const LabelTable& pred_labels, const LabelTable& target_labels,
                      const ConfusionOptions& options, std::int64_t* matrix, PixelTally* tally);

// Sums of weights (float16, float32 or float64, the shape of target, any strides) instead of
// counts, added up in float64 in an order that does not depend on threads. Labels must have been
// checked: a counted pixel with a void or invalid label in pred adds to the last column or to
// nothing. Returns false, and a matrix of no use, if a weight is negative or not finite.
[[nodiscard]] bool weighted_confusion_matrix(const ArrayView& pred, const ArrayView& target,
                                             const ArrayView* mask, const ArrayView& weights,
                                             const LabelTable& pred_labels,
                                             const LabelTable& target_labels,
                                             const ConfusionOptions& options, double* matrix);

// scores: float16, float32 or float64 of shape (channels, *target.shape), any strides. One channel
// and two classes: class 1 where score > threshold, else class 0 (NaN is not greater); without a
// threshold scores are probabilities cut at 0.5, and one outside 0..1 makes the result false and
// the matrix of no use: logits would be cut at the wrong place without anybody noticing. Else one
// channel per class: the class of the largest score, the first one on ties; NaN counts as largest.
// `channels` says what channel 0, 1, ... stands for: a class, or void.
// No label map is written: every tile of pixels is decided and counted while it is in cache.
[[nodiscard]] bool confusion_matrix_from_scores(
    const ArrayView& scores, std::optional<double> threshold, const ArrayView& target,
    const ArrayView* mask, const LabelTable& channels, const LabelTable& target_labels,
    const ConfusionOptions& options, std::int64_t* matrix, PixelTally* tally);

// One label value outside the classes, as the error message needs it.
struct Outsider {
    std::int64_t label = 0;
    std::int64_t count = 0;
    std::int64_t first = 0;  // position in row-major order
};

// The first `most` distinct values of pred (or, with pred null, of target) with the given slot in
// its table, in row-major order, among pixels that are not masked and whose target is a class (or,
// with pred null, not void). Slow and careful: called once there is something to complain about.
std::vector<Outsider> find_outsiders(const ArrayView* pred, const LabelTable& pred_labels,
                                     const ArrayView& target, const LabelTable& target_labels,
                                     const ArrayView* mask, std::uint32_t slot, int most);

// codes[i] = red + 256 green + 65536 blue of pixel i, which has `channels` bytes (3, or 4 with an
// alpha that does not matter).
void color_codes(const std::uint8_t* pixels, std::int64_t n, std::int64_t channels,
                 std::uint32_t* codes) noexcept;

// Undoes, in place, the filters of an image's rows as PNG stores them: a byte that names the
// filter, then row_bytes of differences to what neighbouring bytes predict. A pixel has 1 to 4
// bytes. False, with rows in no defined state, if a filter does not exist. One image is one
// thread's work: every row needs the one above it. Portable Network Graphics specification (W3C,
// third edition), section 9.
[[nodiscard]] bool unfilter_png(std::uint8_t* rows, std::int64_t height, std::int64_t row_bytes,
                                std::int64_t pixel_bytes);

}  // namespace segmeter
