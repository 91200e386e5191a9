#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>

#include "segmeter/boundary/face_mesh.hpp"
#include "segmeter/boundary/surface.hpp"

namespace {

using segmeter::ArrayView;
using segmeter::DType;
using segmeter::SurfacePair;
using segmeter::SurfacePoints;
using segmeter::SurfaceRule;
using Place = std::array<std::int64_t, 3>;

struct Map {
    explicit Map(std::vector<std::int64_t> extents) : shape(std::move(extents)) {
        std::int64_t size = 1;
        strides.resize(shape.size());
        for (std::size_t axis = shape.size(); axis-- > 0;) {
            strides[axis] = size;
            size *= shape[axis];
        }
        labels.resize(static_cast<std::size_t>(size));
    }
    [[nodiscard]] ArrayView view() const {
        return {reinterpret_cast<const std::byte*>(labels.data()), DType::kUInt8, false, shape,
                strides};
    }
    // Label of a pixel of a 3-D map, 0 beyond it.
    [[nodiscard]] int at(std::int64_t z, std::int64_t y, std::int64_t x) const {
        const Place p = {z, y, x};
        for (std::size_t axis = 0; axis < 3; ++axis)
            if (p[axis] < 0 || p[axis] >= shape[axis]) return 0;
        return labels[static_cast<std::size_t>((z * shape[1] + y) * shape[2] + x)];
    }

    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> strides;
    std::vector<std::uint8_t> labels;
};

const std::vector<std::int64_t> kLabels = {1, 2};
const std::vector<std::int32_t> kRoles = {0, 1};
const std::vector<std::int64_t> kFirst = {0, 1, 2};
const std::vector<std::int32_t> kMembers = {0, 1};

SurfacePair surfaces_of(const Map& pred, const Map& target, SurfaceRule rule, int threads,
                        bool closed = true) {
    const segmeter::SurfaceLabels meaning = {kLabels, kRoles};
    return segmeter::find_surfaces(pred.view(), meaning, target.view(), meaning, nullptr,
                                   {kFirst, kMembers}, {rule, closed, 2, threads});
}

std::vector<Place> places(const SurfacePoints& points, std::int64_t group) {
    std::vector<Place> found;
    for (const std::uint64_t point : points.of(group)) found.push_back(points.place(point));
    return found;
}

// By the definition, for a closed 3-D map.
std::vector<Place> expected(const Map& map, SurfaceRule rule, int label) {
    const bool corners = rule == SurfaceRule::kCorner;
    std::vector<Place> found;
    for (std::int64_t z = 0; z < map.shape[0] + corners; ++z)
        for (std::int64_t y = 0; y < map.shape[1] + corners; ++y)
            for (std::int64_t x = 0; x < map.shape[2] + corners; ++x) {
                int of_label = 0;
                int looked_at = 0;
                for (std::int64_t dz = -1; dz <= !corners; ++dz)
                    for (std::int64_t dy = -1; dy <= !corners; ++dy)
                        for (std::int64_t dx = -1; dx <= !corners; ++dx) {
                            const auto moved = std::abs(dz) + std::abs(dy) + std::abs(dx);
                            if (rule == SurfaceRule::kVoxelFace && moved > 1) continue;
                            ++looked_at;
                            of_label += map.at(z + dz, y + dy, x + dx) == label;
                        }
                const bool is_mixed = of_label > 0 && of_label < looked_at;
                const bool is_inside = corners || map.at(z, y, x) == label;
                if (rule == SurfaceRule::kForeground ? is_inside : is_mixed && is_inside)
                    found.push_back({z, y, x});
            }
    return found;
}

double nearest(const Place& from, const std::vector<Place>& to, const std::array<double, 3>& s,
               int last) {
    double best = std::numeric_limits<double>::infinity();
    for (const Place& point : to) {
        std::array<double, 3> square{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const double step = static_cast<double>(point[axis] - from[axis]) * s[axis];
            square[axis] = step * step;
        }
        std::rotate(square.begin(), square.begin() + (last + 1) % 3, square.end());
        best = std::min(best, (square[0] + square[1]) + square[2]);
    }
    return std::sqrt(best);
}

// Distance of every point, group by group, to the nearest of the same group.
std::vector<double> all_nearest(const SurfacePoints& from, const SurfacePoints& to,
                                const std::array<double, 3>& spacing, int last) {
    std::vector<double> found;
    for (std::int64_t group = 0; group < 2; ++group) {
        const std::vector<Place> others = places(to, group);
        for (const Place& point : places(from, group))
            found.push_back(nearest(point, others, spacing, last));
    }
    return found;
}

Map random_map(std::mt19937& random, const std::vector<std::int64_t>& shape, double density) {
    Map map(shape);
    std::uniform_real_distribution<> draw(0.0, 1.0);
    for (std::uint8_t& label : map.labels)
        label = draw(random) < density ? static_cast<std::uint8_t>(1 + random() % 2) : 0;
    return map;
}

}  // namespace

