#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "segmeter/cause.hpp"
#include "segmeter/parallel.hpp"

#include "cause/intervals.hpp"
#include "cause/joint_runs.hpp"
#include "cause/row_lists.hpp"
#include "cause/segments.hpp"

namespace segmeter {
namespace {

using cause::Interval;
using cause::JointRun;
using cause::JointRuns;
using cause::Remainder;
using cause::RowLists;
using cause::Segments;

// A part of a wrong joint run.
struct Part {
    std::int32_t begin;
    std::int32_t end;
    std::int64_t run;
};

// Which of its two errors a wrong pixel is looked at for.
enum class Side { kFp, kFn };

std::int32_t class_of(const JointRun& run, Side side) {
    return side == Side::kFp ? run.pred : run.target;
}

bool is_wrong(const JointRun& run, Side side) {
    return run.pred != run.target && class_of(run, side) >= 0;
}

bool is_true_positive(const JointRun& run, std::int32_t k) {
    return run.pred == k && run.target == k;
}

bool is_true_negative(const JointRun& run, std::int32_t k) {
    return run.pred != k && run.target != k;
}

JointRuns true_positives(const JointRuns& runs) {
    JointRuns hits;
    for (std::int64_t row = 0; row < runs.rows(); ++row) {
        for (std::int64_t i = runs.begin(row); i < runs.end(row); ++i)
            if (runs[i].target >= 0 && runs[i].pred == runs[i].target)
                hits.items.push_back(runs[i]);
        hits.close_row();
    }
    return hits;
}

// Whether each segment holds a true positive.
std::vector<std::uint8_t> find_hit_segments(const JointRuns& runs, const Segments& segments) {
    std::vector<std::uint8_t> hit(segments.classes.size());
    for (std::size_t i = 0; i < runs.items.size(); ++i)
        if (runs.items[i].target >= 0 && runs.items[i].pred == runs.items[i].target)
            hit[static_cast<std::size_t>(segments.of_run[i])] = 1;
    return hit;
}

// The row that lies as far on as the element's, or -1.
std::int64_t neighbour(const VolumeShape& shape, std::int64_t row, const NearRow& offset) {
    const std::int64_t slice = row / shape.rows + offset.plane;
    const std::int64_t in_slice = row % shape.rows + offset.row;
    const bool exists =
        slice >= 0 && slice < shape.slices && in_slice >= 0 && in_slice < shape.rows;
    return exists ? slice * shape.rows + in_slice : -1;
}

// Walks the rows near one run after another of a row, left to right. In each row of the element
// the first item in reach only moves to the right, so that it is found by going on from the last.
class Neighbourhood {
   public:
    Neighbourhood(std::span<const NearRow> element, const VolumeShape& shape)
        : element_(element), shape_(shape), rows_(element.size()), first_(element.size()) {}

    // visit(item, reach) for the items that reach into [begin, end) of `row`, nearest rows first,
    // until done().
    template <class Item, class Visit, class Done>
    void visit(const RowLists<Item>& items, std::int64_t row, std::int64_t begin, std::int64_t end,
               Visit&& visit, Done&& done) {
        if (row != row_) {
            row_ = row;
            opened_ = 0;
        }
        for (std::size_t k = 0; k < element_.size() && !done(); ++k) {
            if (k == opened_) open(items, k);
            if (rows_[k] < 0) continue;
            const std::int64_t reach = element_[k].reach;
            const std::int64_t last = items.end(rows_[k]);
            std::int64_t& first = first_[k];
            while (first < last && items[first].end + reach <= begin) ++first;
            for (std::int64_t i = first; i < last && items[i].begin < end + reach; ++i)
                visit(items[i], reach);
        }
    }

   private:
    template <class Item>
    void open(const RowLists<Item>& items, std::size_t k) {
        rows_[k] = neighbour(shape_, row_, element_[k]);
        first_[k] = rows_[k] < 0 ? 0 : items.begin(rows_[k]);
        ++opened_;
    }

    std::span<const NearRow> element_;
    VolumeShape shape_;
    std::int64_t row_ = -1;
    std::size_t opened_ = 0;
    std::vector<std::int64_t> rows_;
    std::vector<std::int64_t> first_;
};

Part part_of(std::int64_t begin, std::int64_t end, std::int64_t run) {
    return {static_cast<std::int32_t>(begin), static_cast<std::int32_t>(end), run};
}

// Everything that is looked up for one side.
struct SideView {
    const JointRuns& runs;
    const JointRuns& hits;  // the true positives among them
    const VolumeShape& shape;
    std::span<const NearRow> element;
    Side side;
    const Segments& segments;
    const std::vector<std::uint8_t>& hit;  // of each segment

