#pragma once

#include <doctest/doctest.h>

#include "segmeter/cpu.hpp"

// Run a check at every SIMD level that runs here; afterwards the level is what it was.
template <class Check>
void at_each_level(Check&& check) {
    const segmeter::SimdLevel chosen = segmeter::simd_level();
    for (const segmeter::SimdLevel level : segmeter::available_simd_levels()) {
        segmeter::set_simd_level(segmeter::name(level));
        INFO("SIMD level ", segmeter::name(level));
        check();
    }
    segmeter::set_simd_level(segmeter::name(chosen));
}
