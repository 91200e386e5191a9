// Scores that are quotients of sums (Dice, Jaccard, Tversky), and the mean of their losses.
#include <cstdint>

#include "segmeter/loss.hpp"

namespace segmeter {

double mean_of_quotients(const QuotientRule& rule, std::int64_t n, const QuotientSums& sums,
                         const double* shares, double* by_intersection, double* by_size) {
    double mean = 0.0;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto mixed = [&](const double (&of)[3]) {
            return of[0] * sums.intersection[i] + of[1] * sums.size[i] + of[2] * sums.target[i];
        };
        const double numerator = mixed(rule.above) + rule.smooth_above;
        const double whole = mixed(rule.below) + rule.smooth_below;
        const bool low = rule.least > 0.0 && whole < rule.least;
        const double denominator = low ? rule.least : whole;
        // Nothing over nothing is a perfect score.
        const bool nothing = denominator == 0.0;
        const double score = nothing ? 1.0 : numerator / denominator;
        const double rising = nothing ? 0.0 : shares[i] / denominator;
        const double falling = low ? 0.0 : rising * score;
        mean += shares[i] * (rule.offset - score);
        by_intersection[i] = rule.below[0] * falling - rule.above[0] * rising;
        by_size[i] = rule.below[1] * falling - rule.above[1] * rising;
    }
    return mean;
}

}  // namespace segmeter
