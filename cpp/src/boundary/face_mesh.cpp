#include "segmeter/boundary/face_mesh.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "segmeter/parallel.hpp"

#include "boundary/nearest.hpp"
#include "boundary/planes.hpp"

namespace segmeter {
namespace {

constexpr double kFar = std::numeric_limits<double>::infinity();
constexpr double kOpen = -1.0;       // not yet known
constexpr std::size_t kPart = 2048;  // points of a block of work
// What a search may cost, in nodes visited, for each pixel of the planes that would be searched
// instead: about as long as that takes.
constexpr std::int64_t kVisitsPerPixel = 8;
constexpr std::int64_t kVisitsAtOnce = 256;   // between two looks at what was spent
constexpr std::int64_t kWorkPerPoint = 2048;  // in pixels, for thread_count()
constexpr std::int64_t kColumns = 4;          // that share a bound

using Points = std::span<const std::uint64_t>;

// How the elements of a face lie on it, and how corners are grouped: log2 of a node's children
// along each axis, 64 in all.
struct Layout {
    explicit Layout(const SurfacePoints& faces)
        : is_flat(faces.shape[0] == 1), unit(is_flat ? 2 : 3), elements(is_flat ? 1 : 2) {
        if (is_flat) shift = {0, 3, 3};
        for (std::size_t axis = 0; axis < 3; ++axis)
            for (int child = 0; child < 64; ++child)
                layers[axis][static_cast<std::size_t>(at(axis, child))] |= std::uint64_t{1}
                                                                           << child;
    }
    [[nodiscard]] int at(std::size_t axis, int child) const noexcept {
        const int below = axis == 2 ? 0 : axis == 1 ? shift[2] : shift[1] + shift[2];
        return (child >> below) & ((1 << shift[axis]) - 1);
    }

    bool is_flat;
    std::int64_t unit;  // parts that a step of the grid is measured in
    std::int64_t elements;
    std::array<int, 3> shift{2, 2, 2};
    std::array<std::array<std::uint64_t, 8>, 3> layers{};  // children at a place along an axis
};

// Squared lengths of so many parts of a step along each axis.
struct SquaredParts {
    SquaredParts(const Layout& layout, const Place& extents, std::span<const double, 3> spacing) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            tables[axis].resize(static_cast<std::size_t>(layout.unit * (extents[axis] + 2)));
            for (std::size_t d = 0; d < tables[axis].size(); ++d) {
                const double length =
                    static_cast<double>(d) / static_cast<double>(layout.unit) * spacing[axis];
                tables[axis][d] = length * length;
            }
        }
    }
    std::array<std::vector<double>, 3> tables;
};

// The faces normal to one axis: bits at their low corners, and nodes above them.
class FaceTree {
   public:
    FaceTree(const Layout& layout, const Place& low, const Place& high)
        : layout_(layout), low_(low) {
        Place extents;
        for (std::size_t axis = 0; axis < 3; ++axis) extents[axis] = high[axis] - low[axis] + 1;
        do {
            for (std::size_t axis = 0; axis < 3; ++axis)
                extents[axis] = ((extents[axis] - 1) >> layout.shift[axis]) + 1;
            levels_.push_back({extents, std::vector<std::uint64_t>(static_cast<std::size_t>(
                                            extents[0] * extents[1] * extents[2]))});
        } while (extents[0] * extents[1] * extents[2] > 1);
    }

    void add(const Place& corner) {
        Place p = inside(corner);
        for (Level& level : levels_) {
            int child = 0;
            for (std::size_t axis = 0; axis < 3; ++axis) {
                const int shift = layout_.shift[axis];
                child = child << shift | static_cast<int>(p[axis] & ((1 << shift) - 1));
                p[axis] >>= shift;
            }
            level.nodes[level.index(p)] |= std::uint64_t{1} << child;
        }
    }
    [[nodiscard]] Place inside(const Place& corner) const noexcept {
        return {corner[0] - low_[0], corner[1] - low_[1], corner[2] - low_[2]};
    }
    [[nodiscard]] std::size_t height() const noexcept { return levels_.size(); }
    [[nodiscard]] std::uint64_t children(std::size_t level, const Place& node) const noexcept {
        return levels_[level].nodes[levels_[level].index(node)];
    }

