#include "segmeter/region/coco.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "segmeter/parallel.hpp"

namespace segmeter {
namespace {

constexpr double kHighestThreshold = 1 - 1e-10;  // a threshold of 1 lets equal masks through

constexpr std::int64_t kNoMasks[1] = {0};

// A target that a detection may take, by its place among the targets of the class.
struct Candidate {
    std::size_t place;
    double iou;
};

// Areas of masks, and their boxes as far as somebody asks: to find one takes longer than an area.
class MaskFacts {
   public:
    explicit MaskFacts(const RunMaskView& masks)
        : masks_(masks), boxes_(static_cast<std::size_t>(masks.size())) {
        areas.reserve(boxes_.size());
        for (std::int64_t k = 0; k < masks.size(); ++k) areas.push_back(mask_area(masks[k]));
    }
    const PixelBox& box(std::int64_t mask) {
        std::optional<PixelBox>& found = boxes_[static_cast<std::size_t>(mask)];
        if (!found) found = mask_box(masks_[mask], masks_.height);
        return *found;
    }

    std::vector<std::int64_t> areas;

   private:
    RunMaskView masks_;
    std::vector<std::optional<PixelBox>> boxes_;
};

// Detections and targets of one class in one image.
class ClassMatcher {
   public:
    ClassMatcher(const CocoDetections& pred, const CocoTargets& target, const CocoRules& rules)
        : pred_(pred),
          target_(target),
          rules_(rules),
          preds_(pred.masks),
          targets_(target.masks),
          pred_bands_(pred.bands.value_or(RunMaskView{0, 0, {}, kNoMasks})),
          target_bands_(target.bands.value_or(RunMaskView{0, 0, {}, kNoMasks})),
          lowest_(threshold(
              *std::min_element(rules.iou_thresholds.begin(), rules.iou_thresholds.end()))) {}

    // Writes the outcome of the detections (by decreasing score) and adds the positives.
    void match(std::span<const std::int64_t> detections, std::span<const std::int64_t> targets,
               CocoOutcome* outcome, std::int64_t* positives) {
        find_candidates(detections, targets);
        for (std::size_t range = 0; range < rules_.ranges(); ++range) {
            ignored_.clear();
            for (const std::int64_t t : targets) {
                const auto index = static_cast<std::size_t>(t);
                const bool out = target_.ignored[index] != 0 || target_.crowd[index] != 0 ||
                                 outside(area(target_.areas, targets_, index), range);
                ignored_.push_back(out ? 1 : 0);
                positives[range] += out ? 0 : 1;
            }
            const std::size_t thresholds = rules_.iou_thresholds.size();
            fill_unmatched(detections, range, outcome + range * thresholds);
            if (candidates_.empty()) continue;
            for (std::size_t k = 0; k < thresholds; ++k)
                match_range(targets, threshold(rules_.iou_thresholds[k]),
                            outcome + range * thresholds + k);
        }
    }

   private:
    [[nodiscard]] static double threshold(double value) {
        return std::min(value, kHighestThreshold);
    }

    [[nodiscard]] static double area(std::span<const double> given, const MaskFacts& table,
                                     std::size_t index) {
        return given.empty() ? static_cast<double>(table.areas[index]) : given[index];
    }

    [[nodiscard]] bool outside(double size, std::size_t range) const {
        return size < rules_.area_ranges[2 * range] || size > rules_.area_ranges[2 * range + 1];
    }

    // IoU of a pair, or a number below every threshold where it cannot reach one.
    [[nodiscard]] double iou(std::int64_t detection, std::int64_t target) {
        const auto d = static_cast<std::size_t>(detection);
        const auto t = static_cast<std::size_t>(target);
        const bool crowd = target_.crowd[t] != 0;
        const auto over = [&](std::int64_t shared) {
            const std::int64_t whole =
                crowd ? preds_.areas[d] : preds_.areas[d] + targets_.areas[t] - shared;
            return static_cast<double>(shared) / static_cast<double>(whole);
        };
        // Rounding keeps the order of quotients, so bounds of the quotient are exact as well.
        const std::int64_t smaller = std::min(preds_.areas[d], targets_.areas[t]);
        if (smaller == 0) return 0.0;
        if (over(smaller) < lowest_) return -1.0;
        const std::int64_t at_most =
            std::min(box_intersection(preds_.box(detection), targets_.box(target)), smaller);
        if (at_most == 0 || over(at_most) < lowest_) return at_most == 0 ? 0.0 : -1.0;
        const std::int64_t shared =
            mask_intersection(pred_.masks[detection], target_.masks[target]);
        if (shared == 0) return 0.0;
        if (crowd || !pred_.bands || !target_.bands) return over(shared);
        return std::min(over(shared), band_iou(*pred_.bands, *target_.bands, detection, target));
    }

