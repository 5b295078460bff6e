// The contract of an optimizer: it updates one tile of parameters from one tile of gradients, with the hyperparameters
// of that parameter. It does not change gradients, and is not called for frozen parameters.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "core/simd.h"
#include "optimizers/registry.h"

namespace fastnn::optimizers {

// A member is a template like this (see sgd.h):
//   struct LionParams {
//     double lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weight_decay = 0, l1 = 0;
//   };
//   struct LionCoefficients {                                       // what a step needs, made once in double
//     double lr, share1, ...;
//   };
//   template <class T> struct Lion {
//     using Params = LionParams;
//     using Coefficients = LionCoefficients;
//     static constexpr std::array kFields{kLr<Params>, ..., kL1<Params>};
//     enum { kExpAvg };
//     static constexpr std::array kStates{State{"exp_avg"}};
//     static bool keeps(int state, const Params& p);                // of the optional ones, if there are any
//     static Coefficients coefficients(const Params& p, std::int64_t t);  // or (p, t, batch_weight)
//     static constexpr bool kShrinks = true;                        // if weight_decay is never added to the gradient
//     static constexpr bool kFixedMomentum = true;                 // if beta1 cannot change between updates
//     explicit Lion(const Coefficients& c);
//     // The new w; states in place: state[kExpAvg]. S::has(kExpAvg) where one is optional.
//     template <class S> Vec<T> update(Vec<T> w, Vec<T> g, S& state) const;
//   };
template <class P>
inline constexpr Field kLr = field<&P::lr>("lr", at_least(0), "learning rate", tries(0.03));
template <class P>
inline constexpr Field kL1 = field<&P::l1>("l1", at_least(0), "adds l1 * sign(w) to the gradient", tries(0.3));
template <class P>
inline constexpr Field kWeightDecay =
    field<&P::weight_decay>("weight_decay", at_least(0), "adds weight_decay * w to the gradient", tries(0.3));

// Whose rules SGD and Adam follow. scikit-learn's differ from torch's: weight_decay is divided by the weights of the
// batch's rows (by their number, if they have none), momentum adds up steps instead of gradients, so that a change of the
// learning rate does not apply to earlier gradients, and Adam adds eps before the bias correction.
enum class UpdateForm { kTorch, kSklearn };
template <class P>
inline constexpr Field kForm = field<&P::form>("form", choices("torch", "sklearn"), "whose rules the update follows");
// The factor of w in the gradient of a batch whose rows have this sum of weights. Without weight there is no penalty,
// either.
inline double decay_in(UpdateForm form, double weight_decay, double batch_weight) {
  if (form == UpdateForm::kTorch) return weight_decay;
  return batch_weight > 0 ? weight_decay / batch_weight : 0;
}

template <class P>
inline constexpr Field kShrink =
    field<&P::weight_decay>("weight_decay", at_least(0), "multiplies w by 1 - lr * weight_decay", tries(0.3));
template <class P>
inline constexpr Field kDecoupled = field<&P::decoupled_weight_decay>(
    "decoupled_weight_decay", "weight_decay multiplies w by 1 - lr * weight_decay instead");

// The states in update(): one vector of each state that is kept.
template <class T, StateSet kKept>
struct StateVectors {
  static constexpr bool has(int state) { return contains(kKept, state); }
  Vec<T>& operator[](int state) { return vectors[state]; }
  Vec<T> vectors[kMaxStates] = {};
};
template <class M>
inline constexpr int kStateCount = static_cast<int>(M::kStates.size());

// The update prefetches lines this many rows ahead: rows of a tile are far apart, so the hardware does not prefetch
// them, and the arrays of a large network are not in L1 or L2.
inline constexpr Index kPrefetchRows = 4;

// Where a gradient comes from: memory; memory, multiplied by grad_factor and with l1 sign(w) added; the product of two
// factors; the sum of two numbers in memory.
enum class From { kMemory, kAdjusted, kFactors, kSum };

// Returns a vector that is zero if and only if every new parameter and state is finite: x * 0 is 0 for finite x and NaN
// otherwise. The products of some parameters and their states are added up, and the bits of these sums are ORed together:
// unlike a sum over all of them, that has no long dependency chain of additions, which would take longer than the update.
// The rule is made here, where it is known which of its numbers are needed.
template <class T, template <class> class O, From kFrom, StateSet kKept>
Vec<T> update_rows(const typename O<T>::Coefficients& coefficients, UpdateTile<T> tile) noexcept {
  const O<T> rule(coefficients);
  constexpr int kStates = kStateCount<O<T>>;
  const auto zero = Vec<T>::zero(), factor = Vec<T>::set(tile.grad_factor), l1 = Vec<T>::set(tile.l1);
  auto nonfinite = zero;
  auto left = zero;
  const auto update_vector = [&](Index c, Vec<T> found) {
    auto w = Vec<T>::loadu(tile.param + c);
    auto g = Vec<T>::loadu(tile.grad + c);
    if constexpr (kFrom == From::kFactors) g = fma(left, g, zero);  // the same rounding as in x^T dy
    if constexpr (kFrom == From::kSum) g = g + Vec<T>::loadu(tile.second + c);
    if constexpr (kFrom == From::kAdjusted)
      g = g * factor + select(less(zero, w), l1, select(less(w, zero), -l1, zero));
    StateVectors<T, kKept> state;
    for (int s = 0; s < kStates; ++s)
      if (state.has(s)) state[s] = Vec<T>::loadu(tile.state[s] + c);
    w = rule.update(w, g, state);
    w.storeu(tile.param + c);
    found = fma(w, zero, found);
    for (int s = 0; s < kStates; ++s) {
      if (!state.has(s)) continue;
      state[s].storeu(tile.state[s] + c);
      found = fma(state[s], zero, found);
    }
    return found;
  };
  // Without states an update takes so few instructions that those of the loop count.
  constexpr Index kAtOnce = kKept == 0 ? 4 * kPad<T> : kPad<T>;
  Index prefetch = 0;
  const auto update_columns = [&]<Index kCount>(Index first, std::integral_constant<Index, kCount>) {
    auto found = zero;
#pragma GCC unroll 16
    for (Index c = 0; c < kCount; c += Vec<T>::kLanes) {
      if (c % kPad<T> == 0) {
        __builtin_prefetch(tile.param + prefetch + first + c, 1);
        for (int s = 0; s < kStates; ++s)
          if (contains(kKept, s)) __builtin_prefetch(tile.state[s] + prefetch + first + c, 1);
      }
      found = update_vector(first + c, found);
    }
    nonfinite = nonfinite | found;
  };
  for (Index r = 0; r < tile.rows; ++r) {
    prefetch = r + kPrefetchRows < tile.rows ? kPrefetchRows * tile.stride : 0;
    if constexpr (kFrom == From::kFactors) left = Vec<T>::set(tile.left[r]);
    Index c = 0;
    if constexpr (kAtOnce > kPad<T>)
      for (; c + kAtOnce <= tile.cols; c += kAtOnce) update_columns(c, std::integral_constant<Index, kAtOnce>{});
    for (; c < tile.cols; c += kPad<T>) update_columns(c, std::integral_constant<Index, kPad<T>>{});
    tile.param += tile.stride;
    tile.grad += tile.grad_stride;
    if constexpr (kFrom == From::kSum) tile.second += tile.grad_stride;
    for (int s = 0; s < kStates; ++s)
      if (contains(kKept, s)) tile.state[s] += tile.stride;
  }
  return nonfinite;
}

// Selects the loop for the states that the tile has, one state after the other; those before kState are selected.
template <class T, template <class> class O, From kFrom, StateSet kKept = 0, int kState = 0>
Vec<T> update_states(const typename O<T>::Coefficients& c, const UpdateTile<T>& tile) noexcept {
  if constexpr (kState == kStateCount<O<T>>) {
    return update_rows<T, O, kFrom, kKept>(c, tile);
  } else {
    if constexpr (O<T>::kStates[kState].optional)
      if (!tile.state[kState]) return update_states<T, O, kFrom, kKept, kState + 1>(c, tile);
    return update_states<T, O, kFrom, kKept | only(kState), kState + 1>(c, tile);
  }
}

template <class T, template <class> class O>
bool update_loop(const Coefficients& bytes, const UpdateTile<T>& tile) noexcept {
  const auto c = bytes.as<typename O<T>::Coefficients>();
  if (tile.left) return all_zero(update_states<T, O, From::kFactors>(c, tile));
  if (tile.second) return all_zero(update_states<T, O, From::kSum>(c, tile));
  const bool adjusts = tile.grad_factor != T(1) || tile.l1 != T(0);
  return all_zero(adjusts ? update_states<T, O, From::kAdjusted>(c, tile)
                          : update_states<T, O, From::kMemory>(c, tile));
}

template <class M>
StateSet kept(const Values& values) {
  const auto p = values.as<typename M::Params>();
  StateSet set = 0;
  for (int s = 0; s < kStateCount<M>; ++s) {
    bool keeps = true;
    if constexpr (requires { M::keeps(s, p); })
      keeps = !M::kStates[static_cast<std::size_t>(s)].optional || M::keeps(s, p);
    if (keeps) set |= only(s);
  }
  return set;
}

template <class M>
Coefficients coefficients(const Values& values, std::int64_t t, double batch_weight) {
  const auto p = values.as<typename M::Params>();
  if constexpr (requires { M::coefficients(p, t, batch_weight); })
    return Coefficients(M::coefficients(p, t, batch_weight));
  else
    return Coefficients(M::coefficients(p, t));
}

template <class M>
double l2(const Values& values, double batch_weight) {
  const auto p = values.as<typename M::Params>();
  if constexpr (requires { M::kShrinks; }) return 0;
  if constexpr (requires { p.decoupled_weight_decay; })
    if (p.decoupled_weight_decay) return 0;
  if constexpr (requires { p.form; }) return decay_in(p.form, p.weight_decay, batch_weight);
  return p.weight_decay;
}

template <class M>
constexpr const char* momentum_name() {
  using P = typename M::Params;
  if constexpr (requires { M::kFixedMomentum; }) return "";
  if constexpr (requires(P p) { p.momentum; }) return "momentum";
  if constexpr (requires(P p) { p.beta1; }) return "beta1";
  return "";
}
template <class M>
Values with_momentum(const Values& values, double momentum) {
  auto p = values.as<typename M::Params>();
  if constexpr (requires { p.momentum; })
    p.momentum = momentum;
  else if constexpr (requires { p.beta1; })
    p.beta1 = momentum;
  return Values(p);
}

template <template <class> class O>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  using M = O<float>;
  using P = typename M::Params;
  static_assert(kStateCount<M> <= kMaxStates);
  return {row_of<M>(name, class_name, formula),
          M::kStates,
          kept<M>,
          coefficients<M>,
          [](const Values& values) { return values.as<P>().lr; },
          [](const Values& values) { return values.as<P>().l1; },
          l2<M>,
          [](const Values& values, double lr) {
            auto p = values.as<P>();
            p.lr = lr;
            return Values(p);
          },
          momentum_name<M>(),
          with_momentum<M>,
          {update_loop<float, O>},
          {update_loop<double, O>}};
}

}  // namespace fastnn::optimizers