   private:
    struct Level {
        [[nodiscard]] std::size_t index(const Place& p) const noexcept {
            return static_cast<std::size_t>((p[0] * extents[1] + p[1]) * extents[2] + p[2]);
        }
        Place extents;
        std::vector<std::uint64_t> nodes;
    };
    const Layout& layout_;
    Place low_;
    std::vector<Level> levels_;
};

struct Box {
    Box(const SurfacePoints& faces, Points points) {
        low.fill(std::numeric_limits<std::int64_t>::max());
        high.fill(0);
        for (const std::uint64_t point : points) {
            const Place p = faces.place(point);
            for (std::size_t axis = 0; axis < 3; ++axis) {
                low[axis] = std::min(low[axis], p[axis]);
                high[axis] = std::max(high[axis], p[axis]);
            }
        }
    }
    Place low{};
    Place high{};
};

struct Mesh : Box {
    Mesh(const Layout& layout, const SurfacePoints& faces, Points points) : Box(faces, points) {
        for (int normal = 0; normal < 3; ++normal) trees.emplace_back(layout, low, high);
        for (const std::uint64_t point : points)
            for (std::size_t normal = 0; normal < 3; ++normal)
                if ((SurfacePoints::code(point) >> normal & 1) != 0)
                    trees[normal].add(faces.place(point));
    }
    std::vector<FaceTree> trees;  // by the axis that faces are normal to
};

template <int kLast>
class FaceSearch {
   public:
    FaceSearch(const Layout& layout, const SquaredParts& squares, const Mesh& mesh)
        : layout_(layout),
          squares_(squares),
          mesh_(mesh),
          known_(static_cast<std::size_t>((mesh.high[2] - mesh.low[2]) / kColumns) + 2) {}

    // Squared distance from the element `part` (1, 2, ...) of the face at a corner.
    double squared(const Place& corner, std::size_t normal, std::int64_t part) {
        const Place p = mesh_.trees[normal].inside(corner);
        for (std::size_t axis = 0; axis < 3; ++axis)
            from_[axis] = layout_.unit * p[axis] + (axis == normal ? 0 : part);
        if (layout_.is_flat) from_[0] = 0;
        best_ = kFar;
        const std::int64_t last_column = static_cast<std::int64_t>(known_.size()) - 2;
        Face& column = known_[static_cast<std::size_t>(
            std::clamp<std::int64_t>(p[2] / kColumns, 0, last_column))];
        bound_by(column);
        bound_by(known_.back());
        // The faces of its own kind first: they are the nearest ones mostly.
        for (std::size_t i = 0; i < 3; ++i) {
            kind_ = (normal + i) % 3;
            const FaceTree& tree = mesh_.trees[kind_];
            visit(tree, tree.height() - 1, {0, 0, 0});
        }
        column = known_.back() = nearest_;
        return best_;
    }
    // Nodes visited since somebody asked.
    [[nodiscard]] std::int64_t visits() const noexcept { return visits_; }
    void forget_visits() noexcept { visits_ = 0; }

   private:
    struct Face {
        Place corner{};
        std::size_t normal = 3;  // none
    };

    // Squared length from the element to what begins at corner `first` and ends at `last`.
    [[nodiscard]] double along(std::size_t axis, std::size_t normal, std::int64_t first,
                               std::int64_t last) const noexcept {
        const std::int64_t begin = layout_.unit * first;
        const std::int64_t end = layout_.unit * (last + (axis == normal ? 0 : 1));
        const std::int64_t at = from_[axis];
        const std::int64_t parts = at < begin ? begin - at : std::max<std::int64_t>(0, at - end);
        return squares_.tables[axis][static_cast<std::size_t>(parts)];
    }

