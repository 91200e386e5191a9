#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/region/components.hpp"
#include "segmeter/region/runs.hpp"

#include "levels.hpp"

using namespace segmeter;

namespace {

template <class T>
struct Map {
    std::vector<T> values;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> strides;

    Map(std::vector<T> v, std::vector<std::int64_t> s)
        : values(std::move(v)), shape(std::move(s)), strides(shape.size()) {
        std::int64_t stride = sizeof(T);
        for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis])
            strides[axis] = stride;
    }
    [[nodiscard]] ArrayView view(DType dtype) const {
        return {reinterpret_cast<const std::byte*>(values.data()), dtype, false, shape, strides};
    }
};

template <class T>
Map<T> random_map(std::vector<std::int64_t> shape, unsigned labels, unsigned longest,
                  unsigned seed) {
    std::int64_t size = 1;
    for (const std::int64_t extent : shape) size *= extent;
    std::mt19937 random(seed);
    std::vector<T> values;
    while (static_cast<std::int64_t>(values.size()) < size)
        values.insert(values.end(), 1 + random() % longest, static_cast<T>(random() % labels));
    values.resize(static_cast<std::size_t>(size));
    return {std::move(values), std::move(shape)};
}

// Labels by flooding from every pixel in raster order: 0 is background.
template <class T>
std::vector<std::int64_t> flooded(const Map<T>& map, int farthest) {
    const bool is_flat = map.shape.size() == 2;
    const std::array<std::int64_t, 3> extent{is_flat ? 1 : map.shape[0],
                                             map.shape[map.shape.size() - 2], map.shape.back()};
    std::vector<std::int64_t> labels(map.values.size());
    std::int64_t count = 0;
    std::vector<std::int64_t> waiting;
    for (std::size_t start = 0; start < labels.size(); ++start) {
        if (map.values[start] == 0 || labels[start] != 0) continue;
        labels[start] = ++count;
        waiting.push_back(static_cast<std::int64_t>(start));
        while (!waiting.empty()) {
            const std::int64_t at = waiting.back();
            waiting.pop_back();
            const std::int64_t x = at % extent[2];
            const std::int64_t y = at / extent[2] % extent[1];
            const std::int64_t z = at / extent[2] / extent[1];
            for (std::int64_t step = 0; step < 27; ++step) {
                const std::int64_t dx = step % 3 - 1;
                const std::int64_t dy = step / 3 % 3 - 1;
                const std::int64_t dz = step / 9 - 1;
                if (dx * dx + dy * dy + dz * dz > farthest) continue;
                if (x + dx < 0 || x + dx >= extent[2] || y + dy < 0 || y + dy >= extent[1] ||
                    z + dz < 0 || z + dz >= extent[0])
                    continue;
                const auto other =
                    static_cast<std::size_t>(((z + dz) * extent[1] + y + dy) * extent[2] + x + dx);
                if (labels[other] != 0 ||
                    map.values[other] != map.values[static_cast<std::size_t>(at)])
                    continue;
                labels[other] = count;
                waiting.push_back(static_cast<std::int64_t>(other));
            }
        }
    }
    return labels;
}

std::vector<std::int64_t> painted(const Regions& regions, std::size_t size) {
    std::vector<std::int64_t> out(size);
    std::vector<std::int64_t> names;
    for (std::size_t i = 0; i < regions.facts.size(); ++i)
        names.push_back(static_cast<std::int64_t>(i) + 1);
    paint(regions.runs, regions.run_region.data(), names.data(), 0,
          {DType::kInt64, reinterpret_cast<std::byte*>(out.data()), true}, 2);
    return out;
}

