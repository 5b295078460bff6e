// Elementary functions of single numbers, computed with the formulas of core/simd_math.h instead of the C library,
// whose results differ between versions. This header contains no vector types, so the bindings, which are compiled for
// the oldest processor, can include it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "core/types.h"

namespace fastnn {

// 1 - base^n for 0 <= base < 1 and n > 0, with a small relative error also if base^n is almost 1. It is 0 if n is 0 and
// base is not.
double power_complement(double base, double n) noexcept;

// base^exponent for base >= 0; the product for small whole exponents.
double power(double base, double exponent) noexcept;

// cos(pi x), exactly 0 or +-1 where 2 x is a whole number.
double cos_pi(double x) noexcept;

// y[i] = f(x[i]) for the function f called `name`; returns false if there is no such function. Used by the tests.
template <class T>
bool elementary(const std::string& name, const T* x, Index n, T* y) noexcept;

}  // namespace fastnn
