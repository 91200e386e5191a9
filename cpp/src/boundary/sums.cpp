#include "segmeter/boundary/sums.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "simd/surface_kernels.hpp"

namespace segmeter {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr double kUndecided = std::numeric_limits<double>::quiet_NaN();
void require_equal_length(std::span<const double> distances, std::span<const double> weights) {
    if (distances.size() != weights.size())
        throw std::invalid_argument("distances and weights must be equally many");
}

// Weights summed by distance, bucket by bucket, of what is farther than the percentiles are certain
// to be.
class WeightedDistances {
   public:
    WeightedDistances(std::span<const double> distances, std::span<const double> weights,
                      double least_percentile) {
        const simd::SurfaceKernels& kernels = surface_kernels();
        const auto n = static_cast<std::int64_t>(distances.size());
        const simd::DistanceTotals totals =
            kernels.sum_distances(distances.data(), weights.data(), n);
        largest_ = totals.largest;
        total_ = totals.weight;
        if (!(largest_ < kInfinite)) return;
        slack_ = static_cast<double>(n + 8) * std::numeric_limits<double>::epsilon() * total_;
        const double floor = floor_of(distances, least_percentile);
        if (floor >= 0.0) {
            const double within = kernels.sum_within(distances.data(), weights.data(), n, floor);
            if (within < least_percentile / 100 * total_ - slack_) {
                floor_ = floor;
                below_ = within;
                keep_farther(distances, weights);
            }
        }
        if (floor_ < 0.0) {
            distances_ = distances;
            weights_ = weights;
        }
        fill_buckets();
    }

    double percentile(double percentile) {
        if (!(largest_ < kInfinite)) return kUndecided;
        const double wanted = percentile / 100 * total_;
        const auto reached = std::lower_bound(summed_.begin(), summed_.end(), wanted);
        const std::size_t bucket =
            std::clamp(static_cast<std::size_t>(reached - summed_.begin()), first_, last_);
        collect(bucket);
        double below = bucket > first_ ? summed_[bucket - 1] : below_;
        double sum = std::max(below, 0.0);
        for (std::size_t begin = 0; begin < inside_.size();) {
            std::size_t end = begin;
            while (end < inside_.size() && inside_[end].first == inside_[begin].first)
                sum += inside_[end++].second;
            const bool is_largest = bucket == last_ && end == inside_.size();
            if (sum >= wanted || end == inside_.size()) {
                const bool is_clear =
                    below < wanted - slack_ && (is_largest || sum > wanted + slack_);
                return is_clear ? inside_[begin].first : kUndecided;
            }
            below = sum;
            begin = end;
        }
        return kUndecided;
    }

   private:
    static constexpr std::size_t kBuckets = 256;
    static constexpr std::size_t kAll = kBuckets + 1;
    static constexpr std::size_t kCopies = 4;
    static constexpr std::size_t kSample = 256;
    static constexpr std::size_t kMargin = 20;  // in the sample, for what it may be wrong by

    // A distance that most likely lies somewhat below a percentile, by some of them; negative:
    // unknown.
    static double floor_of(std::span<const double> distances, double percentile) {
        const auto place = static_cast<std::size_t>(percentile / 100 * kSample);
        if (distances.size() < 8 * kSample || place < kMargin) return -1.0;
        std::array<double, kSample> sample;
        const std::size_t step = distances.size() / kSample;
        for (std::size_t i = 0; i < kSample; ++i) sample[i] = distances[i * step];
        const auto wanted = sample.begin() + static_cast<std::ptrdiff_t>(place - kMargin);
        std::nth_element(sample.begin(), wanted, sample.end());
        return *wanted;
    }

    void keep_farther(std::span<const double> distances, std::span<const double> weights) {
        const std::size_t n = distances.size();
        farther_ = std::make_unique_for_overwrite<double[]>(2 * n);
        double* const kept = farther_.get();
        const auto count = static_cast<std::size_t>(
            surface_kernels().keep_farther(distances.data(), weights.data(),
                                           static_cast<std::int64_t>(n), floor_, kept, kept + n));
        distances_ = {kept, count};
        weights_ = {kept + n, count};
    }

