#include <cstdint>
#include <map>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/region/matching.hpp"
#include "segmeter/region/overlap.hpp"

#include "levels.hpp"

using namespace segmeter;

namespace {

template <class T>
std::vector<T> random_ids(std::int64_t n, unsigned most, unsigned longest, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<T> ids;
    while (static_cast<std::int64_t>(ids.size()) < n)
        ids.insert(ids.end(), 1 + random() % longest, static_cast<T>(random() % most));
    ids.resize(static_cast<std::size_t>(n));
    return ids;
}

// A contiguous row of pixels.
template <class T>
struct Row {
    std::vector<T> values;
    std::int64_t shape;
    std::int64_t stride = sizeof(T);

    explicit Row(std::vector<T> v)
        : values(std::move(v)), shape(static_cast<std::int64_t>(values.size())) {}
    [[nodiscard]] ArrayView view(DType dtype) const {
        return {reinterpret_cast<const std::byte*>(values.data()),
                dtype,
                false,
                {&shape, 1},
                {&stride, 1}};
    }
};

using Counts = std::map<std::pair<std::uint64_t, std::uint64_t>, std::int64_t>;

Counts counts_of(const Overlap& overlap) {
    Counts counts;
    const OverlapPairs& pairs = overlap.pairs;
    for (std::size_t i = 0; i < pairs.intersection.size(); ++i) {
        const auto target = overlap.target.label[static_cast<std::size_t>(pairs.target[i])];
        const auto pred = overlap.pred.label[static_cast<std::size_t>(pairs.pred[i])];
        counts[{target, pred}] = pairs.intersection[i];
    }
    return counts;
}

template <class T>
void check_against_counting(DType dtype) {
    for (const unsigned most : {2U, 9U, 200U}) {
        for (const unsigned longest : {1U, 7U, 90U}) {
            const Row<T> pred(random_ids<T>(200'000, most, longest, 1));
            const Row<T> target(random_ids<T>(200'000, most, longest, 2));
            Counts expected;
            for (std::size_t i = 0; i < pred.values.size(); ++i)
                if (pred.values[i] != 0 && target.values[i] != 0)
                    ++expected[{target.values[i], pred.values[i]}];
            at_each_level([&] {
                for (const int threads : {1, 3}) {
                    const Overlap overlap = overlap_of_maps(
                        pred.view(dtype), {0, {}}, target.view(dtype), {0, {}}, nullptr, threads);
                    CHECK(counts_of(overlap) == expected);
                }
            });
        }
    }
}

}  // namespace

TEST_CASE("the overlap of maps is what counting pixels gives") {
    check_against_counting<std::uint8_t>(DType::kUInt8);
    check_against_counting<std::uint16_t>(DType::kUInt16);
    check_against_counting<std::uint32_t>(DType::kUInt32);
    check_against_counting<std::uint64_t>(DType::kUInt64);
}

// More cells than are kept as sums, each of them done with after a few rows, some beyond 16 bits.
TEST_CASE("pairs of many small cells are added up, whatever becomes of their sums") {
    constexpr std::int64_t kSide = 8;
    constexpr std::int64_t kLength = 1024;
    constexpr std::int64_t kFirst = 40'000;
    constexpr std::int64_t kShift = 3;  // target's cells begin so many pixels before pred's
    constexpr std::int64_t kRows = 2048;
    std::vector<std::uint32_t> pred;
    std::vector<std::uint32_t> target;
    for (std::int64_t y = 0; y < kRows; ++y)
        for (std::int64_t x = 0; x < kLength; ++x) {
            const auto cell = [&](std::int64_t at) {
                const bool outside = at >= kLength;
                return outside ? 0U
                               : static_cast<std::uint32_t>(kFirst + y / kSide * kLength / kSide +
                                                            at / kSide);
            };
            pred.push_back(cell(x));
            target.push_back(cell(x + kShift));
        }
    const Row<std::uint32_t> pred_row(pred);
    const Row<std::uint32_t> target_row(target);
    for (const int threads : {1, 2, 3}) {
        const Overlap overlap =
            overlap_of_maps(pred_row.view(DType::kUInt32), {0, {}}, target_row.view(DType::kUInt32),
                            {0, {}}, nullptr, threads);
        const OverlapPairs& pairs = overlap.pairs;
        CHECK(pairs.pred.size() == kRows / kSide * (2 * kLength / kSide - 1));
        bool as_expected = true;
        for (std::size_t i = 0; i < pairs.pred.size(); ++i) {
            const bool is_same = pairs.pred[i] == pairs.target[i];
            as_expected &= is_same || pairs.pred[i] + 1 == pairs.target[i];
            as_expected &= pairs.intersection[i] == kSide * (is_same ? kSide - kShift : kShift);
        }
        CHECK(as_expected);
    }
}

TEST_CASE("run lists of different shapes are refused") {
    const std::vector<std::int64_t> one_row{0, 0};
    const std::vector<std::int64_t> two_rows{0, 0, 0};
    const RegionRuns one{one_row, {}, {}, {}, 1};
    const RegionRuns two{two_rows, {}, {}, {}, 1};
    CHECK_THROWS_AS(static_cast<void>(overlap_of_runs(one, two, 1)), std::invalid_argument);
    CHECK(overlap_of_runs(one, one, 1).intersection.empty());
}

TEST_CASE("matching of a small graph by hand") {
    const std::vector<std::int64_t> pred{0, 1, 0};
    const std::vector<std::int64_t> target{0, 0, 1};
    const std::vector<double> score{0.9, 0.3, 0.3};
    const bool passes[] = {true, true, true};
    const MatchingEdges edges{pred, target, score, passes};
    CHECK(greedy_matching(edges) == std::vector<std::int64_t>{0});
    CHECK(optimal_matching(edges, MatchingObjective::kScore) == std::vector<std::int64_t>{0});
    CHECK(optimal_matching(edges, MatchingObjective::kCount) == std::vector<std::int64_t>{1, 2});
}
