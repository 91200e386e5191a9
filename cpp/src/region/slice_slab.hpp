// Components of some slices of a binary volume whose runs are few.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "segmeter/region/components.hpp"

#include "region/finder.hpp"
#include "region/labeller.hpp"
#include "region/region_slab.hpp"
#include "region/rows.hpp"
#include "simd/region_kernels.hpp"

namespace segmeter {

// Changes and parts of the runs of one slice, with a row without runs before and behind.
class Slice {
   public:
    explicit Slice(std::int64_t words)
        : bits_(static_cast<std::size_t>(words)), before_(static_cast<std::size_t>(words)) {
        std::fill(bits_.begin(), bits_.end(), std::uint64_t{0});
        std::fill(before_.begin(), before_.end(), 0U);
        make_room(0);
    }
    // The part behind the last run may be read.
    void make_room(std::int64_t runs) {
        if (const auto size = static_cast<std::size_t>(runs) + 1; size > part_.size()) {
            part_.reserve_more(size - part_.size());
            part_.resize(size);
        }
    }
    // Of the first runs.
    [[nodiscard]] std::span<std::int32_t> parts(std::int64_t runs) {
        return {part_.data(), static_cast<std::size_t>(runs)};
    }
    [[nodiscard]] simd::SliceChanges changes() {
        return {bits_.data(), before_.data(), part_.data()};
    }

   private:
    Buffer<std::uint64_t> bits_;
    Buffer<std::uint32_t> before_;
    Buffer<std::int32_t> part_;
};

// Joins runs slice by slice; only two slices are alive, unless runs are kept.
class SliceSlab {
   public:
    SliceSlab(const VolumeShape& shape, const Reach& reach, bool keeps_runs)
        : shape_(shape),
          keeps_runs_(keeps_runs),
          row_words_(simd::slice_row_words(shape.length)),
          block_rows_(std::clamp<std::int64_t>(kBlockWords / row_words_, 1, shape.rows)),
          has_runs_(static_cast<std::size_t>(block_rows_)),
          listed_(static_cast<std::size_t>(block_rows_ * row_words_ + kListSlack)),
          turns_(static_cast<std::size_t>(block_rows_ * (shape.length + 1) + kTurnSlack)),
          row_change_(static_cast<std::size_t>(block_rows_)),
          slices_{Slice((shape.rows + 2) * row_words_), Slice((shape.rows + 2) * row_words_)},
          parts_(1, !keeps_runs) {
        join_.row_words = row_words_;
        join_.rows = shape.rows;
        join_.length = shape.length;
        join_.reach_aside = reach.same_slice;
        join_.reach_behind = reach.slice_before;
        join_.reach_diagonal = reach.diagonal;
    }

    // Whether positions in a slice fit their type, and some rows have few runs: where there are
    // many, most runs see several parts.
    template <class Finder>
    static bool suits(const VolumeShape& shape, std::int64_t first_row, std::int64_t last_row,
                      Finder& finder) {
        constexpr std::int64_t kMostPositions = std::int64_t{1} << 32;
        if (shape.rows == 0 || shape.length == 0 ||
            shape.rows + 2 > kMostPositions / 64 / simd::slice_row_words(shape.length))
            return false;
        const std::int64_t looks = std::clamp<std::int64_t>((last_row - first_row) / 64, 1, 32);
        const EdgeRing edges(shape.length, 1, Keep::kNone);
        std::int64_t rows = 0;
        std::int64_t runs = 0;
        for (std::int64_t look = 0; look < looks; ++look) {
            // All over the slices, and all over their rows.
            const std::int64_t z = (last_row - first_row) / shape.rows * look / looks;
            const std::int64_t y = look * 19 % 32 * shape.rows / 32;
            const std::int64_t found =
                finder.count_row(first_row + z * shape.rows + y, edges.next());
            rows += found > 0;
            runs += found;
        }
        return kSparse * runs <= rows * shape.length;
    }

