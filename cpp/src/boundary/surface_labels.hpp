// What labels mean, looked up where surfaces are; and the maps they lie in.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "segmeter/boundary/surface.hpp"

namespace segmeter {

// What a label is, as a small number: one of these, or kFirstClass + class.
enum Slot : std::uint32_t { kSlotNobodys, kSlotIgnored, kSlotInvalid, kFirstClass };

// Slots by the bit pattern of a label in its own width.
class SlotTable {
   public:
    SlotTable(const SurfaceLabels& meaning, DType dtype);

    [[nodiscard]] std::uint32_t operator()(std::uint64_t bits) const noexcept {
        if (bits < near_.size()) return near_[bits];
        return far_.empty() ? other_ : look_up(bits);
    }
    // Whether no two labels are of the same class.
    [[nodiscard]] bool one_label_each() const noexcept { return one_label_each_; }
    // Whether some label is ignored.
    [[nodiscard]] bool ignores() const noexcept { return ignores_; }

   private:
    [[nodiscard]] std::uint32_t look_up(std::uint64_t bits) const noexcept;

    std::uint32_t other_;
    bool ignores_;
    bool one_label_each_;
    std::vector<std::uint32_t> near_;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> far_;  // sorted
};

// A map as a volume; in 2-D it has one plane and no third dimension.
struct LabelVolume {
    explicit LabelVolume(const ArrayView& view);

    template <class T>
    [[nodiscard]] const T* row(std::int64_t plane, std::int64_t y) const noexcept {
        return reinterpret_cast<const T*>(data + plane * strides[0] + y * strides[1]);
    }
    [[nodiscard]] std::uint64_t bits_at(std::int64_t plane, std::int64_t y,
                                        std::int64_t x) const noexcept;

    const std::byte* data;
    DType dtype;
    std::int64_t width;
    bool has_planes;
    std::array<std::int64_t, 3> shape;
    std::array<std::int64_t, 2> strides;
};

}  // namespace segmeter
