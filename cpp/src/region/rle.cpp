#include "segmeter/region/rle.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace segmeter {
namespace {

constexpr std::int64_t kMaxPixels = std::numeric_limits<std::uint32_t>::max();
constexpr double kMaxCoordinate = 1e8;
constexpr std::int64_t kFiner = 5;   // polygons are walked on a grid this much finer
constexpr std::int64_t kMiddle = 2;  // fine column just left of the middle of a pixel
constexpr unsigned kMoreBit = 0x20;
constexpr unsigned kSignBit = 0x10;
constexpr unsigned kGroupBits = 5;
constexpr unsigned kFirstCharacter = 48;
constexpr unsigned kMaxGroups = 8;  // 40 bits: more than any difference of two lengths needs

std::invalid_argument wrong_total(std::int64_t total, std::int64_t height, std::int64_t width) {
    return std::invalid_argument("the counts add up to " + std::to_string(total) +
                                 " pixels, but the image of " + std::to_string(height) + " x " +
                                 std::to_string(width) + " has " + std::to_string(height * width));
}

void check_size(std::int64_t height, std::int64_t width) {
    if (height < 0 || width < 0 || (width > 0 && height > kMaxPixels / width))
        throw std::invalid_argument("an image of " + std::to_string(height) + " x " +
                                    std::to_string(width) +
                                    " pixels: sizes must not be negative, and there must be fewer"
                                    " than 2^32 pixels");
}

std::invalid_argument negative_count(std::size_t index, std::int64_t count) {
    return std::invalid_argument("count " + std::to_string(index) + " is negative (" +
                                 std::to_string(count) + ")");
}

// One number of the text form; moves `place` behind it.
std::int64_t read_number(std::string_view text, std::size_t& place) {
    std::int64_t value = 0;
    for (unsigned group = 0;; ++group) {
        if (place == text.size())
            throw std::invalid_argument("the counts end within a number: text cut off?");
        const unsigned bits =
            static_cast<unsigned>(static_cast<unsigned char>(text[place])) - kFirstCharacter;
        if (bits >= 2 * kMoreBit)
            throw std::invalid_argument(
                "the counts hold a character that does not occur in them,"
                " at position " +
                std::to_string(place));
        if (group == kMaxGroups)
            throw std::invalid_argument("the counts hold a number beyond 40 bits at position " +
                                        std::to_string(place));
        ++place;
        value |= static_cast<std::int64_t>(bits & (kMoreBit - 1)) << (kGroupBits * group);
        if ((bits & kMoreBit) != 0) continue;
        // A set sign bit counts twice its value downwards.
        return value - (static_cast<std::int64_t>(bits & kSignBit) << (kGroupBits * group + 1));
    }
}

// Nearest point of the finer grid, as a conversion from double to int rounds: towards zero.
std::int64_t to_fine(double coordinate) {
    // NOLINTNEXTLINE(bugprone-incorrect-roundings): negative ones as the official code has them
    return static_cast<std::int64_t>(static_cast<double>(kFiner) * coordinate + 0.5);
}

// First pixel of a column whose middle lies at or below a fine row.
std::int64_t pixel_row(std::int64_t fine, std::int64_t height) {
    return fine < 0 ? 0 : std::min((fine + kMiddle) / kFiner, height);
}

struct Point {
    std::int64_t x;
    std::int64_t y;
};

// Fine row at which an edge that is wider than tall passes from column `c` to `c + 1`.
class ShallowEdge {
   public:
    ShallowEdge(Point left, Point right)
        : left_(left),
          slope_(static_cast<double>(right.y - left.y) / static_cast<double>(right.x - left.x)) {}
    [[nodiscard]] std::int64_t row(std::int64_t c) const {
        return std::min(at(c - left_.x), at(c + 1 - left_.x));
    }

