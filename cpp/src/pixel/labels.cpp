#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>

#include "segmeter/pixel.hpp"

namespace segmeter {
namespace {

// Labels below this are looked up by index, whoever they are; above it only where a mapping is
// dense, or one label such as 65535 would cost a table of that length in every call.
constexpr std::size_t kNearLabels = 1024;

constexpr auto kByLabel = [](const auto& entry, std::int64_t label) { return entry.first < label; };

std::int64_t checked_classes(std::int64_t num_classes) {
    if (num_classes < 1 || num_classes > kMaxClasses)
        throw std::invalid_argument("num_classes must be 1 to 65536, got " +
                                    std::to_string(num_classes));
    return num_classes;
}

}  // namespace

LabelTable::LabelTable(std::int64_t num_classes)
    : num_classes_(checked_classes(num_classes)), near_(static_cast<std::size_t>(num_classes)) {
    std::iota(near_.begin(), near_.end(), 0U);
}

LabelTable::LabelTable(std::int64_t num_classes, std::span<const std::int64_t> labels,
                       std::span<const std::int64_t> classes)
    : num_classes_(checked_classes(num_classes)) {
    if (labels.size() != classes.size())
        throw std::invalid_argument("labels and classes must be equally many");
    struct Entry {
        std::int64_t label;
        std::size_t order;
        std::uint32_t slot;
    };
    std::vector<Entry> entries;
    entries.reserve(labels.size());
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (classes[i] >= num_classes)
            throw std::invalid_argument("class " + std::to_string(classes[i]) +
                                        " is not below num_classes");
        const auto slot = classes[i] < 0 ? void_slot() : static_cast<std::uint32_t>(classes[i]);
        entries.push_back({labels[i], i, slot});
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return a.label != b.label ? a.label < b.label : a.order < b.order;
    });
    const auto near_limit = static_cast<std::int64_t>(std::max(kNearLabels, 2 * entries.size()));
    for (const auto& [label, order, slot] : entries) {
        if (label >= 0 && label < near_limit) {
            near_.resize(std::max(near_.size(), static_cast<std::size_t>(label) + 1),
                         invalid_slot());
            near_[static_cast<std::size_t>(label)] = slot;
        } else if (!far_.empty() && far_.back().first == label) {
            far_.back().second = slot;
        } else {
            far_.emplace_back(label, slot);
        }
    }
}

std::uint32_t LabelTable::void_slot() const noexcept {
    return static_cast<std::uint32_t>(num_classes_);
}

std::uint32_t LabelTable::invalid_slot() const noexcept { return void_slot() + 1; }

void LabelTable::set_void(std::int64_t label) {
    if (label >= 0 && label < static_cast<std::int64_t>(near_.size())) {
        near_[static_cast<std::size_t>(label)] = void_slot();
        return;
    }
    const auto place = std::lower_bound(far_.begin(), far_.end(), label, kByLabel);
    if (place != far_.end() && place->first == label)
        place->second = void_slot();
    else
        far_.insert(place, {label, void_slot()});
}

void LabelTable::set_void_if_invalid(std::int64_t label) {
    if (slot(label) == invalid_slot()) set_void(label);
}

std::uint32_t LabelTable::slot(std::int64_t label) const noexcept {
    if (label >= 0 && label < static_cast<std::int64_t>(near_.size()))
        return near_[static_cast<std::size_t>(label)];
    const auto place = std::lower_bound(far_.begin(), far_.end(), label, kByLabel);
    return place != far_.end() && place->first == label ? place->second : invalid_slot();
}

void color_codes(const std::uint8_t* pixels, std::int64_t n, std::int64_t channels,
                 std::uint32_t* codes) noexcept {
    // The byte behind a colour is read with it, except behind the last.
    for (std::int64_t i = 0; i + 1 < n; ++i, pixels += channels) {
        std::uint32_t word = 0;
        std::memcpy(&word, pixels, sizeof(word));
        codes[i] = word & 0xFFFFFFU;
    }
    if (n > 0)
        codes[n - 1] = pixels[0] | std::uint32_t{pixels[1]} << 8 | std::uint32_t{pixels[2]} << 16;
}

}  // namespace segmeter
