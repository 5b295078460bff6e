// The products of a training step, one variant above the other: 1 three loops, 2 Eigen's product, 3 cpp/kernels/gemm.
// Every variant is checked against the first before it is timed; a wrong one stops the program.
// SPDX-License-Identifier: BSD-3-Clause
#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/buffer.h"
#include "kernels/gemm.h"

namespace {

using fastnn::ConstMatrix;
using fastnn::Index;
using fastnn::Matrix;
using fastnn::MatrixBuffer;

enum class Product { kForward, kWeights, kInputs };  // y = x W + b, dW = x^T dy, dx = dy W^T (with its transpose)

template <class T>
struct Problem {
  Index batch, in, out;
  MatrixBuffer<T> x{batch, in}, w{in, out}, bias{1, out}, dy{batch, out}, wt{out, in};
  Problem(Index b, Index i, Index o) : batch(b), in(i), out(o) {
    std::uint64_t state = 1;
    for (auto m : {x.view(), w.view(), bias.view(), dy.view()})
      for (Index r = 0; r < m.rows; ++r)
        for (Index c = 0; c < m.cols; ++c) {
          state = state * 6364136223846793005ULL + 1442695040888963407ULL;
          m.row(r)[c] = static_cast<T>(static_cast<double>(state >> 11) * 0x1.0p-53 - 0.5);
        }
  }
};

template <class T>
void three_loops(Problem<T>& p, Product product, Matrix<T> c) {
  const auto x = p.x.view(), w = p.w.view(), dy = p.dy.view();
  const Index k = product == Product::kForward ? p.in : product == Product::kWeights ? p.batch : p.out;
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

template <class T>
auto eigen(Matrix<T> m) {
  using Dense = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<Dense, Eigen::Aligned64, Eigen::OuterStride<>>(m.data, m.rows, m.cols,
                                                                   Eigen::OuterStride<>(m.stride));
}

template <class T>
void eigen_product(Problem<T>& p, Product product, Matrix<T> c) {
  auto result = eigen(c);
  const auto x = eigen(p.x.view()), w = eigen(p.w.view()), dy = eigen(p.dy.view());
  if (product == Product::kForward) {
    result.noalias() = x * w;
    result.rowwise() += eigen(p.bias.view()).row(0);
  } else if (product == Product::kWeights) {
    result.noalias() = x.transpose() * dy;
  } else {
    result.noalias() = dy * w.transpose();
  }
}

template <class T>
void ours(Problem<T>& p, Product product, Matrix<T> c) {
  if (product == Product::kForward) return fastnn::kernels::product<T>(p.x.view(), p.w.view(), p.bias.view().data, c);
  if (product == Product::kWeights) return fastnn::kernels::product_transposed<T>(p.x.view(), p.dy.view(), c);
  fastnn::kernels::product<T>(p.dy.view(), p.wt.view(), nullptr, c);  // the transpose is made once a step, see measure
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Best of many runs, in GFLOP/s.
template <class F>
double speed(double flops, F run) {
  double best = 1e9;
  for (const double end = now() + 0.15; now() < end;) {
    const int repeats = 1 + static_cast<int>(2e6 / flops);
    const double start = now();
    for (int r = 0; r < repeats; ++r) run();
    best = std::min(best, (now() - start) / repeats);
  }
  return flops / best * 1e-9;
}

template <class T>
void check(const char* name, ConstMatrix<T> expected, ConstMatrix<T> got, Index k) {
  const double allowed = static_cast<double>(k) * 1e-1 * (sizeof(T) == 4 ? 1.2e-7 : 2.2e-16) + 1e-6 * (sizeof(T) == 4);
  for (Index i = 0; i < got.rows; ++i)
    for (Index j = 0; j < got.cols; ++j)
      if (!(std::abs(static_cast<double>(expected.row(i)[j] - got.row(i)[j])) <= allowed * 10)) {
        std::printf("%s is wrong at %td, %td\n", name, i, j);
        std::exit(1);
      }
}

template <class T>
void measure(Index batch, Index in, Index out, bool with_loops) {
  Problem<T> p(batch, in, out);
  fastnn::kernels::transpose<T>(p.w.view(), p.wt.view());
  const double flops = 2.0 * static_cast<double>(batch * in * out);
  std::printf("%5td x %4td x %4td", batch, in, out);
  for (const auto product : {Product::kForward, Product::kWeights, Product::kInputs}) {
    const Index rows = product == Product::kWeights ? in : batch, cols = product == Product::kInputs ? in : out;
    MatrixBuffer<T> expected(rows, cols), got(rows, cols);
    three_loops(p, product, expected.view());
    const Index k = batch * in * out / (rows * cols);
    eigen_product(p, product, got.view());
    check<T>("Eigen", expected.view(), got.view(), k);
    ours(p, product, got.view());
    check<T>("kernels/gemm", expected.view(), got.view(), k);
    std::printf("  |");
    if (with_loops) std::printf(" %6.1f", speed(flops, [&] { three_loops(p, product, got.view()); }));
    std::printf(" %6.1f", speed(flops, [&] { eigen_product(p, product, got.view()); }));
    std::printf(" %6.1f", speed(flops, [&] { ours(p, product, got.view()); }));
  }
  const double elements = static_cast<double>(in * out);
  std::printf("  | %5.1f\n", speed(elements, [&] { fastnn::kernels::transpose<T>(p.w.view(), p.wt.view()); }));
}

template <class T>
void table(bool with_loops) {
  std::printf(
      "\n%s, GFLOP/s, one thread: for each of x W + b, x^T dy, dy W^T:%s Eigen, kernels/gemm; "
      "then the transpose of W, elements a nanosecond\n",
      sizeof(T) == 4 ? "float32" : "float64", with_loops ? " loops," : "");
  const Index shapes[][3] = {{32, 64, 32},    {32, 32, 16},   {64, 17, 64},    {64, 64, 64},     {64, 784, 128},
                             {128, 784, 512}, {64, 512, 512}, {128, 512, 512}, {64, 128, 10},    {64, 64, 6},
                             {1, 64, 64},     {1, 784, 128},  {16, 64, 64},    {128, 1024, 1024}};
  for (const auto& s : shapes) measure<T>(s[0], s[1], s[2], with_loops);
}

}  // namespace

int main(int argc, char** argv) {
  const bool with_loops = argc > 1 && std::strcmp(argv[1], "--loops") == 0;
  table<float>(with_loops);
  table<double>(with_loops);
}
