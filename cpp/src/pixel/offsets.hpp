// Label values to cells of the table of counts, laid out as the kernels read them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "segmeter/pixel.hpp"

#include "simd/pixel_kernels.hpp"

namespace segmeter {

// A masked pixel of target becomes this label: no value of a narrower type is equal to it.
constexpr std::int64_t masked_label(std::int64_t width) {
    return std::numeric_limits<std::int64_t>::min() >> (64 - 8 * width);
}

// The range of an integer type, as far as 64-bit labels go.
constexpr std::int64_t highest_label(DType dtype) {
    const std::int64_t bits = 8 * item_size(dtype) - (is_signed(dtype) ? 1 : 0);
    return bits >= 63 ? std::numeric_limits<std::int64_t>::max() : (std::int64_t{1} << bits) - 1;
}
constexpr std::int64_t lowest_label(DType dtype) {
    return is_signed(dtype) ? -highest_label(dtype) - 1 : 0;
}

// The offsets that a LabelTable's slots stand for, laid out as the kernels read them.
class OffsetTable {
   public:
    OffsetTable(const LabelTable& table, DType dtype, std::int64_t width, std::uint64_t step,
                bool masked)
        : width_(width),
          invalid_(table.invalid_slot() * step),
          // Wider than the source, a label's top bit is set by its sign or by the mask only.
          is_signed_(is_signed(dtype) || width > item_size(dtype) || width == 8),
          slots_fit_(table.invalid_slot() < 256) {
        if (width == 1) {
            fill_bytes(table, dtype, step);
            return;
        }
        // Labels that the source type cannot hold must not be found: widened, a negative label or
        // a masked one has the bits of a large positive one. The mask's mark is the smallest.
        const std::int64_t lowest = lowest_label(dtype);
        const std::int64_t highest = highest_label(dtype);
        if (masked) add_far(masked_label(width), table.void_slot() * step);
        const std::size_t size = static_cast<std::size_t>(
            std::min<std::int64_t>(static_cast<std::int64_t>(table.near().size()) - 1, highest) +
            1);
        near_.reserve(size);
        for (std::size_t label = 0; label < size; ++label)
            near_.push_back(table.near()[label] * step);
        for (const auto& [label, slot] : table.far())
            if (label >= lowest && label <= highest) add_far(label, slot * step);
    }

    [[nodiscard]] simd::Lookup lookup() const noexcept {
        const bool by_byte = width_ == 1;
        return {by_byte ? bytes_.data() : near_.data(),
                by_byte && slots_fit_ ? byte_slots_.data() : nullptr,
                by_byte ? bytes_.size() : near_.size(),
                invalid_,
                far_label_.data(),
                far_offset_.data(),
                static_cast<std::int64_t>(far_label_.size()),
                is_signed_};
    }

   private:
    // By bit pattern: a negative 8-bit label is found at 256 + label.
    void fill_bytes(const LabelTable& table, DType dtype, std::uint64_t step) {
        // A bool byte is true unless it is 0.
        const std::uint32_t others = dtype == DType::kBool ? table.slot(1) : table.invalid_slot();
        bytes_.fill(others * step);
        byte_slots_.fill(static_cast<std::uint8_t>(others));
        const auto set = [&](std::int64_t label, std::uint32_t slot) {
            const auto byte = static_cast<std::uint8_t>(label);
            bytes_[byte] = slot * step;
            byte_slots_[byte] = static_cast<std::uint8_t>(slot);
        };
        const std::int64_t lowest = lowest_label(dtype);
        const std::int64_t highest = highest_label(dtype);
        const std::int64_t size =
            std::min(static_cast<std::int64_t>(table.near().size()), highest + 1);
        for (std::int64_t label = 0; label < size; ++label)
            set(label, table.near()[static_cast<std::size_t>(label)]);
        for (const auto& [label, slot] : table.far())
            if (label >= lowest && label <= highest) set(label, slot);
    }
    void add_far(std::int64_t label, std::uint64_t offset) {
        far_label_.push_back(label);
        far_offset_.push_back(offset);
    }

    std::int64_t width_;
    std::uint64_t invalid_;
    bool is_signed_;
    bool slots_fit_;
    std::array<std::uint64_t, 256> bytes_;
    std::array<std::uint8_t, 256> byte_slots_;
    std::vector<std::uint64_t> near_;
    std::vector<std::int64_t> far_label_;
    std::vector<std::uint64_t> far_offset_;
};

}  // namespace segmeter
