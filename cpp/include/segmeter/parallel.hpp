// The one place where threads come from.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace segmeter {

// Where the threads come from, besides the caller.
enum class Team {
    kPool,   // OpenMP's, which take microseconds to call, and spin for a while when they are done
    kFresh,  // made for the occasion: for work of milliseconds, in which nobody shall spin on a
             // core that another process, or a thread of this one, could use
};

// Number of threads for `work` units (pixels, roughly a quarter of a nanosecond each).
// requested = 0: as many as OpenMP's limit, the affinity mask and the cgroup quota allow, one
// when the work is too small to share, and one in a forked child. requested >= 1: that many,
// fewer where a thread would find nothing worth waking up for, or worth making it.
[[nodiscard]] int thread_count(int requested, std::int64_t work, Team team = Team::kPool);

// The limit that requested = 0 stands for on a large input.
[[nodiscard]] int max_threads();

namespace detail {
void run_blocks(std::int64_t blocks, int threads, Team team, void (*call)(void*, std::int64_t),
                void* context);
}

// Calls function(block) once for every block in [0, blocks), on at most `threads` threads.
// An exception leaves through the caller (the first one thrown; blocks not yet begun are
// skipped). Safe after fork(): a child never enters the parent's OpenMP pool.
template <class Function>
void run_blocks(std::int64_t blocks, int threads, Function&& function, Team team = Team::kPool) {
    using Callable = std::remove_reference_t<Function>;
    detail::run_blocks(
        blocks, threads, team,
        [](void* context, std::int64_t block) { (*static_cast<Callable*>(context))(block); },
        const_cast<void*>(static_cast<const void*>(std::addressof(function))));
}

}  // namespace segmeter