    void fill_buckets() {
        base_ = std::max(floor_, 0.0);
        const double range = largest_ - base_;
        scale_ = kBuckets / std::max(range, std::numeric_limits<double>::min() * kBuckets);
        // Neighbours are about equally far: each is added to a sum of its own, so that none waits
        // for the one before.
        std::array<double, kCopies * kAll> sums{};
        first_ = kBuckets;
        for (std::size_t i = 0; i < distances_.size(); ++i) {
            const std::size_t bucket = bucket_of(distances_[i]);
            first_ = std::min(first_, bucket);
            sums[kCopies * bucket + i % kCopies] += weights_[i];
        }
        double sum = std::max(below_, 0.0);
        for (std::size_t bucket = 0; bucket < kAll; ++bucket) {
            const double* copies = sums.data() + kCopies * bucket;
            sum += (copies[0] + copies[1]) + (copies[2] + copies[3]);
            summed_[bucket] = sum;
        }
        last_ = bucket_of(largest_);
    }

    [[nodiscard]] double place_of(double distance) const { return (distance - base_) * scale_; }
    [[nodiscard]] std::size_t bucket_of(double distance) const {
        const double at = place_of(distance);
        return at < kBuckets ? static_cast<std::size_t>(std::max(at, 0.0)) : kBuckets;
    }

    // The points of a bucket, in the order of their distance.
    void collect(std::size_t bucket) {
        inside_.clear();
        bool is_sorted = true;
        const auto begin = static_cast<double>(bucket);
        const double end = bucket < kBuckets ? begin + 1.0 : kInfinite;
        for (std::size_t i = 0; i < distances_.size(); ++i) {
            const double at = place_of(distances_[i]);
            if (at < begin || at >= end) continue;
            is_sorted = is_sorted && (inside_.empty() || inside_.back().first <= distances_[i]);
            inside_.emplace_back(distances_[i], weights_[i]);
        }
        if (is_sorted) return;
        std::sort(inside_.begin(), inside_.end(),
                  [](const auto& a, const auto& b) { return a.first < b.first; });
    }

    // Those that are farther than the floor, or all of them.
    std::span<const double> distances_;
    std::span<const double> weights_;
    std::unique_ptr<double[]> farther_;
    double floor_ = -1.0;
    double below_ = -kInfinite;  // weight up to the floor; where there is none, nothing is nearer
    double largest_ = 0.0;
    double total_ = 0.0;
    double base_ = 0.0;
    double scale_ = 0.0;
    double slack_ = 0.0;
    std::size_t first_ = 0;
    std::size_t last_ = 0;
    std::array<double, kAll> summed_{};
    std::vector<std::pair<double, double>> inside_;
};

}  // namespace

DistanceSums sum_distances(std::span<const double> distances, std::span<const double> weights,
                           std::span<const double> tolerances, double* within) {
    require_equal_length(distances, weights);
    const simd::SurfaceKernels& kernels = surface_kernels();
    const auto n = static_cast<std::int64_t>(distances.size());
    const simd::DistanceTotals totals = kernels.sum_distances(distances.data(), weights.data(), n);
    for (const double tolerance : tolerances)
        *within++ = kernels.sum_within(distances.data(), weights.data(), n, tolerance);
    return {totals.largest, totals.weight, totals.weighted};
}

void weighted_percentiles(std::span<const double> distances, std::span<const double> weights,
                          std::span<const double> percentiles, double* values) {
    require_equal_length(distances, weights);
    if (distances.empty()) throw std::invalid_argument("there must be distances");
    const double least =
        percentiles.empty() ? 0.0 : *std::min_element(percentiles.begin(), percentiles.end());
    WeightedDistances sorted(distances, weights, least);
    for (const double percentile : percentiles) *values++ = sorted.percentile(percentile);
}

}  // namespace segmeter
