// The loops on numbers in a caller's memory, neither padded nor aligned: what does not fill whole cache lines goes
// through a buffer on the stack.
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cstring>

#include "activations/registry.h"

namespace fastnn::activations {

namespace {

template <class T>
void copy_in(ConstMatrix<T> from, Matrix<T> to) noexcept {
  for (Index r = 0; r < from.rows; ++r) {
    std::copy_n(from.row(r), from.cols, to.row(r));
    std::fill(to.row(r) + from.cols, to.row(r) + padded<T>(from.cols), T(0));
  }
}

// Calls f(first row, rows) for groups of rows that fit into kLongRow padded numbers, or for all of them if none does.
template <class T, class F>
void for_groups(Index rows, Index cols, F f) noexcept {
  const Index width = padded<T>(cols);
  if (width <= 0) return;
  const Index at_once = width <= kLongRow<T> ? kLongRow<T> / width : rows;
  for (Index first = 0; first < rows; first += at_once) f(first, std::min(at_once, rows - first));
}

template <class T>
Matrix<T> buffer(T* local, Matrix<T> scratch, Index rows, Index cols) noexcept {
  const Index width = padded<T>(cols);
  return width <= kLongRow<T> ? Matrix<T>{local, rows, cols, width} : scratch;
}

}  // namespace

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

template <class T>
void forward_rows(const Row& row, const Values& values, ConstMatrix<T> z, Matrix<T> a, Matrix<T> scratch) noexcept {
  alignas(kAlign) T local[kLongRow<T>];
  for_groups<T>(z.rows, z.cols, [&](Index first, Index rows) {
    const Matrix<T> group = buffer(local, scratch, rows, z.cols);
    copy_in<T>(z.middle_rows(first, rows), group);
    row.loops<T>().forward(values, group, group);
    for (Index r = 0; r < rows; ++r) std::copy_n(group.row(r), z.cols, a.row(first + r));
  });
}

template <class T>
void backward_rows(const Row& row, const Values& values, ConstMatrix<T> dy, ConstMatrix<T> saved, Matrix<T> dz,
                   Matrix<T> grad_scratch, Matrix<T> saved_scratch) noexcept {
  alignas(kAlign) T local_grad[kLongRow<T>], local_saved[kLongRow<T>];
  for_groups<T>(dy.rows, dy.cols, [&](Index first, Index rows) {
    const Matrix<T> grad = buffer(local_grad, grad_scratch, rows, dy.cols);
    const Matrix<T> kept = buffer(local_saved, saved_scratch, rows, dy.cols);
    copy_in<T>(dy.middle_rows(first, rows), grad);
    copy_in<T>(saved.middle_rows(first, rows), kept);
    row.loops<T>().backward(values, kept, grad);
    for (Index r = 0; r < rows; ++r) std::copy_n(grad.row(r), dy.cols, dz.row(first + r));
  });
}

template void forward(const Row&, const Values&, const float*, float*, Index) noexcept;
template void forward(const Row&, const Values&, const double*, double*, Index) noexcept;
template void backward(const Row&, const Values&, const float*, const float*, float*, Index) noexcept;
template void backward(const Row&, const Values&, const double*, const double*, double*, Index) noexcept;
template void forward_rows(const Row&, const Values&, ConstMatrix<float>, Matrix<float>, Matrix<float>) noexcept;
template void forward_rows(const Row&, const Values&, ConstMatrix<double>, Matrix<double>, Matrix<double>) noexcept;
template void backward_rows(const Row&, const Values&, ConstMatrix<float>, ConstMatrix<float>, Matrix<float>,
                            Matrix<float>, Matrix<float>) noexcept;
template void backward_rows(const Row&, const Values&, ConstMatrix<double>, ConstMatrix<double>, Matrix<double>,
                            Matrix<double>, Matrix<double>) noexcept;

}  // namespace fastnn::activations