    void bound_by(const Face& face) {
        if (face.normal == 3) return;
        std::array<double, 3> parts;
        for (std::size_t axis = 0; axis < 3; ++axis)
            parts[axis] = along(axis, face.normal, face.corner[axis], face.corner[axis]);
        const double square = sum_of_squares<kLast>(parts[0], parts[1], parts[2]);
        if (square < best_) {
            best_ = square;
            nearest_ = face;
        }
    }

    void visit(const FaceTree& tree, std::size_t level, const Place& node) {
        ++visits_;
        std::uint64_t children = tree.children(level, node);
        std::array<std::array<double, 8>, 3> parts;
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const int shift = layout_.shift[axis];
            const int size = shift * static_cast<int>(level);
            for (std::int64_t i = 0; i < std::int64_t{1} << shift; ++i) {
                const std::int64_t first = ((node[axis] << shift) + i) << size;
                const auto layer = static_cast<std::size_t>(i);
                if ((children & layout_.layers[axis][layer]) == 0) continue;
                parts[axis][layer] =
                    along(axis, kind_, first, first + (std::int64_t{1} << size) - 1);
                if (parts[axis][layer] >= best_) children &= ~layout_.layers[axis][layer];
            }
        }
        for (; children != 0; children &= children - 1) {
            const int child = std::countr_zero(children);
            Place p;
            std::array<double, 3> at;
            for (std::size_t axis = 0; axis < 3; ++axis) {
                const int place = layout_.at(axis, child);
                at[axis] = parts[axis][static_cast<std::size_t>(place)];
                p[axis] = (node[axis] << layout_.shift[axis]) + place;
            }
            const double square = sum_of_squares<kLast>(at[0], at[1], at[2]);
            if (square >= best_) continue;
            if (level > 0) {
                visit(tree, level - 1, p);
            } else {
                best_ = square;
                nearest_ = {p, kind_};
            }
        }
    }

    const Layout& layout_;
    const SquaredParts& squares_;
    const Mesh& mesh_;
    Place from_{};  // in parts of a step
    std::size_t kind_ = 0;
    std::int64_t visits_ = 0;
    double best_ = kFar;
    Face nearest_{};
    std::vector<Face> known_;  // nearest of the last elements, by column; and of the very last
};

// Calls visit(face's corner, axis it is normal to, part) for each element of the points.
template <class Visit>
void for_each_element(const Layout& layout, const SurfacePoints& faces, Points points,
                      Visit&& visit) {
    for (const std::uint64_t point : points) {
        const Place corner = faces.place(point);
        for (std::size_t normal = 0; normal < 3; ++normal)
            if ((SurfacePoints::code(point) >> normal & 1) != 0)
                for (std::int64_t part = 1; part <= layout.elements; ++part)
                    visit(corner, normal, part);
    }
}

std::int64_t count_elements(const Layout& layout, Points points) {
    std::int64_t count = 0;
    for (const std::uint64_t point : points)
        count += std::popcount(SurfacePoints::code(point)) * layout.elements;
    return count;
}

struct Job {
    const SurfacePoints& from;
    const SurfacePoints& to;
    const Layout& layout;
    const SquaredParts& squares;
    std::span<const double, 3> spacing;
    int last_axis;
    int threads;
};

