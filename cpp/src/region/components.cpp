#include "segmeter/region/components.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "segmeter/parallel.hpp"

#include "region/finder.hpp"
#include "region/labeller.hpp"
#include "region/region_slab.hpp"
#include "region/rows.hpp"
#include "region/slice_slab.hpp"

namespace segmeter {
namespace {

void require_fitting(Connectivity connectivity, std::size_t axes) {
    const bool is_flat = connectivity == Connectivity::k4 || connectivity == Connectivity::k8;
    if (is_flat != (axes == 2))
        throw std::invalid_argument("connectivity is 4 or 8 in 2-D, 6, 18 or 26 in 3-D, not " +
                                    std::to_string(static_cast<int>(connectivity)));
}

// --- facts ---

std::int64_t sum_of_range(std::int64_t begin, std::int64_t end) {
    // No branch on odd lengths, and no product beyond 64 bits for a row of 2^32 pixels.
    const auto count = static_cast<std::uint64_t>(end - begin);
    return static_cast<std::int64_t>(count * static_cast<std::uint64_t>(begin) +
                                     count * (count - 1) / 2);
}

RegionFacts nothing_yet(std::int64_t value, std::int64_t first, std::int64_t z, std::int64_t y) {
    constexpr std::int64_t kFar = std::int64_t{1} << 62;
    return {value, first, 0, 0, {0, 0, 0}, {z, y, kFar}, {z + 1, 0, 0}};
}

// Runs come in raster order: z only rises, and in one slice so does y.
template <bool kFlat>
inline void add_run(RegionFacts& facts, std::int64_t z, std::int64_t y, std::int64_t begin,
                    std::int64_t end) {
    const std::int64_t area = end - begin;
    facts.area += area;
    facts.num_runs += 1;
    facts.sum[1] += y * area;
    facts.sum[2] += sum_of_range(begin, end);
    facts.low[2] = std::min(facts.low[2], begin);
    facts.high[2] = std::max(facts.high[2], end);
    if constexpr (kFlat) {
        facts.high[1] = y + 1;
    } else {
        facts.sum[0] += z * area;
        facts.high[0] = z + 1;
        facts.low[1] = std::min(facts.low[1], y);
        facts.high[1] = std::max(facts.high[1], y + 1);
    }
}

// --- one slab ---

// Takes over the runs, not their values.
template <class Value>
RegionSlab without_values(RunSlab<Value>& runs) {
    RegionSlab slab;
    slab.first_row = runs.first_row;
    slab.row_begin = std::move(runs.row_begin);
    slab.begin = std::move(runs.begin);
    slab.end = std::move(runs.end);
    return slab;
}

// Calls function(run, z, y) for every run.
template <class Function>
void for_each_run(const RegionSlab& slab, const VolumeShape& shape, Function&& function) {
    std::int64_t run = 0;
    std::int64_t row = slab.first_row;
    for (std::size_t r = 1; r < slab.row_begin.size(); ++r, ++row) {
        const std::int64_t end = slab.row_begin[r];
        if (run == end) continue;
        const std::int64_t z = row / shape.rows;
        for (; run < end; ++run) function(static_cast<std::size_t>(run), z, row - z * shape.rows);
    }
}

// Joins runs row by row as they are found.
template <class Value>
class ComponentSlab {
   public:
    ComponentSlab(const VolumeShape& shape, Connectivity connectivity, bool has_values,
                  simd::JoinVolume join_volume)
        : shape_(shape),
          reach_(connectivity),
          neighbours_(static_cast<std::int32_t>(connectivity)),
          has_values_(has_values),
          join_flat_(region_kernels().join_flat[kValueIndex]),
          join_volume_(join_volume) {}

    RunSlab<Value> runs;

    // The row's runs have been appended to `runs`; `edges`: of this row and those before that it
    // sees, or null.
    void join_row(std::int64_t row, const EdgeRing* edges) {
        const RunRange mine = add_row(row);
        if (mine.begin == mine.end) return;
        const std::int64_t z = shape_.slices > 1 ? row / shape_.rows : 0;
        RowsBefore before;
        find_rows_before(z, row - z * shape_.rows, before);
        if (before.count == 0) {
            be_own_parents(mine);
        } else if (edges != nullptr && edges->has(row) && before.all_in(*edges)) {
            if (shape_.slices > 1)
                join_in_volume(mine, row, before, *edges);
            else
                join_by_ranks(mine, before.rows[0].row, *edges);
        } else {
            join_by_search(mine, before);
        }
    }

