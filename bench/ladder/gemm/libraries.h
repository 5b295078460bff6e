// Two libraries as the limit for single products, float32: oneDNN's sgemm, and kernels that libxsmm compiles for
// exactly one shape. Each only where the build found it; see CMakeLists.txt.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "problem.h"
#include "rounds.h"

#ifdef LADDER_ONEDNN
#include <dnnl.h>
#endif
#ifdef LADDER_LIBXSMM
#include <libxsmm.h>
#endif

namespace ladder {

// Neither library adds a bias: c is filled with the bias first, and the library accumulates the product into it.
inline void start_from_bias(const Problem<float>& p, Matrix<float> c) {
  const float* bias = p.bias.view().data;
  for (Index r = 0; r < c.rows; ++r) std::copy(bias, bias + c.cols, c.row(r));
}

#ifdef LADDER_ONEDNN
// For dy W^T it reads the row-major W.
inline void onednn_product(Problem<float>& p, Product product, Matrix<float> c) {
  const bool forward = product == Product::kForward, weights = product == Product::kWeights;
  const auto a = product == Product::kInputs ? p.dy.view() : p.x.view();
  const auto b = weights ? p.dy.view() : p.w.view();
  if (forward) start_from_bias(p, c);
  const auto status =
      dnnl_sgemm(weights ? 'T' : 'N', product == Product::kInputs ? 'T' : 'N', c.rows, c.cols, p.inner(product), 1.0f,
                 a.data, a.stride, b.data, b.stride, forward ? 1.0f : 0.0f, c.data, c.stride);
  if (status != dnnl_success) {
    std::printf("oneDNN: status %d\n", static_cast<int>(status));
    std::exit(1);
  }
}
#endif

#ifdef LADDER_LIBXSMM
// A product divided into tiles (possibly a single one), each computed by a kernel that libxsmm compiled for its shape and
// strides. libxsmm is column-major: its c is our c transposed, so its a is our b, and its m are our columns. It has no
// kernels for a transposed a, so dy W^T reads the transpose of W, as ours does.
class XsmmProduct {
 public:
  XsmmProduct(Problem<float>& p, Product product, Matrix<float> c, Index rows, Index cols, Index inner)
      : p_(&p), product_(product), c_(c), k_(p.inner(product)) {
    a_ = product == Product::kInputs ? p.dy.view() : p.x.view();
    b_ = product == Product::kForward ? p.w.view() : product == Product::kWeights ? p.dy.view() : p.wt.view();
    // Padding columns may be computed on (core/types.h), and these kernels are faster on whole vectors than on parts.
    c_.cols = (c.cols + kVector - 1) / kVector * kVector;
    rows_ = std::min(rows, c_.rows), cols_ = std::min(cols, c_.cols), inner_ = std::min(inner, k_);
    for (const bool last_r : {false, true})
      for (const bool last_c : {false, true})
        for (const bool last_k : {false, true})
          for (const bool accumulate : {false, true})
            kernels_[last_r][last_c][last_k][accumulate] =
                dispatch(last_r ? c_.rows % rows_ : rows_, last_c ? c_.cols % cols_ : cols_,
                         last_k ? k_ % inner_ : inner_, accumulate);
  }
  bool compiled() const { return kernels_[0][0][0][0] != nullptr && kernels_[0][0][0][1] != nullptr; }
  bool one_tile() const { return rows_ == c_.rows && cols_ == c_.cols && inner_ == k_; }
  void operator()() const {
    const bool forward = product_ == Product::kForward;
    if (forward) start_from_bias(*p_, c_);
    for (Index k = 0; k < k_; k += inner_)
      for (Index j = 0; j < c_.cols; j += cols_)
        for (Index i = 0; i < c_.rows; i += rows_) {
          const auto kernel = kernels_[c_.rows - i < rows_][c_.cols - j < cols_][k_ - k < inner_][forward || k > 0];
          kernel(b_.row(k) + j, product_ == Product::kWeights ? a_.row(k) + i : a_.row(i) + k, c_.row(i) + j);
        }
  }

