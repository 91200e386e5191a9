// Memory of regions and boundaries: arrays that grow, and large ones whose pages are used again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace segmeter {

// Pages for large arrays. New pages come zeroed from the system, which can cost more than all that
// is done with them, and large arrays are new at every call. So a few that were given back are
// kept for the next call; what is kept is bounded by kMostPagesKept for the process.
namespace detail {

inline constexpr std::size_t kMostPagesKept = std::size_t{64} << 20;
// Arrays of this many bytes on consist of pages.
inline constexpr std::size_t kLargeArray = std::size_t{1} << 17;

struct Pages {
    void* data = nullptr;
    std::size_t bytes = 0;
    bool is_zero = false;
};

// At least `bytes`; throws std::bad_alloc.
[[nodiscard]] Pages take_pages(std::size_t bytes);
void give_pages(Pages pages) noexcept;
// With the first `used` bytes as they were.
[[nodiscard]] Pages grow_pages(Pages pages, std::size_t used, std::size_t bytes);
// Gives what is kept back to the system.
void free_kept_pages() noexcept;
// Gives back what lies behind the first `bytes`.
[[nodiscard]] Pages cut_pages(Pages pages, std::size_t bytes) noexcept;

}  // namespace detail

// A growing array of plain values that leaves new elements as they are: what is about to be
// written need not be zeroed first, and a large array that grows moves pages, not bytes.
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
    ~Buffer() {
        if (bytes_ >= detail::kLargeArray)
            detail::give_pages(pages());
        else
            std::free(data_);
    }

    void swap(Buffer& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        std::swap(bytes_, other.bytes_);
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
    // Gives back room behind the last element, but for what the next array of its kind may need:
    // one that asked for more than the pages of this one would come by new ones every time.
    void shrink() {
        const std::size_t kept = (size_ + size_ / 2) * sizeof(T);
        if (bytes_ >= detail::kLargeArray && kept >= detail::kLargeArray)
            hold(detail::cut_pages(pages(), kept));
        else if (capacity_ > size_ + size_ / 8)
            grow(std::max<std::size_t>(size_, 1));
    }

   private:
    [[nodiscard]] detail::Pages pages() const noexcept { return {data_, bytes_, false}; }
    void hold(detail::Pages pages) noexcept {
        data_ = static_cast<T*>(pages.data);
        bytes_ = pages.bytes;
        capacity_ = bytes_ / sizeof(T);
    }
    // Or shrinks, not below the elements held.
    void grow(std::size_t capacity) {
        const std::size_t bytes = capacity * sizeof(T);
        if (bytes_ >= detail::kLargeArray && bytes >= detail::kLargeArray) {
            hold(detail::grow_pages(pages(), size_ * sizeof(T), bytes));
        } else if (bytes_ < detail::kLargeArray && bytes < detail::kLargeArray) {
            void* data = std::realloc(static_cast<void*>(data_), bytes);
            if (data == nullptr) throw std::bad_alloc();
            hold({data, bytes, false});
        } else {
            Buffer other;
            other.allocate(bytes);
            std::copy(data_, data_ + size_, other.data_);
            other.size_ = size_;
            swap(other);
        }
    }
    void allocate(std::size_t bytes) {
        if (bytes >= detail::kLargeArray) return hold(detail::take_pages(bytes));
        void* data = std::malloc(bytes);
        if (data == nullptr) throw std::bad_alloc();
        hold({data, bytes, false});
    }

    T* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace segmeter