    template <class Finder>
    RegionSlab label(std::int64_t first_row, std::int64_t last_row, Finder& finder) {
        slab_.first_row = first_row;
        const std::int64_t first = first_row / shape_.rows;
        const std::int64_t last = last_row / shape_.rows;
        // Where slabs are put together, their first and last slices are looked at again.
        if (!keeps_runs_) slab_.leave_out((first + 1) * shape_.rows, (last - 1) * shape_.rows);
        slab_.row_begin.reserve_more(static_cast<std::size_t>(slab_.kept_rows(last_row) + 1));
        slab_.row_begin.push_back(0);
        for (std::int64_t z = first; z < last; ++z) {
            label_slice(z, keeps_runs_ || z == first || z + 1 == last, finder);
            std::swap(slices_[0], slices_[1]);
            runs_behind_ = join_.last;
            if (keeps_runs_) slab_.expect_runs(z + 1 - first, last - first);
        }
        parts_.finish(slab_);
        return std::move(slab_);
    }

   private:
    template <class Finder>
    void label_slice(std::int64_t z, bool keeps_runs, Finder& finder) {
        simd::SliceRows rows{shape_.length,
                             row_words_,
                             slices_[0].changes().bits,
                             slices_[0].changes().before,
                             row_words_,
                             0,
                             has_runs_.data(),
                             0,
                             row_change_.data(),
                             turns_.data(),
                             listed_.data()};
        join_.z = z;
        for (std::int64_t y = 0; y < shape_.rows; y += block_rows_) {
            const std::int64_t end = std::min(y + block_rows_, shape_.rows);
            finder.mark_rows(z * shape_.rows + y, z * shape_.rows + end, rows);
            join_.first = rows.changes / 2;
            kernels_.list_turns(rows);
            join_.last = rows.changes / 2;
            if (keeps_runs) keep_rows(rows);
            if (join_.first < join_.last) join(keeps_runs);
            rows.first_word += rows.rows * row_words_;
            rows.rows = 0;
        }
    }

    void keep_rows(const simd::SliceRows& rows) {
        const auto known = static_cast<std::int64_t>(slab_.begin.size()) - join_.first;
        const std::size_t old = slab_.row_begin.size() - 1;
        slab_.row_begin.resize(old + static_cast<std::size_t>(rows.rows) + 1);
        std::int64_t* row_begin = slab_.row_begin.data() + old;
        for (std::int64_t row = 0; row < rows.rows; ++row)
            row_begin[row] = known + rows.row_change[row] / 2;
        row_begin[rows.rows] = known + join_.last;
    }

    void join(bool keeps_runs) {
        const std::int64_t runs = join_.last - join_.first;
        slices_[0].make_room(join_.last);
        parts_.make_room(runs, {slices_[0].parts(join_.first), slices_[1].parts(runs_behind_),
                                std::span(slab_.region.data(), slab_.region.size())});
        join_.own = slices_[0].changes();
        join_.behind = slices_[1].changes();
        join_.turns = turns_.data();
        join_.begin = join_.end = nullptr;
        if (keeps_runs) {
            const std::size_t known = slab_.begin.size();
            for (Buffer<std::uint32_t>* bounds : {&slab_.begin, &slab_.end}) {
                bounds->reserve_more(static_cast<std::size_t>(runs));
                bounds->resize(known + static_cast<std::size_t>(runs));
            }
            require_countable(slab_.begin.size());
            join_.begin = slab_.begin.data() + known;
            join_.end = slab_.end.data() + known;
        }
        kernels_.join_slice(join_, parts_.parts());
        if (keeps_runs)
            slab_.region.append(join_.own.part + join_.first, static_cast<std::size_t>(runs));
    }

    // A run in so many pixels of rows that have any, at most.
    static constexpr std::int64_t kSparse = 32;
    // Of the rows that are marked before their runs are joined: enough that loops over their words
    // and runs are long, and few enough that memory does not idle meanwhile.
    static constexpr std::int64_t kBlockWords = 128;
    static constexpr std::int64_t kTurnSlack = 64;
    static constexpr std::int64_t kListSlack = 8;

    const simd::RegionKernels& kernels_ = region_kernels();
    const VolumeShape& shape_;
    bool keeps_runs_;
    std::int64_t row_words_;
    std::int64_t block_rows_;
    Buffer<std::uint8_t> has_runs_;
    Buffer<std::uint32_t> listed_;
    Buffer<std::uint32_t> turns_;
    Buffer<std::uint32_t> row_change_;
    std::array<Slice, 2> slices_;  // own, behind
    std::int64_t runs_behind_ = 0;
    simd::SliceJoin join_{};
    GrowingParts parts_;
    RegionSlab slab_;
};

}  // namespace segmeter