// Distances of one group, as far as the budget lasts: the others become kOpen. Returns whether
// there are any.
template <int kLast>
bool search(const Job& job, Points from, const Mesh& mesh, std::int64_t budget, double* distances) {
    const std::size_t parts = (from.size() + kPart - 1) / kPart;
    std::vector<std::int64_t> first(parts + 1);
    const auto part_of = [&](std::size_t i) {
        return from.subspan(i * kPart, std::min(kPart, from.size() - i * kPart));
    };
    for (std::size_t i = 0; i < parts; ++i)
        first[i + 1] = first[i] + count_elements(job.layout, part_of(i));
    std::atomic<std::int64_t> left = budget;
    const auto points = static_cast<std::int64_t>(from.size());
    const int threads = thread_count(job.threads, kWorkPerPoint * points, Team::kFresh);
    run_blocks(
        static_cast<std::int64_t>(parts), threads,
        [&](std::int64_t block) {
            const auto i = static_cast<std::size_t>(block);
            double* out = distances + first[i];
            if (left <= 0) {
                std::fill(out, distances + first[i + 1], kOpen);
                return;
            }
            FaceSearch<kLast> near(job.layout, job.squares, mesh);
            for_each_element(job.layout, job.from, part_of(i),
                             [&](const Place& corner, std::size_t normal, std::int64_t part) {
                                 *out++ = left > 0 ? std::sqrt(near.squared(corner, normal, part))
                                                   : kOpen;
                                 if (near.visits() < kVisitsAtOnce) return;
                                 left -= near.visits();
                                 near.forget_visits();
                             });
        },
        Team::kFresh);
    return left <= 0;
}

// Squares of the distances along each axis between the elements and the faces of a mesh, by how
// many steps the low corner of the one is behind that of the other.
class MeshSquares {
   public:
    MeshSquares(const Job& job, const PlaneOrder& order) : unit_(job.layout.unit) {
        for (std::size_t i = 0; i < 3; ++i)
            for (std::int64_t part = 0; part < unit_; ++part)
                for (const bool is_normal : {false, true})
                    tables_.emplace_back(order.extents()[i], [&](std::int64_t d) {
                        const std::int64_t parts = parts_between(unit_ * d + part, is_normal);
                        return static_cast<double>(parts) / static_cast<double>(unit_) *
                               job.spacing[order.axis(i)];
                    });
    }
    // Of elements that lie `part` behind their corner along an axis.
    [[nodiscard]] const double* of(std::size_t i, std::int64_t part, bool is_normal) const {
        const auto table = 2 * (static_cast<std::int64_t>(i) * unit_ + part) + (is_normal ? 1 : 0);
        return tables_[static_cast<std::size_t>(table)].middle();
    }

   private:
    // To a face at 0, or from 0 to 1, from a place so many parts of a step behind 0.
    [[nodiscard]] std::int64_t parts_between(std::int64_t behind, bool is_normal) const {
        const std::int64_t end = is_normal ? 0 : unit_;
        return behind < 0 ? -behind : std::max<std::int64_t>(0, behind - end);
    }

    std::int64_t unit_;
    std::vector<StepSquares> tables_;
};

// The elements that are still open, plane by plane: faces normal to an axis are a kind of points,
// and elements that lie at the same place behind their corner are a view.
void measure_by_plane(const Job& job, Points from, Points to, const PlaneOrder& order,
                      double* distances) {
    const Layout& layout = job.layout;
    const std::size_t first_normal = layout.is_flat ? 1 : 0;
    const MeshSquares between(job, order);
    std::vector<std::size_t> kinds;  // in the order of the sum, so that all but the last are joined
    for (std::size_t i = 0; i < 3; ++i)
        if (order.axis(i) >= first_normal) kinds.push_back(order.axis(i));
    std::vector<std::vector<PlaneSearch::Squares>> squares;
    for (std::size_t normal = first_normal; normal < 3; ++normal)
        for (std::int64_t part = 1; part <= layout.elements; ++part) {
            std::vector<PlaneSearch::Squares>& view = squares.emplace_back();
            for (const std::size_t kind : kinds) {
                PlaneSearch::Squares along{};
                for (std::size_t i = 0; i < 3; ++i) {
                    const std::size_t axis = order.axis(i);
                    const bool is_beside = axis != normal && axis >= first_normal;
                    along[i] = between.of(i, is_beside ? part : 0, axis == kind);
                }
                view.push_back(along);
            }
        }
    PlaneSearch search(order.extents(), squares,
                       order.is_monotone(job.spacing, static_cast<int>(layout.unit)));
    for (const std::uint64_t point : to)
        for (std::size_t kind = 0; kind < kinds.size(); ++kind)
            if ((SurfacePoints::code(point) >> kinds[kind] & 1) != 0)
                search.add(kind, order.inside(job.to.place(point)));
    const PointsByPlane points(from, job.from, order, [&](std::uint64_t point) {
        return std::popcount(SurfacePoints::code(point)) * layout.elements;
    });
    search.run(
        [&](std::int64_t plane, PlaneSearch::Places& places) {
            points.for_each(plane, [&](std::uint64_t point, std::int64_t result) {
                for_each_element(
                    layout, job.from, {&point, 1},
                    [&](const Place& corner, std::size_t normal, std::int64_t part) {
                        const std::int64_t i = result++;
                        if (distances[i] != kOpen) return;
                        const auto view =
                            static_cast<std::int64_t>(normal - first_normal) * layout.elements +
                            part - 1;
                        const PlaneBox p = order.inside(corner);
                        places[static_cast<std::size_t>(view)].push_back({p[1], p[2], i});
                    });
            });
        },
        distances, job.threads);
}