    // Numbers the components; the runs are moved out.
    template <class ValueOf>
    RegionSlab finish(ValueOf&& value_of) {
        RegionSlab slab = without_values(runs);
        slab.region = std::move(parent_);
        if (shape_.slices > 1)
            number<false>(slab, value_of);
        else
            number<true>(slab, value_of);
        return slab;
    }

   private:
    // A row that pixels of another one see.
    struct Before {
        std::int64_t row;
        simd::RowsSeen which;
        int reach;
        unsigned skipped;  // flags of runs that need not look at this row
        unsigned covers;   // flag of the runs that lie along one of this row's
    };
    struct RowsBefore {
        std::array<Before, 4> rows;
        std::size_t count = 0;

        [[nodiscard]] bool all_in(const EdgeRing& edges) const {
            return std::all_of(rows.begin(), rows.begin() + count,
                               [&](const Before& before) { return edges.has(before.row); });
        }
    };
    static constexpr unsigned kByRowBefore = 1;
    static constexpr unsigned kBySliceBefore = 2;
    static constexpr std::size_t kValueIndex = sizeof(Value) / 4 - 1;

    // Of row y in slice z, as far as they lie in this slab and have runs. Where a run of one of
    // them lies along the whole run, it has already seen all that the run could see in the rows
    // that are beside both.
    void find_rows_before(std::int64_t z, std::int64_t y, RowsBefore& before) const {
        const auto add = [&](std::int64_t row, simd::RowsSeen which, int reach, unsigned skipped,
                             unsigned covers) {
            if (row >= runs.first_row && runs.first_run(row) < runs.first_run(row + 1))
                before.rows[before.count++] = {row, which, reach, skipped, covers};
        };
        const std::int64_t row = z * shape_.rows + y;
        const std::int64_t behind = row - shape_.rows;
        if (z > 0) add(behind, simd::kSliceBefore, reach_.slice_before, 0, kBySliceBefore);
        const unsigned sees_row_before = reach_.diagonal > 0 ? kBySliceBefore : 0;
        if (y > 0) add(row - 1, simd::kRowBefore, reach_.same_slice, sees_row_before, kByRowBefore);
        if (z == 0 || reach_.diagonal < 0) return;
        if (y > 0)
            add(behind - 1, simd::kDiagonalAbove, reach_.diagonal, kByRowBefore | kBySliceBefore,
                0);
        if (y + 1 < shape_.rows)
            add(behind + 1, simd::kDiagonalBelow, reach_.diagonal, kBySliceBefore, 0);
    }

    void join_by_ranks(RunRange mine, std::int64_t row_before, const EdgeRing& edges) {
        simd::FlatJoin join;
        join.begin = runs.begin.data();
        join.end = runs.end.data();
        join.value = runs.value.data();
        join.first = static_cast<std::int32_t>(mine.begin);
        join.last = static_cast<std::int32_t>(mine.end);
        join.first_before = static_cast<std::int32_t>(runs.first_run(row_before));
        join.reach = reach_.same_slice;
        join.before = edges.row(row_before);
        join_flat_(join, parent_.data());
    }

    void join_in_volume(RunRange mine, std::int64_t row, const RowsBefore& before,
                        const EdgeRing& edges) {
        simd::VolumeJoin join;
        for (simd::VolumeRow& none : join.before) none = {0, nullptr};
        join.own = {static_cast<std::int32_t>(mine.begin), &edges.row(row)};
        join.value = runs.value.data();
        join.last = static_cast<std::int32_t>(mine.end);
        join.length = shape_.length;
        join.neighbours = neighbours_;
        for (std::size_t k = 0; k < before.count; ++k) {
            const std::int64_t other = before.rows[k].row;
            join.before[before.rows[k].which] = {static_cast<std::int32_t>(runs.first_run(other)),
                                                 &edges.row(other)};
        }
        join_volume_(join, parent_.data());
    }