template <class T>
void check_map(const Map<T>& map, DType dtype, Connectivity connectivity, int farthest) {
    const std::vector<std::int64_t> expected = flooded(map, farthest);
    at_each_level([&] {
        for (const int threads : {1, 2, 3}) {
            RunOptions options;
            options.threads = threads;
            const Regions regions = label_components(map.view(dtype), connectivity, options);
            CHECK(painted(regions, map.values.size()) == expected);
            std::int64_t area = 0;
            for (const RegionFacts& facts : regions.facts) area += facts.area;
            CHECK(area ==
                  static_cast<std::int64_t>(std::count_if(map.values.begin(), map.values.end(),
                                                          [](T label) { return label != 0; })));
            const Regions alone = label_components(map.view(dtype), connectivity, options, false);
            CHECK(alone.runs.begin.empty());
            CHECK(std::equal(alone.facts.begin(), alone.facts.end(), regions.facts.begin(),
                             regions.facts.end(), [](const RegionFacts& a, const RegionFacts& b) {
                                 return a.first == b.first && a.area == b.area && a.sum == b.sum &&
                                        a.low == b.low && a.high == b.high;
                             }));
            Runs runs = find_runs(map.view(dtype), options);
            require_valid(runs);
            require_maximal(runs);
            const Regions again = label_components(std::move(runs), false, connectivity, threads);
            CHECK(painted(again, map.values.size()) == expected);
        }
    });
}

// Paints over whatever the image holds, and nothing behind it.
template <class T>
void check_painting(const Map<std::uint8_t>& map, DType dtype, std::int64_t background) {
    const Runs runs = find_runs(map.view(DType::kUInt8), {});
    std::vector<std::int32_t> key(runs.value.begin(), runs.value.end());
    const std::vector<std::int64_t> value_of_key{-1, 7, 100};
    const std::size_t n = map.values.size();
    std::vector<T> expected(n + 80, T{77});
    for (std::size_t i = 0; i < n; ++i)
        expected[i] = static_cast<T>(map.values[i] == 0 ? background : value_of_key[map.values[i]]);
    for (const bool is_zero : {false, true})
        for (const int threads : {1, 2, 7}) {
            std::vector<T> image(n + 80, T{77});
            std::fill(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(n),
                      T(is_zero ? 0 : 33));
            paint(runs, key.data(), value_of_key.data(), background,
                  {dtype, reinterpret_cast<std::byte*>(image.data()), is_zero}, threads);
            CHECK(image == expected);
        }
}

}  // namespace

TEST_CASE("painted are the runs, the rest of the image and nothing else") {
    for (const std::int64_t length : {1, 3, 40, 63, 64, 65, 200})
        for (const std::int64_t background : {0, 5}) {
            CAPTURE(length);
            const auto map = random_map<std::uint8_t>({70, length}, 3, length < 64 ? 2 : 90, 5);
            at_each_level([&] {
                check_painting<std::uint8_t>(map, DType::kUInt8, background);
                check_painting<std::uint16_t>(map, DType::kUInt16, background);
                check_painting<std::int32_t>(map, DType::kInt32, background);
                check_painting<std::int64_t>(map, DType::kInt64, background);
            });
        }
}

TEST_CASE("large arrays grow, shrink and are used again") {
    constexpr std::size_t kMany = std::size_t{1} << 18;
    for (int round = 0; round < 3; ++round) {
        Buffer<std::uint32_t> grown;
        Buffer<std::uint32_t> other;
        for (std::uint32_t i = 0; i < kMany; ++i) {
            grown.push_back(i);
            if (i % 3 == 0) other.push_back(~i);
        }
        grown.resize(kMany / 2);
        grown.shrink();
        Buffer<std::uint32_t> third;
        third.append(grown.data(), grown.size());
        Buffer<std::uint32_t> moved(std::move(grown));
        moved.append(other.data(), other.size());
        bool all = third.size() == kMany / 2;
        for (std::uint32_t i = 0; i < third.size(); ++i) all &= third[i] == i && moved[i] == i;
        for (std::uint32_t i = 0; i < other.size(); ++i)
            all &= other[i] == ~(3 * i) && moved[kMany / 2 + i] == ~(3 * i);
        CHECK(all);
        moved.resize(3);
        moved.shrink();
        CHECK((moved[0] == 0 && moved[1] == 1 && moved[2] == 2));
    }
    // No more is kept than is said, whatever is given.
    for (std::size_t bytes = detail::kLargeArray; bytes <= 2 * detail::kMostPagesKept; bytes *= 2)
        detail::give_pages(detail::take_pages(bytes));
    const detail::Pages large = detail::take_pages(2 * detail::kMostPagesKept);
    CHECK(large.is_zero);
    detail::give_pages(large);
    detail::give_pages(detail::take_pages(detail::kLargeArray));
    detail::free_kept_pages();
    const detail::Pages again = detail::take_pages(detail::kLargeArray);
    CHECK(again.is_zero);
    detail::give_pages(again);
}

