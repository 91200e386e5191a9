#include "segmeter/region/overlap.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "segmeter/cpu.hpp"
#include "segmeter/parallel.hpp"
#include "segmeter/region/buffer.hpp"

#include "pixel/tiles.hpp"
#include "region/pair_sums.hpp"
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
    std::int64_t signed_count;  // below 0: target is masked

    [[nodiscard]] bool masked() const noexcept { return signed_count < 0; }
    [[nodiscard]] std::int64_t count() const noexcept { return std::abs(signed_count); }
};
using Meetings = Buffer<Meeting>;

// Whether labels of a map are signed numbers.
struct Signs {
    bool pred;
    bool target;
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

// A label of the kernel's width as a 64-bit pattern.
template <class Label>
std::uint64_t widened(std::uint64_t label, bool is_signed) {
    constexpr int kUnused = 64 - 8 * static_cast<int>(sizeof(Label));
    if (!is_signed) return label;
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(label << kUnused) >> kUnused);
}

// How often pairs of labels meet. Those of few are kept as sums; tables take what becomes too long
// for that, and masked pixels. Almost all ids of instances are below 2^16: as long as they are, a
// pair of a table is a word of 32 bits, and the table half as large.
template <class Label>
class PairCounts {
   public:
    explicit PairCounts(std::int64_t num_pixels)
        : is_narrow_(num_pixels <= std::numeric_limits<std::uint32_t>::max()) {}

    // Segments of a tile, as the kernel lists them; with a mask null there is none.
    void add(const Label* pred, const Label* target, const std::uint8_t* mask,
             const std::uint16_t* starts, std::size_t count) {
        const auto length = [&](std::size_t i) { return starts[i + 1] - starts[i]; };
        const auto key = [&](std::size_t i) {
            return pair_key(pred[starts[i]], target[starts[i]]);
        };
        if (mask != nullptr) {
            add_masked(pred, target, mask, starts, count);
        } else if (!is_scattered_) {
            sums_.add_many(count, key, length);
            if (sums_.is_long()) [[unlikely]]
                move_sums_to_tables();
        } else if (is_narrow_ && take_narrow(pred, target, starts, count)) {
            narrow_.add_many(count, [&](std::size_t i) { return keys_[i]; }, length);
        } else {
            counted_.add_many(count, key, length);
        }
    }

    void add_all(PairCounts&& other) {
        move_sums_to_tables();
        other.move_sums_to_tables();
        if (is_narrow_ && other.is_narrow_) {
            narrow_.add_all(std::move(other.narrow_));
        } else {
            widen();
            other.widen();
        }
        counted_.add_all(std::move(other.counted_));
        masked_.add_all(std::move(other.masked_));
    }

    // Pairs that are in tables.
    [[nodiscard]] std::size_t tabled() const noexcept {
        return narrow_.size() + counted_.size() + masked_.size();
    }

    void append_to(Meetings& meetings, Signs signs) const {
        meetings.reserve_more(sums_.most_visits() + tabled());
        Meeting* end = meetings.end();
        const auto append = [&](int sign) {
            return [&, sign](const auto& key, std::int64_t count) {
                *end = {widened<Label>(pred_of(key), signs.pred),
                        widened<Label>(target_of(key), signs.target), sign * count};
                end += std::ptrdiff_t{count != 0};
            };
        };
        sums_.for_each(append(1));
        narrow_.for_each(append(1));
        counted_.for_each(append(1));
        masked_.for_each(append(-1));
        meetings.resize(static_cast<std::size_t>(end - meetings.data()));
    }

   private:
    static constexpr std::uint64_t kMostNarrow = 0xFFFF;
    // No more segments than a tile of single bytes has pixels.
    using Keys = std::array<std::uint32_t, static_cast<std::size_t>(kTileBytes)>;

