// Boundary family: distances to the mesh of pixel faces, from the centres of its elements.
//
// The mesh of a class (of a group) consists of the faces between a pixel of it and one that is not
// of it: rectangles in 3-D, line segments in 2-D. Its elements are the two triangles of each
// rectangle (cut along the diagonal that does not meet its low and high corner), in 2-D the
// segments. Their centres lie 1/3 and 2/3 of the spacing beyond the low corner along both sides,
// in 2-D in the middle. Faces are found by find_surfaces() with SurfaceRule::kFaceMesh.
//
// Distance of a centre: the minimum over the other mesh's faces of the distance to the nearest
// point of the face. Along an axis that is a whole number of thirds (halves) d of the spacing s,
// and the distance
//   sqrt(((d0/3 s0)^2 + (d1/3 s1)^2) + (d2/3 s2)^2)
// in float64, rounded after every operation: the same bits for any number of threads.
//
// Method: for each direction that faces can have, their low corners are bits, and a pyramid of
// cubes of 4, 16, ... corners' side (squares of 8, 64, ... in 2-D) is searched branch and bound;
// the nearest face of the element before is the first bound. What all elements of a group may visit
// is bounded: the rest are measured plane by plane (planes.hpp), which is exact too. There squares
// of distances to faces normal to one axis add up axis by axis like those to points, so that the
// elements at each of six places behind a corner need three searches of the pixels, one for each
// kind of face, where a transform of the lattice of thirds has 27 times as many points as pixels.
// Memory beyond input and output: 3 bits per pixel of the box around a group, and when elements are
// measured plane by plane as much again, and for each thread 56 bytes per pixel of a plane and 32
// per element in it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "segmeter/boundary/surface.hpp"

namespace segmeter {

// Where the elements of each group begin, and their number: one entry more than groups.
std::vector<std::int64_t> face_elements(const SurfacePoints& faces);

// Distances of all elements of `pred` to the mesh of the same group in `target`, and the other way
// round, in the order of the points, of a point's faces (normal to plane, row, column axis) and of
// thirds; infinite where there is no mesh. `last_axis` as in surface_distances().
void face_mesh_distances(const SurfacePoints& pred, const SurfacePoints& target,
                         std::span<const double, 3> spacing, int last_axis, int threads,
                         double* pred_to_target, double* target_to_pred);

// One weight per element; by_normal: weight of an element by the axis that its face is normal to.
void face_mesh_weights(const SurfacePoints& faces, std::span<const double, 3> by_normal,
                       double* weights);

}  // namespace segmeter
