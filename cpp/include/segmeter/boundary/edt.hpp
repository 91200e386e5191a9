// Exact Euclidean distance transform of label maps, dense.
//
// Formula: of a pixel p, the smallest of ((dz*sz)^2 + (dy*sy)^2) + (dx*sx)^2 over all pixels of
// another label, in float64, every operation rounded once, in this order; 2-D: the last two terms.
// Its root unless `squared`. +inf where there is no other label.
// Method: one axis after another, the first one by counting, the others as the minimum of
// f[j] + ((i-j)*s)^2 over j for all i of a line, sixteen lines at a time. The nearest j of a pixel
// never lies before that of the pixel before it, so the middle pixel of a line parts the search
// for the two halves: O(n log n), no branch that depends on a single line. Rounded sums keep
// this order as long as squared distances stay below 2^48 steps^2; beyond that every j is tried.
// So the result is the minimum of the rounded sums themselves, bit for bit, for every number of
// threads and every instruction set.
// Memory: scratch of about 25 bytes per pixel of one slice (one row in 2-D) and thread.
// Memory traffic per pixel: the label read twice, 8 bytes written, read and written again.
#pragma once

#include <array>
#include <cstdint>

namespace segmeter {

struct DistanceTransform {
    int ndim = 3;                         // 2 or 3: how many entries of shape and spacing count
    std::array<std::int64_t, 3> shape{};  // every extent below 2^30
    std::array<double, 3> spacing{1, 1, 1};
    const void* labels = nullptr;  // contiguous, last axis fastest
    int label_size = 1;            // bytes of a label: 1, 2, 4 or 8
    // Labels are 0 and not 0 (1 byte each), and the distance of 0 is 0: the plain case.
    bool is_mask = true;
    // Otherwise: whether label 0 has distance 0, or is a label like others.
    bool zero_is_background = true;
    // Whether what lies around the image is of label 0, at a distance from all others.
    bool border_is_background = false;
    bool squared = false;
    bool negate_labels = false;  // the sign of labels other than 0 becomes negative
};

// distance: one per pixel. nearest: null, or the coordinates of the nearest pixel, all of axis 0
// first; -1 where there is none, and not with border_is_background. Of several nearest pixels the
// one with the smallest coordinate on the last axis is chosen, then on the axis before it, where
// distances are equal as rounded after each axis.
void distance_transform(const DistanceTransform& job, double* distance, std::int32_t* nearest,
                        int threads);

}  // namespace segmeter
