#include "segmeter/boundary/band.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "segmeter/parallel.hpp"

#include "boundary/bit_rows.hpp"
#include "boundary/class_maps.hpp"
#include "boundary/windows.hpp"
#include "cause/joint_runs.hpp"
#include "region/finder.hpp"
#include "region/rows.hpp"

namespace segmeter {
namespace {

using boundary::BandFinder;
using boundary::BitRows;
using cause::JointRun;
using cause::JointRuns;

void require_reach(const Reach& reach) {
    for (const std::int64_t part : reach)
        if (part < 0) throw std::invalid_argument("a reach must not be negative");
}

// Adds visit(row, cells) of all rows to `cells`, each block of rows in cells of its own.
template <class Visit>
void add_rows(std::int64_t rows, int threads, std::size_t cells, std::int64_t* out, Visit&& visit) {
    const std::int64_t blocks =
        std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(rows, 1));
    std::vector<std::vector<std::int64_t>> parts(static_cast<std::size_t>(blocks));
    run_blocks(blocks, threads, [&](std::int64_t block) {
        std::vector<std::int64_t> own(cells);
        for (std::int64_t row = rows * block / blocks; row < rows * (block + 1) / blocks; ++row)
            visit(row, own.data());
        parts[static_cast<std::size_t>(block)] = std::move(own);
    });
    for (const auto& part : parts)
        for (std::size_t i = 0; i < cells; ++i) out[i] += part[i];
}

// The maps of one call as joint runs.
struct Maps {
    Maps(const cause::LabelMaps& labels, bool ignore_invalid, int threads_asked)
        : shape(labels.target.shape),
          threads(thread_count(threads_asked, labels.target.size())),
          num_classes(labels.target_labels.num_classes()),
          runs(cause::read_joint_runs(labels, threads)),
          tally(cause::settle_invalid(runs, ignore_invalid)),
          ignored(boundary::paint_ignored(runs, shape)) {}

    [[nodiscard]] const std::uint8_t* unknown() const {
        return ignored.empty() ? nullptr : ignored.data();
    }
    [[nodiscard]] BitRows band(bool of_pred, const Reach& reach, bool border) const {
        BitRows bits;
        boundary::with_code_type(num_classes, [&](auto type) {
            using Code = decltype(type);
            const auto map =
                boundary::paint_classes<Code>(runs, shape, of_pred, num_classes, threads);
            bits =
                BandFinder<Code>(map.codes.data(), shape, reach, border, threads).find(unknown());
        });
        return bits;
    }

    VolumeShape shape;
    int threads;
    std::int64_t num_classes;
    JointRuns runs;
    PixelTally tally;
    std::vector<std::uint8_t> ignored;
};

}  // namespace

void label_band(const ArrayView& labels, const std::uint8_t* unknown, const Reach& reach,
                bool border, int threads, std::uint8_t* out) {
    require_readable(labels);
    require_reach(reach);
    const VolumeShape shape(labels.shape);
    threads = thread_count(threads, labels.size());
    with_label_type(item_size(labels.dtype), [&](auto type) {
        using Code = decltype(type);
        const BitRows bits = BandFinder<Code>(reinterpret_cast<const Code*>(labels.data), shape,
                                              reach, border, threads)
                                 .find(unknown);
        boundary::for_each_row(bits.empty() ? 0 : shape.all_rows(), threads, [&](std::int64_t row) {
            const std::uint64_t* band = bits.row(row);
            const std::int64_t at = row * shape.length;
            for (std::int64_t x = 0; x < shape.length; ++x)
                out[at + x] = static_cast<std::uint8_t>(band[x / 64] >> (x % 64) & 1);
            for (std::int64_t x = 0; unknown != nullptr && x < shape.length; ++x)
                if (unknown[at + x] != 0) out[at + x] = 0;
        });
    });
}

PixelTally band_overlap(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                        const LabelTable& pred_labels, const LabelTable& target_labels,
                        const Reach& reach, const BandOptions& options, std::int64_t* counts) {
    require_reach(reach);
    if (target.size() == 0) return {};
    const Maps maps({pred, target, mask, pred_labels, target_labels}, options.ignore_invalid,
                    options.threads);
    const BitRows of_pred = maps.band(true, reach, options.border);
    const BitRows of_target = maps.band(false, reach, options.border);
    const auto add_row = [&](std::int64_t row, std::int64_t* cells) {
        const std::uint64_t* pred_bits = of_pred.row(row);
        const std::uint64_t* target_bits = of_target.row(row);
        for (std::int64_t i = maps.runs.begin(row); i < maps.runs.end(row); ++i) {
            const JointRun& run = maps.runs[i];
            if (run.is_ignored()) continue;
            std::int64_t both = 0;
            std::int64_t in_pred = 0;
            std::int64_t in_target = 0;
            boundary::for_each_word(run.begin, run.end, [&](std::int64_t word, std::uint64_t part) {
                const std::uint64_t p = pred_bits[word] & part;
                const std::uint64_t t = target_bits[word] & part;
                if ((p | t) == 0) return;
                both += boundary::count_bits(p & t);
                in_pred += boundary::count_bits(p);
                in_target += boundary::count_bits(t);
            });
            if (run.pred == run.target) cells[run.target * kBandCounts] += both;
            if (run.pred >= 0) cells[run.pred * kBandCounts + 1] += in_pred;
            cells[run.target * kBandCounts + 2] += in_target;
        }
    };
    add_rows(maps.shape.all_rows(), maps.threads,
             static_cast<std::size_t>(maps.num_classes * kBandCounts), counts, add_row);
    return maps.tally;
}

PixelTally trimap_confusion(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                            const LabelTable& pred_labels, const LabelTable& target_labels,
                            std::span<const Reach> reaches, const BandOptions& options,
                            std::int64_t* matrices) {
    for (const Reach& reach : reaches) require_reach(reach);
    if (target.size() == 0) return {};
    const Maps maps({pred, target, mask, pred_labels, target_labels}, options.ignore_invalid,
                    options.threads);
    const std::int64_t columns = maps.num_classes + 1;
    for (const Reach& reach : reaches) {
        const BitRows band = maps.band(false, reach, options.border);
        const auto add_row = [&](std::int64_t row, std::int64_t* cells) {
            const std::uint64_t* bits = band.row(row);
            for (std::int64_t i = maps.runs.begin(row); i < maps.runs.end(row); ++i) {
                const JointRun& run = maps.runs[i];
                if (run.is_ignored()) continue;
                std::int64_t& cell =
                    cells[run.target * columns + (run.pred < 0 ? maps.num_classes : run.pred)];
                boundary::for_each_word(run.begin, run.end,
                                        [&](std::int64_t word, std::uint64_t part) {
                                            cell += boundary::count_bits(bits[word] & part);
                                        });
            }
        };
        add_rows(maps.shape.all_rows(), maps.threads,
                 static_cast<std::size_t>(maps.num_classes * columns), matrices, add_row);
        matrices += maps.num_classes * columns;
    }
    return maps.tally;
}

}  // namespace segmeter