    // By walking along all rows together.
    void join_by_search(RunRange mine, const RowsBefore& before) {
        MinimumUnionFind sets(parent_.data());
        const std::uint32_t* begin = runs.begin.data();
        const std::uint32_t* end = runs.end.data();
        std::array<RunRange, 4> others;
        for (std::size_t k = 0; k < before.count; ++k) others[k] = range(before.rows[k].row);
        for (std::int64_t i = mine.begin; i < mine.end; ++i) {
            unsigned flags = 0;
            auto root = static_cast<std::int32_t>(i);
            for (std::size_t k = 0; k < before.count; ++k) {
                const Before& its = before.rows[k];
                if ((flags & its.skipped) != 0) continue;
                const auto d = static_cast<std::uint32_t>(its.reach);
                RunRange& other = others[k];
                while (other.begin < other.end && end[other.begin] + d <= begin[i]) ++other.begin;
                for (std::int64_t j = other.begin; j < other.end && begin[j] < end[i] + d; ++j) {
                    if (has_values_ && value(i) != value(j)) continue;
                    if (begin[j] <= begin[i] && end[i] <= end[j]) flags |= its.covers;
                    if (root == i)
                        root = parent_[static_cast<std::size_t>(j)];
                    else if (parent_[static_cast<std::size_t>(j)] != root)
                        root = sets.unite(root, static_cast<std::int32_t>(j));
                }
            }
            parent_[static_cast<std::size_t>(i)] = root;
        }
    }

    template <bool kFlat, class ValueOf>
    void number(RegionSlab& slab, ValueOf&& value_of) {
        std::int32_t* region = slab.region.data();
        const std::uint32_t* begin = slab.begin.data();
        const std::uint32_t* end = slab.end.data();
        RegionFacts* facts = slab.facts.data();
        std::int64_t run = 0;
        std::int64_t row = slab.first_row;
        for (std::size_t r = 1; r < slab.row_begin.size(); ++r, ++row) {
            const std::int64_t last = slab.row_begin[r];
            if (run == last) continue;
            const std::int64_t z = kFlat ? 0 : row / shape_.rows;
            const std::int64_t y = row - z * shape_.rows;
            for (; run < last; ++run) {
                // Parents come first, so theirs is already a number of a component.
                std::int32_t mine = region[run];
                if (mine == static_cast<std::int32_t>(run)) {
                    mine = static_cast<std::int32_t>(slab.facts.size());
                    const std::int64_t first = row * shape_.length + begin[run];
                    slab.facts.push_back(
                        nothing_yet(has_values_ ? value_of(value(run)) : 1, first, z, y));
                    facts = slab.facts.data();
                } else {
                    mine = region[mine];
                }
                region[run] = mine;
                add_run<kFlat>(facts[mine], z, y, begin[run], end[run]);
            }
        }
    }
    [[nodiscard]] RunRange range(std::int64_t row) const {
        return {runs.first_run(row), runs.first_run(row + 1)};
    }
    RunRange add_row(std::int64_t row) {
        require_countable(runs.begin.size());
        const RunRange mine = range(row);
        parent_.reserve_more(static_cast<std::size_t>(mine.end) - parent_.size());
        parent_.resize(static_cast<std::size_t>(mine.end));
        return mine;
    }
    void be_own_parents(RunRange mine) {
        std::iota(parent_.data() + mine.begin, parent_.data() + mine.end,
                  static_cast<std::int32_t>(mine.begin));
    }
    [[nodiscard]] Value value(std::int64_t run) const {
        return runs.value[static_cast<std::size_t>(run)];
    }

    const VolumeShape& shape_;
    Reach reach_;
    std::int32_t neighbours_;
    bool has_values_;
    simd::JoinFlat join_flat_;
    simd::JoinVolume join_volume_;
    Buffer<std::int32_t> parent_;
};

// --- one slab of a binary flat map ---

// The runs of a row, its changes, and the strands that they are the ends of.
class FlatRow {
   public:
    explicit FlatRow(std::int64_t length)
        : changes_(length, 1, Keep::kNone),
          entries_((length + 1) / 2 + simd::kStrandSlack),
          narrow_(static_cast<std::size_t>(7 * entries_)),
          wide_(static_cast<std::size_t>(2 * entries_)) {
        row_.begin = narrow(0);
        row_.end = narrow(1);
        row_.strands = {reinterpret_cast<std::int32_t*>(narrow(2)),
                        narrow(3),
                        narrow(4),
                        narrow(5),
                        narrow(6),
                        wide_.data(),
                        wide_.data() + entries_};
        clear();
    }