    [[nodiscard]] std::int32_t class_at(std::int64_t run) const {
        return class_of(runs[run], side);
    }
    // A boundary piece touches a true positive, so it lies in a segment that has one.
    [[nodiscard]] bool may_be_boundary(std::int64_t run) const {
        return is_wrong(runs[run], side) && hit[segments.of(run)] != 0;
    }
    // The cause of what is not boundary.
    [[nodiscard]] SideCause rest(std::int64_t run) const {
        return hit[segments.of(run)] != 0 ? SideCause::kExtent : SideCause::kSegment;
    }
};

// Parts of wrong runs that are near both a true positive and a true negative; those of segments
// without a true positive too, for others may grow from them.
class SeedFinder {
   public:
    explicit SeedFinder(const SideView& view)
        : view_(view),
          near_hits_(view.element, view.shape),
          near_others_(view.element, view.shape) {}

    void operator()(std::int64_t row, std::vector<Part>& out) {
        for (std::int64_t i = view_.runs.begin(row); i < view_.runs.end(row); ++i)
            if (is_wrong(view_.runs[i], view_.side)) find(row, i, out);
    }

   private:
    void find(std::int64_t row, std::int64_t i, std::vector<Part>& out) {
        const JointRun& run = view_.runs[i];
        const std::int32_t k = view_.class_at(i);
        bool is_near_hit = false;
        far_from_hits_.reset(run.begin, run.end);
        near_hits_.visit(
            view_.hits, row, run.begin, run.end,
            [&](const JointRun& hit, std::int64_t reach) {
                if (hit.pred != k) return;
                far_from_hits_.remove(hit.begin - reach, hit.end + reach);
                is_near_hit = true;
            },
            [&] { return far_from_hits_.empty(); });
        if (!is_near_hit) return;
        far_from_others_.reset(run.begin, run.end);
        near_others_.visit(
            view_.runs, row, run.begin, run.end,
            [&](const JointRun& other, std::int64_t reach) {
                if (is_true_negative(other, k))
                    far_from_others_.remove(other.begin - reach, other.end + reach);
            },
            [&] { return far_from_others_.empty(); });
        holes_ = far_from_hits_.intervals();
        holes_.insert(holes_.end(), far_from_others_.intervals().begin(),
                      far_from_others_.intervals().end());
        cause::for_each_gap(run.begin, run.end, holes_, [&](std::int64_t begin, std::int64_t end) {
            out.push_back(part_of(begin, end, i));
        });
    }

    SideView view_;
    Neighbourhood near_hits_;
    Neighbourhood near_others_;
    Remainder far_from_hits_;
    Remainder far_from_others_;
    std::vector<Interval> holes_;
};

// Parts of wrong runs that are near a seed of their class.
class Grower {
   public:
    Grower(const SideView& view, const RowLists<Part>& seeds)
        : view_(view), seeds_(seeds), near_(view.element, view.shape) {}

    void operator()(std::int64_t row, std::vector<Part>& out) {
        for (std::int64_t i = view_.runs.begin(row); i < view_.runs.end(row); ++i)
            if (view_.may_be_boundary(i)) grow(row, i, out);
    }

   private:
    void grow(std::int64_t row, std::int64_t i, std::vector<Part>& out) {
        const JointRun& run = view_.runs[i];
        const std::int32_t k = view_.class_at(i);
        far_.reset(run.begin, run.end);
        near_.visit(
            seeds_, row, run.begin, run.end,
            [&](const Part& seed, std::int64_t reach) {
                if (view_.class_at(seed.run) == k)
                    far_.remove(seed.begin - reach, seed.end + reach);
            },
            [&] { return far_.empty(); });
        holes_ = far_.intervals();
        cause::for_each_gap(run.begin, run.end, holes_, [&](std::int64_t begin, std::int64_t end) {
            out.push_back(part_of(begin, end, i));
        });
    }

