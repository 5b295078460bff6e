// Values that are not drawn: zeros, ones, or any number.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "initializers/initializer.h"

namespace fastnn::initializers {

struct Zeros {
  template <class T>
  void fill(Matrix<T> to, Fans, PhiloxStream&) const {
    each(to, [] { return T(0); });
  }
};

struct Ones {
  template <class T>
  void fill(Matrix<T> to, Fans, PhiloxStream&) const {
    each(to, [] { return T(1); });
  }
};

struct ConstantParams {
  double val = 0;
};

struct Constant {
  using Params = ConstantParams;
  static constexpr std::array kFields{field<&Params::val>("val", within(-3e38, 3e38), "every value", tries(0.3))};
  explicit Constant(const Params& p) : val(p.val) {}
  template <class T>
  void fill(Matrix<T> to, Fans, PhiloxStream&) const {
    each(to, [this] { return val; });
  }
  double val;
};

}  // namespace fastnn::initializers