TEST_CASE("surface points are those of the definition, whatever the threads") {
    std::mt19937 random(1);
    for (const std::vector<std::int64_t>& shape :
         {std::vector<std::int64_t>{4, 5, 6}, {1, 3, 70}, {9, 1, 1}, {3, 4, 129}}) {
        const Map pred = random_map(random, shape, 0.6);
        const Map target = random_map(random, shape, 0.2);
        for (const SurfaceRule rule : {SurfaceRule::kCorner, SurfaceRule::kVoxelFace,
                                       SurfaceRule::kVoxelFull, SurfaceRule::kForeground}) {
            const SurfacePair one = surfaces_of(pred, target, rule, 1);
            const SurfacePair two = surfaces_of(pred, target, rule, 2);
            CHECK(std::ranges::equal(one.pred.points, two.pred.points));
            CHECK(std::ranges::equal(one.target.points, two.target.points));
            for (int label = 1; label <= 2; ++label) {
                CHECK(places(one.pred, label - 1) == expected(pred, rule, label));
                CHECK(places(one.target, label - 1) == expected(target, rule, label));
            }
        }
    }
}

TEST_CASE("distances are the smallest of all pairs, in any order of the axes") {
    std::mt19937 random(2);
    const std::array<double, 3> spacing = {2.5, 0.8, 1.0 / 3.0};
    struct Drawn {
        std::vector<std::int64_t> shape;
        double density;
    };
    // All pairs are many where the map is dense: it is smaller there. Long axes: what is beyond the
    // rows and columns that are looked at together, and a word away.
    for (const auto& [shape, density] :
         {Drawn{{14, 20, 40}, 0.002}, Drawn{{14, 20, 40}, 0.05}, Drawn{{7, 10, 40}, 0.5},
          Drawn{{2, 3, 500}, 0.01}, Drawn{{2, 250, 5}, 0.01}, Drawn{{90, 4, 70}, 0.001},
          Drawn{{60, 60, 60}, 0.0003}}) {
        const Map pred = random_map(random, shape, density);
        const Map target = random_map(random, shape, density / 2);
        const SurfacePair found = surfaces_of(pred, target, SurfaceRule::kCorner, 1);
        for (int last = 0; last < 3; ++last) {
            const std::vector<double> forward =
                all_nearest(found.pred, found.target, spacing, last);
            const std::vector<double> backward =
                all_nearest(found.target, found.pred, spacing, last);
            for (const int threads : {1, 2}) {
                std::vector<double> to_target(forward.size());
                std::vector<double> to_pred(backward.size());
                segmeter::surface_distances(found.pred, found.target, spacing, last, threads,
                                            to_target.data(), to_pred.data());
                CHECK(to_target == forward);
                CHECK(to_pred == backward);
            }
        }
    }
}

TEST_CASE("a search that does not end is read from a distance transform") {
    // Every point of one plate is about as far from all points of a plate above it.
    Map pred({40, 40, 40});
    Map target({40, 40, 40});
    std::fill_n(pred.labels.begin(), 1600, std::uint8_t{1});
    std::fill_n(target.labels.end() - 1600, 1600, std::uint8_t{1});
    const SurfacePair found = surfaces_of(pred, target, SurfaceRule::kVoxelFace, 1);
    std::vector<double> forward(static_cast<std::size_t>(found.pred.size()));
    std::vector<double> backward(static_cast<std::size_t>(found.target.size()));
    segmeter::surface_distances(found.pred, found.target, std::array<double, 3>{1.0, 1.0, 1.0}, 2,
                                1, forward.data(), backward.data());
    CHECK(std::all_of(forward.begin(), forward.end(), [](double d) { return d == 39.0; }));
    CHECK(forward == backward);
}

