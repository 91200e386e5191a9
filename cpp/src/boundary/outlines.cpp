#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <vector>

#include "segmeter/boundary/band.hpp"
#include "segmeter/parallel.hpp"

#include "boundary/bit_rows.hpp"
#include "boundary/class_maps.hpp"
#include "boundary/windows.hpp"
#include "region/rows.hpp"

namespace segmeter {
namespace {

using boundary::BitRows;
using boundary::ClassMap;
using boundary::ClassMaps;
using boundary::count_bits;

// Half-open box of pixels of a volume.
struct Box {
    std::int64_t slice_begin = 0;
    std::int64_t slice_end = 0;
    std::int64_t row_begin = 0;
    std::int64_t row_end = 0;
    std::int64_t begin = 0;
    std::int64_t end = 0;

    [[nodiscard]] bool empty() const { return end == 0; }
    [[nodiscard]] std::int64_t rows() const { return row_end - row_begin; }
    [[nodiscard]] std::int64_t lines() const { return (slice_end - slice_begin) * rows(); }
    [[nodiscard]] std::int64_t length() const { return end - begin; }

    void add(std::int64_t slice, std::int64_t row, std::int64_t from, std::int64_t to) {
        if (empty()) {
            *this = {slice, slice + 1, row, row + 1, from, to};
            return;
        }
        slice_begin = std::min(slice_begin, slice);
        slice_end = std::max(slice_end, slice + 1);
        row_begin = std::min(row_begin, row);
        row_end = std::max(row_end, row + 1);
        begin = std::min(begin, from);
        end = std::max(end, to);
    }
};

// The box of every class, pixels of either map; the last one is of those of no class.
template <class Code>
std::vector<Box> class_boxes(const ClassMaps<Code>& maps) {
    std::vector<Box> boxes(static_cast<std::size_t>(maps.num_classes + 1));
    const VolumeShape& shape = maps.shape;
    for (const ClassMap<Code>* map : {&maps.pred, &maps.target}) {
        const BitRows changes = boundary::changes_in_rows(map->row(0), shape, maps.threads);
        for (std::int64_t row = 0; row < shape.all_rows(); ++row) {
            std::int64_t begin = 0;
            const auto end_run = [&](std::int64_t end) {
                boxes[map->row(row)[begin]].add(row / shape.rows, row % shape.rows, begin, end);
                begin = end;
            };
            for (std::int64_t word = 0; word < changes.words(); ++word)
                for (std::uint64_t bits = changes.row(row)[word]; bits != 0; bits &= bits - 1)
                    end_run(64 * word + std::countr_zero(bits));
            end_run(shape.length);
        }
    }
    return boxes;
}

// The box with one more pixel on every side, as far as the image goes: what the outline of a class
// depends on, and nothing of it lies where a block or a neighbour would lead out of the box.
Box widened(const Box& box, const VolumeShape& shape) {
    return {
        std::max<std::int64_t>(0, box.slice_begin - 1), std::min(shape.slices, box.slice_end + 1),
        std::max<std::int64_t>(0, box.row_begin - 1),   std::min(shape.rows, box.row_end + 1),
        std::max<std::int64_t>(0, box.begin - 1),       std::min(shape.length, box.end + 1)};
}

// The image in which a box lies, and what is known of it.
struct Image {
    VolumeShape shape;
    OutlineOptions options;
    const std::uint8_t* ignored;  // a byte a pixel, or null
    bool is_volume;
};

// A class's pixels and its outline within a box.
template <class Code>
class Outline {
   public:
    Outline(const Code* codes, Code label, const Image& image, const Box& box)
        : codes_(codes),
          label_(label),
          image_(image),
          box_(box),
          has_unknown_(image.ignored != nullptr && !image.options.ignored_is_outside),
          inside_(box.lines(), box.length()),
          unknown_(has_unknown_ ? box.lines() : 0, box.length()) {
        read();
    }

    [[nodiscard]] BitRows find() const {
        BitRows outline(box_.lines(), box_.length());
        for (std::int64_t line = 0; line < box_.lines(); ++line) {
            const bool corner = image_.options.rule == OutlineRule::kCorner;
            corner ? corner_line(line, outline.row(line)) : inner_line(line, outline.row(line));
        }
        return outline;
    }

   private:
    void read() {
        const std::int64_t length = box_.length();
        const std::int64_t last = inside_.words() - 1;
        const auto differ = boundary::band_kernels().differ;
        const std::vector<Code> label(static_cast<std::size_t>(length), label_);
        const std::vector<std::uint8_t> none(static_cast<std::size_t>(length));
        std::vector<std::uint64_t> ignored(static_cast<std::size_t>(inside_.words()));
        for (std::int64_t line = 0; line < box_.lines(); ++line) {
            const std::int64_t slice = box_.slice_begin + line / box_.rows();
            const std::int64_t row = box_.row_begin + line % box_.rows();
            const std::int64_t at =
                (slice * image_.shape.rows + row) * image_.shape.length + box_.begin;
            std::uint64_t* inside = inside_.row(line);
            differ[simd::code_place(sizeof(Code))](codes_ + at, label.data(), length, inside);
            for (std::int64_t word = 0; word <= last; ++word) inside[word] = ~inside[word];
            inside[last] &= boundary::bits_below((length - 1) % 64 + 1);
            if (image_.ignored == nullptr) continue;
            std::uint64_t* out = has_unknown_ ? unknown_.row(line) : ignored.data();
            differ[0](image_.ignored + at, none.data(), length, out);
            for (std::int64_t word = 0; !has_unknown_ && word <= last; ++word)
                inside[word] &= ~out[word];
        }
    }