    // The keys of a tile's segments; false, and all counts are wide from now on, if some label is.
    bool take_narrow(const Label* pred, const Label* target, const std::uint16_t* starts,
                     std::size_t count) {
        Label any = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const Label p = pred[starts[i]];
            const Label t = target[starts[i]];
            any |= p | t;
            keys_[i] = narrow_key(p, t);
        }
        if (std::uint64_t{any} <= kMostNarrow) return true;
        widen();
        return false;
    }

    void move_sums_to_tables() {
        is_scattered_ = sums_.is_scattered();
        sums_.for_each([&](const PairKey<Label>& key, std::int64_t count) {
            if (count == 0) return;
            if (is_narrow_ && std::max(pred_of(key), target_of(key)) > kMostNarrow) widen();
            if (is_narrow_)
                narrow_.add(narrow_key(pred_of(key), target_of(key)),
                            static_cast<std::uint32_t>(count));
            else
                counted_.add(key, count);
        });
        sums_.clear();
    }

    void widen() {
        counted_.make_room(narrow_.size());
        narrow_.for_each([&](std::uint32_t key, std::int64_t count) {
            counted_.add(
                pair_key(static_cast<Label>(pred_of(key)), static_cast<Label>(target_of(key))),
                count);
        });
        narrow_ = {};
        is_narrow_ = false;
    }

    void add_masked(const Label* pred, const Label* target, const std::uint8_t* mask,
                    const std::uint16_t* starts, std::size_t count) {
        widen();
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint16_t start = starts[i];
            const std::int64_t length = starts[i + 1] - start;
            if (mask[start] != 0)
                masked_.add(pair_key(pred[start], Label{0}), length);
            else
                counted_.add(pair_key(pred[start], target[start]), length);
        }
    }

    PairTable<std::uint32_t, std::uint32_t> narrow_;  // as long as is_narrow_, else empty
    PairTable<PairKey<Label>> counted_;
    PairTable<PairKey<Label>> masked_;
    PairSums<PairKey<Label>> sums_;
    Keys keys_;
    bool is_narrow_;
    bool is_scattered_ = false;
};

template <class Label>
constexpr std::size_t kWidthIndex = sizeof(Label) == 8 ? 3 : sizeof(Label) / 2;

// One worker's counts.
template <class Label>
class SegmentCounter {
   public:
    SegmentCounter(const Walk& walk, bool has_mask)
        : counts_(walk.size()),
          pred_(walk, kPred, kTilePixels),
          target_(walk, kTarget, kTilePixels) {
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
            counts_.add(pred, target, mask, starts_.data(), static_cast<std::size_t>(count));
        }
    }

    [[nodiscard]] PairCounts<Label>& counts() noexcept { return counts_; }

   private:
    static constexpr std::int64_t kTilePixels = kTileBytes / std::int64_t{sizeof(Label)};

    PairCounts<Label> counts_;
    LaneReader<Label> pred_;
    LaneReader<Label> target_;
    std::unique_ptr<LaneReader<std::uint8_t>> mask_;
    std::array<std::uint16_t, static_cast<std::size_t>(kTilePixels) + kSlack> starts_;
};

// Tables of more pairs than this are not merged, one insertion after another into memory that no
// cache holds; their pairs are joined when all are sorted.
constexpr std::size_t kManyPairs = std::size_t{1} << 18;

// Some pairs are listed several times.
template <class Label>
void count_meetings(const Walk& walk, bool has_mask, Signs signs, int threads, Meetings& meetings) {
    const int workers = thread_count(threads, walk.size());
    // Several pieces for every worker, so that none waits long for the last.
    const std::int64_t piece =
        workers == 1 ? std::max<std::int64_t>(1, walk.size())
                     : std::min(kPiecePixels, walk.size() / (std::int64_t{4} * workers) + 1);
    std::atomic<std::int64_t> next{0};
    std::mutex output;
    std::unique_ptr<PairCounts<Label>> tabled;
    run_blocks(workers, workers, [&](std::int64_t) {
        SegmentCounter<Label> counter(walk, has_mask);
        for (std::int64_t begin = next.fetch_add(piece); begin < walk.size();
             begin = next.fetch_add(piece))
            counter.count(begin, std::min(begin + piece, walk.size()));
        PairCounts<Label>& counts = counter.counts();
        const std::lock_guard lock(output);
        if (counts.tabled() == 0 || counts.tabled() >= kManyPairs)
            counts.append_to(meetings, signs);
        else if (tabled == nullptr)
            tabled = std::make_unique<PairCounts<Label>>(std::move(counts));
        else
            tabled->add_all(std::move(counts));
    });
    if (tabled != nullptr) tabled->append_to(meetings, signs);
}

