#include "segmeter/region/overlap.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "segmeter/cpu.hpp"
#include "segmeter/parallel.hpp"

#include "pixel/tiles.hpp"
#include "region/pair_table.hpp"
#include "simd/overlap_kernels.hpp"

namespace segmeter {
namespace {

// Bytes of one map's tile, read twice: from memory, and from L1.
constexpr std::int64_t kTileBytes = 2048;
// Pixels of a piece of work.
constexpr std::int64_t kPiecePixels = std::int64_t{1} << 18;
constexpr std::size_t kSlack = 65;

const simd::OverlapKernels& kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kOverlapKernels;
        case SimdLevel::kAvx2: return simd::avx2::kOverlapKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kOverlapKernels;
#endif
        default: return simd::baseline::kOverlapKernels;
    }
}

// --- counting segments ---

// Two labels that meet, and how often. Where target is masked it has no label.
struct Meeting {
    std::uint64_t pred;
    std::uint64_t target;
    std::int64_t count;
    bool masked;
};

constexpr std::size_t kTarget = 0;
constexpr std::size_t kPred = 1;
constexpr std::size_t kMask = 2;

// One lane of a walk as tiles of `Label`: in place where its memory is like that, else copied.
template <class Label>
class LaneReader {
   public:
    LaneReader(const Walk& walk, std::size_t lane, std::int64_t tile_pixels)
        : walk_(walk),
          lane_(lane),
          // The byte of a bool may be any nonzero one; copied, it is 0 or 1.
          in_place_(walk.is_contiguous(lane) && walk.lane(lane).dtype != DType::kBool &&
                    item_size(walk.lane(lane).dtype) == std::int64_t{sizeof(Label)}),
          copy_(label_copier(walk.lane(lane).dtype, walk.lane(lane).byte_swapped, sizeof(Label))),
          scratch_(in_place_ ? 0 : static_cast<std::size_t>(tile_pixels) + kSlack) {}

    [[nodiscard]] bool in_place() const noexcept { return in_place_; }

    const Label* read(std::int64_t begin, std::int64_t n) {
        if (in_place_) return reinterpret_cast<const Label*>(walk_.lane(lane_).data) + begin;
        gather(walk_, lane_, 0, begin, n, copy_, sizeof(Label),
               reinterpret_cast<std::byte*>(scratch_.data()));
        return scratch_.data();
    }

   private:
    const Walk& walk_;
    std::size_t lane_;
    bool in_place_;
    CopyElements copy_;
    std::vector<Label> scratch_;
};

template <class Label>
constexpr std::size_t kWidthIndex = sizeof(Label) == 8 ? 3 : sizeof(Label) / 2;

// One worker's counts.
template <class Label>
class SegmentCounter {
   public:
    SegmentCounter(const Walk& walk, bool has_mask)
        : pred_(walk, kPred, kTilePixels), target_(walk, kTarget, kTilePixels) {
        if (has_mask) mask_ = std::make_unique<LaneReader<std::uint8_t>>(walk, kMask, kTilePixels);
    }

    void count(std::int64_t begin, std::int64_t end) {
        const auto list = kernels().list[kWidthIndex<Label>];
        const bool in_place = pred_.in_place() && target_.in_place() && mask_ == nullptr;
        for (std::int64_t n = 0; begin < end; begin += n) {
            n = std::min(kTilePixels, end - begin);
            const Label* pred = pred_.read(begin, n);
            const Label* target = target_.read(begin, n);
            const std::uint8_t* mask = mask_ == nullptr ? nullptr : mask_->read(begin, n);
            const std::int64_t count =
                list(pred, target, mask, n, in_place && begin > 0, starts_.data());
            if (mask == nullptr)
                add(pred, target, count);
            else
                add(pred, target, mask, count);
        }
    }

    void add_to(PairTable<PairKey<Label>>& counted, PairTable<PairKey<Label>>& masked) const {
        counted.add_all(counted_);
        masked.add_all(masked_);
    }
    template <class Visit>
    void for_each(Visit&& visit) const {
        counted_.for_each([&](const auto& key, std::int64_t count) { visit(key, count, false); });
        masked_.for_each([&](const auto& key, std::int64_t count) { visit(key, count, true); });
    }

   private:
    static constexpr std::int64_t kTilePixels = kTileBytes / std::int64_t{sizeof(Label)};