TEST_CASE("what cannot be read is refused") {
    const Map map({3, 4});
    const Map other({4, 3});
    CHECK_THROWS_AS(surfaces_of(map, other, SurfaceRule::kCorner, 1), std::invalid_argument);
    const Map line({5});
    CHECK_THROWS_AS(surfaces_of(line, line, SurfaceRule::kCorner, 1), std::invalid_argument);
    Map strided({3, 4});
    strided.strides = {1, 3};
    CHECK_THROWS_AS(surfaces_of(strided, strided, SurfaceRule::kCorner, 1), std::invalid_argument);
    const SurfacePair small = surfaces_of(map, map, SurfaceRule::kCorner, 1);
    const SurfacePair large = surfaces_of(other, other, SurfaceRule::kCorner, 1);
    CHECK_THROWS_AS(
        segmeter::surface_distances(small.pred, large.target, std::array<double, 3>{1.0, 1.0, 1.0},
                                    2, 1, nullptr, nullptr),
        std::invalid_argument);
}

TEST_CASE("maps without pixels have no surface") {
    const Map map({0, 4});
    const SurfacePair found = surfaces_of(map, map, SurfaceRule::kCorner, 2);
    CHECK(found.pred.size() == 0);
    CHECK(found.pred.begin == std::vector<std::int64_t>{0, 0, 0});
}

namespace {

// An element of a face mesh in thirds of a step, or a face: from low to high.
struct Box {
    Place low;
    Place high;
};

std::vector<Box> mesh_of(const SurfacePoints& points, bool elements) {
    std::vector<Box> found;
    for (const std::uint64_t point : points.of(0))
        for (std::size_t normal = 0; normal < 3; ++normal) {
            if ((SurfacePoints::code(point) >> normal & 1) == 0) continue;
            const Place corner = points.place(point);
            for (std::int64_t part = 1; part <= (elements ? 2 : 1); ++part) {
                Box box{};
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    const bool across = axis == normal;
                    box.low[axis] = 3 * corner[axis] + (elements && !across ? part : 0);
                    box.high[axis] = elements ? box.low[axis] : 3 * (corner[axis] + !across);
                }
                found.push_back(box);
            }
        }
    return found;
}

}  // namespace

TEST_CASE("distances to a face mesh are those to the nearest point of any face") {
    std::mt19937 random(9);
    const std::array<double, 3> spacing = {2.5, 0.7, 1.0};
    for (const double density : {0.02, 0.4}) {
        Map maps[2] = {Map({6, 11, 19}), Map({6, 11, 19})};
        std::bernoulli_distribution is_set(density);
        for (Map& map : maps)
            for (std::uint8_t& label : map.labels) label = is_set(random) ? 1 : 0;
        const SurfacePair surfaces = surfaces_of(maps[0], maps[1], SurfaceRule::kFaceMesh, 1);
        std::vector<double> expected;
        for (const Box& element : mesh_of(surfaces.pred, true)) {
            double best = std::numeric_limits<double>::infinity();
            for (const Box& face : mesh_of(surfaces.target, false)) {
                std::array<double, 3> squares;
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    const std::int64_t before = face.low[axis] - element.low[axis];
                    const std::int64_t behind = element.low[axis] - face.high[axis];
                    const double parts =
                        static_cast<double>(std::max<std::int64_t>({before, behind, 0}));
                    squares[axis] = parts / 3.0 * spacing[axis] * (parts / 3.0 * spacing[axis]);
                }
                best = std::min(best, (squares[0] + squares[1]) + squares[2]);
            }
            expected.push_back(std::sqrt(best));
        }
        const auto elements = segmeter::face_elements(surfaces.pred);
        CHECK(elements[1] == static_cast<std::int64_t>(expected.size()));
        for (const int threads : {1, 3}) {
            std::vector<double> there(static_cast<std::size_t>(elements.back()));
            std::vector<double> back(
                static_cast<std::size_t>(segmeter::face_elements(surfaces.target).back()));
            segmeter::face_mesh_distances(surfaces.pred, surfaces.target, spacing, 2, threads,
                                          there.data(), back.data());
            CHECK(there == expected);
        }
    }
}