    [[nodiscard]] double band_iou(const RunMaskView& preds, const RunMaskView& targets,
                                  std::int64_t detection, std::int64_t target) const {
        const std::int64_t shared = mask_intersection(preds[detection], targets[target]);
        const std::int64_t whole = pred_bands_.areas[static_cast<std::size_t>(detection)] +
                                   target_bands_.areas[static_cast<std::size_t>(target)] - shared;
        return static_cast<double>(shared) / static_cast<double>(whole);
    }

    void find_candidates(std::span<const std::int64_t> detections,
                         std::span<const std::int64_t> targets) {
        candidates_.clear();
        first_.assign(1, 0);
        for (const std::int64_t detection : detections) {
            for (std::size_t place = 0; place < targets.size(); ++place) {
                const double value = iou(detection, targets[place]);
                if (value >= lowest_) candidates_.push_back({place, value});
            }
            first_.push_back(candidates_.size());
        }
    }

    // The best free candidate among those that are ignored or among those that are not.
    [[nodiscard]] const Candidate* best(std::span<const Candidate> candidates,
                                        std::span<const std::int64_t> targets, double least,
                                        bool ignored) const {
        const Candidate* found = nullptr;
        for (const Candidate& candidate : candidates) {
            if ((ignored_[candidate.place] != 0) != ignored) continue;
            const auto target = static_cast<std::size_t>(targets[candidate.place]);
            if (taken_[candidate.place] != 0 && target_.crowd[target] == 0) continue;
            if (candidate.iou < least) continue;
            least = candidate.iou;
            found = &candidate;
        }
        return found;
    }

    // What the detections are for every threshold if they take no target.
    void fill_unmatched(std::span<const std::int64_t> detections, std::size_t range,
                        CocoOutcome* outcome) const {
        for (const std::int64_t d : detections) {
            const double size = area(pred_.areas, preds_, static_cast<std::size_t>(d));
            std::fill_n(outcome, rules_.iou_thresholds.size(),
                        outside(size, range) ? CocoOutcome::kIgnored : CocoOutcome::kFalsePositive);
            outcome += step();
        }
    }

    void match_range(std::span<const std::int64_t> targets, double least, CocoOutcome* outcome) {
        taken_.assign(targets.size(), 0);
        for (std::size_t d = 0; d + 1 < first_.size(); ++d) {
            if (first_[d] == first_[d + 1]) continue;
            const auto candidates =
                std::span(candidates_).subspan(first_[d], first_[d + 1] - first_[d]);
            const Candidate* found = best(candidates, targets, least, false);
            if (found == nullptr) found = best(candidates, targets, least, true);
            if (found == nullptr) continue;
            taken_[found->place] = 1;
            outcome[d * step()] =
                ignored_[found->place] != 0 ? CocoOutcome::kIgnored : CocoOutcome::kTruePositive;
        }
    }

    // Outcomes of one detection.
    [[nodiscard]] std::size_t step() const {
        return rules_.ranges() * rules_.iou_thresholds.size();
    }

