// Boundary family: what scores need to know of the distances of one surface to another.
#pragma once

#include <cstdint>
#include <span>

namespace segmeter {

struct DistanceSums {
    double largest = 0.0;   // distance
    double weight = 0.0;    // of all points
    double weighted = 0.0;  // sum of distance times weight
};

// Both sums, and the weight of the distances within each tolerance. Sums in float64, of eight
// interleaved parts of each block of 1024 points, block after block: the same bits everywhere.
// distances, weights: of equal length. Reads 16 bytes a point, and once more for each tolerance.
[[nodiscard]] DistanceSums sum_distances(std::span<const double> distances,
                                         std::span<const double> weights,
                                         std::span<const double> tolerances, double* within);

// The smallest distance up to which a percentile's share of all weight lies, for each percentile
// from 0 to 100. The definition adds weights in the order of (distance, weight), and where that sum
// reaches the share exactly, rounding decides: then, and for infinite distances, the result is NaN,
// and only sorting all of them tells. Elsewhere only one part of the distances is sorted, of about
// a thousandth of the largest one in width; the rest is summed.
// distances: at least one, not negative. Memory: 16 bytes a point of that part.
void weighted_percentiles(std::span<const double> distances, std::span<const double> weights,
                          std::span<const double> percentiles, double* values);

}  // namespace segmeter
