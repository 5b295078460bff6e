// The contract of an activation: one object with name, hyperparameters, f, f' and what backward must remember.
// A registry row instantiates the whole loops below, so f and f' inline; nothing is virtual per element.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>
#include <string>

#include "core/hyper.h"
#include "core/simd.h"
#include "core/types.h"

namespace fastnn::inline FASTNN_ISA::activations {

// What f' is computed from: the input z, or the output f(z) (then the layer works in place).
enum class Needs { kInput, kOutput };

// A member is a template like this (see relu.h):
//   template <class T> struct Softplus {
//     static constexpr Needs kNeeds = Needs::kInput;
//     static constexpr std::array<Hyper, 0> kHypers{};
//     explicit Softplus(const double* hyper);
//     Vec<T> f(Vec<T> z) const;
//     Vec<T> df(Vec<T> saved) const;   // saved: z or f(z), by kNeeds
//   };

template <class T>
struct Loops {
  // a = f(z) over whole padded rows; a may be z.
  void (*forward)(const double* hyper, ConstMatrix<T> z, Matrix<T> a) noexcept;
  // grad *= f'(saved); columns beyond `cols` stay zero as long as they come in as zero.
  void (*backward)(const double* hyper, ConstMatrix<T> saved, Matrix<T> grad) noexcept;
};

struct Row {
  const char* name;        // "leaky_relu": the word of configurations and of fastnn.functional
  const char* class_name;  // "LeakyReLU": torch's name, the class in fastnn.nn
  const char* formula;     // one line of documentation
  Needs needs;
  std::span<const Hyper> hypers;
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    if constexpr (sizeof(T) == sizeof(float))
      return f32;
    else
      return f64;
  }
};

template <class T, template <class> class F>
void forward_loop(const double* hyper, ConstMatrix<T> z, Matrix<T> a) noexcept {
  const F<T> function(hyper);
  const Index width = padded<T>(z.cols);
  for (Index r = 0; r < z.rows; ++r)
    for (Index c = 0; c < width; c += Vec<T>::kLanes) function.f(Vec<T>::load(z.row(r) + c)).store(a.row(r) + c);
}

template <class T, template <class> class F>
void backward_loop(const double* hyper, ConstMatrix<T> saved, Matrix<T> grad) noexcept {
  const F<T> function(hyper);
  const Index width = padded<T>(grad.cols);
  for (Index r = 0; r < grad.rows; ++r)
    for (Index c = 0; c < width; c += Vec<T>::kLanes)
      (Vec<T>::load(grad.row(r) + c) * function.df(Vec<T>::load(saved.row(r) + c))).store(grad.row(r) + c);
}

template <template <class> class F>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {name,
          class_name,
          formula,
          F<float>::kNeeds,
          F<float>::kHypers,
          {forward_loop<float, F>, backward_loop<float, F>},
          {forward_loop<double, F>, backward_loop<double, F>}};
}

// The one list (registry.cpp), in the order of the documentation.
std::span<const Row> registry();
// The row called `name`, or nullptr.
const Row* find(const std::string& name);

}  // namespace fastnn::inline FASTNN_ISA::activations
