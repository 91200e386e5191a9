// A sparse table of counts by pairs of labels: open addressing, one addition per segment.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
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

inline std::uint64_t pred_of(std::uint64_t key) { return key & 0xFFFFFFFFU; }
inline std::uint64_t target_of(std::uint64_t key) { return key >> 32; }
inline std::uint64_t pred_of(const WidePair& key) { return key.pred; }
inline std::uint64_t target_of(const WidePair& key) { return key.target; }

// Aligned so that the headers of two workers' tables never share a cache line (nor the lines that
// the prefetcher takes in pairs): with two threads that alone made the whole slower than one.
template <class Key>
class alignas(256) PairTable {
   public:
    PairTable() : slots_(kFirstSize), shift_(64 - std::countr_zero(kFirstSize)) {}

    // count > 0.
    void add(Key key, std::int64_t count) {
        const std::size_t last = slots_.size() - 1;
        std::size_t at = hash(key) >> shift_;
        while (slots_[at].count != 0) {
            if (slots_[at].key == key) {
                slots_[at].count += count;
                return;
            }
            at = (at + 1) & last;
        }
        slots_[at] = {key, count};
        if (kSparseness * ++used_ > slots_.size()) grow();
    }

    // Adds segments that begin at starts[i] and end at starts[i + 1], under key(starts[i]).
    template <class KeyAt>
    void add_segments(const std::uint16_t* starts, std::int64_t count, KeyAt&& key_at) {
        // In locals, which the stores below cannot be suspected to change.
        Slot* slots = slots_.data();
        int shift = shift_;
        for (std::int64_t i = 0; i < count; ++i) {
            const std::uint16_t start = starts[i];
            const std::int64_t length = starts[i + 1] - start;
            const Key key = key_at(start);
            Slot& slot = slots[hash(key) >> shift];
            // A free slot holds the zero key, whose own place is slot 0: it is taken by adding.
            if (slot.key == key) [[likely]] {
                slot.count += length;
                continue;
            }
            add_elsewhere(key, length);
            slots = slots_.data();
            shift = shift_;
        }
    }

    template <class Visit>
    void for_each(Visit&& visit) const {
        for (const Slot& slot : slots_)
            if (slot.count != 0) visit(slot.key, slot.count);
    }

    // Adds all counts of another table. They come in the order of their hashes, which would fill
    // the front of a small table and leave the rest empty: so room is made first.
    void add_all(const PairTable& other) {
        while (kSparseness * other.used_ > slots_.size()) grow();
        other.for_each([&](const Key& key, std::int64_t count) { add(key, count); });
    }

   private:
    struct Slot {
        Key key;
        std::int64_t count;  // 0: free
    };
    static constexpr std::size_t kFirstSize = 256;
    static constexpr std::size_t kSmall = std::size_t{1} << 14;
    // Slots per key, at least: a key that is not in its own slot costs a mispredicted branch.
    static constexpr std::size_t kSparseness = 3;

    static std::uint64_t hash(std::uint64_t key) { return key * 0x9E3779B97F4A7C15U; }
    static std::uint64_t hash(const WidePair& key) {
        return key.pred * 0x9E3779B97F4A7C15U ^ key.target * 0xC2B2AE3D27D4EB4FU;
    }

    [[gnu::noinline]] void add_elsewhere(Key key, std::int64_t count) { add(key, count); }

    [[gnu::noinline]] void grow() {
        // A small table soon becomes a large one, or stays small.
        const int doublings = slots_.size() < kSmall ? 2 : 1;
        std::vector<Slot> old(slots_.size() << doublings);
        old.swap(slots_);
        shift_ -= doublings;
        used_ = 1;
        for (const Slot& slot : old)
            if (slot.count != 0) add(slot.key, slot.count);
    }

    std::vector<Slot> slots_;
    std::size_t used_ = 1;  // the zero key's is always spoken for
    int shift_;
};

}  // namespace segmeter
