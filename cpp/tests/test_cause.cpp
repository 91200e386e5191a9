#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/cause.hpp"

using namespace segmeter;

namespace {

struct LabelMap {
    std::vector<std::uint8_t> labels;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> strides;

    LabelMap(std::vector<std::uint8_t> values, std::vector<std::int64_t> extents)
        : labels(std::move(values)), shape(std::move(extents)), strides(shape.size()) {
        std::int64_t stride = 1;
        for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis])
            strides[axis] = stride;
    }
    [[nodiscard]] ArrayView view() const {
        return {reinterpret_cast<const std::byte*>(labels.data()), DType::kUInt8, false, shape,
                strides};
    }
};

LabelMap row_of(std::string_view digits) {
    std::vector<std::uint8_t> labels;
    for (const char digit : digits) labels.push_back(static_cast<std::uint8_t>(digit - '0'));
    return {std::move(labels), {1, static_cast<std::int64_t>(digits.size())}};
}

LabelMap random_map(std::vector<std::int64_t> shape, unsigned classes, unsigned seed) {
    std::mt19937 random(seed);
    std::int64_t size = 1;
    for (const std::int64_t extent : shape) size *= extent;
    std::vector<std::uint8_t> labels;
    while (static_cast<std::int64_t>(labels.size()) < size)
        labels.insert(labels.end(), 1 + random() % 9,
                      static_cast<std::uint8_t>(random() % classes));
    labels.resize(static_cast<std::size_t>(size));
    return {std::move(labels), std::move(shape)};
}

// The square or cube of offsets up to `width`, nearest rows first.
std::vector<NearRow> box(std::int64_t width, bool is_volume) {
    std::vector<NearRow> rows;
    const std::int64_t planes = is_volume ? width : 0;
    for (std::int64_t plane = -planes; plane <= planes; ++plane)
        for (std::int64_t row = -width; row <= width; ++row) rows.push_back({plane, row, width});
    const auto away = [](const NearRow& r) { return std::abs(r.plane) + std::abs(r.row); };
    std::stable_sort(rows.begin(), rows.end(),
                     [&](const NearRow& a, const NearRow& b) { return away(a) < away(b); });
    return rows;
}

struct Measured {
    std::vector<std::int64_t> counts;
    std::vector<std::uint8_t> maps;
};

Measured measure(const LabelMap& pred, const LabelMap& target, std::int64_t classes,
                 std::int64_t width, int threads, std::int64_t ignored = -1) {
    const LabelTable pred_labels(classes);
    LabelTable target_labels(classes);
    if (ignored >= 0) target_labels.set_void(ignored);
    Measured result;
    result.counts.resize(static_cast<std::size_t>(classes * kCauseKinds));
    result.maps.resize(2 * target.labels.size());
    CauseMaps maps;
    maps.fp = result.maps.data();
    maps.fn = maps.fp + target.labels.size();
    CauseOptions options;
    options.threads = threads;
    error_causes(pred.view(), target.view(), nullptr, pred_labels, target_labels,
                 box(width, target.shape.size() == 3), options, result.counts.data(), maps);
    return result;
}

}  // namespace

TEST_CASE("every cause in one row") {
    const Measured found = measure(row_of("0111110001"), row_of("0111000000"), 2, 1, 1);
    const std::vector<std::uint8_t> fp{0, 0, 0, 0, 2, 2, 0, 0, 0, 3};
    CHECK(std::vector<std::uint8_t>(found.maps.begin(), found.maps.begin() + 10) == fp);
    const Measured wide = measure(row_of("0111110001"), row_of("0111000000"), 2, 2, 1);
    CHECK(wide.counts[kCauseKinds + static_cast<std::int64_t>(CauseKind::kFpBoundary)] == 2);
    CHECK(wide.counts[kCauseKinds + static_cast<std::int64_t>(CauseKind::kFpSegment)] == 1);
    CHECK(wide.counts[kCauseKinds + static_cast<std::int64_t>(CauseKind::kTruePositive)] == 3);
}

TEST_CASE("ignored pixels carry a boundary but are not counted") {
    const Measured found = measure(row_of("11110"), row_of("11900"), 2, 2, 1, 9);
    CHECK(std::vector<std::uint8_t>(found.maps.begin(), found.maps.begin() + 5) ==
          std::vector<std::uint8_t>{0, 0, 4, 1, 0});
    CHECK(found.counts[kCauseKinds + static_cast<std::int64_t>(CauseKind::kIgnored)] == 1);
}

TEST_CASE("counts of every class are all pixels, whatever the threads") {
    for (const auto& shape : {std::vector<std::int64_t>{300, 500}, {24, 60, 70}}) {
        const LabelMap pred = random_map(shape, 5, 1);
        const LabelMap target = random_map(shape, 5, 2);
        const Measured one = measure(pred, target, 5, 3, 1);
        for (std::size_t k = 0; k < 5; ++k) {
            std::int64_t pixels = 0;
            for (std::size_t kind = 0; kind < kCauseKinds; ++kind)
                pixels += one.counts[k * kCauseKinds + kind];
            CHECK(pixels == static_cast<std::int64_t>(target.labels.size()));
        }
        for (const int threads : {2, 7}) {
            const Measured many = measure(pred, target, 5, 3, threads);
            CHECK(many.counts == one.counts);
            CHECK(many.maps == one.maps);
        }
    }
}

TEST_CASE("segments and their overlap") {
    const LabelMap pred = row_of("0110110");
    const LabelMap target = row_of("0111190");
    const LabelTable pred_labels(2);
    LabelTable target_labels(2);
    target_labels.set_void(9);
    const SegmentOverlap found =
        segment_overlap(pred.view(), target.view(), nullptr, pred_labels, target_labels, {});
    CHECK(found.pred_class == std::vector<std::int64_t>{0, 1, 0, 1, 0});
    CHECK(found.target_class == std::vector<std::int64_t>{0, 1, 0});
    CHECK(found.overlap.pred.void_area == std::vector<std::int64_t>{0, 0, 0, 1, 0});
    CHECK(found.overlap.pairs.target == std::vector<std::int64_t>{0, 1, 1, 1, 2});
    CHECK(found.overlap.pairs.pred == std::vector<std::int64_t>{0, 1, 2, 3, 4});
    CHECK(found.overlap.pairs.intersection == std::vector<std::int64_t>{1, 2, 1, 1, 1});
    CHECK(found.overlap.num_ignored == 1);
}
