// Focal loss of logits (Lin, Goyal, Girshick, He and Dollar 2017): binary cross-entropy times q^gamma, where q is what
// the probability of the target lacks to 1, so that easy rows count less; and times alpha for targets of 1 and 1 -
// alpha for targets of 0, unless alpha is negative (the convention of torchvision's sigmoid_focal_loss). With s =
// sigmoid(z) and r = sigmoid(-z), q = s (1 - t) + r t has no cancellation, and
//   dl/dz = weight q^gamma (s (1 - t) - r t + gamma (1 - 2 t) (s r / q) l), l the binary cross-entropy.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <limits>

#include "losses/bce_with_logits.h"

namespace fastnn::losses {

struct FocalParams {
  Reduction reduction = Reduction::kMean;
  double gamma = 2, alpha = 0.25;
};

template <class T>
struct Focal : Logits<T, Focal<T>> {
  using Params = FocalParams;
  static constexpr std::array kFields{
      kReductionOverOutputs<Params>,
      field<&Params::gamma>("gamma", within(0, 1e3), "how much less easy rows count; 0: all the same", tries(1.3)),
      field<&Params::alpha>("alpha", within(-1, 1),
                            "weight of targets of 1, those of 0 have 1 - alpha; below 0: no weights", tries(0.6))};
  explicit Focal(const Params& p)
      : whole(static_cast<int>(p.gamma)),
        fraction(static_cast<T>(p.gamma - whole)),
        gamma(Vec<T>::set(static_cast<T>(p.gamma))),
        of_ones(Vec<T>::set(static_cast<T>(p.alpha < 0 ? 1 : p.alpha))),
        of_zeros(Vec<T>::set(static_cast<T>(p.alpha < 0 ? 1 : 1 - p.alpha))) {}

  Vec<T> value(Vec<T> z, Vec<T> t) const {
    const auto [s, r] = sigmoid_sides(z);
    return weight(t) * power(lacking(s, r, t)) * this->entropy(z, t);
  }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const {
    const auto one = Vec<T>::set(1), least = Vec<T>::set(std::numeric_limits<T>::min());
    const auto [s, r] = sigmoid_sides(z);
    const auto q = lacking(s, r, t);
    const auto easier = gamma * (one - (t + t)) * (s * r / max(q, least)) * this->entropy(z, t);
    return weight(t) * power(q) * ((s * (one - t) - r * t) + easier);
  }

 private:
  static Vec<T> lacking(Vec<T> s, Vec<T> r, Vec<T> t) { return fma(r, t, s * (Vec<T>::set(1) - t)); }
  Vec<T> weight(Vec<T> t) const { return of_ones * t + of_zeros * (Vec<T>::set(1) - t); }
  // q^gamma: whole powers by products, which are more accurate than exp(gamma log(q)).
  Vec<T> power(Vec<T> q) const {
    auto result = fraction == 0 ? Vec<T>::set(1) : exp(Vec<T>::set(fraction) * log(q));
    auto square = q;
    for (int n = whole; n > 0; n /= 2, square = square * square)
      if (n % 2 == 1) result = result * square;
    return result;
  }

  int whole;
  T fraction;
  Vec<T> gamma, of_ones, of_zeros;
};

}  // namespace fastnn::losses
