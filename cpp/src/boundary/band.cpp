#include "segmeter/boundary/band.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "segmeter/cpu.hpp"
#include "segmeter/parallel.hpp"

#include "boundary/bit_rows.hpp"
#include "boundary/class_maps.hpp"
#include "boundary/windows.hpp"
#include "region/finder.hpp"
#include "region/rows.hpp"
#include "simd/band_kernels.hpp"

namespace segmeter {

const simd::BandKernels& boundary::band_kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kBandKernels;
        case SimdLevel::kAvx2: return simd::avx2::kBandKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kBandKernels;
#endif
        default: return simd::baseline::kBandKernels;
    }
}

namespace {

using boundary::BandFinder;
using boundary::BitRows;
using boundary::ClassMaps;

void require_reach(const Reach& reach) {
    for (const std::int64_t part : reach)
        if (part < 0) throw std::invalid_argument("a reach must not be negative");
}

// Adds what visit(row, cells) adds for all rows to `cells`, each block of rows to cells of its own.
template <class Visit>
void add_rows(std::int64_t rows, int threads, std::vector<std::int64_t>& cells, Visit&& visit) {
    const std::int64_t blocks =
        std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(rows, 1));
    std::vector<std::vector<std::int64_t>> parts(static_cast<std::size_t>(blocks));
    run_blocks(blocks, threads, [&](std::int64_t block) {
        std::vector<std::int64_t> own(cells.size());
        for (std::int64_t row = rows * block / blocks; row < rows * (block + 1) / blocks; ++row)
            visit(row, own.data());
        parts[static_cast<std::size_t>(block)] = std::move(own);
    });
    for (const auto& part : parts)
        for (std::size_t i = 0; i < cells.size(); ++i) cells[i] += part[i];
}

// Two maps of classes, where they change, and which pixels are ignored, as bits.
template <class Code>
struct BandMaps {
    BandMaps(const boundary::LabelMaps& labels, const BandOptions& options)
        : maps(labels, options.ignore_invalid, options.threads),
          pred_changes(boundary::changes_in_rows(maps.pred.row(0), maps.shape, maps.threads)),
          target_changes(boundary::changes_in_rows(maps.target.row(0), maps.shape, maps.threads)) {
        if (maps.ignored() == nullptr) return;
        ignored = BitRows(maps.shape.all_rows(), maps.shape.length);
        const std::vector<std::uint8_t> nothing(static_cast<std::size_t>(maps.shape.length));
        boundary::for_each_row(maps.shape.all_rows(), maps.threads, [&](std::int64_t row) {
            boundary::band_kernels().differ[0](maps.ignored() + row * maps.shape.length,
                                               nothing.data(), maps.shape.length, ignored.row(row));
        });
    }

    [[nodiscard]] BitRows band(bool of_pred, const Reach& reach, bool border) const {
        const Code* codes = of_pred ? maps.pred.row(0) : maps.target.row(0);
        return BandFinder<Code>(codes, maps.shape, reach, border, maps.threads)
            .find(of_pred ? pred_changes : target_changes, maps.ignored());
    }
    [[nodiscard]] simd::BandRow row(std::int64_t r, const BitRows* pred_band,
                                    const BitRows& target_band) const {
        return {maps.shape.length,     pred_band == nullptr ? nullptr : pred_band->row(r),
                target_band.row(r),    pred_changes.row(r),
                target_changes.row(r), ignored.empty() ? nullptr : ignored.row(r),
                maps.pred.row(r),      maps.target.row(r)};
    }

    ClassMaps<Code> maps;
    BitRows pred_changes;
    BitRows target_changes;
    BitRows ignored;
};

template <class Code>
constexpr std::size_t kCodePlace = sizeof(Code) == 1 ? 0 : 1;

}  // namespace

void label_band(const ArrayView& labels, const std::uint8_t* unknown, const Reach& reach,
                bool border, int threads, std::uint8_t* out) {
    require_readable(labels);
    require_reach(reach);
    if (labels.size() == 0) return;
    const VolumeShape shape(labels.shape);
    threads = thread_count(threads, labels.size());
    with_label_type(item_size(labels.dtype), [&](auto type) {
        using Code = decltype(type);
        const Code* codes = reinterpret_cast<const Code*>(labels.data);
        const BitRows bits = BandFinder<Code>(codes, shape, reach, border, threads)
                                 .find(boundary::changes_in_rows(codes, shape, threads), unknown);
        boundary::for_each_row(shape.all_rows(), threads, [&](std::int64_t row) {
            const std::uint64_t* band = bits.row(row);
            const std::int64_t length = shape.length;
            const std::int64_t at = row * length;
            for (std::int64_t x = 0; x < length; ++x)
                out[at + x] = static_cast<std::uint8_t>(band[x / 64] >> (x % 64) & 1);
            for (std::int64_t x = 0; unknown != nullptr && x < length; ++x)
                if (unknown[at + x] != 0) out[at + x] = 0;
        });
    });
}

PixelTally band_overlap(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                        const LabelTable& pred_labels, const LabelTable& target_labels,
                        const Reach& reach, const BandOptions& options, std::int64_t* counts) {
    require_reach(reach);
    if (target.size() == 0) return {};
    PixelTally tally;
    const std::int64_t classes = target_labels.num_classes();
    // The last class is none.
    std::vector<std::int64_t> cells(static_cast<std::size_t>((classes + 1) * kBandCounts));
    boundary::with_code_type(classes, [&](auto type) {
        using Code = decltype(type);
        const BandMaps<Code> both({pred, target, mask, pred_labels, target_labels}, options);
        const BitRows of_pred = both.band(true, reach, options.border);
        const BitRows of_target = both.band(false, reach, options.border);
        const auto count = boundary::band_kernels().count_overlap[kCodePlace<Code>];
        add_rows(both.maps.shape.all_rows(), both.maps.threads, cells,
                 [&](std::int64_t row, std::int64_t* own) {
                     count(both.row(row, &of_pred, of_target), own);
                 });
        tally = both.maps.tally;
    });
    for (std::int64_t i = 0; i < classes * kBandCounts; ++i)
        counts[i] += cells[static_cast<std::size_t>(i)];
    return tally;
}

PixelTally trimap_confusion(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                            const LabelTable& pred_labels, const LabelTable& target_labels,
                            std::span<const Reach> reaches, const BandOptions& options,
                            std::int64_t* matrices) {
    for (const Reach& reach : reaches) require_reach(reach);
    if (target.size() == 0) return {};
    PixelTally tally;
    const std::int64_t classes = target_labels.num_classes();
    boundary::with_code_type(classes, [&](auto type) {
        using Code = decltype(type);
        const BandMaps<Code> both({pred, target, mask, pred_labels, target_labels}, options);
        const auto count = boundary::band_kernels().count_pairs[kCodePlace<Code>];
        for (const Reach& reach : reaches) {
            const BitRows band = both.band(false, reach, options.border);
            std::vector<std::int64_t> cells(static_cast<std::size_t>(classes * (classes + 1)));
            add_rows(both.maps.shape.all_rows(), both.maps.threads, cells,
                     [&](std::int64_t row, std::int64_t* own) {
                         count(both.row(row, nullptr, band), classes + 1, own);
                     });
            for (const std::int64_t cell : cells) *matrices++ += cell;
        }
        tally = both.maps.tally;
    });
    return tally;
}

}  // namespace segmeter
