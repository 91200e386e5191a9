// What is left of a stretch of pixels after others were taken out of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace segmeter::cause {

struct Interval {
    std::int64_t begin;
    std::int64_t end;
};

class Remainder {
   public:
    void reset(std::int64_t begin, std::int64_t end) { left_.assign(1, {begin, end}); }
    [[nodiscard]] bool empty() const { return left_.empty(); }
    [[nodiscard]] const std::vector<Interval>& intervals() const { return left_; }

    void remove(std::int64_t begin, std::int64_t end) {
        if (left_.empty() || end <= left_.front().begin || begin >= left_.back().end) return;
        if (begin <= left_.front().begin && end >= left_.back().end) {
            left_.clear();
            return;
        }
        next_.clear();
        for (const Interval& part : left_) {
            if (part.begin < std::min(part.end, begin))
                next_.push_back({part.begin, std::min(part.end, begin)});
            if (std::max(part.begin, end) < part.end)
                next_.push_back({std::max(part.begin, end), part.end});
        }
        std::swap(left_, next_);
    }

   private:
    std::vector<Interval> left_;
    std::vector<Interval> next_;
};

// Calls take(begin, end) for what lies in [begin, end) and in none of the remainders' intervals.
// `holes` is scratch.
template <class Take>
void for_each_gap(std::int64_t begin, std::int64_t end, std::vector<Interval>& holes, Take&& take) {
    std::sort(holes.begin(), holes.end(),
              [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
    for (const Interval& hole : holes) {
        if (begin < hole.begin) take(begin, hole.begin);
        begin = std::max(begin, hole.end);
    }
    if (begin < end) take(begin, end);
}

}  // namespace segmeter::cause
