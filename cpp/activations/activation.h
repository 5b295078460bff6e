// The contract of an activation: an object made from its parameters, with f, f' and what the backward pass needs. Its
// registry row instantiates the loops below, in which f and f' are inlined; there is no virtual call per element.
// An activation whose outputs depend on the whole row has forward and backward of matrices instead.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "activations/registry.h"
#include "core/simd.h"

namespace fastnn::activations {

// A member is a template like this (see relu.h; leaky_relu.h has a parameter):
//   struct SoftplusParams {
//     double beta = 1;
//   };
//   template <class T> struct Softplus {
//     using Params = SoftplusParams;                                          // these two and the
//     static constexpr std::array kFields{field<&Params::beta>("beta", ...)};  // constructor only with parameters
//     explicit Softplus(const Params& p);
//     static constexpr Needs kNeeds = Needs::kInput;
//     Vec<T> f(Vec<T> z) const;
//     Vec<T> df(Vec<T> saved) const;   // saved: z or f(z), by kNeeds
//   };
// or, of whole rows, with the loops of Loops (see softmax.h):
//     void forward(ConstMatrix<T> z, Matrix<T> a) const;
//     void backward(ConstMatrix<T> saved, Matrix<T> grad) const;

template <class T, template <class> class F>
inline constexpr bool kWholeRows = requires(const F<T> f, ConstMatrix<T> z, Matrix<T> a) { f.forward(z, a); };

template <class T, template <class> class F>
void forward_loop(const Values& values, ConstMatrix<T> z, Matrix<T> a) noexcept {
  const F<T> function = made<F<T>>(values);
  if constexpr (kWholeRows<T, F>) {
    function.forward(z, a);
  } else {
    const Index width = padded<T>(z.cols);
    for (Index r = 0; r < z.rows; ++r)
      for (Index c = 0; c < width; c += Vec<T>::kLanes) function.f(Vec<T>::loadu(z.row(r) + c)).storeu(a.row(r) + c);
  }
}

template <class T, template <class> class F>
void backward_loop(const Values& values, ConstMatrix<T> saved, Matrix<T> grad) noexcept {
  const F<T> function = made<F<T>>(values);
  if constexpr (kWholeRows<T, F>) {
    function.backward(saved, grad);
  } else {
    const Index width = padded<T>(grad.cols);
    for (Index r = 0; r < grad.rows; ++r)
      for (Index c = 0; c < width; c += Vec<T>::kLanes)
        (Vec<T>::loadu(grad.row(r) + c) * function.df(Vec<T>::loadu(saved.row(r) + c))).storeu(grad.row(r) + c);
  }
}

template <template <class> class F>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {row_of<F<float>>(name, class_name, formula),
          F<float>::kNeeds,
          kWholeRows<float, F>,
          {forward_loop<float, F>, backward_loop<float, F>},
          {forward_loop<double, F>, backward_loop<double, F>}};
}

}  // namespace fastnn::activations
