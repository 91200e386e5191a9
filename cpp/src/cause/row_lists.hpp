// Items of the rows of an image, row after row in one array.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "segmeter/parallel.hpp"

namespace segmeter::cause {

template <class Item>
struct RowLists {
    std::vector<Item> items;
    std::vector<std::int64_t> row_begin{0};

    [[nodiscard]] std::int64_t rows() const {
        return static_cast<std::int64_t>(row_begin.size()) - 1;
    }
    [[nodiscard]] std::int64_t begin(std::int64_t row) const {
        return row_begin[static_cast<std::size_t>(row)];
    }
    [[nodiscard]] std::int64_t end(std::int64_t row) const { return begin(row + 1); }
    [[nodiscard]] const Item& operator[](std::int64_t i) const {
        return items[static_cast<std::size_t>(i)];
    }
    void close_row() { row_begin.push_back(static_cast<std::int64_t>(items.size())); }
    void append(const RowLists& other) {
        const auto shift = static_cast<std::int64_t>(items.size());
        items.insert(items.end(), other.items.begin(), other.items.end());
        for (std::size_t i = 1; i < other.row_begin.size(); ++i)
            row_begin.push_back(other.row_begin[i] + shift);
    }
};

// Rows cut into blocks for threads; make_worker() gives a function object of its own to each
// block, which is called as worker(row, items) for the block's rows in order.
template <class Item, class MakeWorker>
RowLists<Item> collect_rows(std::int64_t rows, int threads, MakeWorker&& make_worker) {
    const std::int64_t blocks =
        threads <= 1 ? 1 : std::clamp<std::int64_t>(rows, 1, std::int64_t{8} * threads);
    std::vector<RowLists<Item>> parts(static_cast<std::size_t>(blocks));
    run_blocks(blocks, threads, [&](std::int64_t block) {
        RowLists<Item> part;
        auto worker = make_worker();
        for (std::int64_t row = rows * block / blocks; row < rows * (block + 1) / blocks; ++row) {
            worker(row, part.items);
            part.close_row();
        }
        parts[static_cast<std::size_t>(block)] = std::move(part);
    });
    RowLists<Item> all = std::move(parts[0]);
    for (std::size_t block = 1; block < parts.size(); ++block) all.append(parts[block]);
    return all;
}

}  // namespace segmeter::cause
