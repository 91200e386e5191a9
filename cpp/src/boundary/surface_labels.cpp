#include "boundary/surface_labels.hpp"

#include <stdexcept>

namespace segmeter {
namespace {

// Labels below this are looked up by index.
constexpr std::uint64_t kNearLabels = 65536;

std::uint32_t slot_of(std::int32_t role) {
    switch (role) {
        case kNobodys: return kSlotNobodys;
        case kIgnoredLabel: return kSlotIgnored;
        case kInvalidLabel: return kSlotInvalid;
        default: return kFirstClass + static_cast<std::uint32_t>(role);
    }
}

// Whether a label of this type can have the value (uint64: its bits).
bool fits(std::int64_t label, DType dtype) {
    const std::int64_t bits = 8 * item_size(dtype);
    if (dtype == DType::kBool) return label == 0 || label == 1;
    if (bits == 64) return true;
    if (is_signed(dtype))
        return label >= -(std::int64_t{1} << (bits - 1)) && label < std::int64_t{1} << (bits - 1);
    return label >= 0 && label < std::int64_t{1} << bits;
}

}  // namespace

SlotTable::SlotTable(const SurfaceLabels& meaning, DType dtype)
    : other_(slot_of(meaning.other_role)), ignores_(other_ == kSlotIgnored) {
    if (meaning.labels.size() != meaning.roles.size())
        throw std::invalid_argument("labels and roles must be equally many");
    const std::int64_t width = item_size(dtype);
    const std::uint64_t all = width == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * width) - 1;
    const std::uint64_t limit = std::max<std::uint64_t>(1024, 4 * meaning.labels.size());
    std::uint64_t size = 0;
    for (const std::int64_t label : meaning.labels) {
        const auto bits = static_cast<std::uint64_t>(label);
        if (fits(label, dtype) && bits < std::min(limit, kNearLabels))
            size = std::max(size, bits + 1);
    }
    std::vector<std::int32_t> classes;
    for (const std::int32_t role : meaning.roles)
        if (role >= 0) classes.push_back(role);
    std::sort(classes.begin(), classes.end());
    one_label_each_ =
        other_ < kFirstClass && std::adjacent_find(classes.begin(), classes.end()) == classes.end();
    near_.assign(size, other_);
    for (std::size_t i = 0; i < meaning.labels.size(); ++i) {
        if (!fits(meaning.labels[i], dtype)) continue;
        const std::uint64_t bits = static_cast<std::uint64_t>(meaning.labels[i]) & all;
        const std::uint32_t slot = slot_of(meaning.roles[i]);
        ignores_ = ignores_ || slot == kSlotIgnored;
        if (bits < size)
            near_[bits] = slot;
        else
            far_.emplace_back(bits, slot);
    }
    std::sort(far_.begin(), far_.end());
    // Any byte but 0 is true.
    if (dtype == DType::kBool) {
        const std::uint32_t truth = (*this)(1);
        near_.resize(1, other_);
        near_.resize(256, truth);
        std::fill(near_.begin() + 1, near_.end(), truth);
    }
}

std::uint32_t SlotTable::look_up(std::uint64_t bits) const noexcept {
    const auto found = std::lower_bound(
        far_.begin(), far_.end(), bits,
        [](const auto& entry, std::uint64_t wanted) { return entry.first < wanted; });
    return found != far_.end() && found->first == bits ? found->second : other_;
}

LabelVolume::LabelVolume(const ArrayView& view)
    : data(view.data),
      dtype(view.dtype),
      width(item_size(view.dtype)),
      has_planes(view.shape.size() == 3),
      shape{1, 1, 1},
      strides{0, 0} {
    const std::size_t ndim = view.shape.size();
    if (ndim != 2 && ndim != 3) throw std::invalid_argument("maps must have two or three axes");
    if (is_float(dtype) || view.byte_swapped ||
        (view.strides[ndim - 1] != width && view.shape[ndim - 1] > 1 && view.size() > 0))
        throw std::invalid_argument("maps must hold contiguous rows of native integers");
    for (std::size_t axis = 0; axis < ndim; ++axis) shape[3 - ndim + axis] = view.shape[axis];
    if (has_planes) strides[0] = view.strides[0];
    strides[1] = view.strides[ndim - 2];
}

std::uint64_t LabelVolume::bits_at(std::int64_t plane, std::int64_t y,
                                   std::int64_t x) const noexcept {
    switch (width) {
        case 1: return row<std::uint8_t>(plane, y)[x];
        case 2: return row<std::uint16_t>(plane, y)[x];
        case 4: return row<std::uint32_t>(plane, y)[x];
        default: return row<std::uint64_t>(plane, y)[x];
    }
}

}  // namespace segmeter