    SideView view_;
    const RowLists<Part>& seeds_;
    Neighbourhood near_;
    Remainder far_;
    std::vector<Interval> holes_;
};

constexpr std::uint8_t kTouchesHit = 1;
constexpr std::uint8_t kTouchesOther = 2;
constexpr std::uint8_t kTouchesBoth = 3;

std::vector<std::uint8_t> find_touches(const SideView& view, const RowLists<Part>& parts) {
    std::vector<NearRow> touching;
    for (std::int64_t plane = -1; plane <= 1; ++plane)
        for (std::int64_t row = -1; row <= 1; ++row) touching.push_back({plane, row, 1});
    Neighbourhood near(touching, view.shape);
    std::vector<std::uint8_t> touches(parts.items.size());
    for (std::int64_t row = 0; row < parts.rows(); ++row) {
        for (std::int64_t i = parts.begin(row); i < parts.end(row); ++i) {
            std::uint8_t& flags = touches[static_cast<std::size_t>(i)];
            const std::int32_t k = view.class_at(parts[i].run);
            near.visit(
                view.runs, row, parts[i].begin, parts[i].end,
                [&](const JointRun& other, std::int64_t) {
                    if (is_true_positive(other, k)) flags |= kTouchesHit;
                    if (is_true_negative(other, k)) flags |= kTouchesOther;
                },
                [&] { return flags == kTouchesBoth; });
        }
    }
    return touches;
}

// Drops the parts of connected pieces that do not touch both a true positive and a true negative.
void keep_touching_pieces(const SideView& view, RowLists<Part>& parts) {
    cause::ItemSets pieces(parts.items.size());
    cause::for_all_touches(parts, view.shape, [&](std::int64_t a, std::int64_t b) {
        if (view.class_at(parts[a].run) == view.class_at(parts[b].run)) pieces.unite(a, b);
    });
    std::vector<std::uint8_t> touches = find_touches(view, parts);
    for (std::size_t i = 0; i < touches.size(); ++i) touches[pieces.root(i)] |= touches[i];
    RowLists<Part> kept;
    for (std::int64_t row = 0; row < parts.rows(); ++row) {
        for (std::int64_t i = parts.begin(row); i < parts.end(row); ++i)
            if (touches[pieces.root(static_cast<std::size_t>(i))] == kTouchesBoth)
                kept.items.push_back(parts[i]);
        kept.close_row();
    }
    parts = std::move(kept);
}

RowLists<Part> find_boundary(const SideView& view, int threads) {
    const std::int64_t rows = view.shape.all_rows();
    const auto seeds = cause::collect_rows<Part>(rows, threads, [&] { return SeedFinder(view); });
    auto parts = cause::collect_rows<Part>(rows, threads, [&] { return Grower(view, seeds); });
    keep_touching_pieces(view, parts);
    return parts;
}

// --- results -------------------------------------------------------------------------------------

CauseKind kind_of(Side side, SideCause side_cause) {
    const bool is_fp = side == Side::kFp;
    switch (side_cause) {
        case SideCause::kBoundary: return is_fp ? CauseKind::kFpBoundary : CauseKind::kFnBoundary;
        case SideCause::kExtent: return is_fp ? CauseKind::kFpExtent : CauseKind::kFnExtent;
        default: return is_fp ? CauseKind::kFpSegment : CauseKind::kFnSegment;
    }
}

// Counts stretches of pixels, and paints them where a map is asked for.
class Results {
   public:
    Results(std::int64_t columns, std::int64_t* counts, const CauseMaps& maps)
        : columns_(columns), counts_(counts), maps_(maps) {}

    void set_row(std::int64_t row) { offset_ = row * columns_; }

    void add_wrong(Side side, SideCause side_cause, std::int32_t k, std::int64_t begin,
                   std::int64_t end) {
        paint(side == Side::kFp ? maps_.fp : maps_.fn, begin, end,
              static_cast<std::uint8_t>(side_cause));
        add(kind_of(side, side_cause), k, begin, end);
    }
    void add(CauseKind kind, std::int32_t k, std::int64_t begin, std::int64_t end) {
        counts_[k * kCauseKinds + static_cast<std::int64_t>(kind)] += end - begin;
        if (k == maps_.kinds_class) paint(maps_.kinds, begin, end, static_cast<std::uint8_t>(kind));
    }
    void paint_ignored(std::int64_t begin, std::int64_t end) {
        paint(maps_.fp, begin, end, static_cast<std::uint8_t>(SideCause::kIgnored));
        paint(maps_.fn, begin, end, static_cast<std::uint8_t>(SideCause::kIgnored));
        paint(maps_.kinds, begin, end, static_cast<std::uint8_t>(CauseKind::kIgnored));
    }

