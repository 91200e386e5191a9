// Rows of a label map, one after another, as contiguous labels of the map's own width.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "segmeter/region/runs.hpp"
#include "segmeter/view.hpp"

#include "pixel/tiles.hpp"

namespace segmeter {

// A 2-D map is a volume of one slice.
struct VolumeShape {
    std::int64_t slices;
    std::int64_t rows;  // of one slice
    std::int64_t length;

    explicit VolumeShape(std::span<const std::int64_t> shape)
        : slices(shape.size() == 3 ? shape[0] : 1),
          rows(shape[shape.size() - 2]),
          length(shape.back()) {}
    [[nodiscard]] std::int64_t all_rows() const noexcept { return slices * rows; }
};

// How pixels are told apart, by bit pattern in the map's width.
struct LabelRules {
    LabelRules(DType dtype, const RunOptions& options);

    std::int64_t width;
    std::optional<std::uint64_t> background;
    bool binary;            // runs have no values
    bool is_truth = false;  // bools of which any nonzero byte is true
    std::vector<std::uint64_t> ignored;
};

// One worker's way to the rows of a map; rows that are not contiguous are copied to scratch.
class RowReader {
   public:
    RowReader(const ArrayView& labels, const ArrayView* mask, const LabelRules& rules);

    [[nodiscard]] const std::byte* labels(std::int64_t row);
    // Whether the label before the first one of these, wherever that is, may be read.
    [[nodiscard]] bool has_previous(const std::byte* labels) const noexcept {
        return labels_.copy != nullptr || labels != labels_.lowest;
    }
    // Rows that follow this one in memory without a gap, itself included, of `rows`.
    [[nodiscard]] std::int64_t joined_rows(std::int64_t row, std::int64_t rows) const noexcept;
    [[nodiscard]] bool has_mask() const noexcept { return mask_.data != nullptr; }
    // One byte a pixel, not 0 where it is masked; null without a mask.
    [[nodiscard]] const std::uint8_t* mask(std::int64_t row);

   private:
    struct Source {
        const std::byte* data = nullptr;
        std::int64_t slice_stride = 0;
        std::int64_t row_stride = 0;
        std::int64_t slice_gap = 0;  // what a slice is longer than its rows
        std::int64_t stride = 0;
        const std::byte* lowest = nullptr;  // address of the lowest row
        CopyElements copy = nullptr;        // null where rows are read in place
        std::vector<std::byte> scratch;
    };
    Source source_of(const ArrayView& view, bool as_truth) const;
    const std::byte* read(Source& source, std::int64_t row) const;

    VolumeShape shape_;
    std::int64_t row_bytes_;
    Source labels_;
    Source mask_;
};

// Throws std::invalid_argument unless a map of this shape can be read.
void require_readable(const ArrayView& labels);

// The label that a bit pattern of this type stands for (uint64: the pattern itself).
std::int64_t label_of_bits(std::uint64_t bits, DType dtype);

}  // namespace segmeter
