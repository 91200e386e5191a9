#include "segmeter/boundary/sums.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
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

// Weights summed by distance, bucket by bucket.
class WeightedDistances {
   public:
    WeightedDistances(std::span<const double> distances, std::span<const double> weights)
        : distances_(distances), weights_(weights) {
        const simd::SurfaceKernels& kernels = surface_kernels();
        largest_ = kernels
                       .sum_distances(distances.data(), weights.data(),
                                      static_cast<std::int64_t>(distances.size()))
                       .largest;
        if (!(largest_ < kInfinite)) return;
        scale_ = kBuckets / std::max(largest_, std::numeric_limits<double>::min() * kBuckets);
        // Neighbours are about equally far: each is added to a sum of its own, so that none waits
        // for the one before.
        std::vector<double> sums(kCopies * kAll);
        first_ = kBuckets;
        for (std::size_t i = 0; i < distances.size(); ++i) {
            const std::size_t bucket = bucket_of(distances[i]);
            first_ = std::min(first_, bucket);
            sums[kCopies * bucket + i % kCopies] += weights[i];
        }
        summed_.resize(kAll);
        double sum = 0.0;
        for (std::size_t bucket = 0; bucket < kAll; ++bucket) {
            const double* copies = sums.data() + kCopies * bucket;
            sum += (copies[0] + copies[1]) + (copies[2] + copies[3]);
            summed_[bucket] = sum;
        }
        last_ = bucket_of(largest_);
        slack_ = static_cast<double>(distances.size() + 8) *
                 std::numeric_limits<double>::epsilon() * sum;
    }

    double percentile(double percentile) {
        if (!(largest_ < kInfinite)) return kUndecided;
        const double wanted = percentile / 100 * summed_.back();
        const auto reached = std::lower_bound(summed_.begin(), summed_.end(), wanted);
        const std::size_t bucket =
            std::clamp(static_cast<std::size_t>(reached - summed_.begin()), first_, last_);
        collect(bucket);
        double below = bucket > first_ ? summed_[bucket - 1] : -kInfinite;
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
    static constexpr std::size_t kBuckets = 1024;
    static constexpr std::size_t kAll = kBuckets + 1;
    static constexpr std::size_t kCopies = 4;

    [[nodiscard]] std::size_t bucket_of(double distance) const {
        const double at = distance * scale_;
        return at < kBuckets ? static_cast<std::size_t>(std::max(at, 0.0)) : kBuckets;
    }

    // The points of a bucket, in the order of their distance.
    void collect(std::size_t bucket) {
        inside_.clear();
        bool is_sorted = true;
        const auto begin = static_cast<double>(bucket);
        const double end = bucket < kBuckets ? begin + 1.0 : kInfinite;
        for (std::size_t i = 0; i < distances_.size(); ++i) {
            const double at = distances_[i] * scale_;
            if (at < begin || at >= end) continue;
            is_sorted = is_sorted && (inside_.empty() || inside_.back().first <= distances_[i]);
            inside_.emplace_back(distances_[i], weights_[i]);
        }
        if (is_sorted) return;
        std::sort(inside_.begin(), inside_.end(),
                  [](const auto& a, const auto& b) { return a.first < b.first; });
    }

    std::span<const double> distances_;
    std::span<const double> weights_;
    double largest_ = 0.0;
    double scale_ = 0.0;
    double slack_ = 0.0;
    std::size_t first_ = 0;
    std::size_t last_ = 0;
    std::vector<double> summed_;
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
    WeightedDistances sorted(distances, weights);
    for (const double percentile : percentiles) *values++ = sorted.percentile(percentile);
}

}  // namespace segmeter
