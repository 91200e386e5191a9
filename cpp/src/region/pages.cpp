#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "segmeter/region/buffer.hpp"

namespace segmeter::detail {
namespace {

constexpr std::size_t kPage = std::size_t{1} << 16;  // a multiple of every system's
[[maybe_unused]] constexpr std::size_t kLargePage = std::size_t{1} << 21;

std::size_t whole_pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// --- from and to the system ---

#if defined(__linux__)

// All of it, aligned or not: what is advised differently cannot be moved in one piece.
void prefer_large_pages(void* data, std::size_t bytes) noexcept {
    if (bytes < 2 * kLargePage) return;
    // Only advice: where it is not taken, nothing changes.
    static_cast<void>(madvise(data, bytes, MADV_HUGEPAGE));
}

void* new_pages(std::size_t bytes) {
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
    prefer_large_pages(data, bytes);
    return data;
}

void* moved_pages(void* data, std::size_t old_bytes, std::size_t bytes) {
    void* moved = mremap(data, old_bytes, bytes, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {
        moved = new_pages(bytes);
        std::memcpy(moved, data, old_bytes);
        munmap(data, old_bytes);
    } else {
        prefer_large_pages(moved, bytes);
    }
    return moved;
}

void free_pages(void* data, std::size_t bytes) noexcept { munmap(data, bytes); }

#else

void* new_pages(std::size_t bytes) {
    void* data = std::calloc(bytes, 1);
    if (data == nullptr) throw std::bad_alloc();
    return data;
}

void* moved_pages(void* data, std::size_t, std::size_t bytes) {
    void* moved = std::realloc(data, bytes);
    if (moved == nullptr) throw std::bad_alloc();
    return moved;
}

void free_pages(void* data, std::size_t) noexcept { std::free(data); }

#endif

// --- those that are kept ---

// The oldest go first. Whoever finds another thread here does without: nothing waits, and a
// process that was forked meanwhile is not caught by a lock that nobody will open.
class PageStore {
   public:
    // The smallest that is large enough, or null.
    Pages take(std::size_t bytes) noexcept {
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (!lock.owns_lock()) return {};
        std::size_t best = count_;
        for (std::size_t i = 0; i < count_; ++i)
            if (kept_[i].bytes >= bytes && (best == count_ || kept_[i].bytes < kept_[best].bytes))
                best = i;
        return best == count_ ? Pages{} : remove(best);
    }
    void give(Pages pages) noexcept {
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (!lock.owns_lock() || pages.bytes > kMostPagesKept)
            return free_pages(pages.data, pages.bytes);
        while (count_ == kept_.size() || bytes_ + pages.bytes > kMostPagesKept) {
            const Pages oldest = remove(0);
            free_pages(oldest.data, oldest.bytes);
        }
        bytes_ += pages.bytes;
        kept_[count_++] = pages;
    }

    void clear() noexcept {
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (!lock.owns_lock()) return;
        while (count_ > 0) {
            const Pages oldest = remove(0);
            free_pages(oldest.data, oldest.bytes);
        }
    }

   private:
    Pages remove(std::size_t i) noexcept {
        const Pages pages = kept_[i];
        bytes_ -= pages.bytes;
        std::copy(kept_.data() + i + 1, kept_.data() + count_, kept_.data() + i);
        --count_;
        return pages;
    }

    std::mutex mutex_;
    std::array<Pages, 32> kept_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

PageStore& store() {
    static auto* const the_store = new PageStore;  // arrays may outlive what is static
    return *the_store;
}

}  // namespace

Pages take_pages(std::size_t bytes) {
    const Pages kept = store().take(bytes);
    if (kept.data != nullptr) return kept;
    const std::size_t whole = whole_pages(bytes);
    return {new_pages(whole), whole, true};
}

void give_pages(Pages pages) noexcept {
    pages.is_zero = false;
    store().give(pages);
}

void free_kept_pages() noexcept { store().clear(); }

Pages grow_pages(Pages pages, std::size_t used, std::size_t bytes) {
    const Pages kept = store().take(bytes);
    if (kept.data != nullptr) {
        std::memcpy(kept.data, pages.data, used);
        give_pages(pages);
        return kept;
    }
    const std::size_t whole = whole_pages(bytes);
    return {moved_pages(pages.data, pages.bytes, whole), whole, false};
}

Pages cut_pages(Pages pages, std::size_t bytes) noexcept {
#if defined(__linux__)
    const std::size_t whole = whole_pages(bytes);
    if (whole >= pages.bytes) return pages;
    const Pages rest = {static_cast<std::byte*>(pages.data) + whole, pages.bytes - whole, false};
    if (rest.bytes >= kLargeArray)
        give_pages(rest);
    else
        free_pages(rest.data, rest.bytes);
    return {pages.data, whole, false};
#else
    static_cast<void>(bytes);
    return pages;  // what malloc gave is not cut without a copy
#endif
}

}  // namespace segmeter::detail