   private:
    [[nodiscard]] std::int64_t at(std::int64_t step) const {
        // NOLINTNEXTLINE(bugprone-incorrect-roundings): the same
        return static_cast<std::int64_t>(static_cast<double>(left_.y) +
                                         slope_ * static_cast<double>(step) + 0.5);
    }
    Point left_;
    double slope_;
};

// The same for an edge that is taller than wide: the last row before the passage. Found from an
// estimate, then moved to where the rounded expression of the walk itself changes.
class SteepEdge {
   public:
    SteepEdge(Point top, Point bottom)
        : top_(top),
          height_(bottom.y - top.y),
          slope_(static_cast<double>(bottom.x - top.x) / static_cast<double>(height_)) {}
    [[nodiscard]] std::int64_t row(std::int64_t c) const {
        const double estimate =
            (static_cast<double>(c - top_.x) + 0.5) / slope_;  // slope_ != 0: there is a passage
        std::int64_t step =
            std::clamp(static_cast<std::int64_t>(estimate), std::int64_t{0}, height_ - 1);
        while (step > 0 && !before(c, step)) --step;
        while (step + 1 < height_ && before(c, step + 1)) ++step;
        return top_.y + step;
    }

   private:
    [[nodiscard]] bool before(std::int64_t c, std::int64_t step) const {
        const double x = static_cast<double>(top_.x) + slope_ * static_cast<double>(step) + 0.5;
        const bool left = x < static_cast<double>(c + 1);
        return slope_ > 0 ? left : !left;
    }
    Point top_;
    std::int64_t height_;
    double slope_;
};

// Where the outline passes the middle of a column, and the flat position that toggles there.
struct Passage {
    std::uint32_t column;
    std::uint32_t position;
};

template <class Edge>
void add_passages(const Edge& edge, std::int64_t low, std::int64_t high, std::int64_t height,
                  std::int64_t width, std::vector<Passage>& passages) {
    // Passages c to c + 1 with c = 5 * column + 2, low <= c < high.
    std::int64_t column = (std::max<std::int64_t>(low, 0) + kFiner - 1 - kMiddle) / kFiner;
    for (; column < width && kFiner * column + kMiddle < high; ++column) {
        const std::int64_t row = pixel_row(edge.row(kFiner * column + kMiddle), height);
        passages.push_back({static_cast<std::uint32_t>(column),
                            static_cast<std::uint32_t>(column * height + row)});
    }
}

void add_edge(Point a, Point b, std::int64_t height, std::int64_t width,
              std::vector<Passage>& passages) {
    const std::int64_t dx = std::abs(b.x - a.x);
    if (dx == 0) return;  // passes no column
    const std::int64_t low = std::min(a.x, b.x);
    const std::int64_t high = std::max(a.x, b.x);
    if (dx >= std::abs(b.y - a.y)) {
        if (a.x > b.x) std::swap(a, b);
        add_passages(ShallowEdge(a, b), low, high, height, width, passages);
    } else {
        if (a.y > b.y) std::swap(a, b);
        add_passages(SteepEdge(a, b), low, high, height, width, passages);
    }
}

// Positions in ascending order: into their columns by counting, then the few of a column.
void sort_passages(std::span<const Passage> passages, std::vector<std::uint32_t>& positions,
                   std::vector<std::uint32_t>& starts) {
    positions.resize(passages.size());
    if (passages.empty()) return;
    const auto [first, last] =
        std::minmax_element(passages.begin(), passages.end(),
                            [](const Passage& a, const Passage& b) { return a.column < b.column; });
    const std::uint32_t base = first->column;
    starts.assign(last->column - base + 2, 0);
    for (const Passage& passage : passages) ++starts[passage.column - base + 1];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    for (const Passage& passage : passages)
        positions[starts[passage.column - base]++] = passage.position;
    auto begin = positions.begin();
    for (std::size_t column = 0; column + 1 < starts.size(); ++column) {
        const auto end = positions.begin() + starts[column];
        std::sort(begin, end);
        begin = end;
    }
}

void check_polygon(std::span<const double> polygon) {
    if (polygon.size() % 2 != 0)
        throw std::invalid_argument("a polygon has " + std::to_string(polygon.size()) +
                                    " numbers: x and y must alternate");
    if (polygon.size() < 6)
        throw std::invalid_argument("a polygon has " + std::to_string(polygon.size() / 2) +
                                    " points, but needs three or more");
    for (const double value : polygon)
        if (!(std::abs(value) <= kMaxCoordinate))  // also NaN
            throw std::invalid_argument("a polygon holds the coordinate " + std::to_string(value));
}

void add_polygon(std::span<const double> polygon, std::int64_t height, std::int64_t width,
                 std::vector<Passage>& passages) {
    const auto corner = [&](std::size_t k) {
        return Point{to_fine(polygon[2 * k]), to_fine(polygon[2 * k + 1])};
    };
    const std::size_t corners = polygon.size() / 2;
    Point from = corner(corners - 1);
    for (std::size_t k = 0; k < corners; ++k) {
        const Point to = corner(k);
        add_edge(from, to, height, width, passages);
        from = to;
    }
}

// Positions that occur an odd number of times in a sorted range, in place.
template <class Iterator>
Iterator keep_odd(Iterator first, Iterator last) {
    Iterator out = first;
    while (first != last) {
        const auto next = std::find_if(first, last, [&](auto value) { return value != *first; });
        if ((next - first) % 2 != 0) *out++ = *first;
        first = next;
    }
    return out;
}

// Each bound above the one before; without a branch for each.
bool is_ascending(RunBounds mask) {
    bool ascending = true;
    for (std::size_t k = 1; k < mask.size(); ++k) ascending &= mask[k] > mask[k - 1];
    return ascending;
}

}  // namespace

