#include <array>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/boundary/band.hpp"

namespace {

using namespace segmeter;

constexpr std::int64_t kRows = 9;
constexpr std::int64_t kColumns = 131;  // more than two words of bits

struct Map {
    std::vector<std::uint8_t> labels = std::vector<std::uint8_t>(kRows * kColumns);
    std::array<std::int64_t, 2> shape{kRows, kColumns};
    std::array<std::int64_t, 2> strides{kColumns, 1};

    [[nodiscard]] ArrayView view(DType dtype = DType::kUInt8) const {
        return {reinterpret_cast<const std::byte*>(labels.data()), dtype, false, shape, strides};
    }
    [[nodiscard]] std::uint8_t at(std::int64_t row, std::int64_t column) const {
        return labels[static_cast<std::size_t>(row * kColumns + column)];
    }
};

Map random_blocks(unsigned seed, std::int64_t size, int labels) {
    std::mt19937 random(seed);
    std::vector<std::uint8_t> blocks(1024);
    for (std::uint8_t& block : blocks)
        block = static_cast<std::uint8_t>(random() % static_cast<unsigned>(labels));
    Map map;
    for (std::int64_t i = 0; i < kRows * kColumns; ++i)
        map.labels[static_cast<std::size_t>(i)] = blocks[static_cast<std::size_t>(
            (i / kColumns / size * 64 + i % kColumns / size) % 1024)];
    return map;
}

// Whether the window of a pixel holds a known label of another class, by looking at all of it.
bool in_band(const Map& map, const Map* unknown, std::int64_t row, std::int64_t column,
             const Reach& reach, bool border) {
    for (std::int64_t y = row - reach[1]; y <= row + reach[1]; ++y)
        for (std::int64_t x = column - reach[2]; x <= column + reach[2]; ++x) {
            const bool inside = y >= 0 && y < kRows && x >= 0 && x < kColumns;
            if (!inside && border) return true;
            if (!inside || (unknown != nullptr && unknown->at(y, x) != 0)) continue;
            if (map.at(y, x) != map.at(row, column)) return true;
        }
    return false;
}

TEST_CASE("the band of a label is where its window holds another") {
    for (unsigned seed = 0; seed < 40; ++seed) {
        const Map map = random_blocks(seed, 1 + seed % 40, 3);
        const Map unknown = random_blocks(seed + 100, 3, 2);
        const Reach reach{0, static_cast<std::int64_t>(seed % 5),
                          static_cast<std::int64_t>(seed * 7 % 80)};
        for (const bool border : {false, true})
            for (const Map* hidden : {static_cast<const Map*>(nullptr), &unknown}) {
                std::vector<std::uint8_t> band(map.labels.size());
                label_band(map.view(), hidden == nullptr ? nullptr : hidden->labels.data(), reach,
                           border, 1 + static_cast<int>(seed % 3), band.data());
                for (std::int64_t i = 0; i < kRows * kColumns; ++i) {
                    const std::int64_t row = i / kColumns;
                    const std::int64_t column = i % kColumns;
                    const bool is_known = hidden == nullptr || hidden->at(row, column) == 0;
                    const bool expected =
                        is_known && in_band(map, hidden, row, column, reach, border);
                    REQUIRE((band[static_cast<std::size_t>(i)] != 0) == expected);
                }
            }
    }
}

TEST_CASE("bands of one map with itself overlap wholly") {
    const Map map = random_blocks(3, 9, 4);
    const LabelTable table(4);
    std::vector<std::int64_t> counts(4 * kBandCounts);
    band_overlap(map.view(), map.view(), nullptr, table, table, {0, 2, 2}, {}, counts.data());
    for (std::size_t k = 0; k < 4; ++k) {
        CHECK(counts[3 * k] > 0);
        CHECK(counts[3 * k] == counts[3 * k + 1]);
        CHECK(counts[3 * k] == counts[3 * k + 2]);
    }
}

TEST_CASE("labels that are nobody's are reported, not counted") {
    Map map = random_blocks(3, 9, 2);
    Map spoilt = map;
    spoilt.labels[5] = 200;
    const LabelTable table(2);
    std::vector<std::int64_t> counts(2 * kBandCounts);
    const PixelTally in_pred = band_overlap(spoilt.view(), map.view(), nullptr, table, table,
                                            {0, 1, 1}, {}, counts.data());
    CHECK(in_pred.invalid_pred == 1);
    const PixelTally in_target = band_overlap(map.view(), spoilt.view(), nullptr, table, table,
                                              {0, 1, 1}, {}, counts.data());
    CHECK(in_target.invalid_target == 1);
}

TEST_CASE("outlines that are apart meet within the distance between them") {
    Map pred;
    Map target;
    for (std::int64_t row = 2; row < 7; ++row) {
        pred.labels[static_cast<std::size_t>(row * kColumns + 20)] = 1;
        target.labels[static_cast<std::size_t>(row * kColumns + 120)] = 1;
    }
    const LabelTable table(2);
    for (const std::int64_t reach : {99, 100}) {
        const std::array<NearRow, 1> element{NearRow{0, 0, reach}};
        std::vector<std::int64_t> counts(2 * kOutlineCounts);
        OutlineOptions options;
        options.rule = OutlineRule::kInner;
        outline_matches(pred.view(), target.view(), nullptr, table, table, element, options,
                        counts.data());
        CHECK(counts[kOutlineCounts] == 5);
        CHECK(counts[kOutlineCounts + 1] == 5);
        CHECK(counts[kOutlineCounts + 2] == (reach == 100 ? 5 : 0));
        CHECK(counts[kOutlineCounts + 3] == (reach == 100 ? 5 : 0));
    }
}

TEST_CASE("a negative reach is refused") {
    const Map map;
    std::vector<std::uint8_t> band(map.labels.size());
    CHECK_THROWS_AS(label_band(map.view(), nullptr, {0, -1, 1}, true, 1, band.data()),
                    std::invalid_argument);
}

}  // namespace