    // Lines around one line of the box: itself where there is none.
    struct Neighbours {
        std::int64_t slice_before;
        std::int64_t slice_after;
        std::int64_t row_before;
        std::int64_t row_after;
        std::int64_t both_after;  // slice and row
    };

    [[nodiscard]] Neighbours around(std::int64_t line) const {
        const std::int64_t row = line % box_.rows();
        const std::int64_t after = row + 1 < box_.rows() ? 1 : 0;
        const std::int64_t further = line + box_.rows() < box_.lines() ? box_.rows() : 0;
        const std::int64_t back = line >= box_.rows() ? box_.rows() : 0;
        return {line - back, line + further, line - (row > 0 ? 1 : 0), line + after,
                line + further + after};
    }

    // A word of a line with the bit of the next or of the previous pixel at each place; at the end
    // of the line the last one's own.
    [[nodiscard]] std::uint64_t after(const std::uint64_t* row, std::int64_t word) const {
        std::uint64_t bits = row[word] >> 1;
        if (word + 1 < inside_.words()) bits |= row[word + 1] << 63;
        const std::int64_t last = box_.length() - 1;
        if (word == last / 64) bits |= row[word] & std::uint64_t{1} << (last % 64);
        return bits;
    }
    [[nodiscard]] static std::uint64_t before(const std::uint64_t* row, std::int64_t word) {
        return row[word] << 1 | (word > 0 ? row[word - 1] >> 63 : row[word] & 1);
    }

    // Pixels whose block of 2 x 2 (x 2) holds known pixels of both sides, themselves known.
    void corner_line(std::int64_t line, std::uint64_t* out) const {
        const Neighbours near = around(line);
        for (std::int64_t word = 0; word < inside_.words(); ++word) {
            std::uint64_t any = 0;
            std::uint64_t all = ~std::uint64_t{0};
            for (const std::int64_t other :
                 {line, near.row_after, near.slice_after, near.both_after}) {
                const std::uint64_t* inside = inside_.row(other);
                std::uint64_t here = inside[word];
                std::uint64_t next = after(inside, word);
                any |= here | next;
                if (has_unknown_) {
                    here |= unknown_.row(other)[word];
                    next |= after(unknown_.row(other), word);
                }
                all &= here & next;
            }
            out[word] = any & ~all;
            if (has_unknown_) out[word] &= ~unknown_.row(line)[word];
        }
    }

    // Pixels of the class with a known face neighbour that is not of it.
    void inner_line(std::int64_t line, std::uint64_t* out) const {
        const Neighbours near = around(line);
        const auto may_be_inside = [&](std::int64_t other, std::int64_t word) {
            return inside_.row(other)[word] | (has_unknown_ ? unknown_.row(other)[word] : 0);
        };
        for (std::int64_t word = 0; word < inside_.words(); ++word) {
            const std::uint64_t* inside = inside_.row(line);
            std::uint64_t left = before(inside, word);
            std::uint64_t right = after(inside, word);
            if (has_unknown_) {
                left |= before(unknown_.row(line), word);
                right |= after(unknown_.row(line), word);
            }
            const std::uint64_t all = left & right & may_be_inside(near.row_before, word) &
                                      may_be_inside(near.row_after, word) &
                                      may_be_inside(near.slice_before, word) &
                                      may_be_inside(near.slice_after, word);
            out[word] = inside[word] & ~all;
        }
        if (image_.options.border) add_border(line, out);
        for (std::int64_t word = 0; has_unknown_ && word < inside_.words(); ++word)
            out[word] &= ~unknown_.row(line)[word];
    }

    // Pixels of the class at the image's border.
    void add_border(std::int64_t line, std::uint64_t* out) const {
        const std::int64_t slice = box_.slice_begin + line / box_.rows();
        const std::int64_t row = box_.row_begin + line % box_.rows();
        const auto at_end = [](std::int64_t i, std::int64_t count) {
            return i == 0 || i == count - 1;
        };
        const std::uint64_t* inside = inside_.row(line);
        if (at_end(row, image_.shape.rows) ||
            (image_.is_volume && at_end(slice, image_.shape.slices))) {
            std::copy_n(inside, inside_.words(), out);
            return;
        }
        for (const std::int64_t x : {std::int64_t{0}, image_.shape.length - 1}) {
            const std::int64_t at = x - box_.begin;
            if (at < 0 || at >= box_.length()) continue;
            out[at / 64] |= inside[at / 64] & std::uint64_t{1} << (at % 64);
        }
    }