void check_masks(const RunMaskView& masks) {
    check_size(masks.height, masks.width);
    const auto pixels = static_cast<std::uint32_t>(masks.height * masks.width);
    const auto total = static_cast<std::int64_t>(masks.bounds.size());
    bool fits =
        !masks.offsets.empty() && masks.offsets.front() == 0 && masks.offsets.back() == total;
    for (std::size_t k = 1; fits && k < masks.offsets.size(); ++k)
        fits = masks.offsets[k] >= masks.offsets[k - 1] && masks.offsets[k] <= total;
    for (std::int64_t k = 0; fits && k < masks.size(); ++k) {
        const RunBounds mask = masks[k];
        fits =
            mask.size() % 2 == 0 && (mask.empty() || mask.back() <= pixels) && is_ascending(mask);
    }
    if (!fits) throw std::invalid_argument("bounds and offsets are not those of run-length masks");
}

RunMasks::RunMasks(std::int64_t height, std::int64_t width) : height_(height), width_(width) {
    check_size(height, width);
}

RunMaskView RunMasks::view() const noexcept { return {height_, width_, bounds_, offsets_}; }

// The sorted scratch positions become a mask; an odd number of them lasts to the image's end.
void RunMasks::append_toggles() {
    if (toggles_.size() % 2 != 0) toggles_.push_back(static_cast<std::uint32_t>(height_ * width_));
    const auto twice = std::adjacent_find(toggles_.begin(), toggles_.end());
    const auto end = twice == toggles_.end() ? twice : keep_odd(toggles_.begin(), toggles_.end());
    bounds_.insert(bounds_.end(), toggles_.begin(), end);
    offsets_.push_back(static_cast<std::int64_t>(bounds_.size()));
}

void RunMasks::append_empty() { offsets_.push_back(offsets_.back()); }

void RunMasks::append_counts(std::span<const std::int64_t> counts) {
    toggles_.clear();
    const std::int64_t pixels = height_ * width_;
    std::int64_t total = 0;
    for (std::size_t k = 0; k < counts.size(); ++k) {
        if (counts[k] < 0) throw negative_count(k, counts[k]);
        if (counts[k] > pixels - total)
            throw wrong_total(total + std::min(counts[k], kMaxPixels), height_, width_);
        total += counts[k];
        if (k + 1 < counts.size()) toggles_.push_back(static_cast<std::uint32_t>(total));
    }
    if (total != pixels) throw wrong_total(total, height_, width_);
    append_toggles();
}

void RunMasks::append_text(std::string_view text) {
    const std::int64_t pixels = height_ * width_;
    toggles_.resize(text.size() + 1);  // a number has one character at least
    std::size_t n = 0;
    std::int64_t total = 0;
    std::int64_t before[2] = {0, 0};  // the lengths one and two places back
    for (std::size_t place = 0; place < text.size(); ++n) {
        const std::int64_t number = read_number(text, place);
        const std::int64_t count = n > 2 ? number + before[1] : number;
        if (count < 0) throw negative_count(n, count);
        total += count;
        if (total > pixels) throw wrong_total(total, height_, width_);
        toggles_[n] = static_cast<std::uint32_t>(total);
        before[1] = std::exchange(before[0], count);
    }
    if (total != pixels) throw wrong_total(total, height_, width_);
    toggles_.resize(n - (n > 0 ? 1 : 0));
    append_toggles();
}

