// A vector whose memory its thread keeps for the next one of the kind.
#pragma once

#include <cstddef>
#include <vector>

namespace segmeter {

// New pages cost more than an image of a megapixel is counted in, and the allocator gives blocks of
// this size back to the system. Vectors that are alive at a time have different tags.
template <class T, int kTag = 0>
class Kept {
   public:
    Kept() {
        values.swap(spare());
        values.clear();
    }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept() {
        if (values.capacity() <= kMost && values.capacity() > spare().capacity())
            values.swap(spare());
    }

    std::vector<T> values;

   private:
    static constexpr std::size_t kMost = (std::size_t{1} << 20) / sizeof(T);

    static std::vector<T>& spare() {
        static thread_local std::vector<T> vector;
        return vector;
    }
};

}  // namespace segmeter