TEST_CASE("components of rows of every length, connectivity, type, level and thread count") {
    for (const std::int64_t length : {1, 5, 63, 64, 65, 127, 128, 129, 200, 1100})
        for (const unsigned longest : {1U, 3U, 40U}) {
            CAPTURE(length);
            const auto flat = random_map<std::uint8_t>({11, length}, 3, longest, 1);
            check_map(flat, DType::kUInt8, Connectivity::k4, 1);
            check_map(flat, DType::kUInt8, Connectivity::k8, 2);
            const auto wide = random_map<std::uint64_t>({7, length}, 2, longest, 2);
            check_map(wide, DType::kUInt64, Connectivity::k8, 2);
            const auto half = random_map<std::int16_t>({3, 4, length}, 3, longest, 3);
            check_map(half, DType::kInt16, Connectivity::k6, 1);
            check_map(half, DType::kInt16, Connectivity::k18, 2);
            const auto word = random_map<std::uint32_t>({4, 3, length}, 2, longest, 4);
            check_map(word, DType::kUInt32, Connectivity::k26, 3);
        }
}

TEST_CASE("binary volumes with few runs in a row, and with many") {
    // Rows of one block and of several; lesions, noise, and stretches of rows without a run.
    for (const std::int64_t length : {1, 40, 63, 64, 65, 127, 128, 129, 200, 700})
        for (const unsigned longest : {1U, 9U, 90U})
            for (const unsigned labels : {2U, 30U}) {
                CAPTURE(length);
                auto map = random_map<std::uint8_t>({4, 37, length}, labels, longest, length);
                for (std::uint8_t& value : map.values) value = value == 1 ? 1 : 0;
                std::fill_n(map.values.begin() + 40 * length, 20 * length, std::uint8_t{0});
                check_map(map, DType::kBool, Connectivity::k6, 1);
                check_map(map, DType::kBool, Connectivity::k18, 2);
                check_map(map, DType::kBool, Connectivity::k26, 3);
            }
}

TEST_CASE("instances are sorted by value, signed or not") {
    const Map<std::int64_t> map({-3, 0, 7, 7, -3, 0}, {2, 3});
    RunOptions options;
    const Regions with_sign = instance_regions(map.view(DType::kInt64), options);
    REQUIRE(with_sign.facts.size() == 2);
    CHECK(with_sign.facts[0].value == -3);
    CHECK(with_sign.facts[0].area == 2);
    const Regions without = instance_regions(map.view(DType::kUInt64), options);
    CHECK(without.is_unsigned);
    CHECK(without.facts[0].value == 7);
}

TEST_CASE("ignored labels and masks belong to no run") {
    const Map<std::uint8_t> map({1, 1, 2, 1, 9, 1}, {1, 6});
    const Map<std::uint8_t> mask({1, 0, 0, 0, 0, 0}, {1, 6});
    const ArrayView flags = mask.view(DType::kBool);
    const std::array<std::int64_t, 2> ignored{9, 300};
    RunOptions options;
    options.ignored = ignored;
    options.mask = &flags;
    const Runs runs = find_runs(map.view(DType::kUInt8), options);
    REQUIRE(runs.count() == 4);
    CHECK(runs.begin[0] == 1);
    CHECK(runs.value[1] == 2);
    CHECK(runs.begin[3] == 5);
}

TEST_CASE("faces and Euler numbers of a ring") {
    const Map<std::uint8_t> ring({1, 1, 1, 1, 0, 1, 1, 1, 1}, {3, 3});
    const Regions regions = label_components(ring.view(DType::kUInt8), Connectivity::k8, {});
    CHECK(exposed_faces(regions)[0] == 16);
    CHECK(euler_numbers(regions, Connectivity::k8)[0] == 0);
}

TEST_CASE("what makes no region is refused") {
    const Map<std::uint8_t> line({1, 1}, {2});
    const Map<std::uint8_t> plane({1, 1}, {1, 2});
    CHECK_THROWS_AS((void)find_runs(line.view(DType::kUInt8), {}), std::invalid_argument);
    CHECK_THROWS_AS((void)label_components(plane.view(DType::kUInt8), Connectivity::k6, {}),
                    std::invalid_argument);
    CHECK_THROWS_AS((void)concatenate({}), std::invalid_argument);
}
