// Uniform distributions: between two numbers, or in an interval whose size depends on the columns of the layer.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cmath>

#include "initializers/initializer.h"

namespace fastnn::initializers {

// torch's default of Linear, for its weight and its bias: U(-1 / sqrt(in), 1 / sqrt(in)).
struct Default {
  static constexpr bool kNeedsFans = true;
  template <class T>
  void fill(Matrix<T> to, Fans fans, PhiloxStream& words) const {
    const double bound = 1 / std::sqrt(static_cast<double>(fans.in));
    each(to, [&] { return bound * (2 * to_unit(words.next()) - 1); });
  }
};

struct UniformParams {
  double a = 0, b = 1;
};

struct Uniform {
  using Params = UniformParams;
  static constexpr std::array kFields{
      field<&Params::a>("a", within(-3e38, 3e38), "lower end", tries(-0.5)),
      field<&Params::b>("b", within(-3e38, 3e38), "upper end, which is not drawn", above_field("a"), tries(0.25)),
  };
  explicit Uniform(const Params& p) : params(p) {}
  template <class T>
  void fill(Matrix<T> to, Fans, PhiloxStream& words) const {
    uniform(to, params.a, params.b, words);
  }
  Params params;
};

// scikit-learn's MLPClassifier and MLPRegressor, for weights and biases: +- sqrt(6 / (in + out)), or with the logistic
// activation +- sqrt(2 / (in + out)).
enum class SklearnActivation { kIdentity, kLogistic, kTanh, kRelu };
struct SklearnParams {
  SklearnActivation activation = SklearnActivation::kRelu;
};

struct Sklearn {
  using Params = SklearnParams;
  static constexpr bool kNeedsFans = true;
  static constexpr std::array kFields{
      field<&Params::activation>("activation", choices("identity", "logistic", "tanh", "relu"),
                                 "scikit-learn's activation; for logistic the interval is smaller", tries(1))};
  explicit Sklearn(const Params& p) : factor(p.activation == SklearnActivation::kLogistic ? 2 : 6) {}
  template <class T>
  void fill(Matrix<T> to, Fans fans, PhiloxStream& words) const {
    const double bound = std::sqrt(factor / static_cast<double>(fans.in + fans.out));
    uniform(to, -bound, bound, words);
  }
  double factor;
};

// U(-sqrt(3 / in), sqrt(3 / in)), whose variance is 1 / in (LeCun et al. 1998).
struct LecunUniform {
  static constexpr bool kNeedsFans = true, kForVectors = false;
  template <class T>
  void fill(Matrix<T> to, Fans fans, PhiloxStream& words) const {
    const double bound = std::sqrt(3 / static_cast<double>(fans.in));
    uniform(to, -bound, bound, words);
  }
};

}  // namespace fastnn::initializers