    template <class Finder>
    void read(std::int64_t y, std::int64_t length, Finder& finder) {
        row_.count =
            static_cast<std::int32_t>(finder.list_row(y, changes_.next(), narrow(0), narrow(1)));
        narrow(0)[row_.count] = ~std::uint32_t{0};
        row_.y = y;
        row_.position = y * length;
    }
    void clear() {
        row_.count = 0;
        narrow(0)[0] = ~std::uint32_t{0};
    }
    // Strands without sums.
    void clear_strands() {
        const simd::Strands& strands = row_.strands;
        for (std::uint32_t* sums : {strands.area, strands.num_runs, strands.high_x})
            std::fill_n(sums, row_.count, 0U);
        std::fill_n(strands.low_x, row_.count, ~std::uint32_t{0});
        for (std::uint64_t* sums : {strands.sum_x, strands.sum_y})
            std::fill_n(sums, row_.count, std::uint64_t{0});
    }
    [[nodiscard]] const simd::StrandRow& strands() const { return row_; }
    [[nodiscard]] std::span<std::int32_t> parts() const {
        return {row_.strands.part, static_cast<std::size_t>(row_.count)};
    }
    [[nodiscard]] const simd::RowEdges& changes() const { return changes_.next(); }

   private:
    std::uint32_t* narrow(std::int64_t i) { return narrow_.data() + i * entries_; }

    EdgeRing changes_;
    std::int64_t entries_;
    Buffer<std::uint32_t> narrow_;
    Buffer<std::uint64_t> wide_;
    simd::StrandRow row_{};
};

// Joins runs row by row; only two rows are alive, unless runs are kept.
class FlatSlab {
   public:
    // value: of all regions.
    FlatSlab(const VolumeShape& shape, Connectivity connectivity, std::int64_t value,
             bool keeps_runs)
        : length_(shape.length),
          keeps_runs_(keeps_runs),
          reach_(static_cast<std::uint32_t>(Reach(connectivity).same_slice)),
          rows_{FlatRow(length_), FlatRow(length_)},
          parts_(value, !keeps_runs) {}

    template <class Finder>
    RegionSlab label(std::int64_t first_row, std::int64_t last_row, Finder& finder) {
        slab_.first_row = first_row;
        // Where slabs are put together, their first and last rows are looked at again.
        if (!keeps_runs_) slab_.leave_out(first_row + 1, last_row - 1);
        slab_.row_begin.reserve_more(static_cast<std::size_t>(slab_.kept_rows(last_row) + 1));
        slab_.row_begin.push_back(0);
        for (std::int64_t y = first_row; y < last_row;) {
            own().read(y, length_, finder);
            if (own().strands().count > 0) {
                grow();
                if (slab_.keeps(y)) keep_runs();
                end_row(y);
                std::swap(own_, before_);
                ++y;
                if (keeps_runs_) slab_.expect_runs(y - first_row, last_row - first_row);
                continue;
            }
            end_before();
            for (const std::int64_t next = finder.skip_empty_rows(y + 1, last_row); y < next; ++y)
                end_row(y);
        }
        end_before();
        parts_.finish(slab_);
        return std::move(slab_);
    }

   private:
    FlatRow& own() { return rows_[own_]; }
    FlatRow& before() { return rows_[before_]; }

    // In a crowded row most strands are short.
    void grow() {
        const simd::StrandRow& row = own().strands();
        parts_.make_room(row.count,
                         {before().parts(), std::span(slab_.region.data(), slab_.region.size())});
        const bool is_crowded = 16 * std::int64_t{row.count} >= length_;
        if (is_crowded || length_ > kLongest) {
            end_strands(before());
            kernels_.grow_parts(row, before().changes(), before().strands(), reach_,
                                parts_.parts());
        } else {
            if (rows_of_strands_ == 0) before().clear_strands();
            kernels_.grow_strands(row, before().strands(), reach_, parts_.parts());
            if (++rows_of_strands_ * length_ > kLongest) end_strands(own());
        }
    }
    // Sums of strands, if they have any, become those of parts.
    void end_strands(const FlatRow& row) {
        if (rows_of_strands_ > 0) kernels_.end_strands(row.strands(), parts_.parts());
        rows_of_strands_ = 0;
    }
    void end_before() {
        end_strands(before());
        before().clear();
    }
    void keep_runs() {
        const simd::StrandRow& row = own().strands();
        const auto count = static_cast<std::size_t>(row.count);
        slab_.begin.append(row.begin, count);
        slab_.end.append(row.end, count);
        slab_.region.append(row.strands.part, count);
        require_countable(slab_.begin.size());
    }
    void end_row(std::int64_t y) {
        if (slab_.keeps(y))
            slab_.row_begin.push_back(static_cast<std::int64_t>(slab_.begin.size()));
    }

    // Of rows, and of what a strand may cover: sums of them stay within their types.
    static constexpr std::int64_t kLongest = (std::int64_t{1} << 31) - 1;