   private:
    void paint(std::uint8_t* map, std::int64_t begin, std::int64_t end, std::uint8_t value) const {
        if (map != nullptr)
            std::memset(map + offset_ + begin, value, static_cast<std::size_t>(end - begin));
    }

    std::int64_t columns_;
    std::int64_t* counts_;
    const CauseMaps& maps_;
    std::int64_t offset_ = 0;
};

// The causes of one side, boundary parts in the order of their runs.
void add_side(const SideView& view, const RowLists<Part>& boundary, Results& results) {
    std::int64_t next = 0;
    for (std::int64_t row = 0; row < view.shape.all_rows(); ++row) {
        results.set_row(row);
        for (std::int64_t i = view.runs.begin(row); i < view.runs.end(row); ++i) {
            const JointRun& run = view.runs[i];
            const std::int32_t k = view.class_at(i);
            const std::int64_t first = next;
            while (next < boundary.end(row) && boundary[next].run == i) ++next;
            if (!is_wrong(run, view.side) || run.is_ignored()) continue;
            const SideCause rest = view.rest(i);
            std::int64_t x = run.begin;
            for (std::int64_t j = first; j < next; ++j) {
                const Part& part = boundary[j];
                results.add_wrong(view.side, rest, k, x, part.begin);
                results.add_wrong(view.side, SideCause::kBoundary, k, part.begin, part.end);
                x = part.end;
            }
            results.add_wrong(view.side, rest, k, x, run.end);
        }
    }
}

void add_right_and_ignored(const JointRuns& runs, Results& results) {
    for (std::int64_t row = 0; row < runs.rows(); ++row) {
        results.set_row(row);
        for (std::int64_t i = runs.begin(row); i < runs.end(row); ++i) {
            const JointRun& run = runs[i];
            if (run.is_ignored())
                results.paint_ignored(run.begin, run.end);
            else if (run.pred == run.target)
                results.add(CauseKind::kTruePositive, run.target, run.begin, run.end);
        }
    }
}

// Ignored pixels and true negatives, which together with the rest are all pixels, for each class.
void complete_counts(std::int64_t num_classes, std::int64_t pixels, std::int64_t ignored,
                     std::span<const std::int64_t> before, std::int64_t* counts) {
    for (std::int64_t k = 0; k < num_classes; ++k, counts += kCauseKinds) {
        std::int64_t others = pixels - ignored;
        for (std::int64_t kind = 0; kind < kCauseKinds; ++kind)
            others -= counts[kind] - before[static_cast<std::size_t>(k * kCauseKinds + kind)];
        counts[static_cast<std::int64_t>(CauseKind::kTrueNegative)] += others;
        counts[static_cast<std::int64_t>(CauseKind::kIgnored)] += ignored;
    }
}

}  // namespace

PixelTally error_causes(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                        const LabelTable& pred_labels, const LabelTable& target_labels,
                        std::span<const NearRow> element, const CauseOptions& options,
                        std::int64_t* counts, const CauseMaps& maps) {
    const cause::LabelMaps labels{pred, target, mask, pred_labels, target_labels};
    const std::int64_t pixels = target.size();
    if (pixels == 0) return {};
    const int threads = thread_count(options.threads, pixels);
    const VolumeShape shape(target.shape);
    JointRuns runs = cause::read_joint_runs(labels, threads);
    const PixelTally tally = cause::settle_invalid(runs, options.ignore_invalid);
    const std::int64_t num_classes = target_labels.num_classes();
    const std::vector<std::int64_t> before(counts, counts + num_classes * kCauseKinds);
    Results results(shape.length, counts, maps);
    if (maps.kinds != nullptr)
        std::memset(maps.kinds, static_cast<int>(CauseKind::kTrueNegative),
                    static_cast<std::size_t>(pixels));
    add_right_and_ignored(runs, results);
    const JointRuns hits = true_positives(runs);
    const cause::BothSegments segments = cause::find_segments(runs, shape);
    for (const Side side : {Side::kFp, Side::kFn}) {
        const Segments& own = side == Side::kFp ? segments.pred : segments.target;
        const std::vector<std::uint8_t> hit = find_hit_segments(runs, own);
        const SideView view{runs, hits, shape, element, side, own, hit};
        add_side(view, find_boundary(view, threads), results);
    }
    std::int64_t ignored = tally.ignored + tally.invalid_target;
    if (options.ignore_invalid) ignored += tally.invalid_pred;
    complete_counts(num_classes, pixels, ignored, before, counts);
    return tally;
}

}  // namespace segmeter
