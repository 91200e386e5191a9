#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/boundary/edt.hpp"

#include "levels.hpp"

namespace {

using segmeter::DistanceTransform;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Volume {
    std::int64_t planes, rows, width;
    std::vector<std::uint8_t> labels;
};

Volume random_volume(std::mt19937& random, std::int64_t planes, std::int64_t rows,
                     std::int64_t width, int most, double density) {
    Volume volume{planes, rows, width, {}};
    std::bernoulli_distribution is_set(density);
    std::uniform_int_distribution<int> label(1, most);
    for (std::int64_t i = 0; i < planes * rows * width; ++i)
        volume.labels.push_back(is_set(random) ? static_cast<std::uint8_t>(label(random))
                                               : std::uint8_t{0});
    return volume;
}

// Squared distance of pixel p to the nearest of another label, by trying all.
double nearest(const Volume& v, const std::array<double, 3>& spacing, std::int64_t p) {
    const auto square = [](double length) { return length * length; };
    const auto at = [&](std::int64_t i) { return v.labels[static_cast<std::size_t>(i)]; };
    double best = kInfinity;
    for (std::int64_t q = 0; q < v.planes * v.rows * v.width; ++q) {
        if (at(q) == at(p)) continue;
        const auto step = [&](std::int64_t unit, std::int64_t extent) {
            return static_cast<double>(p / unit % extent - q / unit % extent);
        };
        const double plane = square(step(v.rows * v.width, v.planes) * spacing[0]);
        const double row = square(step(v.width, v.rows) * spacing[1]);
        best = std::min(best, (plane + row) + square(step(1, v.width) * spacing[2]));
    }
    return best;
}

}  // namespace

TEST_CASE("distances are the smallest of all, on every level and number of threads") {
    std::mt19937 random(7);
    for (const double density : {0.05, 0.5, 0.95}) {
        const Volume volume = random_volume(random, 7, 9, 37, 2, density);
        DistanceTransform job;
        job.shape = {volume.planes, volume.rows, volume.width};
        job.spacing = {2.5, 0.7, 0.3};
        job.labels = volume.labels.data();
        job.is_mask = false;
        job.squared = true;
        std::vector<double> expected;
        for (std::size_t p = 0; p < volume.labels.size(); ++p)
            expected.push_back(volume.labels[p] == 0
                                   ? 0.0
                                   : nearest(volume, job.spacing, static_cast<std::int64_t>(p)));
        at_each_level([&] {
            for (const int threads : {1, 3}) {
                std::vector<double> found(volume.labels.size(), -1.0);
                segmeter::distance_transform(job, found.data(), nullptr, threads);
                CHECK(found == expected);
            }
        });
    }
}

TEST_CASE("the nearest pixel lies at the distance") {
    std::mt19937 random(3);
    const Volume volume = random_volume(random, 1, 40, 33, 1, 0.9);
    DistanceTransform job;
    job.ndim = 2;
    job.shape = {volume.rows, volume.width, 0};
    job.spacing = {1.5, 0.4, 0};
    job.labels = volume.labels.data();
    job.squared = true;
    const std::size_t pixels = volume.labels.size();
    std::vector<double> distance(pixels);
    std::vector<std::int32_t> place(2 * pixels);
    segmeter::distance_transform(job, distance.data(), place.data(), 1);
    for (std::size_t p = 0; p < pixels; ++p) {
        const auto row = static_cast<std::size_t>(place[p]);
        const auto column = static_cast<std::size_t>(place[pixels + p]);
        const auto width = static_cast<std::size_t>(volume.width);
        CHECK(volume.labels[row * width + column] == 0);
        const double down = (static_cast<double>(p / width) - static_cast<double>(row)) * 1.5;
        const double along = (static_cast<double>(p % width) - static_cast<double>(column)) * 0.4;
        CHECK(down * down + along * along == distance[p]);
    }
}

TEST_CASE("without another label there is no distance, unless the border is one") {
    const std::vector<std::uint16_t> labels(12, 5);
    DistanceTransform job;
    job.ndim = 2;
    job.shape = {3, 4, 0};
    job.labels = labels.data();
    job.label_size = 2;
    job.is_mask = false;
    std::vector<double> distance(12);
    segmeter::distance_transform(job, distance.data(), nullptr, 1);
    CHECK(std::all_of(distance.begin(), distance.end(), [](double d) { return d == kInfinity; }));
    job.border_is_background = true;
    segmeter::distance_transform(job, distance.data(), nullptr, 1);
    CHECK(distance == std::vector<double>{1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1});
}