    const Code* codes_;
    Code label_;
    const Image& image_;
    Box box_;
    bool has_unknown_;
    BitRows inside_;
    BitRows unknown_;
};

// The bits of a word that have a set bit within `reach` places along the line.
std::uint64_t near_bits(const std::uint64_t* line, std::int64_t words, std::int64_t word,
                        std::int64_t reach) {
    std::uint64_t forth = line[word];
    std::uint64_t back = line[word];
    if (forth != 0)
        boundary::for_each_doubling(std::min<std::int64_t>(reach, 63) + 1, [&](std::int64_t shift) {
            forth |= forth << shift;
            back |= back >> shift;
        });
    std::uint64_t near = forth | back;
    for (std::int64_t i = word - 1; i >= 0 && 64 * (word - i) - 63 <= reach; --i) {
        if (line[i] == 0) continue;
        // Places from the last bit of that word to the first one of this.
        const std::int64_t gap = 64 * (word - i) - 63 + std::countl_zero(line[i]);
        if (gap <= reach) near |= boundary::bits_below(std::min<std::int64_t>(reach - gap + 1, 64));
        break;
    }
    for (std::int64_t i = word + 1; i < words && 64 * (i - word) - 63 <= reach; ++i) {
        if (line[i] == 0) continue;
        const std::int64_t gap = 64 * (i - word) - 63 + std::countr_zero(line[i]);
        if (gap <= reach)
            near |= boundary::bits_from(64 - std::min<std::int64_t>(reach - gap + 1, 64));
        break;
    }
    return near;
}

struct Matches {
    std::int64_t points = 0;
    std::int64_t near = 0;
};

// How many bits of `from` there are, and how many have one of `to` near.
Matches match(const BitRows& from, const BitRows& to, const Box& box,
              std::span<const NearRow> element) {
    const std::int64_t words = from.words();
    const std::int64_t rows = box.rows();
    const std::int64_t slices = box.slice_end - box.slice_begin;
    std::vector<std::uint8_t> has_bits(static_cast<std::size_t>(box.lines()));
    for (std::int64_t line = 0; line < box.lines(); ++line)
        has_bits[static_cast<std::size_t>(line)] =
            std::any_of(to.row(line), to.row(line) + words, [](std::uint64_t w) { return w != 0; });
    Matches found;
    for (std::int64_t line = 0; line < box.lines(); ++line) {
        const std::int64_t slice = line / rows;
        const std::int64_t row = line % rows;
        for (std::int64_t word = 0; word < words; ++word) {
            std::uint64_t left = from.row(line)[word];
            if (left == 0) continue;
            const std::int64_t points = count_bits(left);
            for (const NearRow& offset : element) {
                const std::int64_t z = slice + offset.plane;
                const std::int64_t y = row + offset.row;
                if (z < 0 || z >= slices || y < 0 || y >= rows) continue;
                const std::int64_t other = z * rows + y;
                if (has_bits[static_cast<std::size_t>(other)] == 0) continue;
                left &= ~near_bits(to.row(other), words, word, offset.reach);
                if (left == 0) break;
            }
            found.points += points;
            found.near += points - count_bits(left);
        }
    }
    return found;
}

}  // namespace

PixelTally outline_matches(const ArrayView& pred, const ArrayView& target, const ArrayView* mask,
                           const LabelTable& pred_labels, const LabelTable& target_labels,
                           std::span<const NearRow> element, const OutlineOptions& options,
                           std::int64_t* counts) {
    if (target.size() == 0) return {};
    PixelTally tally;
    const std::int64_t num_classes = target_labels.num_classes();
    boundary::with_code_type(num_classes, [&](auto type) {
        using Code = decltype(type);
        const ClassMaps<Code> maps({pred, target, mask, pred_labels, target_labels},
                                   options.ignore_invalid, options.threads);
        tally = maps.tally;
        const Image image{maps.shape, options, maps.ignored(), target.shape.size() == 3};
        const std::vector<Box> boxes = class_boxes(maps);
        run_blocks(num_classes, maps.threads, [&](std::int64_t k) {
            if (options.only_class && k != *options.only_class) return;
            if (boxes[static_cast<std::size_t>(k)].empty()) return;
            const Box box = widened(boxes[static_cast<std::size_t>(k)], maps.shape);
            const auto outline = [&](const ClassMap<Code>& map) {
                return Outline<Code>(map.row(0), static_cast<Code>(k), image, box).find();
            };
            const BitRows of_pred = outline(maps.pred);
            const BitRows of_target = outline(maps.target);
            const Matches preds = match(of_pred, of_target, box, element);
            const Matches targets = match(of_target, of_pred, box, element);
            std::int64_t* cells = counts + k * kOutlineCounts;
            cells[0] += preds.points;
            cells[1] += targets.points;
            cells[2] += preds.near;
            cells[3] += targets.near;
        });
    });
    return tally;
}

}  // namespace segmeter
