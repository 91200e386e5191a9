#include "region/rows.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "pixel/offsets.hpp"

namespace segmeter {
namespace {

// Bytes before a scratch row, one label of which may be read.
constexpr std::int64_t kRowSlack = 64;

bool can_hold(DType dtype, std::int64_t label) {
    if (dtype == DType::kUInt64) return true;  // a bit pattern
    if (dtype == DType::kBool) return label == 0 || label == 1;
    return label >= lowest_label(dtype) && label <= highest_label(dtype);
}

std::uint64_t bits_of(std::int64_t label, std::int64_t width) {
    const auto bits = static_cast<std::uint64_t>(label);
    return width == 8 ? bits : bits & ((std::uint64_t{1} << (8 * width)) - 1);
}

}  // namespace

LabelRules::LabelRules(DType dtype, const RunOptions& options)
    : width(item_size(dtype)), binary(options.binary) {
    if (options.background && can_hold(dtype, *options.background))
        background = bits_of(*options.background, width);
    for (const std::int64_t label : options.ignored)
        if (can_hold(dtype, label)) ignored.push_back(bits_of(label, width));
    if (dtype != DType::kBool) return;
    // Against the background 0, a byte that is not 0 is true whatever it is.
    if (ignored.empty() && background == 0U)
        binary = true;
    else
        is_truth = true;
}

RowReader::RowReader(const ArrayView& labels, const ArrayView* mask, const LabelRules& rules)
    : shape_(labels.shape),
      row_bytes_(shape_.length * rules.width),
      labels_(source_of(labels, rules.is_truth)) {
    if (mask != nullptr) mask_ = source_of(*mask, false);
}

RowReader::Source RowReader::source_of(const ArrayView& view, bool as_truth) const {
    Source source;
    source.data = view.data;
    const std::size_t last = view.shape.size() - 1;
    source.slice_stride = last == 2 ? view.strides[0] : 0;
    source.row_stride = view.strides[last - 1];
    source.slice_gap = last == 2 ? source.slice_stride - shape_.rows * source.row_stride : 0;
    source.stride = view.strides[last];
    source.lowest = view.data;
    for (std::size_t axis = 0; axis < last; ++axis)
        if (view.strides[axis] < 0) source.lowest += (view.shape[axis] - 1) * view.strides[axis];
    const std::int64_t item = item_size(view.dtype);
    const bool is_dense = source.stride == item || view.shape[last] <= 1;
    const bool is_native = !view.byte_swapped || item == 1;
    const auto is_whole = [&](std::int64_t bytes) { return bytes % item == 0; };
    const bool is_aligned =
        is_whole(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(view.data) % 8)) &&
        is_whole(source.slice_stride) && is_whole(source.row_stride);
    if (is_dense && is_native && is_aligned && !as_truth) return source;
    source.copy = label_copier(view.dtype, view.byte_swapped, item);
    source.scratch.resize(static_cast<std::size_t>(kRowSlack + view.shape[last] * item));
    return source;
}

const std::byte* RowReader::read(Source& source, std::int64_t row) const {
    const std::byte* data = source.data + row * source.row_stride;
    if (source.slice_gap != 0) data += row / shape_.rows * source.slice_gap;
    if (source.copy == nullptr) return data;
    std::byte* out = source.scratch.data() + kRowSlack;
    source.copy(data, source.stride, shape_.length, out);
    return out;
}

std::int64_t RowReader::joined_rows(std::int64_t row, std::int64_t rows) const noexcept {
    if (labels_.copy != nullptr || labels_.row_stride != row_bytes_) return 1;
    const std::int64_t in_slice = labels_.slice_gap == 0 ? rows : shape_.rows - row % shape_.rows;
    return std::min(rows, in_slice);
}

const std::byte* RowReader::labels(std::int64_t row) { return read(labels_, row); }

const std::uint8_t* RowReader::mask(std::int64_t row) {
    if (mask_.data == nullptr) return nullptr;
    return reinterpret_cast<const std::uint8_t*>(read(mask_, row));
}

void require_readable(const ArrayView& labels) {
    if (labels.shape.size() != 2 && labels.shape.size() != 3)
        throw std::invalid_argument("a label map of regions has 2 or 3 axes");
    if (is_float(labels.dtype)) throw std::invalid_argument("labels must be integers");
    if (labels.shape.back() > kMaxRowLength)
        throw std::invalid_argument("the last axis is longer than 2**32 - 2");
}

std::int64_t label_of_bits(std::uint64_t bits, DType dtype) {
    switch (dtype) {
        case DType::kInt8: return static_cast<std::int8_t>(bits);
        case DType::kInt16: return static_cast<std::int16_t>(bits);
        case DType::kInt32: return static_cast<std::int32_t>(bits);
        default: return static_cast<std::int64_t>(bits);
    }
}

}  // namespace segmeter