    const simd::RegionKernels& kernels_ = region_kernels();
    std::int64_t length_;
    bool keeps_runs_;
    std::uint32_t reach_;
    std::array<FlatRow, 2> rows_;
    std::size_t own_ = 0;
    std::size_t before_ = 1;
    std::int64_t rows_of_strands_ = 0;  // rows that the sums of strands are of, at most
    GrowingParts parts_;
    RegionSlab slab_;
};

// --- slabs to one table ---

// Facts of regions of all slabs, numbered one slab after the other, and which of them are one.
class RegionJoin {
   public:
    explicit RegionJoin(const std::vector<RegionSlab>& slabs) {
        std::size_t total = 0;
        for (const RegionSlab& slab : slabs) {
            offset_.push_back(total);
            total += slab.facts.size();
        }
        if (slabs.size() == 1) return;  // nothing to join
        parent_.resize(total);
        std::iota(parent_.begin(), parent_.end(), 0);
    }
    void unite(std::size_t slab_a, std::int32_t a, std::size_t slab_b, std::int32_t b) {
        MinimumUnionFind(parent_.data()).unite(number(slab_a, a), number(slab_b, b));
    }
    [[nodiscard]] std::int32_t number(std::size_t slab, std::int32_t region) const {
        return static_cast<std::int32_t>(offset_[slab]) + region;
    }

    // Turns parents into final numbers, in order of the first pixel, and adds facts up.
    Buffer<RegionFacts> finish(const std::vector<RegionSlab>& slabs) {
        Buffer<RegionFacts> facts;
        std::size_t i = 0;
        for (const RegionSlab& slab : slabs)
            for (const RegionFacts& part : slab.facts) {
                std::int32_t& mine = parent_[i];
                if (mine == static_cast<std::int32_t>(i)) {
                    mine = static_cast<std::int32_t>(facts.size());
                    facts.push_back(part);
                } else {
                    mine = parent_[static_cast<std::size_t>(mine)];
                    add_facts(facts[static_cast<std::size_t>(mine)], part);
                }
                ++i;
            }
        return facts;
    }
    // After finish().
    [[nodiscard]] const std::int32_t* final_numbers(std::size_t slab) const {
        return parent_.data() + offset_[slab];
    }