// --- from meetings of labels to overlaps of regions ---

constexpr std::int64_t kNoRegion = -1;
constexpr std::int64_t kIgnored = -2;

// The regions of one map. Labels are shown to it three times: see(), then mark(), then region().
class SideBuilder {
   public:
    SideBuilder(bool is_signed, const LabelRoles& roles)
        : roles_(roles), flip_(is_signed ? std::uint64_t{1} << 63 : 0) {}

    // To learn which labels lie between.
    void see(std::uint64_t label) {
        low_ = std::min(low_, label ^ flip_);
        high_ = std::max(high_, label ^ flip_);
    }

    // Labels close together are looked up in an array, others searched. `most`: calls of mark().
    void expect(std::size_t most) {
        if (low_ > high_) return;  // no label at all
        if ((high_ - low_) / 4 < most + kDense)
            region_.resize(static_cast<std::size_t>(high_ - low_) + 1, kAbsent);
        else
            sorted_.reserve(most);
    }
    void mark(std::uint64_t label) {
        if (!region_.empty())
            region_[(label ^ flip_) - low_] = kNoRegion;
        else
            sorted_.push_back(label ^ flip_);
    }

    // Numbers the regions in the order of their labels.
    void number() {
        if (sorted_.empty()) {
            for (std::size_t i = 0; i < region_.size(); ++i)
                if (region_[i] != kAbsent) region_[i] = next_region(low_ + i);
        } else {
            std::sort(sorted_.begin(), sorted_.end());
            sorted_.erase(std::unique(sorted_.begin(), sorted_.end()), sorted_.end());
            region_of_sorted_.reserve(sorted_.size());
            for (const std::uint64_t label : sorted_)
                region_of_sorted_.push_back(next_region(label));
        }
        area_.resize(side_.label.size() + kOthers);
        void_area_.resize(side_.label.size() + kOthers);
    }
    [[nodiscard]] std::int64_t region(std::uint64_t label) const {
        label ^= flip_;
        if (!region_.empty()) return region_[label - low_];
        const auto place = std::lower_bound(sorted_.begin(), sorted_.end(), label);
        return region_of_sorted_[static_cast<std::size_t>(place - sorted_.begin())];
    }
    // Pixels of a region, or of none. Without a branch: none could be predicted.
    void add(std::int64_t region, std::int64_t count, bool ignored) {
        const auto at = static_cast<std::size_t>(region + kOthers);
        area_[at] += count;
        void_area_[at] += ignored ? count : 0;
    }
    OverlapSide take() {
        side_.area.assign(area_.begin() + kOthers, area_.end());
        side_.void_area.assign(void_area_.begin() + kOthers, void_area_.end());
        return std::move(side_);
    }
    [[nodiscard]] std::size_t num_regions() const noexcept { return side_.label.size(); }

   private:
    // Room in front for what is no region.
    static constexpr std::int64_t kOthers = 2;
    static constexpr std::uint64_t kDense = 1024;
    static constexpr std::int64_t kAbsent = -3;

    std::int64_t next_region(std::uint64_t flipped) {
        const std::uint64_t label = flipped ^ flip_;
        const auto& ignored = roles_.ignored;
        if (std::find(ignored.begin(), ignored.end(), label) != ignored.end()) return kIgnored;
        if (roles_.background == label) return kNoRegion;
        side_.label.push_back(label);
        return static_cast<std::int64_t>(side_.label.size()) - 1;
    }

    const LabelRoles& roles_;
    std::uint64_t flip_;  // so that signed labels are in order
    std::uint64_t low_ = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t high_ = 0;
    std::vector<std::int64_t> region_;   // of every label from the lowest one on
    std::vector<std::uint64_t> sorted_;  // or of those that there are
    std::vector<std::int64_t> region_of_sorted_;
    OverlapSide side_;
    std::vector<std::int64_t> area_;
    std::vector<std::int64_t> void_area_;
};

struct Pair {
    std::int64_t pred;
    std::int64_t target;
    std::int64_t intersection;
};

using Pairs = Buffer<Pair>;

// Counts of keys to where the first of each is to be written.
void counts_to_places(std::vector<std::size_t>& counts) {
    std::size_t place = 0;
    for (std::size_t& count : counts) place += std::exchange(count, place);
}

