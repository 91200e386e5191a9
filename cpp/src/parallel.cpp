#include "segmeter/parallel.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace segmeter {
namespace {

// Opening a parallel region costs microseconds, tens of them when a thread must wake up first:
// what a thread must have to do when the number of threads is ours to choose, and when it was
// asked for.
constexpr std::int64_t kMinWorkPerThread = std::int64_t{1} << 17;
constexpr std::int64_t kMinWorkPerAskedThread = std::int64_t{1} << 15;
// A thread that is made takes some twenty microseconds to begin.
constexpr std::int64_t kMinWorkPerFreshThread = std::int64_t{1} << 18;

// In a forked child the OpenMP pool's threads are gone but its locks are not: entering a region
// hangs (GCC bug 60035), also when only another library ever opened one.
std::atomic<bool> forked{false};

[[maybe_unused]] const int kAtFork =
    pthread_atfork(nullptr, nullptr, [] { forked.store(true, std::memory_order_relaxed); });

// Whether threads must be made afresh: in a forked child, and under ThreadSanitizer, which cannot
// see how an uninstrumented OpenMP runtime orders memory.
bool needs_fresh_threads() {
#if defined(__SANITIZE_THREAD__)
    return true;
#else
    return forked.load(std::memory_order_relaxed);
#endif
}

int affinity_limit() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::numeric_limits<int>::max();
    return std::max(1, CPU_COUNT(&set));
}

// Cores that a cgroup (v2, then v1) grants, rounded up; no limit when there is no quota.
int cgroup_limit() {
    double quota = -1.0;
    double period = 100000.0;
    if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2) {
        std::string text;
        v2 >> text >> period;
        if (!text.empty() && text != "max") quota = std::strtod(text.c_str(), nullptr);
    } else if (std::ifstream v1("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"); v1) {
        v1 >> quota;
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
    }
    if (quota <= 0.0 || period <= 0.0) return std::numeric_limits<int>::max();
    return std::max(1, static_cast<int>(std::ceil(quota / period)));
}

// First exception of a region; the rest of the blocks is then skipped.
class ErrorSlot {
   public:
    template <class Function>
    void guard(Function&& function) noexcept {
        if (failed_.load(std::memory_order_relaxed)) return;
        try {
            function();
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!error_) error_ = std::current_exception();
            failed_.store(true, std::memory_order_relaxed);
        }
    }
    // Taken out of here, as the slot may be forgotten last by a thread that comes late.
    void rethrow() {
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    }

   private:
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    std::exception_ptr error_;
};

// The blocks of a region. A thread that comes when all are taken touches nothing else, so that
// nobody waits for it: on a core that is busy otherwise that may be milliseconds later.
class Blocks {
   public:
    Blocks(std::int64_t count, void (*call)(void*, std::int64_t), void* context)
        : count_(count), call_(call), context_(context) {}

    void run() noexcept {
        for (std::int64_t block = next_++; block < count_; block = next_++) {
            errors_.guard([&] { call_(context_, block); });
            if (++done_ < count_) continue;
            are_done_ = 1;
            are_done_.notify_all();
        }
    }
    void wait() const noexcept { are_done_.wait(0); }
    void rethrow() { errors_.rethrow(); }

   private:
    std::int64_t count_;
    void (*call_)(void*, std::int64_t);
    void* context_;
    std::atomic<std::int64_t> next_{0};
    std::atomic<std::int64_t> done_{0};
    std::atomic<int> are_done_{0};  // of the size that the system can wait for
    ErrorSlot errors_;
};

}  // namespace

int max_threads() {
    static const int quota = cgroup_limit();
    return std::max(1, std::min({omp_get_max_threads(), affinity_limit(), quota}));
}

int thread_count(int requested, std::int64_t work, Team team) {
    const bool is_fresh = team == Team::kFresh;
    if (requested > 0) {
        const std::int64_t least = is_fresh ? kMinWorkPerFreshThread : kMinWorkPerAskedThread;
        const std::int64_t useful = std::min<std::int64_t>(requested, 1 + work / least);
        // Far more threads than cores only cost memory, and may be more than the system gives.
        return static_cast<int>(
            useful <= 64 ? useful
                         : std::min<std::int64_t>(useful, std::max(64, 4 * max_threads())));
    }
    const std::int64_t least = is_fresh ? kMinWorkPerFreshThread : kMinWorkPerThread;
    if (work < 2 * least || forked.load(std::memory_order_relaxed)) return 1;
    return static_cast<int>(std::min<std::int64_t>(max_threads(), work / least));
}

void detail::run_blocks(std::int64_t blocks, int threads, Team kind,
                        void (*call)(void*, std::int64_t), void* context) {
    const int team = static_cast<int>(std::min<std::int64_t>(blocks, std::max(1, threads)));
    if (team <= 1) {
        for (std::int64_t block = 0; block < blocks; ++block) call(context, block);
        return;
    }
    const auto work = std::make_shared<Blocks>(blocks, call, context);
    if (kind == Team::kFresh || needs_fresh_threads()) {
        // Where the system gives no more threads, those there are do all the blocks.
        const auto start_one = [&] {
            try {
                std::thread([work] { work->run(); }).detach();
                return true;
            } catch (const std::system_error&) {
                return false;
            }
        };
        int started = 1;
        while (started < team && start_one()) ++started;
        work->run();
        work->wait();
    } else {
#pragma omp parallel num_threads(team)
        work->run();
    }
    work->rethrow();
}

}  // namespace segmeter