    const CocoDetections& pred_;
    const CocoTargets& target_;
    const CocoRules& rules_;
    MaskFacts preds_;
    MaskFacts targets_;
    MaskFacts pred_bands_;
    MaskFacts target_bands_;
    double lowest_;
    std::vector<Candidate> candidates_;  // of all detections, one after the other
    std::vector<std::size_t> first_;     // where those of a detection begin
    std::vector<std::uint8_t> ignored_;  // of the targets, in the range at hand
    std::vector<std::uint8_t> taken_;
};

// Indices 0 to n - 1 in the order of `less`, equal ones as they come.
template <class Less>
std::vector<std::int64_t> sorted_indices(std::size_t n, Less&& less) {
    std::vector<std::int64_t> order(n);
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        const auto i = static_cast<std::size_t>(a);
        const auto j = static_cast<std::size_t>(b);
        return less(i, j) || (!less(j, i) && a < b);
    });
    return order;
}

// Walks the groups of equal class in a sorted order.
class Groups {
   public:
    Groups(std::span<const std::int64_t> order, std::span<const std::int64_t> classes)
        : order_(order), classes_(classes) {}
    // The group of a class; classes must be asked for in ascending order.
    std::span<const std::int64_t> take(std::int64_t index) {
        const std::size_t begin = next_;
        while (next_ < order_.size() && classes_[static_cast<std::size_t>(order_[next_])] == index)
            ++next_;
        return order_.subspan(begin, next_ - begin);
    }
    // Class of the group that comes next, `none` at the end.
    [[nodiscard]] std::int64_t next(std::int64_t none) const {
        return next_ < order_.size() ? classes_[static_cast<std::size_t>(order_[next_])] : none;
    }

   private:
    std::span<const std::int64_t> order_;
    std::span<const std::int64_t> classes_;
    std::size_t next_ = 0;
};

}  // namespace

CocoMatches coco_match(const CocoDetections& pred, const CocoTargets& target,
                       std::int64_t num_classes, const CocoRules& rules) {
    CocoMatches matches;
    const std::size_t ranges = rules.ranges();
    const std::size_t cells = ranges * rules.iou_thresholds.size();
    matches.positives.assign(static_cast<std::size_t>(num_classes) * ranges, 0);
    const auto pred_order = sorted_indices(pred.classes.size(), [&](std::size_t a, std::size_t b) {
        return pred.classes[a] != pred.classes[b] ? pred.classes[a] < pred.classes[b]
                                                  : pred.scores[a] > pred.scores[b];
    });
    const auto target_order = sorted_indices(
        target.classes.size(),
        [&](std::size_t a, std::size_t b) { return target.classes[a] < target.classes[b]; });
    Groups detections(pred_order, pred.classes);
    Groups targets(target_order, target.classes);
    ClassMatcher matcher(pred, target, rules);
    while (true) {
        const std::int64_t index =
            std::min(detections.next(num_classes), targets.next(num_classes));
        if (index == num_classes) return matches;
        const auto all = detections.take(index);
        const auto kept =
            all.first(std::min(all.size(), static_cast<std::size_t>(rules.max_detections)));
        const std::size_t begin = matches.outcome.size();
        matches.outcome.resize(begin + kept.size() * cells);
        matcher.match(kept, targets.take(index), matches.outcome.data() + begin,
                      matches.positives.data() + static_cast<std::size_t>(index) * ranges);
        for (std::size_t rank = 0; rank < kept.size(); ++rank) {
            matches.detection.push_back(kept[rank]);
            matches.rank.push_back(static_cast<std::int64_t>(rank));
        }
    }
}

namespace {

// The curves of one class.
class ClassCurves {
   public:
    ClassCurves(const CocoSample& sample, std::span<const double> recalls,
                std::span<const std::int64_t> limits, double* precision, double* recall)
        : sample_(sample),
          recalls_(recalls),
          limits_(limits),
          precision_(precision),
          recall_(recall) {}

    // `detections`: those of the class, by decreasing score.
    void write(std::int64_t index, std::span<const std::int64_t> detections) {
        for (std::int64_t range = 0; range < sample_.num_ranges; ++range) {
            const std::int64_t positives =
                sample_.positives[static_cast<std::size_t>(index * sample_.num_ranges + range)];
            if (positives == 0) continue;
            for (std::int64_t k = 0; k < sample_.num_thresholds; ++k)
                for (std::size_t m = 0; m < limits_.size(); ++m)
                    write_curve(index, detections, {range, k, m}, positives);
        }
    }

