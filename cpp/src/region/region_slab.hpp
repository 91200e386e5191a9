// Regions of some consecutive rows of a map, before slabs are put together.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <span>

#include "segmeter/region/components.hpp"

#include "region/labeller.hpp"
#include "simd/region_kernels.hpp"

namespace segmeter {

// Runs of consecutive rows with their regions, numbered within the slab; some rows may be left out.
struct RegionSlab {
    std::int64_t first_row = 0;
    std::int64_t gap_begin = 0;  // rows that are left out
    std::int64_t gap_end = 0;
    Buffer<std::int64_t> row_begin;
    Buffer<std::uint32_t> begin;
    Buffer<std::uint32_t> end;
    Buffer<std::int32_t> region;
    Buffer<RegionFacts> facts;

    void leave_out(std::int64_t row, std::int64_t last_row) {
        gap_begin = row;
        gap_end = std::max(row, last_row);
    }
    [[nodiscard]] bool keeps(std::int64_t row) const { return row < gap_begin || row >= gap_end; }
    // Rows before this one that are kept.
    [[nodiscard]] std::int64_t kept_rows(std::int64_t row) const {
        return row - first_row - (row >= gap_end ? gap_end - gap_begin : 0);
    }
    // Room for the runs to come, now and then: as many as those of the rows so far suggest. Arrays
    // that grow step by step are copied more often than they are written.
    void expect_runs(std::int64_t rows_done, std::int64_t rows) {
        const auto done = static_cast<std::uint64_t>(rows_done);
        if (!std::has_single_bit(done) || begin.empty()) return;
        const auto left = static_cast<std::uint64_t>(rows - rows_done);
        const auto more = static_cast<std::size_t>(begin.size() * left / done);
        begin.reserve_more(more);
        end.reserve_more(more);
        region.reserve_more(more);
    }
    [[nodiscard]] RunRange row(std::int64_t row) const {
        const auto r = static_cast<std::size_t>(kept_rows(row));
        return {row_begin[r], row_begin[r + 1]};
    }
};

inline void add_facts(RegionFacts& facts, const RegionFacts& more) {
    facts.first = std::min(facts.first, more.first);
    facts.area += more.area;
    facts.num_runs += more.num_runs;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        facts.sum[axis] += more.sum[axis];
        facts.low[axis] = std::min(facts.low[axis], more.low[axis]);
        facts.high[axis] = std::max(facts.high[axis], more.high[axis]);
    }
}

// Parts of components that grow row by row, and which of them are one.
class GrowingParts {
   public:
    // value: of all regions. adds_up: where there is no room for more parts, those that are one
    // component are added up first, as long as they are few or that gains room.
    GrowingParts(std::int64_t value, bool adds_up) : adds_up_(adds_up) { parts_.value = value; }

    [[nodiscard]] simd::Parts& parts() { return parts_; }

    // For as many more. numbers: all that are kept of parts.
    void make_room(std::int64_t more, std::initializer_list<std::span<std::int32_t>> numbers) {
        const auto room = static_cast<std::int64_t>(facts_.size());
        if (parts_.count + more <= room) return;
        if (adds_up_) {
            const std::int32_t known = parts_.count;
            add_up();
            for (const std::span<std::int32_t> its : numbers)
                for (std::int32_t& number : its) number = parts_.parent[number];
            std::iota(parts_.parent, parts_.parent + parts_.count, 0);
            adds_up_ = known < kFew || parts_.count <= known - known / 4;
        }
        const std::int64_t needed = parts_.count + more;
        if (needed > room - room / 4) grow(needed + needed / 2);
    }

    // Adds parts up to components, whose facts are moved to the slab, and numbers its runs by them.
    void finish(RegionSlab& slab) {
        const std::int32_t known = parts_.count;
        add_up();
        if (parts_.count < known)
            for (std::int32_t& region : slab.region) region = parts_.parent[region];
        facts_.resize(static_cast<std::size_t>(parts_.count));
        slab.facts = std::move(facts_);
    }

   private:
    static_assert(sizeof(RegionFacts) == simd::kFactColumns * sizeof(std::int64_t));
    static constexpr std::int32_t kFew = 4096;

    // Afterwards `parent` holds the component of each part.
    void add_up() {
        std::int32_t count = 0;
        for (std::int32_t i = 0; i < parts_.count; ++i) {
            const RegionFacts& part = facts_[static_cast<std::size_t>(i)];
            std::int32_t& number = parts_.parent[i];
            if (number == i) {
                if (count < i) facts_[static_cast<std::size_t>(count)] = part;
                number = count++;
            } else {
                number = parts_.parent[number];  // it comes first, so it is one of a component
                add_facts(facts_[static_cast<std::size_t>(number)], part);
            }
        }
        parts_.count = count;
    }
    void grow(std::int64_t room) {
        facts_.resize(static_cast<std::size_t>(room));
        parent_.resize(static_cast<std::size_t>(room));
        parts_.facts = reinterpret_cast<std::int64_t*>(facts_.data());
        parts_.parent = parent_.data();
    }

    bool adds_up_;
    simd::Parts parts_{};
    Buffer<RegionFacts> facts_;  // with room for more
    Buffer<std::int32_t> parent_;
};

}  // namespace segmeter