void RunMasks::append_polygons(std::span<const double> coordinates,
                               std::span<const std::size_t> ends) {
    if (ends.empty()) throw std::invalid_argument("there is no polygon");
    RunMasks parts(height_, width_);
    std::vector<Passage> passages;
    std::vector<std::uint32_t> starts;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
        const auto polygon = coordinates.subspan(begin, end - begin);
        check_polygon(polygon);
        RunMasks& to = ends.size() == 1 ? *this : parts;
        passages.clear();
        add_polygon(polygon, height_, width_, passages);
        sort_passages(passages, to.toggles_, starts);
        to.append_toggles();
        begin = end;
    }
    if (ends.size() > 1) append_merged(parts.view(), false);
}

void RunMasks::append_pixels(const std::byte* data, std::int64_t row_stride,
                             std::int64_t column_stride) {
    // Columns of a row-major array are read in bands, so that a cache line is used whole.
    constexpr std::int64_t kBand = 64;
    toggles_.clear();
    std::vector<std::uint8_t> band(static_cast<std::size_t>(std::min(kBand, width_) * height_));
    bool inside = false;
    for (std::int64_t first = 0; first < width_; first += kBand) {
        const std::int64_t columns = std::min(kBand, width_ - first);
        for (std::int64_t row = 0; row < height_; ++row) {
            const std::byte* source = data + row * row_stride + first * column_stride;
            for (std::int64_t column = 0; column < columns; ++column)
                band[static_cast<std::size_t>(column * height_ + row)] =
                    source[column * column_stride] != std::byte{0} ? 1 : 0;
        }
        for (std::int64_t k = 0; k < columns * height_; ++k) {
            if ((band[static_cast<std::size_t>(k)] != 0) == inside) continue;
            inside = !inside;
            toggles_.push_back(static_cast<std::uint32_t>(first * height_ + k));
        }
    }
    append_toggles();
}

void RunMasks::append_merged(const RunMaskView& masks, bool intersection) {
    if (masks.height != height_ || masks.width != width_)
        throw std::invalid_argument("masks of different image sizes cannot be merged");
    struct Event {
        std::uint32_t position;
        bool end;
    };
    std::vector<Event> events;
    events.reserve(masks.bounds.size());
    for (std::size_t k = 0; k < masks.bounds.size(); ++k)  // an even number for every mask
        events.push_back({masks.bounds[k], k % 2 != 0});
    std::sort(events.begin(), events.end(),
              [](const Event& a, const Event& b) { return a.position < b.position; });
    const std::int64_t needed = intersection ? masks.size() : 1;
    std::int64_t depth = 0;
    bool inside = false;
    toggles_.clear();
    for (std::size_t k = 0; k < events.size(); ++k) {
        depth += events[k].end ? -1 : 1;
        const bool last = k + 1 == events.size() || events[k + 1].position != events[k].position;
        if (!last || (depth >= needed) == inside) continue;
        inside = !inside;
        toggles_.push_back(events[k].position);
    }
    append_toggles();
}

std::int64_t mask_area(RunBounds mask) noexcept {
    std::int64_t area = 0;
    for (std::size_t k = 0; k < mask.size(); k += 2) area += mask[k + 1] - mask[k];
    return area;
}

PixelBox mask_box(RunBounds mask, std::int64_t height) noexcept {
    if (mask.empty()) return {};
    const auto rows = static_cast<std::uint32_t>(height);
    PixelBox box{height, 0, mask.front() / rows, (mask.back() - 1) / rows + 1};
    std::int64_t column = box.left * height;  // its first position
    for (std::size_t k = 0; k < mask.size(); k += 2) {
        if (mask[k] >= column + height) {
            column += height;  // most runs begin in the column after the last one
            if (mask[k] >= column + height) column = std::int64_t{mask[k] / rows} * height;
        }
        const std::int64_t bottom = mask[k + 1] - column;
        if (bottom > height) {  // the run goes on in the next column
            box.top = 0;
            box.bottom = height;
            break;
        }
        box.top = std::min(box.top, mask[k] - column);
        box.bottom = std::max(box.bottom, bottom);
    }
    return box;
}