   private:
    std::vector<std::size_t> offset_;
    Buffer<std::int32_t> parent_;
};

// Where the rows and runs of a slab go.
struct SlabPlace {
    std::size_t first_row;
    std::size_t first_run;
};

// A slab's runs to their place, with the final numbers of their regions.
void move_runs(const RegionSlab& slab, const std::int32_t* number, SlabPlace place,
               Regions& regions) {
    const auto first = static_cast<std::int64_t>(place.first_run);
    for (std::size_t row = 1; row < slab.row_begin.size(); ++row)
        regions.runs.row_begin[place.first_row + row] = first + slab.row_begin[row];
    std::copy(slab.begin.begin(), slab.begin.end(), regions.runs.begin.data() + first);
    std::copy(slab.end.begin(), slab.end.end(), regions.runs.end.data() + first);
    std::transform(slab.region.begin(), slab.region.end(), regions.run_region.data() + first,
                   [&](std::int32_t region) { return number[region]; });
}

// One behind the other, with regions joined and their numbers mapped.
Regions gather_slabs(std::vector<RegionSlab>& slabs, RegionJoin& join,
                     std::span<const std::int64_t> shape, int threads) {
    Regions regions;
    regions.runs.shape.assign(shape.begin(), shape.end());
    if (slabs.size() == 1) {  // nothing to join, and numbers stay as they are
        regions.facts = std::move(slabs[0].facts);
        regions.runs.row_begin = std::move(slabs[0].row_begin);
        regions.runs.begin = std::move(slabs[0].begin);
        regions.runs.end = std::move(slabs[0].end);
        regions.run_region = std::move(slabs[0].region);
        return regions;
    }
    regions.facts = join.finish(slabs);
    std::vector<SlabPlace> places;
    SlabPlace next{};
    for (const RegionSlab& slab : slabs) {
        places.push_back(next);
        next.first_row += slab.row_begin.size() - 1;
        next.first_run += slab.begin.size();
        require_countable(next.first_run);
    }
    regions.runs.row_begin.resize(next.first_row + 1);
    regions.runs.row_begin[0] = 0;
    regions.runs.begin.resize(next.first_run);
    regions.runs.end.resize(next.first_run);
    regions.run_region.resize(next.first_run);
    // What is soon moved is not worth another thread's waking.
    constexpr std::size_t kMany = std::size_t{1} << 18;
    const int movers = next.first_row + next.first_run < kMany ? 1 : threads;
    run_blocks(static_cast<std::int64_t>(slabs.size()), movers, [&](std::int64_t block) {
        const auto s = static_cast<std::size_t>(block);
        move_runs(slabs[s], join.final_numbers(s), places[s], regions);
        slabs[s] = RegionSlab{};
    });
    return regions;
}

// The first slice (or, in 2-D, row) of every slab against what lies before it.
void join_borders(const std::vector<RegionSlab>& slabs, const VolumeShape& shape,
                  const Reach& reach, RegionJoin& join) {
    for (std::size_t s = 1; s < slabs.size(); ++s) {
        const RegionSlab& slab = slabs[s];
        const RegionSlab& before = slabs[s - 1];
        const std::int64_t border_rows = shape.slices > 1 ? shape.rows : 1;
        for (std::int64_t row = slab.first_row; row < slab.first_row + border_rows; ++row) {
            const std::int64_t z = row / shape.rows;
            for_each_row_before(
                reach, z, row - z * shape.rows, shape.rows, [&](std::int64_t other, int distance) {
                    if (other >= slab.first_row) return;
                    for_each_contact(
                        slab.begin.data(), slab.end.data(), slab.row(row), before.begin.data(),
                        before.end.data(), before.row(other), distance,
                        [&](std::int64_t i, std::int64_t j) {
                            const std::int32_t a = slab.region[static_cast<std::size_t>(i)];
                            const std::int32_t b = before.region[static_cast<std::size_t>(j)];
                            if (slab.facts[static_cast<std::size_t>(a)].value ==
                                before.facts[static_cast<std::size_t>(b)].value)
                                join.unite(s, a, s - 1, b);
                        });
                });
        }
    }
}

Regions joined_components(std::vector<RegionSlab>& slabs, std::span<const std::int64_t> extents,
                          const Reach& reach, int threads) {
    const VolumeShape shape(extents);
    RegionJoin join(slabs);
    join_borders(slabs, shape, reach, join);
    return gather_slabs(slabs, join, extents, threads);
}

// A label map and how it is to be read.
struct LabelMap {
    const ArrayView& labels;
    const RunOptions& options;
    const LabelRules& rules;
    VolumeShape shape;
    Connectivity connectivity;
    bool keeps_runs;
};

// A flat map whose runs are of one label, or none.
template <class Label>
std::optional<RegionSlab> label_flat(const LabelMap& map, std::int64_t first, std::int64_t last) {
    std::optional<std::uint64_t> value = 1;
    LabelRules as_binary = map.rules;
    if (!map.rules.binary)
        value = only_label<Label>(map.labels, map.options, map.rules, first, last);
    if (!value) return {};
    as_binary.binary = true;
    RunFinder<Label> finder(map.labels, map.options, as_binary);
    FlatSlab slab(map.shape, map.connectivity, label_of_bits(*value, map.labels.dtype),
                  map.keeps_runs);
    return slab.label(first, last, finder);
}

// A binary volume with few runs, or none.
template <class Label>
std::optional<RegionSlab> label_slices(const LabelMap& map, std::int64_t first, std::int64_t last) {
    RunFinder<Label> finder(map.labels, map.options, map.rules);
    if (!map.rules.binary || !SliceSlab::suits(map.shape, first, last, finder)) return {};
    SliceSlab slab(map.shape, Reach(map.connectivity), map.keeps_runs);
    return slab.label(first, last, finder);
}

template <class Label>
RegionSlab label_any(const LabelMap& map, std::int64_t first, std::int64_t last) {
    using Value = RunValue<Label>;
    const LabelRules& rules = map.rules;
    const bool is_volume = map.shape.slices > 1;
    RunFinder<Label> finder(map.labels, map.options, rules);
    ComponentSlab<Value> slab(
        map.shape, map.connectivity, !rules.binary,
        region_kernels().join_volume[rules.binary ? 0 : 1 + RunFinder<Label>::kWidthIndex]);
    slab.runs.start(first, last - first);
    // As far back as a row sees.
    EdgeRing edges = is_volume ? EdgeRing(map.shape.length, map.shape.rows + 2, Keep::kDense,
                                          rules.binary ? 0 : rules.width)
                               : EdgeRing(map.shape.length, 2, Keep::kAll);
    finder.append_rows(last, slab.runs, edges,
                       [&](std::int64_t row) { slab.join_row(row, &edges); });
    return slab.finish([&](Value bits) { return label_of_bits(bits, map.labels.dtype); });
}

template <class Label>
Regions label_map_as(const LabelMap& map) {
    const SlabPlan plan(map.shape, map.options.threads);
    std::vector<RegionSlab> slabs(static_cast<std::size_t>(plan.count()));
    run_blocks(plan.count(), plan.threads(), [&](std::int64_t block) {
        const std::int64_t first = plan.first_row(block);
        const std::int64_t last = plan.first_row(block + 1);
        std::optional<RegionSlab> slab = map.shape.slices > 1
                                             ? label_slices<Label>(map, first, last)
                                             : label_flat<Label>(map, first, last);
        slabs[static_cast<std::size_t>(block)] =
            slab ? std::move(*slab) : label_any<Label>(map, first, last);
    });
    return joined_components(slabs, map.labels.shape, Reach(map.connectivity), plan.threads());
}

// The rows of a finished list that belong to a slab.
RunSlab<std::uint64_t> slab_of(const Runs& runs, std::int64_t first_row, std::int64_t last_row) {
    RunSlab<std::uint64_t> slab;
    slab.start(first_row, last_row - first_row);
    const auto first = static_cast<std::size_t>(first_row);
    const auto last = static_cast<std::size_t>(last_row);
    const auto begin = static_cast<std::size_t>(runs.row_begin[first]);
    const std::size_t count = static_cast<std::size_t>(runs.row_begin[last]) - begin;
    for (std::size_t row = first; row < last; ++row)
        slab.row_begin.push_back(runs.row_begin[row + 1] - runs.row_begin[first]);
    slab.begin.append(runs.begin.data() + begin, count);
    slab.end.append(runs.end.data() + begin, count);
    if (!runs.value.empty())
        slab.value.append(reinterpret_cast<const std::uint64_t*>(runs.value.data()) + begin, count);
    return slab;
}

// --- instances ---

// Regions of a slab by value, numbered in the order they are met.
template <class Value, class ValueOf>
RegionSlab group_by_value(RunSlab<Value>& runs, const VolumeShape& shape, bool has_values,
                          ValueOf&& value_of) {
    RegionSlab slab = without_values(runs);
    slab.region.resize(slab.begin.size());
    std::unordered_map<Value, std::int32_t> number;
    for_each_run(slab, shape, [&](std::size_t run, std::int64_t z, std::int64_t y) {
        const Value bits = has_values ? runs.value[run] : Value{1};
        const auto [place, is_new] =
            number.try_emplace(bits, static_cast<std::int32_t>(slab.facts.size()));
        if (is_new)
            slab.facts.push_back(nothing_yet(
                value_of(bits), (z * shape.rows + y) * shape.length + slab.begin[run], z, y));
        slab.region[run] = place->second;
        add_run<false>(slab.facts[static_cast<std::size_t>(place->second)], z, y, slab.begin[run],
                       slab.end[run]);
    });
    return slab;
}

// Regions in order of their value.
void sort_by_value(Regions& regions) {
    const std::size_t n = regions.facts.size();
    std::vector<std::int32_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    const auto value = [&](std::int32_t i) {
        return regions.facts[static_cast<std::size_t>(i)].value;
    };
    std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
        return regions.is_unsigned
                   ? static_cast<std::uint64_t>(value(a)) < static_cast<std::uint64_t>(value(b))
                   : value(a) < value(b);
    });
    std::vector<std::int32_t> place(n);
    Buffer<RegionFacts> facts(n);
    for (std::size_t i = 0; i < n; ++i) {
        facts[i] = regions.facts[static_cast<std::size_t>(order[i])];
        place[static_cast<std::size_t>(order[i])] = static_cast<std::int32_t>(i);
    }
    for (std::int32_t& region : regions.run_region)
        region = place[static_cast<std::size_t>(region)];
    regions.facts = std::move(facts);
}

