#include "segmeter/region/runs.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "segmeter/cpu.hpp"
#include "segmeter/parallel.hpp"

#include "region/finder.hpp"
#include "region/labeller.hpp"
#include "region/rows.hpp"

namespace segmeter {

const simd::RegionKernels& region_kernels() {
    switch (simd_level()) {
#if defined(__x86_64__)
        case SimdLevel::kAvx512: return simd::avx512::kRegionKernels;
        case SimdLevel::kAvx2: return simd::avx2::kRegionKernels;
#elif defined(__aarch64__)
        case SimdLevel::kNeon: return simd::neon::kRegionKernels;
#endif
        default: return simd::baseline::kRegionKernels;
    }
}

SlabPlan::SlabPlan(const VolumeShape& shape, int threads)
    : threads_(thread_count(threads, shape.all_rows() * shape.length)),
      rows_per_unit_(shape.slices > 1 ? std::max<std::int64_t>(1, shape.rows) : 1),
      units_(shape.all_rows() / rows_per_unit_) {
    // A few slabs for every thread even out their work; each costs a serial look at its border.
    const std::int64_t wanted = threads_ == 1 ? 1 : std::int64_t{4} * threads_;
    count_ = std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(1, units_));
}

namespace {

template <class Label>
Runs find_runs_as(const ArrayView& labels, const RunOptions& options, const LabelRules& rules) {
    const VolumeShape shape(labels.shape);
    const SlabPlan plan(shape, options.threads);
    std::vector<RunSlab<RunValue<Label>>> slabs(static_cast<std::size_t>(plan.count()));
    run_blocks(plan.count(), plan.threads(), [&](std::int64_t block) {
        RunFinder<Label> finder(labels, options, rules);
        EdgeRing edges(shape.length, 1, Keep::kNone);
        auto& slab = slabs[static_cast<std::size_t>(block)];
        const std::int64_t last = plan.first_row(block + 1);
        slab.start(plan.first_row(block), last - plan.first_row(block));
        finder.append_rows(last, slab, edges, [](std::int64_t) {});
    });
    Runs runs;
    runs.shape.assign(labels.shape.begin(), labels.shape.end());
    runs.row_begin.push_back(0);
    for (const auto& slab : slabs) {
        const std::int64_t offset = runs.count();
        for (std::size_t row = 1; row < slab.row_begin.size(); ++row)
            runs.row_begin.push_back(offset + slab.row_begin[row]);
        runs.begin.append(slab.begin.data(), slab.begin.size());
        runs.end.append(slab.end.data(), slab.end.size());
        require_countable(runs.begin.size());
        for (const auto bits : slab.value) runs.value.push_back(label_of_bits(bits, labels.dtype));
    }
    // Of bools, the only value is not looked up.
    if (rules.binary && !options.binary) {
        runs.value.resize(runs.begin.size());
        std::fill(runs.value.begin(), runs.value.end(), 1);
    }
    return runs;
}

}  // namespace

Runs find_runs(const ArrayView& labels, const RunOptions& options) {
    require_readable(labels);
    const LabelRules rules(labels.dtype, options);
    return with_label_type(rules.width, [&](auto label) {
        return find_runs_as<decltype(label)>(labels, options, rules);
    });
}

Runs concatenate(std::span<const Runs* const> parts) {
    if (parts.empty()) throw std::invalid_argument("no run list to concatenate");
    Runs whole;
    whole.shape = parts[0]->shape;
    whole.shape[0] = 0;
    whole.row_begin.push_back(0);
    for (const Runs* part : parts) {
        if (!std::equal(part->shape.begin() + 1, part->shape.end(), whole.shape.begin() + 1,
                        whole.shape.end()))
            throw std::invalid_argument("run lists of different extents");
        if (part->count() > 0 && whole.count() > 0 && part->value.empty() != whole.value.empty())
            throw std::invalid_argument("run lists with and without values");
        const std::int64_t offset = whole.count();
        whole.shape[0] += part->shape[0];
        for (std::size_t row = 1; row < part->row_begin.size(); ++row)
            whole.row_begin.push_back(offset + part->row_begin[row]);
        whole.begin.append(part->begin.data(), part->begin.size());
        whole.end.append(part->end.data(), part->end.size());
        whole.value.append(part->value.data(), part->value.size());
        require_countable(whole.begin.size());
    }
    return whole;
}

