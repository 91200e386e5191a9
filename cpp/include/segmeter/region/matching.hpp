// Region family: which predicted region counts as which target region.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace segmeter {

// The pairs of regions that may match, ascending by (target, pred): positions of both regions, a
// score, and whether it passes the threshold. Equally long.
struct MatchingEdges {
    std::span<const std::int64_t> pred;
    std::span<const std::int64_t> target;
    std::span<const double> score;
    std::span<const bool> passes;

    [[nodiscard]] std::size_t size() const noexcept { return score.size(); }
};

// All results are positions of edges, ascending.

// Passing edges by decreasing score (equal: lower pred, then lower target), each taken if both
// regions are still free.
[[nodiscard]] std::vector<std::int64_t> greedy_matching(const MatchingEdges& edges);

enum class MatchingObjective {
    kCount,  // as many passing edges as possible, then the largest sum of scores of all edges
    kScore,  // the largest sum of scores of passing edges
};

// The best one-to-one assignment: solved for each connected component of the graph by itself, by
// shortest augmenting paths. Edges that do not pass take part under kCount but are not returned.
[[nodiscard]] std::vector<std::int64_t> optimal_matching(const MatchingEdges& edges,
                                                         MatchingObjective objective);

enum class MatchingCriterion { kIou, kDice, kIor, kIop };

// What the score of several predictions taken together follows from.
struct MergingAreas {
    std::span<const std::int64_t> pred;          // of every predicted region
    std::span<const std::int64_t> target;        // of every target region
    std::span<const std::int64_t> intersection;  // of every edge
};

struct MergedMatching {
    std::vector<std::int64_t> edge;
    std::vector<double> score;  // of all of the target's predictions together
};

// Edges in the order of greedy_matching. A free target takes a free prediction if the edge passes;
// a matched one takes a further free prediction if that raises the score of all together.
[[nodiscard]] MergedMatching merging_matching(const MatchingEdges& edges, const MergingAreas& areas,
                                              MatchingCriterion criterion);

}  // namespace segmeter