   private:
    struct Cell {
        std::int64_t range;
        std::int64_t threshold;
        std::size_t limit;
    };

    void write_curve(std::int64_t index, std::span<const std::int64_t> detections, const Cell& cell,
                     std::int64_t positives) {
        collect_hits(detections, cell);
        const auto hits = static_cast<std::int64_t>(hits_.size());
        const auto reached = [&](std::int64_t hit) {  // recall at the hit with this number
            return static_cast<double>(hit) / static_cast<double>(positives);
        };
        const auto limits = static_cast<std::int64_t>(limits_.size());
        const std::int64_t curve = ((index * sample_.num_ranges + cell.range) * limits +
                                    static_cast<std::int64_t>(cell.limit)) *
                                       sample_.num_thresholds +
                                   cell.threshold;
        recall_[curve] = hits == 0 ? 0.0 : reached(hits);
        double* out = precision_ + curve * static_cast<std::int64_t>(recalls_.size());
        std::int64_t hit = 0;
        for (const double level : recalls_) {
            while (hit < hits && reached(hit + 1) < level) ++hit;
            *out++ = hit < hits ? hits_[static_cast<std::size_t>(hit)] : 0.0;
        }
    }

    // Best precision from each true positive onwards. Others never raise it and never reach a
    // recall first.
    void collect_hits(std::span<const std::int64_t> detections, const Cell& cell) {
        constexpr double kTiny = std::numeric_limits<double>::epsilon();
        hits_.clear();
        double positive = 0;
        double negative = 0;
        const std::int64_t cells = sample_.num_ranges * sample_.num_thresholds;
        const std::int64_t offset = cell.range * sample_.num_thresholds + cell.threshold;
        for (const std::int64_t detection : detections) {
            if (sample_.ranks[static_cast<std::size_t>(detection)] >= limits_[cell.limit]) continue;
            const auto outcome = static_cast<CocoOutcome>(
                sample_.outcome[static_cast<std::size_t>(detection * cells + offset)]);
            if (outcome == CocoOutcome::kFalsePositive) ++negative;
            if (outcome != CocoOutcome::kTruePositive) continue;
            ++positive;
            hits_.push_back(positive / (negative + positive + kTiny));
        }
        for (std::size_t k = hits_.size(); k-- > 1;)
            hits_[k - 1] = std::max(hits_[k - 1], hits_[k]);
    }

    const CocoSample& sample_;
    std::span<const double> recalls_;
    std::span<const std::int64_t> limits_;
    double* precision_;
    double* recall_;
    std::vector<double> hits_;
};

}  // namespace

void coco_curves(const CocoSample& sample, std::span<const double> recalls,
                 std::span<const std::int64_t> limits, int threads, double* precision,
                 double* recall) {
    const auto curves = static_cast<std::int64_t>(limits.size()) * sample.num_classes *
                        sample.num_ranges * sample.num_thresholds;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::fill_n(precision, curves * static_cast<std::int64_t>(recalls.size()), nan);
    std::fill_n(recall, curves, nan);
    const auto order = sorted_indices(sample.classes.size(), [&](std::size_t a, std::size_t b) {
        if (sample.classes[a] != sample.classes[b]) return sample.classes[a] < sample.classes[b];
        if (sample.scores[a] != sample.scores[b]) return sample.scores[a] > sample.scores[b];
        if (sample.images[a] != sample.images[b]) return sample.images[a] < sample.images[b];
        return sample.ranks[a] < sample.ranks[b];
    });
    Groups groups(order, sample.classes);
    std::vector<std::span<const std::int64_t>> classes;
    classes.reserve(static_cast<std::size_t>(sample.num_classes));
    for (std::int64_t index = 0; index < sample.num_classes; ++index)
        classes.push_back(groups.take(index));
    const auto work = static_cast<std::int64_t>(sample.outcome.size()) * 8 + curves * 400;
    run_blocks(sample.num_classes, thread_count(threads, work), [&](std::int64_t index) {
        ClassCurves(sample, recalls, limits, precision, recall)
            .write(index, classes[static_cast<std::size_t>(index)]);
    });
}

}  // namespace segmeter
