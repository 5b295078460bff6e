// The registry of activations as other rooms see it: for each a registry row with names, parameters and loops over
// matrices. This header has no vector types, so that the bindings, which are compiled once for the oldest processor,
// can include it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/registry.h"
#include "core/types.h"

namespace fastnn::activations {

// What f' is computed from: the input z, or the output f(z), in which case the layer works in place.
enum class Needs { kInput, kOutput };

template <class T>
struct Loops {
  // a = f(z) over whole padded rows; a may be z. Rows of an activation of whole rows are aligned.
  void (*forward)(const Values& values, ConstMatrix<T> z, Matrix<T> a) noexcept;
  // grad *= f'(saved). Padding columns that are zero remain zero.
  void (*backward)(const Values& values, ConstMatrix<T> saved, Matrix<T> grad) noexcept;
};

struct Row : fastnn::Row {
  Needs needs;
  bool whole_rows;  // a number of a depends on its whole row of z; otherwise on one number of z
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    return of_type<T>(f32, f64);
  }
};

// The loops on a caller's numbers, neither padded nor aligned. Elementwise activations take at most kBackwardRun
// numbers at once in backward; those of whole rows take rows, and where a row has more than kLongRow columns, as many
// rows of `scratch` for each array that they read.
inline constexpr Index kBackwardRun = 1024;
template <class T>
inline constexpr Index kLongRow = 16384 / static_cast<Index>(sizeof(T));

// a = f(z); a may be z.
template <class T>
void forward(const Row& row, const Values& values, const T* z, T* a, Index n) noexcept;
template <class T>
void forward_rows(const Row& row, const Values& values, ConstMatrix<T> z, Matrix<T> a, Matrix<T> scratch) noexcept;
// dz = dy f'(saved); dz may be dy or saved.
template <class T>
void backward(const Row& row, const Values& values, const T* dy, const T* saved, T* dz, Index n) noexcept;
template <class T>
void backward_rows(const Row& row, const Values& values, ConstMatrix<T> dy, ConstMatrix<T> saved, Matrix<T> dz,
                   Matrix<T> grad_scratch, Matrix<T> saved_scratch) noexcept;

// The list of all activations (registry.cpp), in the order of the documentation.
Registry<Row> registry();

}  // namespace fastnn::activations
