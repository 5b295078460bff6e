// Compares implementations of the products of a training step: three plain loops, Eigen's product, the libraries of
// libraries.h, cpp/kernels/gemm. Every implementation is checked against the loops before it is timed, and the program
// stops if one is wrong.
// SPDX-License-Identifier: BSD-3-Clause
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "libraries.h"
#include "problem.h"
#include "rounds.h"

namespace {

using namespace ladder;

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
  fastnn::kernels::product<T>(p.dy.view(), p.packed_wt(), nullptr, c);
}

// The last one is ours.
template <class T>
std::vector<Contestant> line_up(Problem<T>& p, Product product, Matrix<T> c, bool with_loops) {
  std::vector<Contestant> all;
  if (with_loops) all.push_back(contestant("loops", [&p, product, c] { three_loops(p, product, c); }));
  all.push_back(contestant("Eigen", [&p, product, c] { eigen_product(p, product, c); }));
  add_libraries(p, product, c, all);
  all.push_back(contestant("ours", [&p, product, c] { ours(p, product, c); }));
  return all;
}

// The largest difference, relative to the largest element; single elements may be close to zero by cancellation.
template <class T>
double difference(ConstMatrix<T> expected, ConstMatrix<T> got) {
  double most = 0, largest = 0;
  for (Index i = 0; i < got.rows; ++i)
    for (Index j = 0; j < got.cols; ++j) {
      const double right = static_cast<double>(expected.row(i)[j]);
      const double off = std::abs(right - static_cast<double>(got.row(i)[j]));
      if (!(off <= most)) most = off;  // a NaN stays
      largest = std::max(largest, std::abs(right));
    }
  return most / largest;
}

// Returns the largest difference. All contestants write to the same c, which is filled with NaN before each.
template <class T>
double check(Problem<T>& p, Product product, Matrix<T> c, const std::vector<Contestant>& contestants) {
  MatrixBuffer<T> expected(c.rows, c.cols);
  three_loops(p, product, expected.view());
  // Rounding errors grow like the square root of the length of a sum. The loops have rounding errors as well.
  const double allowed = 4 * std::numeric_limits<T>::epsilon() * std::sqrt(static_cast<double>(p.inner(product)));
  double most = 0;
  for (const auto& one : contestants) {
    if (!one.run) continue;
    for (Index r = 0; r < c.rows; ++r) std::fill_n(c.row(r), c.cols, std::numeric_limits<T>::quiet_NaN());
    one.run(1);
    const double off = difference<T>(expected.view(), c);
    if (!(off <= allowed)) {
      std::printf("%s is wrong in %s of %td x %td x %td: off by %.2g of the largest element, allowed is %.2g\n",
                  one.name.c_str(), name(product), p.batch, p.in, p.out, off, allowed);
      std::exit(1);
    }
    most = std::max(most, off);
  }
  return most;
}

void print_cell(const char* format, double value) {
  if (std::isnan(value))
    std::printf(" %8s", "-");
  else
    std::printf(format, value);
}

// The data for the last lines of a table: the ratios of every contestant, and the largest difference.
struct Summary {
  std::vector<std::string> names;
  std::vector<double> logs;
  std::vector<int> counts;
  double difference = 0;
};

void print_head(const std::vector<Contestant>& contestants) {
  std::printf("%5s   %4s   %4s  %-8s", "batch", "in", "out", "product");
  for (const auto& one : contestants) std::printf(" %8s", one.name.c_str());
  std::printf("  | ours /");
  for (std::size_t i = 0; i + 1 < contestants.size(); ++i) std::printf(" %8s", contestants[i].name.c_str());
  std::printf("  | W^T\n");
}

void print_times(const std::vector<std::vector<double>>& times, double flops, Summary& summary) {
  for (const auto& t : times) print_cell(" %8.1f", flops / best(t) * 1e-9);
  std::printf("  |       ");
  for (std::size_t i = 0; i + 1 < times.size(); ++i) {
    const double faster = ratio(times.back(), times[i]);
    print_cell(" %8.2f", faster);
    if (std::isnan(faster)) continue;
    summary.logs[i] += std::log(faster);
    ++summary.counts[i];
  }
}

template <class T>
void measure(Problem<T>& p, bool with_loops, Summary& summary) {
  for (const auto product : {Product::kForward, Product::kWeights, Product::kInputs}) {
    MatrixBuffer<T> c(p.rows(product), p.cols(product));
    const auto contestants = line_up(p, product, c.view(), with_loops);
    if (summary.logs.empty()) {
      print_head(contestants);
      summary.logs.resize(contestants.size());
      summary.counts.resize(contestants.size());
    }
    summary.difference = std::max(summary.difference, check(p, product, c.view(), contestants));
    std::printf("%5td x %4td x %4td  %-8s", p.batch, p.in, p.out, name(product));
    print_times(take_turns(contestants), p.flops(), summary);
    if (product == Product::kInputs) {
      const auto transpose =
          contestant("transpose", [&p] { fastnn::kernels::pack_transposed<T>(p.w.view(), p.packed_wt()); });
      std::printf("  | %3.1f", static_cast<double>(p.in * p.out) / best(take_turns({transpose})[0]) * 1e-9);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

template <class T>
void table(bool with_loops) {
  std::printf(
      "\n%s, one thread: GFLOP/s of processor time, best of %d rounds; how many times as fast ours is, median of the "
      "rounds; "
      "the transpose of W that ours and libxsmm read, elements a nanosecond\n",
      sizeof(T) == 4 ? "float32" : "float64", kRounds);
  const Index shapes[][3] = {{32, 64, 32},    {32, 32, 16},   {64, 17, 64},    {64, 64, 64},     {64, 784, 128},
                             {128, 784, 512}, {64, 512, 512}, {128, 512, 512}, {64, 128, 10},    {64, 64, 6},
                             {1, 64, 64},     {1, 784, 128},  {16, 64, 64},    {128, 1024, 1024}};
  Summary summary;
  for (const auto& s : shapes) {
    Problem<T> p(s[0], s[1], s[2]);
    measure(p, with_loops, summary);
  }
  const auto width = static_cast<int>(9 * summary.logs.size());
  std::printf("%-31s%*s  |       ", "geometric mean", width, "");
  for (std::size_t i = 0; i + 1 < summary.logs.size(); ++i)
    print_cell(" %8.2f", std::exp(summary.logs[i] / summary.counts[i]));
  std::printf("\nlargest difference from the loops, relative to the largest element: %.1e\n", summary.difference);
}

}  // namespace

int main(int argc, char** argv) {
  const bool with_loops = argc > 1 && std::strcmp(argv[1], "--loops") == 0;
  if (!one_thread()) {
    std::printf("oneDNN would use several threads: run with OMP_NUM_THREADS=1 in the environment\n");
    return 1;
  }
  std::printf("%s\n", describe_libraries().c_str());
  table<float>(with_loops);
  table<double>(with_loops);
}
