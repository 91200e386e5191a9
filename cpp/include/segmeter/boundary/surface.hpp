// Boundary family: the surfaces of every class of two label maps, and how far each of their points
// is from the other map's surface of that class.
//
// Surface of a class (of a union of classes: a group), by rule:
//   corner      corners of pixels with pixels of the group and others around them
//   voxel_face  pixels of the group with a neighbour across a face that is not of it
//   voxel_full  pixels of the group with one of 26 (in 2-D 8) neighbours that is not of it
//   foreground  all pixels of the group
//   face_mesh   low corners of the faces between pixels of the group and others; see face_mesh.hpp
// Ignored pixels are unknown: no points, no neighbours, and a corner next to one is no point.
// Beyond the image lies nobody's pixel (closed), or what lies at its edge goes on (not closed).
//
// Distance of a point: the minimum over the other surface's points of
//   sqrt(((dz sz)^2 + (dy sy)^2) + (dx sx)^2)
// in float64, rounded after every operation: the same bits for any number of threads and any
// instruction set.
//
// Each map is read once, 64 pixels at a time, for where not all pixels of a 2x2x2 block are equal;
// only there labels are looked up, so the time does not grow with the number of classes. Memory
// beyond input and output: 8 bytes per point, and one bit per pixel of the box around a class.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "segmeter/region/buffer.hpp"
#include "segmeter/view.hpp"

namespace segmeter {

enum class SurfaceRule : std::uint8_t { kCorner, kVoxelFace, kVoxelFull, kForeground, kFaceMesh };

// What a label can be besides a class 0, 1, ...
enum LabelRole : std::int32_t { kNobodys = -1, kIgnoredLabel = -2, kInvalidLabel = -3 };

// What the labels of one map mean; uint64 labels from 2^63 on are given as the int64 of their bits.
struct SurfaceLabels {
    std::span<const std::int64_t> labels;
    std::span<const std::int32_t> roles;
    std::int32_t other_role = kNobodys;  // of labels that are not listed
};

// Groups that class c belongs to: group[begin[c]] to group[begin[c + 1] - 1].
struct ClassGroups {
    std::span<const std::int64_t> begin;
    std::span<const std::int32_t> group;
};

struct SurfaceOptions {
    SurfaceRule rule = SurfaceRule::kCorner;
    bool closed = true;
    std::int64_t num_groups = 1;  // at most kMaxGroups
    int threads = 0;
};
inline constexpr std::int64_t kMaxGroups = 65535;

// Surface points of one map. Coordinates are those of pixels, or of corners, of which each axis of
// a 2-D or 3-D map has one more.
class SurfacePoints {
   public:
    // The points of group g in raster order.
    [[nodiscard]] std::span<const std::uint64_t> of(std::int64_t group) const {
        const auto g = static_cast<std::size_t>(group);
        return std::span(points).subspan(static_cast<std::size_t>(begin[g]),
                                         static_cast<std::size_t>(begin[g + 1] - begin[g]));
    }
    // Plane, row and column of a point. The first is 0 in 2-D.
    [[nodiscard]] std::array<std::int64_t, 3> place(std::uint64_t point) const noexcept {
        const auto part = [&](int shift, int width) {
            return static_cast<std::int64_t>((point >> shift) & ((std::uint64_t{1} << width) - 1));
        };
        return {part(8 + bits[2] + bits[1], bits[0]), part(8 + bits[2], bits[1]), part(8, bits[2])};
    }
    [[nodiscard]] std::int64_t column(std::uint64_t point) const noexcept {
        return static_cast<std::int64_t>(point >> 8 & ((std::uint64_t{1} << bits[2]) - 1));
    }
    // Which pixels around a corner are of the group: the last one is bit 0, the last axis fastest.
    // Of a face mesh: to which axes faces with this low corner are normal, plane (1), row (2) and
    // column (4).
    [[nodiscard]] static std::uint8_t code(std::uint64_t point) noexcept {
        return static_cast<std::uint8_t>(point & 0xFF);
    }
    [[nodiscard]] std::int64_t size() const noexcept {
        return static_cast<std::int64_t>(points.size());
    }

    Buffer<std::uint64_t> points;     // group by group: group, plane, row, column, code
    std::vector<std::int64_t> begin;  // num_groups + 1 positions in `points`
    std::array<std::int64_t, 3> shape{};
    std::array<int, 3> bits{};  // of each coordinate
    bool met_invalid = false;   // a label that is kInvalidLabel was seen
    // Smallest and largest bit pattern of a label that is of a class, if one was seen.
    bool met_class = false;
    std::uint64_t lowest_label = 0;
    std::uint64_t highest_label = 0;
};

struct SurfacePair {
    SurfacePoints pred;
    SurfacePoints target;
};

// pred, target: of equal shape, 2 or 3 axes, integer or bool, native byte order, last axis
// contiguous. A pixel with an ignored label in either is ignored. mask: null, or bool of that
// shape, true = ignored, last axis contiguous.
SurfacePair find_surfaces(const ArrayView& pred, const SurfaceLabels& pred_meaning,
                          const ArrayView& target, const SurfaceLabels& target_meaning,
                          const ArrayView* mask, const ClassGroups& groups,
                          const SurfaceOptions& options);

// Distances of all points of `pred` to those of the same group in `target`, and the other way
// round; infinite where there are none. `last_axis`: which of plane, row and column (0, 1, 2) comes
// last in the sum of squares; for maps whose axes were put in the order of memory.
void surface_distances(const SurfacePoints& pred, const SurfacePoints& target,
                       std::span<const double, 3> spacing, int last_axis, int threads,
                       double* pred_to_target, double* target_to_pred);

}  // namespace segmeter
