// Binary volumes, slice by slice: rows to bit maps, bit maps to runs, runs to parts and their
// facts. Included by region_inl.hpp.
//
// Rows of a volume with small regions have one or two runs, and how many is not foreseeable. So no
// loop goes over the runs of one row: those of a block of rows are listed together, and a run finds
// all that it sees by ranks in the bit maps of the slice and the one behind, without a branch on
// what it finds, as long as that is of one part.
// Bytes per pixel: the label bytes, once.

namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE {
namespace {

// Not inlined: it would take registers from the loop over whole words.
template <class Label>
[[gnu::noinline]] std::uint64_t inside_of_few(const Label* x, const std::uint8_t* mask,
                                              std::int64_t n, const RowRule& rule) {
    return look_at_few(x, mask, n, rule, false).inside;
}

// Distance of the software prefetch, bytes: a block of rows of bytes and half as much again, or
// memory would idle while its runs are joined.
constexpr std::int64_t kSlicePrefetch = 12288;

// The pixels of a row that belong to runs; returns whether there are any.
template <class Label, bool kPlain>
inline bool write_inside(const Label* x, const std::uint8_t* mask, std::int64_t n,
                         const RowRule& rule, std::uint64_t* inside, std::uint32_t* before) {
    const auto mask_at = [&](std::int64_t i) {
        return kPlain || mask == nullptr ? nullptr : mask + i;
    };
    std::uint64_t any = 0;
    const auto write = [&](std::int64_t word, std::uint64_t bits) {
        inside[word] = bits;
        before[word] = 0;
        any |= bits;
    };
    std::int64_t i = 0;
    for (; i + 64 <= n; i += 64) {
        prefetch_ahead<kSlicePrefetch>(x + i);
        write(i / 64, look<Label, true, kPlain>(x + i, mask_at(i), rule).inside);
    }
    if (i < n && n > 64)
        write(i / 64, look<Label, true, kPlain>(x + n - 64, mask_at(n - 64), rule).inside >>
                          (64 - (n - i)));
    else if (i < n)
        write(i / 64, inside_of_few(x, mask, n, rule));
    if (n % 64 == 0 || n % 64 == 63) write(slice_row_words(n) - 1, 0);
    return any != 0;
}

template <class Label, bool kPlain>
void mark_rows_of(const Label* x, const std::uint8_t* mask, std::int64_t rows, const RowRule rule,
                  SliceRows& out) {
    const std::int64_t n = out.length;
    const std::int64_t words = out.row_words;
    std::uint8_t* has_runs = out.has_runs + out.rows;
    std::uint64_t* inside = out.bits + out.first_word + words * out.rows;
    std::uint32_t* before = out.before + out.first_word + words * out.rows;
    for (std::int64_t row = 0; row < rows; ++row, x += n, inside += words, before += words)
        has_runs[row] = write_inside<Label, kPlain>(x, mask, n, rule, inside, before);
    out.rows += rows;
}

template <class Label>
void mark_rows(const void* labels, const std::uint8_t* mask, std::int64_t rows, const RowRule& rule,
               SliceRows& out) {
    const auto* x = static_cast<const Label*>(labels);
    const bool is_plain = mask == nullptr && rule.has_background && rule.num_ignored == 0;
    is_plain ? mark_rows_of<Label, true>(x, mask, rows, rule, out)
             : mark_rows_of<Label, false>(x, mask, rows, rule, out);
}

// Where changes are listed, and how many there were. By value, or counts would go to memory and
// back for every word.
struct ChangeList {
    std::uint32_t* listed;
    std::uint32_t changes;
    std::int64_t word = 0;
    std::uint64_t carry = 0;
};

// From the pixels of a row that belong to runs to changes, in place: eight words at a time, as far
// as there are instructions for that, and the others one by one.
#if defined(__AVX512VBMI2__) && defined(__AVX512VPOPCNTDQ__)

inline ChangeList change_words(std::int64_t word, std::int64_t end, const SliceRows& rows,
                               ChangeList out) {
    const __m512i zero = _mm512_setzero_si512();
    const __m256i steps = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m512i last = zero;
    for (; word + 8 <= end; word += 8) {
        const __m512i now = _mm512_loadu_si512(rows.bits + word);
        const __m512i changes =
            _mm512_xor_si512(now, _mm512_shldi_epi64(now, _mm512_alignr_epi64(now, last, 7), 1));
        last = now;
        // Sums over the lanes up to each.
        const __m512i counts = _mm512_popcnt_epi64(changes);
        __m512i sums = _mm512_add_epi64(counts, _mm512_alignr_epi64(counts, zero, 7));
        sums = _mm512_add_epi64(sums, _mm512_alignr_epi64(sums, zero, 6));
        sums = _mm512_add_epi64(sums, _mm512_alignr_epi64(sums, zero, 4));
        _mm512_storeu_si512(rows.bits + word, changes);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(rows.before + word),
                            _mm256_add_epi32(_mm512_cvtepi64_epi32(_mm512_sub_epi64(sums, counts)),
                                             _mm256_set1_epi32(static_cast<int>(out.changes))));
        const __mmask8 found = _mm512_test_epi64_mask(changes, changes);
        _mm256_storeu_si256(
            reinterpret_cast<__m256i*>(out.listed),
            _mm256_maskz_compress_epi32(
                found, _mm256_add_epi32(steps, _mm256_set1_epi32(static_cast<int>(word)))));
        out.listed += __builtin_popcount(found);
        out.changes += static_cast<std::uint32_t>(
            _mm_cvtsi128_si32(_mm512_castsi512_si128(_mm512_alignr_epi64(zero, sums, 7))));
    }
    out.word = word;
    out.carry = static_cast<std::uint64_t>(_mm_cvtsi128_si64(
                    _mm512_castsi512_si128(_mm512_alignr_epi64(zero, last, 7)))) >>
                63;
    return out;
}

#else

inline ChangeList change_words(std::int64_t word, std::int64_t, const SliceRows&, ChangeList out) {
    out.word = word;
    out.carry = 0;
    return out;
}

#endif

inline ChangeList change_row(std::int64_t word, const SliceRows& rows, ChangeList out) {
    const std::int64_t end = word + rows.row_words;
    out = change_words(word, end, rows, out);
    for (; out.word < end; ++out.word) {
        const std::uint64_t inside = rows.bits[out.word];
        const std::uint64_t changes = inside ^ (inside << 1 | out.carry);
        out.carry = inside >> 63;
        rows.bits[out.word] = changes;
        rows.before[out.word] = out.changes;
        out.changes += static_cast<std::uint32_t>(__builtin_popcountll(changes));
        *out.listed = static_cast<std::uint32_t>(out.word);
        out.listed += changes != 0;
    }
    return out;
}

void list_turns(SliceRows& out) {
    const SliceRows rows = out;
    ChangeList list{rows.listed, rows.changes};
    std::int64_t word = rows.first_word;
    for (std::int64_t row = 0; row < rows.rows; ++row, word += rows.row_words) {
        rows.row_change[row] = list.changes;
        if (rows.has_runs[row] != 0) list = change_row(word, rows, list);
    }
    std::uint32_t* turns = rows.turns;
    for (const std::uint32_t* at = rows.listed; at < list.listed; ++at) {
        const std::uint64_t changes = rows.bits[*at];
        const std::int64_t count = __builtin_popcountll(changes);
        write_positions(changes, base_of(64 * *at), count, turns);
        turns += count;
    }
    out.changes = list.changes;
}

// Changes of the slice before position x.
inline std::uint32_t turns_before(const SliceChanges& slice, std::uint64_t x) {
    const std::uint64_t below = (std::uint64_t{1} << (x & 63)) - 1;
    return slice.before[x >> 6] +
           static_cast<std::uint32_t>(__builtin_popcountll(slice.bits[x >> 6] & below));
}

// Runs of a row before that a run touches, as numbers of their slice.
struct TouchedRuns {
    std::uint32_t begin;
    std::uint32_t end;
};

inline TouchedRuns touched_runs(const SliceChanges& slice, std::uint64_t begin, std::uint64_t end,
                                std::int64_t reach) {
    const auto d = static_cast<std::uint64_t>(reach);
    return {turns_before(slice, begin + 1 - d) / 2, (turns_before(slice, end + d) + 1) / 2};
}

constexpr std::int32_t kNoPart = 0x7FFFFFFF;

// What a run has seen in some rows: the smallest parent of a part, and whether there are others.
struct Seen {
    std::int32_t part = kNoPart;
    bool is_one = true;

    void add(TouchedRuns runs, const std::int32_t* part_of, const std::int32_t* parent) {
        const std::int32_t its = runs.begin < runs.end ? parent[part_of[runs.begin]] : kNoPart;
        is_one &=
            (runs.end - runs.begin <= 1) & ((its == part) | (its == kNoPart) | (part == kNoPart));
        part = its < part ? its : part;
    }
};

// Not inlined: it is seldom needed, and would take registers from the loop over runs.
[[gnu::noinline]] std::int32_t unite_all(TouchedRuns runs, const std::int32_t* part_of,
                                         std::int32_t part, std::int32_t* parent) {
    MinimumUnionFind sets(parent);
    for (std::uint32_t run = runs.begin; run < runs.end; ++run)
        part = sets.unite(part, part_of[run]);
    return part;
}

inline std::int32_t new_slice_part(std::int64_t z, std::int64_t y, std::int64_t begin,
                                   std::int64_t position, Parts& parts) {
    std::int64_t* facts = facts_of(parts.count, parts);
    for (std::int32_t column = 0; column < kFactColumns; ++column) facts[column] = 0;
    facts[kValue] = parts.value;
    facts[kFirst] = position;
    facts[kLowZ] = z;
    facts[kLowY] = y;
    facts[kLowX] = begin;
    parts.parent[parts.count] = parts.count;
    return parts.count++;
}

inline void add_run_to_part(std::int64_t* facts, std::int64_t z, std::int64_t y, std::int64_t begin,
                            std::int64_t end) {
    const std::int64_t area = end - begin;
    facts[kArea] += area;
    facts[kNumRuns] += 1;
    facts[kSumZ] += z * area;
    facts[kSumY] += y * area;
    facts[kSumX] += area * (begin + end - 1) / 2;
    facts[kLowY] = y < facts[kLowY] ? y : facts[kLowY];
    facts[kLowX] = begin < facts[kLowX] ? begin : facts[kLowX];
    facts[kHighZ] = z + 1;
    facts[kHighY] = y + 1 > facts[kHighY] ? y + 1 : facts[kHighY];
    facts[kHighX] = end > facts[kHighX] ? end : facts[kHighX];
}

// Of the run of a row before that lies along all of [begin, end), or kNoPart.
inline std::int32_t part_along(const SliceChanges& slice, std::uint64_t begin, std::uint64_t end,
                               const std::int32_t* parent) {
    const std::uint32_t turns = turns_before(slice, begin + 1);
    const bool is_along = (turns & 1) != 0 && turns == turns_before(slice, end);
    return is_along ? parent[slice.part[turns / 2]] : kNoPart;
}

// Of a run that sees its neighbours across all corners.
struct FullView {
    SliceChanges own;
    SliceChanges behind;
    std::uint64_t stride;

    explicit FullView(const SliceJoin& runs)
        : own(runs.own),
          behind(runs.behind),
          stride(static_cast<std::uint64_t>(64 * runs.row_words)) {}

    // What a run before lies along has been seen by that, or, if it is of the same slice, all but
    // what lies in the row that this one sees for the first time.
    std::int32_t part_of(std::uint64_t begin, std::uint64_t end, std::int32_t* parent) const {
        const std::int32_t part = part_along(behind, begin, end, parent);
        if (part != kNoPart) return part;
        const TouchedRuns e = touched_runs(behind, begin + stride, end + stride, 1);
        Seen seen;
        seen.add(e, behind.part, parent);
        const std::int32_t aside = part_along(own, begin - stride, end - stride, parent);
        if (aside != kNoPart) {
            if (seen.is_one & ((seen.part == kNoPart) | (seen.part == aside))) return aside;
            return unite_all(e, behind.part, aside, parent);
        }
        const TouchedRuns b = touched_runs(own, begin - stride, end - stride, 1);
        const TouchedRuns c = touched_runs(behind, begin, end, 1);
        const TouchedRuns d = touched_runs(behind, begin - stride, end - stride, 1);
        seen.add(b, own.part, parent);
        seen.add(c, behind.part, parent);
        seen.add(d, behind.part, parent);
        if (seen.is_one) return seen.part;
        std::int32_t all = unite_all(b, own.part, seen.part, parent);
        all = unite_all(c, behind.part, all, parent);
        all = unite_all(d, behind.part, all, parent);
        return unite_all(e, behind.part, all, parent);
    }
};

// Of a run that does not.
struct NarrowView {
    const SliceJoin& runs;
    std::uint64_t stride;

    explicit NarrowView(const SliceJoin& the_runs)
        : runs(the_runs), stride(static_cast<std::uint64_t>(64 * the_runs.row_words)) {}

    std::int32_t part_of(std::uint64_t begin, std::uint64_t end, std::int32_t* parent) const {
        const SliceChanges& behind = runs.behind;
        const TouchedRuns b =
            touched_runs(runs.own, begin - stride, end - stride, runs.reach_aside);
        const TouchedRuns c = touched_runs(behind, begin, end, runs.reach_behind);
        TouchedRuns d{};
        TouchedRuns e{};
        Seen seen;
        seen.add(b, runs.own.part, parent);
        seen.add(c, behind.part, parent);
        if (runs.reach_diagonal >= 0) {
            d = touched_runs(behind, begin - stride, end - stride, runs.reach_diagonal);
            e = touched_runs(behind, begin + stride, end + stride, runs.reach_diagonal);
            seen.add(d, behind.part, parent);
            seen.add(e, behind.part, parent);
        }
        if (seen.is_one) return seen.part;
        std::int32_t all = unite_all(b, runs.own.part, seen.part, parent);
        all = unite_all(c, behind.part, all, parent);
        all = unite_all(d, behind.part, all, parent);
        return unite_all(e, behind.part, all, parent);
    }
};

// Quotients by the words of a row, without a division; exact for words below 2^26.
struct RowOfWord {
    explicit RowOfWord(std::uint64_t row_words)
        : shift(90 - __builtin_clzll(row_words)),
          inverse((std::uint64_t{1} << shift) / row_words + 1) {}
    std::uint64_t operator()(std::uint64_t word) const { return word * inverse >> shift; }

    int shift;
    std::uint64_t inverse;
};

template <class View>
void join_slice_as(const SliceJoin& runs, Parts& parts) {
    const auto stride = static_cast<std::uint64_t>(64 * runs.row_words);
    const View view(runs);
    const RowOfWord row_of(static_cast<std::uint64_t>(runs.row_words));
    for (std::int64_t run = runs.first; run < runs.last; ++run) {
        const std::uint64_t begin = runs.turns[2 * (run - runs.first)];
        const std::uint64_t end = runs.turns[2 * (run - runs.first) + 1];
        const std::uint64_t row = row_of(begin / 64);
        const auto x = static_cast<std::int64_t>(begin - row * stride);
        const auto end_x = static_cast<std::int64_t>(end - row * stride);
        const std::int64_t y = static_cast<std::int64_t>(row) - 1;
        std::int32_t part = view.part_of(begin, end, parts.parent);
        if (part == kNoPart) [[unlikely]]
            part = new_slice_part(runs.z, y, x, (runs.z * runs.rows + y) * runs.length + x, parts);
        runs.own.part[run] = part;
        add_run_to_part(facts_of(part, parts), runs.z, y, x, end_x);
        if (runs.begin != nullptr) {
            runs.begin[run - runs.first] = static_cast<std::uint32_t>(x);
            runs.end[run - runs.first] = static_cast<std::uint32_t>(end_x);
        }
    }
}

void join_slice(const SliceJoin& runs, Parts& parts) {
    runs.reach_diagonal == 1 ? join_slice_as<FullView>(runs, parts)
                             : join_slice_as<NarrowView>(runs, parts);
}

}  // namespace
}  // namespace segmeter::simd::SEGMETER_SIMD_NAMESPACE