Regions joined_instances(std::vector<RegionSlab>& slabs, std::span<const std::int64_t> extents,
                         bool is_unsigned, int threads) {
    RegionJoin join(slabs);
    std::unordered_map<std::int64_t, std::pair<std::size_t, std::int32_t>> seen;
    for (std::size_t s = 0; s < slabs.size(); ++s)
        for (std::size_t i = 0; i < slabs[s].facts.size(); ++i) {
            const auto region = static_cast<std::int32_t>(i);
            const auto [place, is_new] =
                seen.try_emplace(slabs[s].facts[i].value, std::pair(s, region));
            if (!is_new) join.unite(s, region, place->second.first, place->second.second);
        }
    Regions regions = gather_slabs(slabs, join, extents, threads);
    regions.is_unsigned = is_unsigned;
    sort_by_value(regions);
    return regions;
}

template <class Label>
Regions instances_as(const ArrayView& labels, const RunOptions& options, const LabelRules& rules) {
    const VolumeShape shape(labels.shape);
    const SlabPlan plan(shape, options.threads);
    std::vector<RegionSlab> slabs(static_cast<std::size_t>(plan.count()));
    run_blocks(plan.count(), plan.threads(), [&](std::int64_t block) {
        RunFinder<Label> finder(labels, options, rules);
        RunSlab<RunValue<Label>> runs;
        EdgeRing edges(shape.length, 1, Keep::kNone);
        const std::int64_t last = plan.first_row(block + 1);
        runs.start(plan.first_row(block), last - plan.first_row(block));
        finder.append_rows(last, runs, edges, [](std::int64_t) {});
        require_countable(runs.begin.size());
        slabs[static_cast<std::size_t>(block)] =
            group_by_value(runs, shape, !rules.binary,
                           [&](auto bits) { return label_of_bits(bits, labels.dtype); });
    });
    return joined_instances(slabs, labels.shape, labels.dtype == DType::kUInt64, plan.threads());
}

}  // namespace

