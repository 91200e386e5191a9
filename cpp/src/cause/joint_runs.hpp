// Two label maps as joint runs: stretches of a row in which neither map changes.
#pragma once

#include <cstdint>

#include "segmeter/pixel.hpp"
#include "segmeter/view.hpp"

#include "cause/row_lists.hpp"
#include "region/rows.hpp"

namespace segmeter::cause {

inline constexpr std::int32_t kNoClass = -1;       // void; in target: ignored
inline constexpr std::int32_t kInvalidClass = -2;  // until settle_invalid()

struct JointRun {
    std::int32_t begin;
    std::int32_t end;
    std::int32_t pred;
    std::int32_t target;

    [[nodiscard]] bool is_ignored() const { return target < 0; }
    [[nodiscard]] std::int64_t size() const { return end - begin; }
};

using JointRuns = RowLists<JointRun>;

// The maps of one call and how their labels are read.
struct LabelMaps {
    const ArrayView& pred;
    const ArrayView& target;
    const ArrayView* mask;
    const LabelTable& pred_labels;
    const LabelTable& target_labels;
};

// Throws std::invalid_argument for maps that are not 2-D or 3-D or have rows of 2^31 pixels, and
// std::length_error for more runs than kMaxRuns.
JointRuns read_joint_runs(const LabelMaps& maps, int threads);

// Counts void and invalid labels and makes them void; an invalid label in target, and with
// `ignore_invalid` one in pred, makes its pixels ignored.
PixelTally settle_invalid(JointRuns& runs, bool ignore_invalid);

}  // namespace segmeter::cause