 private:
  static constexpr Index kVector = 8;
  libxsmm_smmfunction dispatch(Index rows, Index cols, Index inner, bool accumulate) const {
    if (rows == 0 || cols == 0 || inner == 0) return nullptr;  // there is no remainder of this kind
    const auto as_int = [](Index n) { return static_cast<libxsmm_blasint>(n); };
    const libxsmm_blasint lda = as_int(b_.stride), ldb = as_int(a_.stride), ldc = as_int(c_.stride);
    const float alpha = 1, beta = accumulate ? 1 : 0;
    const int flags = product_ == Product::kWeights ? LIBXSMM_GEMM_FLAG_TRANS_B : LIBXSMM_GEMM_FLAG_NONE;
    const int prefetch = LIBXSMM_GEMM_PREFETCH_NONE;
    return libxsmm_smmdispatch(as_int(cols), as_int(rows), as_int(inner), &lda, &ldb, &ldc, &alpha, &beta, &flags,
                               &prefetch);
  }
  Problem<float>* p_;
  Product product_;
  Matrix<float> c_;
  ConstMatrix<float> a_, b_;
  Index k_, rows_, cols_, inner_;
  libxsmm_smmfunction kernels_[2][2][2][2];
};

// Rows x columns x inner of a tile: of seven tried with AVX2, the fastest or close to it on every wide shape.
inline constexpr Index kTileRows = 64, kTileCols = 32, kTileInner = 256;
inline constexpr Index kWhole = Index{1} << 30;
#endif

inline void add_libraries([[maybe_unused]] Problem<float>& p, [[maybe_unused]] Product product,
                          [[maybe_unused]] Matrix<float> c, [[maybe_unused]] std::vector<Contestant>& contestants) {
#ifdef LADDER_ONEDNN
  contestants.push_back(contestant("oneDNN", [&p, product, c] { onednn_product(p, product, c); }));
#endif
#ifdef LADDER_LIBXSMM
  const XsmmProduct whole(p, product, c, kWhole, kWhole, kWhole);
  contestants.push_back(whole.compiled() ? contestant("libxsmm", whole) : Contestant{"libxsmm", nullptr});
  const XsmmProduct tiled(p, product, c, kTileRows, kTileCols, kTileInner);
  const bool runs = tiled.compiled() && !tiled.one_tile();  // one tile: the same kernel once more
  contestants.push_back(runs ? contestant("tiled", tiled) : Contestant{"tiled", nullptr});
#endif
}

// Of float64 oneDNN has no product, and libxsmm's would tell nothing new.
inline void add_libraries(Problem<double>&, Product, Matrix<double>, std::vector<Contestant>&) {}

// One line: what stands in, in which version and for which instructions, and what was left out.
inline std::string describe_libraries() {
  std::string text;
#ifdef LADDER_ONEDNN
  const auto* v = dnnl_version();
  text += "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  const auto isa = dnnl_get_effective_cpu_isa();
  text += isa == dnnl_cpu_isa_avx2 ? " (AVX2)" : isa < dnnl_cpu_isa_avx2 ? " (below AVX2)" : " (above AVX2)";
#else
  text += "oneDNN left out: the build did not find it";
#endif
#ifdef LADDER_LIBXSMM
  text += std::string(", libxsmm ") + LIBXSMM_VERSION + " (" + libxsmm_get_target_arch() + ")";
#else
  text += ", libxsmm left out: the build did not find it";
#endif
  return text;
}

// oneDNN takes its threads from OpenMP, whichever runtime it was built with: only the environment reaches all of them.
inline bool one_thread() {
#ifdef LADDER_ONEDNN
  const char* threads = std::getenv("OMP_NUM_THREADS");
  return threads != nullptr && std::string(threads) == "1";
#else
  return true;
#endif
}

}  // namespace ladder