    void add(const Label* pred, const Label* target, std::int64_t count) {
        counted_.add_segments(starts_.data(), count, [&](std::uint16_t start) {
            return pair_key(pred[start], target[start]);
        });
    }
    void add(const Label* pred, const Label* target, const std::uint8_t* mask, std::int64_t count) {
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
            const std::uint16_t start = starts_[i];
            const std::int64_t length = starts_[i + 1] - start;
            if (mask[start] != 0)
                masked_.add(pair_key(pred[start], Label{0}), length);
            else
                counted_.add(pair_key(pred[start], target[start]), length);
        }
    }

    PairTable<PairKey<Label>> counted_;
    PairTable<PairKey<Label>> masked_;
    LaneReader<Label> pred_;
    LaneReader<Label> target_;
    std::unique_ptr<LaneReader<std::uint8_t>> mask_;
    std::array<std::uint16_t, static_cast<std::size_t>(kTilePixels) + kSlack> starts_;
};

// A label of the kernel's width as a 64-bit pattern.
template <class Label>
std::uint64_t widened(std::uint64_t label, bool is_signed) {
    constexpr int kUnused = 64 - 8 * static_cast<int>(sizeof(Label));
    if (!is_signed) return label;
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(label << kUnused) >> kUnused);
}

template <class Label>
std::vector<Meeting> count_meetings(const Walk& walk, bool has_mask, bool pred_signed,
                                    bool target_signed, int threads) {
    const int workers = thread_count(threads, walk.size());
    // Several pieces for every worker, so that none waits long for the last.
    const std::int64_t piece =
        workers == 1 ? std::max<std::int64_t>(1, walk.size())
                     : std::min(kPiecePixels, walk.size() / (std::int64_t{4} * workers) + 1);
    std::atomic<std::int64_t> next{0};
    std::mutex output;
    PairTable<PairKey<Label>> counted;
    PairTable<PairKey<Label>> masked;
    std::vector<Meeting> meetings;
    const auto append = [&](const auto& key, std::int64_t count, bool is_masked) {
        meetings.push_back({widened<Label>(pred_of(key), pred_signed),
                            widened<Label>(target_of(key), target_signed), count, is_masked});
    };
    run_blocks(workers, workers, [&](std::int64_t) {
        SegmentCounter<Label> counter(walk, has_mask);
        for (std::int64_t begin = next.fetch_add(piece); begin < walk.size();
             begin = next.fetch_add(piece))
            counter.count(begin, std::min(begin + piece, walk.size()));
        if (workers == 1) {
            counter.for_each(append);
            return;
        }
        const std::lock_guard lock(output);
        counter.add_to(counted, masked);
    });
    counted.for_each([&](const auto& key, std::int64_t count) { append(key, count, false); });
    masked.for_each([&](const auto& key, std::int64_t count) { append(key, count, true); });
    return meetings;
}

// --- from meetings of labels to overlaps of regions ---

// The labels of one map in ascending order, and the place of each.
class LabelOrder {
   public:
    LabelOrder(std::vector<std::uint64_t> labels, bool is_signed)
        : flip_(is_signed ? std::uint64_t{1} << 63 : 0) {
        if (labels.empty()) return;
        for (std::uint64_t& label : labels) label ^= flip_;
        const auto [low, high] = std::minmax_element(labels.begin(), labels.end());
        low_ = *low;
        // Labels close together are looked up in an array, others searched.
        const std::uint64_t range = *high - low_;
        if (range / 4 < labels.size() + kDense) {
            place_.resize(static_cast<std::size_t>(range) + 1);
            for (const std::uint64_t label : labels) place_[label - low_] = 1;
            for (std::size_t i = 0; i < place_.size(); ++i) {
                if (place_[i] == 0) continue;
                place_[i] = static_cast<std::int64_t>(sorted_.size());
                sorted_.push_back(low_ + i);
            }
            return;
        }
        std::sort(labels.begin(), labels.end());
        labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
        sorted_ = std::move(labels);
    }
    [[nodiscard]] std::size_t size() const noexcept { return sorted_.size(); }
    [[nodiscard]] std::uint64_t label(std::size_t place) const { return sorted_[place] ^ flip_; }
    // Of a label that is there.
    [[nodiscard]] std::size_t place(std::uint64_t label) const {
        label ^= flip_;
        if (!place_.empty()) return static_cast<std::size_t>(place_[label - low_]);
        return static_cast<std::size_t>(std::lower_bound(sorted_.begin(), sorted_.end(), label) -
                                        sorted_.begin());
    }

