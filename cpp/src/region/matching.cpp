#include "segmeter/region/matching.hpp"

#include <algorithm>
#include <compare>
#include <cstddef>
#include <functional>
#include <limits>
#include <numeric>
#include <queue>
#include <tuple>
#include <utility>

namespace segmeter {
namespace {

using Index = std::size_t;

Index at(std::int64_t position) { return static_cast<Index>(position); }

// One more than the largest position.
Index extent(std::span<const std::int64_t> positions) {
    Index size = 0;
    for (const std::int64_t position : positions) size = std::max(size, at(position) + 1);
    return size;
}

// Edges (passing ones only, or all) by decreasing score; equal: lower pred, then lower target.
std::vector<std::int64_t> by_score(const MatchingEdges& edges, bool passing_only) {
    std::vector<std::int64_t> order;
    order.reserve(edges.size());
    for (Index i = 0; i < edges.size(); ++i)
        if (edges.passes[i] || !passing_only) order.push_back(static_cast<std::int64_t>(i));
    std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        const auto key = [&](std::int64_t edge) {
            return std::tuple(-edges.score[at(edge)], edges.pred[at(edge)], edges.target[at(edge)]);
        };
        return key(a) < key(b);
    });
    return order;
}

}  // namespace

std::vector<std::int64_t> greedy_matching(const MatchingEdges& edges) {
    std::vector<bool> pred_taken(extent(edges.pred));
    std::vector<bool> target_taken(extent(edges.target));
    std::vector<std::int64_t> chosen;
    for (const std::int64_t edge : by_score(edges, true)) {
        const Index p = at(edges.pred[at(edge)]);
        const Index t = at(edges.target[at(edge)]);
        if (pred_taken[p] || target_taken[t]) continue;
        pred_taken[p] = target_taken[t] = true;
        chosen.push_back(edge);
    }
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

// --- many to one ---

namespace {

double merged_score(MatchingCriterion criterion, std::int64_t shared, std::int64_t pred_area,
                    std::int64_t target_area) {
    const auto ratio = [](std::int64_t part, std::int64_t whole) {
        return static_cast<double>(part) / static_cast<double>(whole);
    };
    switch (criterion) {
        case MatchingCriterion::kIou: return ratio(shared, pred_area + target_area - shared);
        case MatchingCriterion::kDice: return ratio(2 * shared, pred_area + target_area);
        case MatchingCriterion::kIor: return ratio(shared, target_area);
        case MatchingCriterion::kIop: break;
    }
    return ratio(shared, pred_area);
}

}  // namespace

MergedMatching merging_matching(const MatchingEdges& edges, const MergingAreas& areas,
                                MatchingCriterion criterion) {
    struct Group {
        std::int64_t shared = 0;
        std::int64_t pred_area = 0;
        double score = 0.0;
    };
    std::vector<Group> groups(areas.target.size());
    std::vector<bool> taken(areas.pred.size());
    MergedMatching result;
    for (const std::int64_t edge : by_score(edges, false)) {
        const Index p = at(edges.pred[at(edge)]);
        const Index t = at(edges.target[at(edge)]);
        if (taken[p]) continue;
        Group& group = groups[t];
        Group grown{group.shared + areas.intersection[at(edge)], group.pred_area + areas.pred[p],
                    edges.score[at(edge)]};
        if (group.shared > 0) {
            grown.score = merged_score(criterion, grown.shared, grown.pred_area, areas.target[t]);
            if (grown.score <= group.score) continue;
        } else if (!edges.passes[at(edge)]) {
            continue;
        }
        group = grown;
        taken[p] = true;
        result.edge.push_back(edge);
    }
    std::sort(result.edge.begin(), result.edge.end());
    for (const std::int64_t edge : result.edge)
        result.score.push_back(groups[at(edges.target[at(edge)])].score);
    return result;
}

// --- optimal ---

namespace {

// What an edge is worth: a number of matches first, a score second.
struct Worth {
    std::int64_t matches = 0;
    double score = 0.0;

    friend Worth operator+(Worth a, Worth b) { return {a.matches + b.matches, a.score + b.score}; }
    friend Worth operator-(Worth a, Worth b) { return {a.matches - b.matches, a.score - b.score}; }
    friend auto operator<=>(const Worth&, const Worth&) = default;
};

// A connected part of the graph; rows are targets, columns are preds.
struct Component {
    std::vector<std::int64_t> edge;  // in the whole graph
    std::vector<Index> row;          // of each edge, ascending
    std::vector<Index> column;       // of each edge
    std::vector<Worth> worth;        // of each edge, above 0
    Index rows = 0;
    Index columns = 0;
};

constexpr Index kNone = std::numeric_limits<Index>::max();

// The linear assignment problem on a sparse graph, by shortest augmenting paths with potentials
// (Jonker and Volgenant, Computing 38, 1987). The cost of an edge is its worth below zero. Every
// row may also stay alone at cost 0, as if it had a column of its own, of potential 0.
class Assignment {
   public:
    explicit Assignment(const Component& graph)
        : graph_(graph),
          row_begin_(graph.rows + 1),
          row_potential_(graph.rows),
          column_potential_(graph.columns),
          edge_of_row_(graph.rows, kNone),
          row_of_column_(graph.columns, kNone),
          distance_(graph.columns),
          edge_to_(graph.columns, kNone),
          settled_(graph.columns, false) {
        for (const Index row : graph.row) ++row_begin_[row + 1];
        std::partial_sum(row_begin_.begin(), row_begin_.end(), row_begin_.begin());
        for (Index row = 0; row < graph.rows; ++row) assign(row);
    }

    // The edge that each row is assigned, or kNone.
    [[nodiscard]] const std::vector<Index>& edge_of_row() const { return edge_of_row_; }

   private:
    // The heap has the nearest column on top, the first one among equals.
    struct Reached {
        Worth distance;
        Index column;
        bool operator>(const Reached& other) const {
            return std::tie(distance, column) > std::tie(other.distance, other.column);
        }
    };

    // Finds the cheapest way to give `start` a column or leave it alone: along a path of rows,
    // each of which takes over the column of the next, that ends at a free column or at a row
    // that had best stay alone.
    void assign(Index start) {
        heap_ = {};
        reached_.clear();
        done_.clear();
        Index alone = start;
        Worth alone_distance;
        Index row = start;
        Worth base;
        while (true) {
            const Worth distance = base - row_potential_[row];
            if (distance < alone_distance) {
                alone = row;
                alone_distance = distance;
            }
            relax(row, base);
            drop_outdated();
            if (heap_.empty() || alone_distance <= heap_.top().distance) {
                shift_potentials(start, alone_distance);
                if (alone != start) {
                    const Index column = graph_.column[edge_of_row_[alone]];
                    edge_of_row_[alone] = kNone;
                    take_over(start, column);
                }
                break;
            }
            const auto [nearest, column] = heap_.top();
            heap_.pop();
            if (row_of_column_[column] == kNone) {
                shift_potentials(start, nearest);
                take_over(start, column);
                break;
            }
            settled_[column] = true;
            done_.push_back(column);
            row = row_of_column_[column];
            base = nearest;
        }
        for (const Index column : reached_) edge_to_[column] = kNone;
        for (const Index column : done_) settled_[column] = false;
    }

    // Shorter ways to columns by the edges of a row at distance `base`.
    void relax(Index row, Worth base) {
        for (Index edge = row_begin_[row]; edge < row_begin_[row + 1]; ++edge) {
            const Index column = graph_.column[edge];
            if (settled_[column]) continue;
            const Worth distance =
                base - graph_.worth[edge] - row_potential_[row] - column_potential_[column];
            if (edge_to_[column] == kNone)
                reached_.push_back(column);
            else if (distance_[column] <= distance)
                continue;
            distance_[column] = distance;
            edge_to_[column] = edge;
            heap_.push({distance, column});
        }
    }
    void drop_outdated() {
        while (!heap_.empty() && (settled_[heap_.top().column] ||
                                  distance_[heap_.top().column] < heap_.top().distance))
            heap_.pop();
    }
    // Keeps reduced costs from falling below 0, and at 0 along the path of this length.
    void shift_potentials(Index start, Worth length) {
        row_potential_[start] = row_potential_[start] + length;
        for (const Index column : done_) {
            const Worth shift = length - distance_[column];
            column_potential_[column] = column_potential_[column] - shift;
            Worth& row = row_potential_[row_of_column_[column]];
            row = row + shift;
        }
    }
    // Follows the path back from its last column.
    void take_over(Index start, Index column) {
        while (true) {
            const Index edge = edge_to_[column];
            const Index row = graph_.row[edge];
            const Index old = std::exchange(edge_of_row_[row], edge);
            row_of_column_[column] = row;
            if (row == start) return;
            column = graph_.column[old];
        }
    }

    const Component& graph_;
    std::vector<Index> row_begin_;
    std::vector<Worth> row_potential_;
    std::vector<Worth> column_potential_;
    std::vector<Index> edge_of_row_;
    std::vector<Index> row_of_column_;
    std::vector<Worth> distance_;
    std::vector<Index> edge_to_;
    std::vector<bool> settled_;
    std::vector<Index> reached_;  // columns that have a distance
    std::vector<Index> done_;     // of them, those whose distance is final
    std::priority_queue<Reached, std::vector<Reached>, std::greater<>> heap_;
};

// Sets of nodes that are joined by edges.
class DisjointSets {
   public:
    explicit DisjointSets(Index size) : parent_(size) {
        std::iota(parent_.begin(), parent_.end(), Index{0});
    }
    Index find(Index node) {
        while (parent_[node] != node) node = parent_[node] = parent_[parent_[node]];
        return node;
    }
    void join(Index a, Index b) { parent_[find(a)] = find(b); }

   private:
    std::vector<Index> parent_;
};

// Worth of every edge; those worth nothing need not be looked at.
std::vector<Worth> worths(const MatchingEdges& edges, MatchingObjective objective) {
    std::vector<Worth> worth(edges.size());
    for (Index i = 0; i < edges.size(); ++i) {
        if (objective == MatchingObjective::kCount)
            worth[i] = {edges.passes[i] ? 1 : 0, edges.score[i]};
        else if (edges.passes[i])
            worth[i].score = edges.score[i];
    }
    return worth;
}

// Calls solve(component) for every connected component of the edges that are worth something.
template <class Solve>
void for_each_component(const MatchingEdges& edges, const std::vector<Worth>& worth,
                        Solve&& solve) {
    const Index preds = extent(edges.pred);
    DisjointSets sets(preds + extent(edges.target));
    std::vector<std::int64_t> order;
    for (Index i = 0; i < edges.size(); ++i) {
        if (worth[i] <= Worth{}) continue;
        order.push_back(static_cast<std::int64_t>(i));
        sets.join(at(edges.pred[i]), preds + at(edges.target[i]));
    }
    const auto set_of = [&](std::int64_t edge) { return sets.find(at(edges.pred[at(edge)])); };
    std::ranges::sort(order, {}, [&](std::int64_t edge) {
        return std::pair<Index, std::int64_t>(set_of(edge), edge);
    });
    std::vector<Index> column_of(preds, kNone);
    Component component;
    for (Index i = 0; i < order.size();) {
        component = {};
        const Index set = set_of(order[i]);
        for (; i < order.size() && set_of(order[i]) == set; ++i) {
            const Index edge = at(order[i]);
            const bool first = component.edge.empty();
            if (first || edges.target[edge] != edges.target[at(component.edge.back())])
                ++component.rows;
            Index& column = column_of[at(edges.pred[edge])];
            if (column == kNone) column = component.columns++;
            component.edge.push_back(order[i]);
            component.row.push_back(component.rows - 1);
            component.column.push_back(column);
            component.worth.push_back(worth[edge]);
        }
        solve(component);
    }
}

}  // namespace

std::vector<std::int64_t> optimal_matching(const MatchingEdges& edges,
                                           MatchingObjective objective) {
    std::vector<std::int64_t> chosen;
    const auto choose = [&](std::int64_t edge) {
        if (edges.passes[at(edge)]) chosen.push_back(edge);
    };
    for_each_component(edges, worths(edges, objective), [&](const Component& component) {
        if (component.rows == 1 || component.columns == 1) {
            const auto best = std::max_element(component.worth.begin(), component.worth.end());
            choose(component.edge[static_cast<Index>(best - component.worth.begin())]);
            return;
        }
        const Assignment assignment(component);
        for (const Index edge : assignment.edge_of_row())
            if (edge != kNone) choose(component.edge[edge]);
    });
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

}  // namespace segmeter