// Neighbours that are the same pair become one. Which are, no branch could predict.
void join_equal(OverlapPairs& pairs) {
    std::int64_t* pred = pairs.pred.data();
    std::int64_t* target = pairs.target.data();
    std::int64_t* shared = pairs.intersection.data();
    std::size_t last = 0;
    for (std::size_t i = 1; i < pairs.pred.size(); ++i) {
        const bool is_new = pred[i] != pred[last] || target[i] != target[last];
        const std::int64_t sum = is_new ? 0 : shared[last];
        last += std::size_t{is_new};
        pred[last] = pred[i];
        target[last] = target[i];
        shared[last] = sum + shared[i];
    }
    if (pairs.pred.empty()) return;
    for (auto* column : {&pairs.pred, &pairs.target, &pairs.intersection}) column->resize(last + 1);
}

// By target, then pred: two stable counting sorts.
OverlapPairs sorted_pairs(const Pairs& pairs, std::size_t num_pred, std::size_t num_target) {
    std::vector<std::size_t> pred_place(num_pred);
    std::vector<std::size_t> target_place(num_target);
    for (const Pair& pair : pairs) {
        ++pred_place[static_cast<std::size_t>(pair.pred)];
        ++target_place[static_cast<std::size_t>(pair.target)];
    }
    counts_to_places(pred_place);
    counts_to_places(target_place);
    Pairs by_pred(pairs.size());
    for (const Pair& pair : pairs)
        by_pred[pred_place[static_cast<std::size_t>(pair.pred)]++] = pair;
    const std::size_t n = pairs.size();
    OverlapPairs sorted{std::vector<std::int64_t>(n), std::vector<std::int64_t>(n),
                        std::vector<std::int64_t>(n)};
    for (const Pair& pair : by_pred) {
        const std::size_t to = target_place[static_cast<std::size_t>(pair.target)]++;
        sorted.pred[to] = pair.pred;
        sorted.target[to] = pair.target;
        sorted.intersection[to] = pair.intersection;
    }
    join_equal(sorted);
    return sorted;
}

Overlap assemble(const Meetings& meetings, Signs signs, const LabelRoles& pred_roles,
                 const LabelRoles& target_roles) {
    SideBuilder pred(signs.pred, pred_roles);
    SideBuilder target(signs.target, target_roles);
    for (const Meeting& meeting : meetings) {
        pred.see(meeting.pred);
        if (!meeting.masked()) target.see(meeting.target);
    }
    pred.expect(meetings.size());
    target.expect(meetings.size());
    for (const Meeting& meeting : meetings) {
        pred.mark(meeting.pred);
        if (!meeting.masked()) target.mark(meeting.target);
    }
    pred.number();
    target.number();
    Pairs pairs(meetings.size());
    std::size_t count = 0;
    Overlap overlap;
    for (const Meeting& meeting : meetings) {
        const std::int64_t p = pred.region(meeting.pred);
        const std::int64_t t = meeting.masked() ? kIgnored : target.region(meeting.target);
        pred.add(p, meeting.count(), t == kIgnored);
        target.add(t, meeting.count(), p == kIgnored);
        overlap.num_ignored += p == kIgnored || t == kIgnored ? meeting.count() : 0;
        pairs[count] = {p, t, meeting.count()};
        count += std::size_t{p >= 0 && t >= 0};
    }
    pairs.resize(count);
    overlap.pairs = sorted_pairs(pairs, pred.num_regions(), target.num_regions());
    overlap.pred = pred.take();
    overlap.target = target.take();
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
    const Signs signs{is_signed(pred.dtype), is_signed(target.dtype)};
    Meetings meetings;
    const auto count = [&](auto label) {
        count_meetings<decltype(label)>(walk, mask != nullptr, signs, threads, meetings);
    };
    switch (std::max(item_size(pred.dtype), item_size(target.dtype))) {
        case 1: count(std::uint8_t{}); break;
        case 2: count(std::uint16_t{}); break;
        case 4: count(std::uint32_t{}); break;
        default: count(std::uint64_t{});
    }
    return assemble(meetings, signs, pred_roles, target_roles);
}

// --- run lists ---