   private:
    static constexpr std::uint64_t kDense = 1024;

    std::uint64_t flip_;
    std::uint64_t low_ = 0;
    std::vector<std::uint64_t> sorted_;
    std::vector<std::int64_t> place_;
};

constexpr std::int64_t kNoRegion = -1;
constexpr std::int64_t kIgnored = -2;

// Which region, if any, each label of one map is.
class SideBuilder {
   public:
    SideBuilder(std::vector<std::uint64_t> labels, bool is_signed, const LabelRoles& roles)
        : order_(std::move(labels), is_signed) {
        region_.reserve(order_.size());
        for (std::size_t i = 0; i < order_.size(); ++i) {
            const std::uint64_t label = order_.label(i);
            const bool ignored =
                std::find(roles.ignored.begin(), roles.ignored.end(), label) != roles.ignored.end();
            if (ignored) {
                region_.push_back(kIgnored);
            } else if (roles.background == label) {
                region_.push_back(kNoRegion);
            } else {
                region_.push_back(static_cast<std::int64_t>(side.label.size()));
                side.label.push_back(label);
            }
        }
        side.area.resize(side.label.size());
        side.void_area.resize(side.label.size());
    }
    [[nodiscard]] std::int64_t region(std::uint64_t label) const {
        return region_[order_.place(label)];
    }
    // Pixels of a region, or of none.
    void add(std::int64_t region, std::int64_t count, bool ignored) {
        if (region < 0) return;
        side.area[static_cast<std::size_t>(region)] += count;
        if (ignored) side.void_area[static_cast<std::size_t>(region)] += count;
    }

    OverlapSide side;

   private:
    LabelOrder order_;
    std::vector<std::int64_t> region_;
};

// Stable counting sort of pairs by one of their two members, which is below `size`.
void sort_by(std::vector<std::int64_t> OverlapPairs::* key, std::size_t size, OverlapPairs& pairs) {
    std::vector<std::size_t> place(size + 1);
    for (const std::int64_t value : pairs.*key) ++place[static_cast<std::size_t>(value) + 1];
    for (std::size_t i = 0; i < size; ++i) place[i + 1] += place[i];
    const std::size_t n = pairs.intersection.size();
    OverlapPairs sorted{std::vector<std::int64_t>(n), std::vector<std::int64_t>(n),
                        std::vector<std::int64_t>(n)};
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t to = place[static_cast<std::size_t>((pairs.*key)[i])]++;
        sorted.pred[to] = pairs.pred[i];
        sorted.target[to] = pairs.target[i];
        sorted.intersection[to] = pairs.intersection[i];
    }
    pairs = std::move(sorted);
}

void sort_pairs(std::size_t num_pred, std::size_t num_target, OverlapPairs& pairs) {
    sort_by(&OverlapPairs::pred, num_pred, pairs);
    sort_by(&OverlapPairs::target, num_target, pairs);
}

Overlap assemble(const std::vector<Meeting>& meetings, bool pred_signed, bool target_signed,
                 const LabelRoles& pred_roles, const LabelRoles& target_roles) {
    std::vector<std::uint64_t> pred_labels;
    std::vector<std::uint64_t> target_labels;
    pred_labels.reserve(meetings.size());
    target_labels.reserve(meetings.size());
    for (const Meeting& meeting : meetings) {
        pred_labels.push_back(meeting.pred);
        if (!meeting.masked) target_labels.push_back(meeting.target);
    }
    SideBuilder pred(std::move(pred_labels), pred_signed, pred_roles);
    SideBuilder target(std::move(target_labels), target_signed, target_roles);
    Overlap overlap;
    for (const Meeting& meeting : meetings) {
        const std::int64_t p = pred.region(meeting.pred);
        const std::int64_t t = meeting.masked ? kIgnored : target.region(meeting.target);
        pred.add(p, meeting.count, t == kIgnored);
        target.add(t, meeting.count, p == kIgnored);
        if (p == kIgnored || t == kIgnored) overlap.num_ignored += meeting.count;
        if (p < 0 || t < 0) continue;
        overlap.pairs.pred.push_back(p);
        overlap.pairs.target.push_back(t);
        overlap.pairs.intersection.push_back(meeting.count);
    }
    overlap.pred = std::move(pred.side);
    overlap.target = std::move(target.side);
    sort_pairs(overlap.pred.label.size(), overlap.target.label.size(), overlap.pairs);
    return overlap;
}

}  // namespace

