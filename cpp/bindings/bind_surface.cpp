#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "segmeter/boundary/face_mesh.hpp"
#include "segmeter/boundary/sums.hpp"
#include "segmeter/boundary/surface.hpp"

#include "arrays.hpp"
#include "bindings.hpp"
#include "label_rules.hpp"
#include "owned_arrays.hpp"

namespace segmeter::bindings {
namespace {

using Roles = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;
using Distances = py::array_t<double>;
using Values = py::array_t<double, py::array::c_style | py::array::forcecast>;
// Labels, the role of each, and that of all others.
using Meaning = std::tuple<Labels, Roles, std::int32_t>;
// Groups of class c: of the second array those from first[c] on.
using Groups = std::pair<Labels, Roles>;

template <class T>
std::span<const T> span_of(const py::array_t<T, py::array::c_style | py::array::forcecast>& array) {
    return {array.data(), static_cast<std::size_t>(array.size())};
}

SurfaceLabels meaning_of(const Meaning& meaning) {
    const auto& [labels, roles, other] = meaning;
    return {span_of(labels), span_of(roles), other};
}

// How the class of a map is called, if there is one: smallest and largest bit pattern.
py::object labels_met(const SurfacePoints& surface) {
    if (!surface.met_class) return py::none();
    return py::make_tuple(surface.lowest_label, surface.highest_label);
}

// One weight per point, or per element of a face mesh, by the code of the point or of the face.
void write_weights(const SurfacePoints& surface, bool is_mesh, const double* table, double* out) {
    if (is_mesh) {
        face_mesh_weights(surface, std::array{table[1], table[2], table[4]}, out);
    } else {
        for (const std::uint64_t point : surface.points) *out++ = table[SurfacePoints::code(point)];
    }
}

// Part of an array, which keeps it alive.
Distances part_of(Distances& all, std::int64_t begin, std::int64_t size) {
    return Distances(size, all.mutable_data() + begin, all);
}

// For pred and for target: (distances, weights or None, first point of each group and the end,
// labels met); and whether an invalid label was met. Points of a face mesh are its elements.
py::tuple bound_surface_distances(const py::array& pred, const py::array& target,
                                  const std::optional<py::array>& mask, const Meaning& pred_meaning,
                                  const Meaning& target_meaning, const Groups& groups,
                                  std::int64_t num_groups, int rule, bool closed,
                                  const std::array<double, 3>& spacing, int last_axis,
                                  const std::optional<Distances>& weights, int threads) {
    const std::array<ArrayView, 2> maps = {view_of(pred), view_of(target)};
    const std::optional<ArrayView> flags = mask_view(mask, maps[1]);
    require_shape(maps[0], maps[1].shape, "pred");
    const ClassGroups classes = {span_of(groups.first), span_of(groups.second)};
    const SurfaceOptions options = {static_cast<SurfaceRule>(rule), closed, num_groups, threads};
    const bool is_mesh = options.rule == SurfaceRule::kFaceMesh;
    SurfacePair surfaces;
    std::vector<std::int64_t> pred_begin;
    std::vector<std::int64_t> target_begin;
    {
        const py::gil_scoped_release release;
        surfaces =
            find_surfaces(maps[0], meaning_of(pred_meaning), maps[1], meaning_of(target_meaning),
                          flags ? &*flags : nullptr, classes, options);
        pred_begin = is_mesh ? face_elements(surfaces.pred) : surfaces.pred.begin;
        target_begin = is_mesh ? face_elements(surfaces.target) : surfaces.target.begin;
    }
    if (weights && weights->size() != 256) throw py::value_error("there must be 256 weights");
    // All numbers in one array, whose pages are used again by the next call.
    const std::array<std::int64_t, 2> sizes = {pred_begin.back(), target_begin.back()};
    const std::int64_t points = sizes[0] + sizes[1];
    Distances all = adopt(Buffer<double>(static_cast<std::size_t>(weights ? 2 * points : points)));
    double* out = all.mutable_data();
    const double* table = weights ? weights->data() : nullptr;
    {
        const py::gil_scoped_release release;
        const auto measure = is_mesh ? &face_mesh_distances : &surface_distances;
        measure(surfaces.pred, surfaces.target, spacing, last_axis, threads, out, out + sizes[0]);
        if (table != nullptr) {
            write_weights(surfaces.pred, is_mesh, table, out + points);
            write_weights(surfaces.target, is_mesh, table, out + points + sizes[0]);
        }
    }
    const auto side = [&](std::int64_t first, std::int64_t size, const SurfacePoints& surface,
                          std::vector<std::int64_t>& begin) {
        py::object point_weights = py::none();
        if (weights) point_weights = part_of(all, points + first, size);
        return py::make_tuple(part_of(all, first, size), std::move(point_weights),
                              adopt(std::move(begin)), labels_met(surface));
    };
    return py::make_tuple(side(0, sizes[0], surfaces.pred, pred_begin),
                          side(sizes[0], sizes[1], surfaces.target, target_begin),
                          surfaces.pred.met_invalid || surfaces.target.met_invalid);
}

// The numbers of several sets of distances, one array each.
using Sets = std::vector<Values>;

std::vector<std::span<const double>> spans_of(const Sets& sets) {
    std::vector<std::span<const double>> spans;
    spans.reserve(sets.size());
    for (const Values& values : sets) spans.push_back(span_of(values));
    return spans;
}

void require_alike(const Sets& distances, const Sets& weights) {
    if (distances.size() != weights.size())
        throw py::value_error("there must be weights for each set of distances");
}

// For each set: largest distance, sum of the weights, sum of distance times weight, and the weight
// of the distances within each tolerance; of which each set has a row.
Distances bound_distance_sums(const Sets& distances, const Sets& weights,
                              const Values& tolerances) {
    require_alike(distances, weights);
    const auto sets = static_cast<py::ssize_t>(distances.size());
    if (tolerances.ndim() != 2 || tolerances.shape(0) != sets)
        throw py::value_error("tolerances must have a row for each set of distances");
    const auto limits = static_cast<std::size_t>(tolerances.shape(1));
    Distances sums({sets, tolerances.shape(1) + 3});
    double* out = sums.mutable_data();
    const double* limit = tolerances.data();
    const auto of = spans_of(distances);
    const auto weighing = spans_of(weights);
    const py::gil_scoped_release release;
    for (std::size_t k = 0; k < of.size(); ++k, out += 3 + limits, limit += limits) {
        const DistanceSums found = sum_distances(of[k], weighing[k], {limit, limits}, out + 3);
        out[0] = found.largest;
        out[1] = found.weight;
        out[2] = found.weighted;
    }
    return sums;
}

// For each set, of which none is empty, its percentiles.
Distances bound_weighted_percentiles(const Sets& distances, const Sets& weights,
                                     const Values& percentiles) {
    require_alike(distances, weights);
    const auto sets = static_cast<py::ssize_t>(distances.size());
    Distances values({sets, percentiles.size()});
    double* out = values.mutable_data();
    const auto of = spans_of(distances);
    const auto weighing = spans_of(weights);
    const auto wanted = span_of(percentiles);
    const py::gil_scoped_release release;
    for (std::size_t k = 0; k < of.size(); ++k, out += wanted.size())
        weighted_percentiles(of[k], weighing[k], wanted, out);
    return values;
}

}  // namespace

void bind_surface(py::module_& m) {
    m.def("surface_distances", &bound_surface_distances, py::arg("pred"), py::arg("target"),
          py::arg("mask"), py::arg("pred_meaning"), py::arg("target_meaning"), py::arg("groups"),
          py::arg("num_groups"), py::arg("rule"), py::arg("closed"), py::arg("spacing"),
          py::arg("last_axis"), py::arg("weights"), py::arg("threads"));
    m.def("distance_sums", &bound_distance_sums, py::arg("distances"), py::arg("weights"),
          py::arg("tolerances"));
    m.def("weighted_percentiles", &bound_weighted_percentiles, py::arg("distances"),
          py::arg("weights"), py::arg("percentiles"));
}

}  // namespace segmeter::bindings