std::int64_t mask_intersection(RunBounds a, RunBounds b) noexcept {
    if (a.empty() || b.empty()) return 0;
    // Runs that end before the other mask begins share nothing: the walk starts behind them.
    const auto start = [](RunBounds mask, std::uint32_t from) {
        const auto place = std::upper_bound(mask.begin(), mask.end(), from) - mask.begin();
        return static_cast<std::size_t>(place / 2 * 2);
    };
    std::size_t i = start(a, b.front());
    std::size_t j = start(b, a.front());
    std::int64_t shared = 0;
    while (i < a.size() && j < b.size()) {
        const std::uint32_t begin = std::max(a[i], b[j]);
        const std::uint32_t end = std::min(a[i + 1], b[j + 1]);
        shared += end > begin ? end - begin : 0U;
        const bool first_ends = a[i + 1] < b[j + 1];
        i += first_ends ? 2U : 0U;
        j += first_ends ? 0U : 2U;
    }
    return shared;
}

std::vector<std::int64_t> mask_counts(RunBounds mask, std::int64_t pixels) {
    std::vector<std::int64_t> counts;
    counts.reserve(mask.size() + 1);
    std::int64_t before = 0;
    for (const std::int64_t bound : mask) {
        counts.push_back(bound - before);
        before = bound;
    }
    if (before < pixels || counts.empty()) counts.push_back(pixels - before);
    return counts;
}

std::string mask_text(RunBounds mask, std::int64_t pixels) {
    const std::vector<std::int64_t> counts = mask_counts(mask, pixels);
    std::string text;
    for (std::size_t k = 0; k < counts.size(); ++k) {
        std::int64_t rest = k > 2 ? counts[k] - counts[k - 2] : counts[k];
        for (bool more = true; more;) {
            auto bits = static_cast<unsigned>(rest & (kMoreBit - 1));
            rest >>= kGroupBits;
            more = rest != ((bits & kSignBit) != 0 ? -1 : 0);
            if (more) bits |= kMoreBit;
            text.push_back(static_cast<char>(bits + kFirstCharacter));
        }
    }
    return text;
}

void paint_mask(RunBounds mask, std::int64_t height, std::int64_t width, std::uint8_t* out) {
    for (std::size_t k = 0; k < mask.size(); k += 2)
        for (std::int64_t p = mask[k]; p < mask[k + 1]; ++p)
            out[p % height * width + p / height] = 1;
}

MaskTable::MaskTable(const RunMaskView& masks) {
    areas.reserve(static_cast<std::size_t>(masks.size()));
    boxes.reserve(static_cast<std::size_t>(masks.size()));
    for (std::int64_t k = 0; k < masks.size(); ++k) {
        areas.push_back(mask_area(masks[k]));
        boxes.push_back(mask_box(masks[k], masks.height));
    }
}

std::int64_t box_intersection(const PixelBox& a, const PixelBox& b) noexcept {
    const std::int64_t rows = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
    const std::int64_t columns = std::min(a.right, b.right) - std::max(a.left, b.left);
    return rows > 0 && columns > 0 ? rows * columns : 0;
}

void mask_iou(const RunMaskView& pred, const RunMaskView& target, const std::uint8_t* crowd,
              double* out) {
    const MaskTable preds(pred);
    const MaskTable targets(target);
    for (std::int64_t p = 0; p < pred.size(); ++p) {
        const auto i = static_cast<std::size_t>(p);
        for (std::int64_t t = 0; t < target.size(); ++t) {
            const auto j = static_cast<std::size_t>(t);
            const std::int64_t shared = box_intersection(preds.boxes[i], targets.boxes[j]) == 0
                                            ? 0
                                            : mask_intersection(pred[p], target[t]);
            const std::int64_t whole = crowd != nullptr && crowd[j] != 0
                                           ? preds.areas[i]
                                           : preds.areas[i] + targets.areas[j] - shared;
            *out++ = shared == 0 ? 0.0 : static_cast<double>(shared) / static_cast<double>(whole);
        }
    }
}

}  // namespace segmeter