Overlap overlap_of_maps(const ArrayView& pred, const LabelRoles& pred_roles,
                        const ArrayView& target, const LabelRoles& target_roles,
                        const ArrayView* mask, int threads) {
    if (is_float(pred.dtype) || is_float(target.dtype))
        throw std::invalid_argument("labels must be integers");
    const std::array<const ArrayView*, 3> views{&target, &pred, mask};
    const std::span<const ArrayView* const> all = views;
    const Walk walk(all.first(mask == nullptr ? 2 : 3));
    const bool pred_signed = is_signed(pred.dtype);
    const bool target_signed = is_signed(target.dtype);
    const auto count = [&](auto label) {
        return count_meetings<decltype(label)>(walk, mask != nullptr, pred_signed, target_signed,
                                               threads);
    };
    const auto meetings = [&] {
        switch (std::max(item_size(pred.dtype), item_size(target.dtype))) {
            case 1: return count(std::uint8_t{});
            case 2: return count(std::uint16_t{});
            case 4: return count(std::uint32_t{});
            default: return count(std::uint64_t{});
        }
    }();
    return assemble(meetings, pred_signed, target_signed, pred_roles, target_roles);
}

// --- run lists ---

namespace {

// The runs that both lists have in some rows, into a table of pairs of regions.
void meet_rows(const RegionRuns& pred, const RegionRuns& target, std::size_t row, std::size_t stop,
               PairTable<std::uint64_t>& table) {
    const auto region = [](const RegionRuns& runs, std::size_t run) {
        return runs.region.empty() ? 0U : static_cast<std::uint32_t>(runs.region[run]);
    };
    for (; row < stop; ++row) {
        auto p = static_cast<std::size_t>(pred.row_begin[row]);
        auto t = static_cast<std::size_t>(target.row_begin[row]);
        const auto p_stop = static_cast<std::size_t>(pred.row_begin[row + 1]);
        const auto t_stop = static_cast<std::size_t>(target.row_begin[row + 1]);
        while (p < p_stop && t < t_stop) {
            const std::uint32_t begin = std::max(pred.begin[p], target.begin[t]);
            const std::uint32_t p_end = pred.end[p];
            const std::uint32_t t_end = target.end[t];
            const std::uint32_t end = std::min(p_end, t_end);
            if (begin < end) table.add(pair_key(region(pred, p), region(target, t)), end - begin);
            p += static_cast<std::size_t>(p_end == end);
            t += static_cast<std::size_t>(t_end == end);
        }
    }
}

}  // namespace

OverlapPairs overlap_of_runs(const RegionRuns& pred, const RegionRuns& target, int threads) {
    if (pred.row_begin.size() != target.row_begin.size())
        throw std::invalid_argument("run lists of maps of different shapes");
    const std::size_t rows = pred.row_begin.size() - 1;
    // Tens of thousands of runs are met before a second thread has woken up on a busy machine.
    const auto work = static_cast<std::int64_t>((pred.begin.size() + target.begin.size()) / 8);
    const int workers = thread_count(threads, work);
    const std::size_t piece =
        workers == 1 ? rows : rows / (std::size_t{4} * static_cast<std::size_t>(workers)) + 1;
    std::atomic<std::size_t> next{0};
    std::mutex output;
    PairTable<std::uint64_t> merged;
    run_blocks(workers, workers, [&](std::int64_t) {
        PairTable<std::uint64_t> table;
        for (std::size_t row = next.fetch_add(piece); row < rows; row = next.fetch_add(piece))
            meet_rows(pred, target, row, std::min(row + piece, rows), table);
        const std::lock_guard lock(output);
        merged.add_all(table);
    });
    OverlapPairs pairs;
    merged.for_each([&](std::uint64_t key, std::int64_t count) {
        pairs.pred.push_back(static_cast<std::int64_t>(pred_of(key)));
        pairs.target.push_back(static_cast<std::int64_t>(target_of(key)));
        pairs.intersection.push_back(count);
    });
    sort_pairs(static_cast<std::size_t>(pred.num_regions),
               static_cast<std::size_t>(target.num_regions), pairs);
    return pairs;
}

}  // namespace segmeter
