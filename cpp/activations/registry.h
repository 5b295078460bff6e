// The registry of activations as other rooms see it: for each a registry row with names, parameters and loops over
// matrices. This header has no vector types, so that the bindings, which are compiled once for the oldest processor,
// can include it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstring>

#include "core/registry.h"
#include "core/types.h"

namespace fastnn::activations {

// What f' is computed from: the input z, or the output f(z), in which case the layer works in place.
enum class Needs { kInput, kOutput };

template <class T>
struct Loops {
  // a = f(z) over whole padded rows; a may be z.
  void (*forward)(const Values& values, ConstMatrix<T> z, Matrix<T> a) noexcept;
  // grad *= f'(saved). Padding columns that are zero remain zero.
  void (*backward)(const Values& values, ConstMatrix<T> saved, Matrix<T> grad) noexcept;
};

struct Row : fastnn::Row {
  Needs needs;
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    return of_type<T>(f32, f64);
  }
};

// The loops on contiguous numbers of a caller at any address: whole cache lines of numbers in place, and the remainder
// in a buffer of one line. a = f(z); a may be z.
template <class T>
void forward(const Row& row, const Values& values, const T* z, T* a, Index n) noexcept {
  const Index whole = n / kPad<T> * kPad<T>, rest = n - whole;
  const auto bytes = static_cast<std::size_t>(rest) * sizeof(T);
  row.loops<T>().forward(values, {z, 1, whole, whole}, {a, 1, whole, whole});
  if (rest == 0) return;
  alignas(kAlign) T line[kPad<T>] = {};
  std::memcpy(line, z + whole, bytes);
  row.loops<T>().forward(values, {line, 1, rest, kPad<T>}, {line, 1, rest, kPad<T>});
  std::memcpy(a + whole, line, bytes);
}
// dz = dy f'(saved) for at most kBackwardRun numbers; dz may be dy or saved.
inline constexpr Index kBackwardRun = 1024;
template <class T>
void backward(const Row& row, const Values& values, const T* dy, const T* saved, T* dz, Index n) noexcept {
  const Index whole = dz == saved ? 0 : n / kPad<T> * kPad<T>, rest = n - whole;
  if (dz != dy && whole > 0) std::memcpy(dz, dy, static_cast<std::size_t>(whole) * sizeof(T));
  row.loops<T>().backward(values, {saved, 1, whole, whole}, {dz, 1, whole, whole});
  if (rest == 0) return;
  alignas(kAlign) T kept[kBackwardRun] = {}, grad[kBackwardRun] = {};
  const auto bytes = static_cast<std::size_t>(rest) * sizeof(T);
  std::memcpy(kept, saved + whole, bytes);
  std::memcpy(grad, dy + whole, bytes);
  row.loops<T>().backward(values, {kept, 1, rest, kBackwardRun}, {grad, 1, rest, kBackwardRun});
  std::memcpy(dz + whole, grad, bytes);
}

// The list of all activations (registry.cpp), in the order of the documentation.
Registry<Row> registry();

}  // namespace fastnn::activations
