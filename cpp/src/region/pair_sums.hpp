// Sums of counts by pairs of labels, most of which are met again within a few rows or never.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "segmeter/region/buffer.hpp"

#include "region/pair_table.hpp"

namespace segmeter {

// A table in L1 has one place for each hash. A pair that comes to the place of another drives it
// out to a list, with what was counted of it: no branch asks whether it does, and nothing is
// searched. Most pairs are driven out when the image has moved on, so that few are listed twice.
template <class Key>
class PairSums {
   public:
    // Adds count_at(i) > 0 to key_at(i), for i below n.
    template <class KeyAt, class CountAt>
    void add_many(std::size_t n, KeyAt&& key_at, CountAt&& count_at) {
        listed_.reserve_more(n);
        Sum* const first = listed_.data();
        Sum* end = listed_.end();
        for (std::size_t i = 0; i < n; ++i) {
            const Key key = key_at(i);
            const std::size_t place = pair_hash(key) >> kShift;
            const Key old_key = keys_[place];
            const std::int64_t old_sum = sums_[place];
            const auto is_other = std::int64_t{!(old_key == key)};
            end->key = old_key;
            end->sum = old_sum;
            end += is_other;
            keys_[place] = key;
            sums_[place] = (old_sum & (is_other - 1)) + count_at(i);
        }
        listed_.resize(static_cast<std::size_t>(end - first));
        added_ += n;
    }

    // Whether it is time to empty the list into a table.
    [[nodiscard]] bool is_long() const noexcept { return listed_.size() >= kLong; }
    // Whether pairs come from everywhere, so that the next ones had better go to the table at once.
    [[nodiscard]] bool is_scattered() const noexcept { return kSeldom * listed_.size() > added_; }
    void clear() {
        keys_.fill(Key{});
        sums_.fill(0);
        listed_.resize(0);
        added_ = 0;
    }

    [[nodiscard]] std::size_t most_visits() const noexcept { return listed_.size() + kPlaces; }
    // visit(key, sum): every pair, some several times, and keys of no pair with a sum of 0.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (const Sum& listed : listed_) visit(listed.key, listed.sum);
        for (std::size_t place = 0; place < kPlaces; ++place) visit(keys_[place], sums_[place]);
    }

   private:
    struct Sum {
        Key key;
        std::int64_t sum;
    };
    static constexpr int kPlaceBits = 11;
    static constexpr int kShift = 64 - kPlaceBits;
    static constexpr std::size_t kPlaces = std::size_t{1} << kPlaceBits;
    static constexpr std::size_t kLong = std::size_t{1} << 15;
    static constexpr std::size_t kSeldom = 4;

    // Apart, or they would be stored as one vector, which loads of a half wait for.
    std::array<Key, kPlaces> keys_{};
    std::array<std::int64_t, kPlaces> sums_{};
    Buffer<Sum> listed_;
    std::size_t added_ = 0;
};

}  // namespace segmeter