Regions label_components(const ArrayView& labels, Connectivity connectivity,
                         const RunOptions& options, bool keeps_runs) {
    require_readable(labels);
    require_fitting(connectivity, labels.shape.size());
    const LabelRules rules(labels.dtype, options);
    const LabelMap map{labels, options, rules, VolumeShape(labels.shape), connectivity, keeps_runs};
    Regions regions = with_label_type(
        rules.width, [&](auto label) { return label_map_as<decltype(label)>(map); });
    regions.is_unsigned = labels.dtype == DType::kUInt64 && !rules.binary;
    if (!keeps_runs) {
        Runs none;
        none.shape = std::move(regions.runs.shape);
        regions.runs = std::move(none);
        regions.run_region = {};
    }
    return regions;
}

Regions label_components(Runs runs, bool is_unsigned, Connectivity connectivity, int threads) {
    require_fitting(connectivity, runs.shape.size());
    const VolumeShape shape(runs.shape);
    const Reach reach(connectivity);
    const SlabPlan plan(shape, threads);
    std::vector<RegionSlab> slabs(static_cast<std::size_t>(plan.count()));
    run_blocks(plan.count(), plan.threads(), [&](std::int64_t block) {
        const std::int64_t first = plan.first_row(block);
        const std::int64_t last = plan.first_row(block + 1);
        ComponentSlab<std::uint64_t> slab(shape, connectivity, !runs.value.empty(), nullptr);
        slab.runs = slab_of(runs, first, last);
        for (std::int64_t row = first; row < last; ++row) slab.join_row(row, nullptr);
        slabs[static_cast<std::size_t>(block)] =
            slab.finish([](std::uint64_t bits) { return static_cast<std::int64_t>(bits); });
    });
    Regions regions = joined_components(slabs, runs.shape, reach, plan.threads());
    regions.is_unsigned = is_unsigned;
    return regions;
}

Regions instance_regions(const ArrayView& labels, const RunOptions& options) {
    require_readable(labels);
    const LabelRules rules(labels.dtype, options);
    return with_label_type(rules.width, [&](auto label) {
        return instances_as<decltype(label)>(labels, options, rules);
    });
}

Regions instance_regions(Runs runs, bool is_unsigned, int threads) {
    const VolumeShape shape(runs.shape);
    const SlabPlan plan(shape, threads);
    std::vector<RegionSlab> slabs(static_cast<std::size_t>(plan.count()));
    run_blocks(plan.count(), plan.threads(), [&](std::int64_t block) {
        RunSlab<std::uint64_t> slab =
            slab_of(runs, plan.first_row(block), plan.first_row(block + 1));
        slabs[static_cast<std::size_t>(block)] =
            group_by_value(slab, shape, !runs.value.empty(),
                           [](std::uint64_t bits) { return static_cast<std::int64_t>(bits); });
    });
    return joined_instances(slabs, runs.shape, is_unsigned, plan.threads());
}

}  // namespace segmeter
