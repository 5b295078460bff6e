// The problem that every contestant solves: the three products of a training step on engine matrices; and the three loops
// that give the reference result.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "core/buffer.h"
#include "kernels/gemm.h"
#include "kernels/pack.h"

namespace ladder {

using fastnn::ConstMatrix;
using fastnn::Index;
using fastnn::Matrix;
using fastnn::MatrixBuffer;

enum class Product { kForward, kWeights, kInputs };  // y = x W + b, dW = x^T dy, dx = dy W^T

inline const char* name(Product product) {
  return product == Product::kForward ? "x W + b" : product == Product::kWeights ? "x^T dy" : "dy W^T";
}

// W^T, which a training step makes once for all its chunks, in two forms: wt row-major for the libraries, packed_wt() for
// our product.
template <class T>
struct Problem {
  Index batch, in, out;
  MatrixBuffer<T> x{batch, in}, w{in, out}, bias{1, out}, dy{batch, out}, wt{out, in};
  fastnn::Buffer<T> memory{fastnn::packed_size<T>(out, in)};
  fastnn::PackedMatrix<T> packed_wt() { return {memory.data(), out, in}; }
  Problem(Index b, Index i, Index o) : batch(b), in(i), out(o) {
    std::uint64_t state = 1;
    for (auto m : {x.view(), w.view(), bias.view(), dy.view()})
      for (Index r = 0; r < m.rows; ++r)
        for (Index c = 0; c < m.cols; ++c) {
          state = state * 6364136223846793005ULL + 1442695040888963407ULL;
          m.row(r)[c] = static_cast<T>(static_cast<double>(state >> 11) * 0x1.0p-53 - 0.5);
        }
    fastnn::kernels::pack_transposed<T>(w.view(), packed_wt());
    for (Index i = 0; i < in; ++i)
      for (Index o = 0; o < out; ++o) wt.view().row(o)[i] = w.view().row(i)[o];
  }
  Index rows(Product product) const { return product == Product::kWeights ? in : batch; }
  Index cols(Product product) const { return product == Product::kInputs ? in : out; }
  Index inner(Product product) const { return batch * in * out / (rows(product) * cols(product)); }
  double flops() const { return 2.0 * static_cast<double>(batch * in * out); }
};

template <class T>
void three_loops(Problem<T>& p, Product product, Matrix<T> c) {
  const auto x = p.x.view(), w = p.w.view(), dy = p.dy.view();
  const Index k = p.inner(product);
  for (Index i = 0; i < c.rows; ++i)
    for (Index j = 0; j < c.cols; ++j) {
      T sum = product == Product::kForward ? p.bias.view().data[j] : T(0);
      for (Index q = 0; q < k; ++q)
        sum += product == Product::kForward   ? x.row(i)[q] * w.row(q)[j]
               : product == Product::kWeights ? x.row(q)[i] * dy.row(q)[j]
                                              : dy.row(i)[q] * w.row(j)[q];
      c.row(i)[j] = sum;
    }
}

}  // namespace ladder
