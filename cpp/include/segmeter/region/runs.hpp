// Region family: a label map as runs, the maximal stretches of one value within a row.
//
// Runs are what components, overlaps and painting work on: a structured mask has a few per row,
// so everything after the one pass over the pixels costs next to nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "segmeter/view.hpp"

namespace segmeter {

namespace detail {
// Asks the system for large pages where an array is worth them: touching new memory page by page
// can cost more than what is written to it.
void prefer_large_pages(void* data, std::size_t bytes) noexcept;
}  // namespace detail

// A growing array of plain values that leaves new elements as they are: what is about to be
// written need not be zeroed first, and an array that grows moves pages, not bytes.
template <class T>
class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

   public:
    Buffer() = default;
    explicit Buffer(std::size_t size) { resize(size); }
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        Buffer(std::move(other)).swap(*this);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data_); }

    void swap(Buffer& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] T* data() noexcept { return data_; }
    [[nodiscard]] const T* data() const noexcept { return data_; }
    [[nodiscard]] T* begin() noexcept { return data_; }
    [[nodiscard]] T* end() noexcept { return data_ + size_; }
    [[nodiscard]] const T* begin() const noexcept { return data_; }
    [[nodiscard]] const T* end() const noexcept { return data_ + size_; }
    T& operator[](std::size_t i) noexcept { return data_[i]; }
    const T& operator[](std::size_t i) const noexcept { return data_[i]; }
    T& back() noexcept { return data_[size_ - 1]; }
    const T& back() const noexcept { return data_[size_ - 1]; }

    // Room for `more` elements behind the last one.
    void reserve_more(std::size_t more) {
        if (size_ + more > capacity_) grow(std::max(size_ + more, capacity_ + capacity_ / 2));
    }
    // New elements hold anything.
    void resize(std::size_t size) {
        if (size > capacity_) grow(size);
        size_ = size;
    }
    void push_back(const T& value) {
        reserve_more(1);
        data_[size_++] = value;
    }
    void append(const T* values, std::size_t n) {
        reserve_more(n);
        std::copy(values, values + n, data_ + size_);
        size_ += n;
    }
    // Gives back the room behind the last element.
    void shrink() {
        if (capacity_ > size_ + size_ / 8) grow(std::max<std::size_t>(size_, 1));
    }
    // The memory, from malloc, now the caller's to free.
    [[nodiscard]] T* release() noexcept {
        T* data = std::exchange(data_, nullptr);
        size_ = capacity_ = 0;
        return data;
    }

   private:
    void grow(std::size_t capacity) {
        void* data = std::realloc(static_cast<void*>(data_), capacity * sizeof(T));
        if (data == nullptr) throw std::bad_alloc();
        data_ = static_cast<T*>(data);
        capacity_ = capacity;
        detail::prefer_large_pages(data, capacity * sizeof(T));
    }

    T* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

// Most runs that one list may hold: indices of runs are int32.
inline constexpr std::int64_t kMaxRuns = 0x7FFFFFFF;
// Longest row: positions within it are uint32, one of which must stay free behind the last.
inline constexpr std::int64_t kMaxRowLength = 0xFFFFFFFE;

// The last axis is the row. Rows of all leading axes follow each other in C order:
// row = z * shape[1] + y in 3-D. Row r holds the runs [row_begin[r], row_begin[r + 1]), in order
// of position; run i covers the pixels [begin[i], end[i]).
struct Runs {
    std::vector<std::int64_t> shape;  // 2 or 3 axes
    Buffer<std::int64_t> row_begin;   // rows() + 1
    Buffer<std::uint32_t> begin;
    Buffer<std::uint32_t> end;
    // Labels; of uint64 maps by bit pattern. Empty where the value of a run follows from its
    // region, and for binary lists.
    Buffer<std::int64_t> value;

    [[nodiscard]] std::int64_t row_length() const noexcept { return shape.back(); }
    [[nodiscard]] std::int64_t rows() const noexcept {
        std::int64_t rows = 1;
        for (std::size_t axis = 0; axis + 1 < shape.size(); ++axis) rows *= shape[axis];
        return rows;
    }
    [[nodiscard]] std::int64_t count() const noexcept {
        return static_cast<std::int64_t>(begin.size());
    }
};

// Which pixels belong to runs, and what separates runs from each other.
struct RunOptions {
    // The label between the runs; none: every pixel that is not ignored belongs to a run.
    // For uint64 maps the bit pattern.
    std::optional<std::int64_t> background = 0;
    bool binary = false;                    // all labels but the background are one
    std::span<const std::int64_t> ignored;  // labels that belong to no run
    const ArrayView* mask = nullptr;        // bool, shape of the map: true belongs to no run
    int threads = 0;
};

// labels: bool or integer, 2-D or 3-D, any strides and byte order. Reads every pixel once.
// Throws std::invalid_argument for another number of axes or a row that is too long, and
// std::length_error for more than kMaxRuns runs.
[[nodiscard]] Runs find_runs(const ArrayView& labels, const RunOptions& options);

// Lists one behind the other along the first axis; the other extents must be equal.
[[nodiscard]] Runs concatenate(std::span<const Runs* const> parts);

// Throws std::invalid_argument unless the arrays make a run list of that shape: a list from
// outside must not make a kernel leave its memory.
void require_valid(const Runs& runs);
// The same unless two runs of one value touch: they would be one run.
void require_maximal(const Runs& runs);

// Writes value_of_key[key[i]] into the pixels of run i and, unless it is 0, background elsewhere.
// out: zeroed, contiguous, of runs.shape and of an integer type that holds the values. Without
// keys, run i gets runs.value[i] or, in a binary list, 1.
void paint(const Runs& runs, const std::int32_t* key, const std::int64_t* value_of_key,
           std::int64_t background, DType dtype, std::byte* out, int threads);

}  // namespace segmeter