void measure_group(const Job& job, std::int64_t group, double* distances) {
    const Points from = job.from.of(group);
    const Points to = job.to.of(group);
    if (to.empty()) {
        std::fill_n(distances, count_elements(job.layout, from), kFar);
        return;
    }
    if (from.empty()) return;
    const Box own(job.from, from);
    const Mesh mesh(job.layout, job.to, to);
    Place low;
    Place high;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        low[axis] = std::min(own.low[axis], mesh.low[axis]);
        high[axis] = std::max(own.high[axis], mesh.high[axis]);
    }
    const PlaneOrder order(low, high, job.last_axis);
    const std::int64_t budget = kVisitsPerPixel * order.pixels(own.low, own.high);
    bool is_overspent = false;
    switch (job.last_axis) {
        case 0: is_overspent = search<0>(job, from, mesh, budget, distances); break;
        case 1: is_overspent = search<1>(job, from, mesh, budget, distances); break;
        default: is_overspent = search<2>(job, from, mesh, budget, distances);
    }
    if (is_overspent) measure_by_plane(job, from, to, order, distances);
}

}  // namespace

std::vector<std::int64_t> face_elements(const SurfacePoints& faces) {
    const Layout layout(faces);
    std::vector<std::int64_t> begin(faces.begin.size());
    for (std::size_t g = 1; g < begin.size(); ++g)
        begin[g] =
            begin[g - 1] + count_elements(layout, faces.of(static_cast<std::int64_t>(g) - 1));
    return begin;
}

void face_mesh_distances(const SurfacePoints& pred, const SurfacePoints& target,
                         std::span<const double, 3> spacing, int last_axis, int threads,
                         double* pred_to_target, double* target_to_pred) {
    if (pred.shape != target.shape || pred.begin.size() != target.begin.size())
        throw std::invalid_argument("both maps must have the same shape and groups");
    const Layout layout(pred);
    const SquaredParts squares(layout, pred.shape, spacing);
    const std::array<Job, 2> jobs = {
        Job{pred, target, layout, squares, spacing, last_axis, threads},
        Job{target, pred, layout, squares, spacing, last_axis, threads}};
    const std::array<double*, 2> out = {pred_to_target, target_to_pred};
    for (std::size_t side = 0; side < 2; ++side) {
        const std::vector<std::int64_t> begin = face_elements(jobs[side].from);
        for (std::size_t g = 0; g + 1 < begin.size(); ++g)
            measure_group(jobs[side], static_cast<std::int64_t>(g), out[side] + begin[g]);
    }
}

void face_mesh_weights(const SurfacePoints& faces, std::span<const double, 3> by_normal,
                       double* weights) {
    for_each_element(
        Layout(faces), faces, faces.points,
        [&](const Place&, std::size_t normal, std::int64_t) { *weights++ = by_normal[normal]; });
}

}  // namespace segmeter