namespace {

// The regions of a list's runs; all runs are of region 0 where the list names none.
class RunRegions {
   public:
    explicit RunRegions(const RegionRuns& runs)
        : region_(runs.region.empty() ? &kNone : runs.region.data()),
          mask_(runs.region.empty() ? 0 : ~std::size_t{0}) {}
    std::uint32_t operator[](std::size_t run) const {
        return static_cast<std::uint32_t>(region_[run & mask_]);
    }

   private:
    static constexpr std::int32_t kNone = 0;
    const std::int32_t* region_;
    std::size_t mask_;
};

// Where runs of two lists meet, on its way to a table of pairs of regions. Whether the next two
// runs meet, no branch can predict: what they share is written in any case, and kept if it is
// something.
class RunMeeter {
   public:
    RunMeeter(const RegionRuns& pred, const RegionRuns& target)
        : pred_(pred), target_(target), pred_region_(pred), target_region_(target) {}

    void meet_row(std::size_t row) {
        auto p = static_cast<std::size_t>(pred_.row_begin[row]);
        auto t = static_cast<std::size_t>(target_.row_begin[row]);
        const auto p_stop = static_cast<std::size_t>(pred_.row_begin[row + 1]);
        const auto t_stop = static_cast<std::size_t>(target_.row_begin[row + 1]);
        while (p < p_stop && t < t_stop) {
            const std::uint32_t begin = std::max(pred_.begin[p], target_.begin[t]);
            const std::uint32_t p_end = pred_.end[p];
            const std::uint32_t t_end = target_.end[t];
            const std::uint32_t end = std::min(p_end, t_end);
            key_[count_] = pair_key(pred_region_[p], target_region_[t]);
            shared_[count_] = end - begin;
            count_ += std::size_t{begin < end};
            p += std::size_t{p_end == end};
            t += std::size_t{t_end == end};
            if (count_ == kTogether) flush();
        }
    }
    // All pairs so far, some of them listed several times.
    void append_to(Pairs& pairs) {
        flush();
        pairs.reserve_more(sums_.most_visits() + table_.size());
        Pair* end = pairs.end();
        const auto append = [&](std::uint64_t key, std::int64_t shared) {
            *end = {static_cast<std::int64_t>(pred_of(key)),
                    static_cast<std::int64_t>(target_of(key)), shared};
            end += std::ptrdiff_t{shared != 0};
        };
        sums_.for_each(append);
        table_.for_each(append);
        pairs.resize(static_cast<std::size_t>(end - pairs.data()));
    }

   private:
    static constexpr std::size_t kTogether = 512;

    void flush() {
        const auto key = [&](std::size_t i) { return key_[i]; };
        const auto shared = [&](std::size_t i) { return shared_[i]; };
        if (is_scattered_)
            table_.add_many(count_, key, shared);
        else
            sums_.add_many(count_, key, shared);
        count_ = 0;
        if (sums_.is_long()) [[unlikely]]
            move_sums_to_table();
    }
    void move_sums_to_table() {
        is_scattered_ = sums_.is_scattered();
        sums_.for_each([&](std::uint64_t key, std::int64_t shared) {
            if (shared != 0) table_.add(key, shared);
        });
        sums_.clear();
    }

    PairTable<std::uint64_t> table_;  // what becomes too long for sums
    const RegionRuns& pred_;
    const RegionRuns& target_;
    RunRegions pred_region_;
    RunRegions target_region_;
    std::size_t count_ = 0;
    std::array<std::uint64_t, kTogether> key_;
    PairSums<std::uint64_t> sums_;
    std::array<std::uint32_t, kTogether> shared_;
    bool is_scattered_ = false;
};

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
    Pairs pairs;
    run_blocks(workers, workers, [&](std::int64_t) {
        RunMeeter meeter(pred, target);
        for (std::size_t first = next.fetch_add(piece); first < rows; first = next.fetch_add(piece))
            for (std::size_t row = first; row < std::min(first + piece, rows); ++row)
                meeter.meet_row(row);
        const std::lock_guard lock(output);
        meeter.append_to(pairs);
    });
    return sorted_pairs(pairs, static_cast<std::size_t>(pred.num_regions),
                        static_cast<std::size_t>(target.num_regions));
}

}  // namespace segmeter
