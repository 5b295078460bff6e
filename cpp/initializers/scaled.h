// Distributions that keep the variance of rows from layer to layer, with torch's parameters: Xavier for activations
// that are linear around 0 (Glorot and Bengio 2010), Kaiming for those that are zero or small below 0 (He et al. 2015).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cmath>

#include "initializers/normals.h"
#include "initializers/uniforms.h"

namespace fastnn::initializers {

struct XavierParams {
  double gain = 1;
};

struct Xavier {
  using Params = XavierParams;
  static constexpr bool kNeedsFans = true, kForVectors = false;
  static constexpr std::array kFields{
      field<&Params::gain>("gain", within(0, 1e9), "factor of the standard deviation", tries(1.5))};
  explicit Xavier(const Params& p) : gain(p.gain) {}
  double gain;
};

struct XavierUniform : Xavier {
  using Xavier::Xavier;
  template <class T>
  void fill(Matrix<T> to, Fans fans, PhiloxStream& words) const {
    const double bound = gain * std::sqrt(6 / static_cast<double>(fans.in + fans.out));
    uniform(to, -bound, bound, words);
  }
};

struct XavierNormal : Xavier {
  using Xavier::Xavier;
  template <class T>
  void fill(Matrix<T> to, Fans fans, PhiloxStream& words) const {
    normal(to, 0, gain * std::sqrt(2 / static_cast<double>(fans.in + fans.out)), words);
  }
};

enum class Mode { kFanIn, kFanOut };
enum class Nonlinearity { kLinear, kSigmoid, kTanh, kRelu, kLeakyRelu, kSelu };
struct KaimingParams {
  double a = 0;
  Mode mode = Mode::kFanIn;
  Nonlinearity nonlinearity = Nonlinearity::kLeakyRelu;
};

struct Kaiming {
  using Params = KaimingParams;
  static constexpr bool kNeedsFans = true, kForVectors = false;
  static constexpr std::array kFields{
      field<&Params::a>("a", within(-1e9, 1e9), "slope of leaky_relu below 0", tries(0.3)),
      field<&Params::mode>("mode", choices("fan_in", "fan_out"),
                           "keep the variance of the forward pass or of the backward pass"),
      field<&Params::nonlinearity>("nonlinearity", choices("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"),
                                   "the activation that follows, which determines the gain", tries(2)),
  };
  explicit Kaiming(const Params& p) : params(p) {}
  // gain^2 / fan, the variance.
  double variance(Fans fans) const {
    return gain_squared() / static_cast<double>(params.mode == Mode::kFanIn ? fans.in : fans.out);
  }
  double gain_squared() const {
    switch (params.nonlinearity) {
      case Nonlinearity::kTanh:
        return 25.0 / 9;
      case Nonlinearity::kRelu:
        return 2;
      case Nonlinearity::kLeakyRelu:
        return 2 / (1 + params.a * params.a);
      case Nonlinearity::kSelu:
        return 9.0 / 16;
      case Nonlinearity::kLinear:
      case Nonlinearity::kSigmoid:
        break;
    }
    return 1;
  }
  Params params;
};

struct KaimingUniform : Kaiming {
  using Kaiming::Kaiming;
  template <class T>
  void fill(Matrix<T> to, Fans fans, PhiloxStream& words) const {
    const double bound = std::sqrt(3 * variance(fans));
    uniform(to, -bound, bound, words);
  }
};

struct KaimingNormal : Kaiming {
  using Kaiming::Kaiming;
  template <class T>
  void fill(Matrix<T> to, Fans fans, PhiloxStream& words) const {
    normal(to, 0, std::sqrt(variance(fans)), words);
  }
};

}  // namespace fastnn::initializers