void require_valid(const Runs& runs) {
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::invalid_argument(what);
    };
    require(runs.shape.size() == 2 || runs.shape.size() == 3, "a run list has 2 or 3 axes");
    require(std::all_of(runs.shape.begin(), runs.shape.end(), [](auto n) { return n >= 0; }),
            "shape of a run list must not be negative");
    std::int64_t most = std::numeric_limits<std::int64_t>::max();
    for (const std::int64_t extent : runs.shape) most /= std::max<std::int64_t>(1, extent);
    require(most > 0, "a run list has fewer than 2**63 pixels");
    require(runs.row_length() <= kMaxRowLength, "rows of a run list are too long");
    const std::size_t count = runs.begin.size();
    require_countable(count);
    require(runs.end.size() == count, "begin and end must be equally many");
    require(runs.value.empty() || runs.value.size() == count, "one value per run");
    require(runs.row_begin.size() == static_cast<std::size_t>(runs.rows()) + 1 &&
                runs.row_begin[0] == 0 &&
                runs.row_begin.back() == static_cast<std::int64_t>(count) &&
                std::is_sorted(runs.row_begin.begin(), runs.row_begin.end()),
            "row_begin must rise from 0 to the number of runs, one entry more than rows");
    bool in_order = true;
    for (std::int64_t row = 0; row < runs.rows(); ++row) {
        const auto r = static_cast<std::size_t>(row);
        std::uint32_t last = 0;
        for (std::int64_t run = runs.row_begin[r]; run < runs.row_begin[r + 1]; ++run) {
            const auto i = static_cast<std::size_t>(run);
            in_order &= last <= runs.begin[i] && runs.begin[i] < runs.end[i];
            last = runs.end[i];
        }
        in_order &= last <= runs.row_length();
    }
    require(in_order, "runs must be in order, not empty, apart and within their row");
}

void require_maximal(const Runs& runs) {
    for (std::size_t row = 0; row + 1 < runs.row_begin.size(); ++row)
        for (std::int64_t run = runs.row_begin[row] + 1; run < runs.row_begin[row + 1]; ++run) {
            const auto i = static_cast<std::size_t>(run);
            if (runs.begin[i] == runs.end[i - 1] &&
                (runs.value.empty() || runs.value[i] == runs.value[i - 1]))
                throw std::invalid_argument("runs of one value must not touch each other");
        }
}

// --- painting ---

namespace {

// What the runs of a list are filled with.
struct Paint {
    const Runs& runs;
    const std::int32_t* key;
    const std::int64_t* value_of_key;

    template <class Label>
    void labels_of(RunRange range, Label* out) const {
        for (std::int64_t run = range.begin; run < range.end; ++run)
            *out++ = static_cast<Label>(value(static_cast<std::size_t>(run)));
    }

   private:
    [[nodiscard]] std::int64_t value(std::size_t run) const {
        if (key != nullptr)
            return value_of_key != nullptr ? value_of_key[key[run]] : std::int64_t{key[run]} + 1;
        return runs.value.empty() ? 1 : runs.value[run];
    }
};

template <class Label>
class Painter {
   public:
    Painter(const Paint& paint, std::int64_t background, bool is_zero)
        : paint_(paint), length_(paint.runs.row_length()), paint_row_(kernel()) {
        row_.length = length_;
        row_.background = static_cast<std::uint64_t>(background);
        row_.is_blank = is_zero && background == 0;
    }

    void paint_rows(std::int64_t first_row, std::int64_t last_row, Label* image) {
        if (first_row == last_row || length_ == 0) return;
        // What lies behind the last row is not ours: as many rows as a kernel may write beyond its
        // own are painted elsewhere first.
        constexpr auto kSlack = simd::kPaintSlack / static_cast<std::int64_t>(sizeof(Label));
        const std::int64_t apart = std::min((kSlack - 1) / length_ + 1, last_row - first_row);
        Label* out = image + first_row * length_;
        std::int64_t row = first_row;
        for (; row < last_row - apart; ++row, out += length_) paint_row(row, out);
        Buffer<Label> last(static_cast<std::size_t>(apart * length_ + kSlack));
        if (row_.is_blank) std::fill(last.begin(), last.end(), Label{0});
        for (Label* its = last.data(); row < last_row; ++row, its += length_) paint_row(row, its);
        std::copy(last.data(), last.data() + apart * length_, out);
    }

   private:
    static simd::PaintRow kernel() {
        return region_kernels().paint_row[sizeof(Label) == 8 ? 3 : sizeof(Label) / 2];
    }
    void paint_row(std::int64_t row, Label* out) {
        const Runs& runs = paint_.runs;
        const auto r = static_cast<std::size_t>(row);
        const RunRange range{runs.row_begin[r], runs.row_begin[r + 1]};
        row_.runs = range.end - range.begin;
        if (row_.runs == 0 && row_.is_blank) return;
        labels_.resize(static_cast<std::size_t>(row_.runs));
        paint_.labels_of(range, labels_.data());
        row_.label = labels_.data();
        row_.begin = runs.begin.data() + range.begin;
        row_.end = runs.end.data() + range.begin;
        paint_row_(row_, out);
    }

    const Paint& paint_;
    std::int64_t length_;
    simd::PaintRow paint_row_;
    simd::RowPaint row_{};
    Buffer<Label> labels_;  // of the row's runs
};

}  // namespace

void paint(const Runs& runs, const std::int32_t* key, const std::int64_t* value_of_key,
           std::int64_t background, const Canvas& canvas, int threads) {
    const SlabPlan plan(VolumeShape(runs.shape), threads);
    const Paint what{runs, key, value_of_key};
    with_label_type(item_size(canvas.dtype), [&](auto label) {
        using Label = decltype(label);
        run_blocks(plan.count(), plan.threads(), [&](std::int64_t block) {
            Painter<Label> painter(what, background, canvas.is_zero);
            painter.paint_rows(plan.first_row(block), plan.first_row(block + 1),
                               reinterpret_cast<Label*>(canvas.data));
        });
    });
}

}  // namespace segmeter
