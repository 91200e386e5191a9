// A sparse table of counts by pairs of labels: open addressing, one addition per segment.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

namespace segmeter {

// Two labels as one key: a single word where both fit.
struct WidePair {
    std::uint64_t pred;
    std::uint64_t target;
    bool operator==(const WidePair&) const = default;
};
template <class Label>
using PairKey = std::conditional_t<sizeof(Label) == 8, WidePair, std::uint64_t>;

template <class Label>
PairKey<Label> pair_key(Label pred, Label target) {
    if constexpr (sizeof(Label) == 8)
        return {pred, target};
    else
        return std::uint64_t{target} << 32 | pred;
}

// Of two labels below 2^16.
inline std::uint32_t narrow_key(std::uint64_t pred, std::uint64_t target) {
    return static_cast<std::uint32_t>(target << 16 | pred);
}

inline std::uint64_t pred_of(std::uint32_t key) { return key & 0xFFFFU; }
inline std::uint64_t target_of(std::uint32_t key) { return key >> 16; }
inline std::uint64_t pred_of(std::uint64_t key) { return key & 0xFFFFFFFFU; }
inline std::uint64_t target_of(std::uint64_t key) { return key >> 32; }
inline std::uint64_t pred_of(const WidePair& key) { return key.pred; }
inline std::uint64_t target_of(const WidePair& key) { return key.target; }

inline std::uint64_t pair_hash(std::uint64_t key) { return key * 0x9E3779B97F4A7C15U; }
inline std::uint64_t pair_hash(const WidePair& key) {
    return key.pred * 0x9E3779B97F4A7C15U ^ key.target * 0xC2B2AE3D27D4EB4FU;
}

// Count must hold the sum of all that is added.
//
// Aligned so that the headers of two workers' tables never share a cache line (nor the lines that
// the prefetcher takes in pairs): with two threads that alone made the whole slower than one.
template <class Key, class Count = std::int64_t>
class alignas(256) PairTable {
   public:
    PairTable() = default;
    PairTable(const PairTable&) = delete;
    PairTable& operator=(const PairTable&) = delete;
    PairTable(PairTable&& other) noexcept { swap(other); }
    PairTable& operator=(PairTable&& other) noexcept {
        swap(other);
        return *this;
    }
    ~PairTable() {
        if (slots_.size() <= kKept && slots_.capacity() > spare().capacity()) slots_.swap(spare());
    }

    // Number of keys.
    [[nodiscard]] std::size_t size() const noexcept { return used_; }

    // count > 0.
    void add(Key key, Count count) {
        make_room(1);
        used_ += place(slots_.data(), pair_hash(key) >> shift_, key, count);
    }

    // Adds count_at(i) > 0 to key_at(i), for i below n.
    template <class KeyAt, class CountAt>
    void add_many(std::size_t n, KeyAt&& key_at, CountAt&& count_at) {
        make_room(n);
        // In locals, which the stores below cannot be suspected to change.
        Slot* slots = slots_.data();
        const int shift = shift_;
        std::size_t used = used_;
        for (std::size_t i = 0; i < n; ++i)
            used += place(slots, pair_hash(key_at(i)) >> shift, key_at(i),
                          static_cast<Count>(count_at(i)));
        used_ = used;
    }

    template <class Visit>
    void for_each(Visit&& visit) const {
        for_each_slot(slots_, [&](const Slot& slot) {
            visit(slot.key, static_cast<std::int64_t>(slot.count));
        });
    }

    // So that `more` keys fit behind the sparse ones there are. To be called before those of
    // another table are added: they come in the order of their hashes, which would fill the front
    // of a small table and leave the rest empty.
    void make_room(std::size_t more) {
        if (kSparseness * used_ + more >= slots_.size()) [[unlikely]]
            grow(more);
    }

    // Adds all counts of another table: the larger one takes in the other.
    void add_all(PairTable&& other) {
        if (used_ < other.used_) swap(other);
        if (other.used_ == 0) return;
        make_room(other.used_);
        other.for_each([&](const Key& key, std::int64_t count) {
            used_ += place(slots_.data(), pair_hash(key) >> shift_, key, static_cast<Count>(count));
        });
    }

    void swap(PairTable& other) noexcept {
        slots_.swap(other.slots_);
        std::swap(used_, other.used_);
        std::swap(shift_, other.shift_);
    }

   private:
    struct Slot {
        Key key;
        Count count;  // 0: free
    };
    static constexpr std::size_t kFirstSize = 1024;
    // Slots per key, at least: a key that is not in its own slot costs a mispredicted branch.
    static constexpr std::size_t kSparseness = 3;
    // Slots that a thread keeps for its next table: new pages for each would take as long as
    // counting an image into them.
    static constexpr std::size_t kKept = (std::size_t{1} << 20) / sizeof(Slot);

    static std::vector<Slot>& spare() {
        static thread_local std::vector<Slot> slots;
        return slots;
    }

    // Those that are taken; which these are, no branch can predict: they are put together first.
    template <class Visit>
    static void for_each_slot(const std::vector<Slot>& slots, Visit&& visit) {
        constexpr std::size_t kTogether = 64;
        Slot taken[kTogether];
        for (std::size_t i = 0; i < slots.size(); i += kTogether) {
            const std::size_t stop = std::min(i + kTogether, slots.size());
            std::size_t count = 0;
            for (std::size_t k = i; k < stop; ++k) {
                taken[count] = slots[k];
                count += std::size_t{slots[k].count != 0};
            }
            for (std::size_t k = 0; k < count; ++k) visit(taken[k]);
        }
    }

    // Adds to the key's slot, or to the free one nearest behind it; returns whether it was free.
    std::size_t place(Slot* slots, std::size_t at, Key key, Count count) const {
        // A new key in a free slot and a known one in its own are one case: no branch to
        // mispredict.
        if (slots[at].count != 0 && !(slots[at].key == key)) [[unlikely]]
            at = search(slots, at, key);
        const bool is_new = slots[at].count == 0;
        slots[at].key = key;
        slots[at].count += count;
        return std::size_t{is_new};
    }
    [[gnu::noinline]] std::size_t search(const Slot* slots, std::size_t at, Key key) const {
        const std::size_t last = slots_.size() - 1;
        do at = (at + 1) & last;
        while (slots[at].count != 0 && !(slots[at].key == key));
        return at;
    }

    [[gnu::noinline]] void grow(std::size_t more) {
        std::size_t size = std::max(kFirstSize, 4 * slots_.size());
        while (kSparseness * used_ + more >= size) size *= 2;
        std::vector<Slot> old;
        if (slots_.capacity() == 0)
            slots_.swap(spare());
        else
            old.assign(slots_.begin(), slots_.end());
        slots_.assign(size, Slot{});
        shift_ = 64 - std::countr_zero(size);
        for_each_slot(old, [&](const Slot& slot) {
            place(slots_.data(), pair_hash(slot.key) >> shift_, slot.key, slot.count);
        });
    }

    std::vector<Slot> slots_;
    std::size_t used_ = 0;
    int shift_ = 64;
};

}  // namespace segmeter
