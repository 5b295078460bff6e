// The contract of a layer: its parameters and their roles; forward and backward of a chunk of rows; the gradient of one
// parameter tile; and its traits, which say what it needs. Plan, workspace, engine and inference decide by the traits
// and never ask which layer it is. A layer owns no numbers: values belong to the Network, activations, gradients and
// scratch to the plan's workspace, and both are handed in as views.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/registry.h"
#include "core/rng.h"
#include "core/types.h"
#include "initializers/initializer.h"
#include "kernels/sparse.h"

namespace fastnn::layers {

struct Range {
  Index first = 0;
  Index count = 0;
};

// What a parameter is to the engine.
enum class Role {
  kVector,        // one number per column; 1-d in Python
  kTable,         // rows that are looked up; 2-d in Python
  kProductMatrix  // W of a product y = x W, at most one per layer; 2-d. The plan may keep packed copies (Slot::w, wt).
};

struct ParamShape {
  const char* name = "";     // torch's word: weight, bias, running_mean, ...
  Index rows = 0, cols = 0;  // as stored: weight (in, out), vectors (1, n)
  Role role = Role::kVector;
  bool trainable = true;
};

// The arrays of one layer for a batch: views of the workspace, with all rows of the batch.
template <class T>
struct Slot {
  ConstMatrix<T> x;   // may be rows of the caller, not aligned, if the layer reads_callers_rows
  ConstMatrix<T> x2;  // of a layer with two inputs
  const kernels::SparseBatch<T>* sparse = nullptr;  // in the place of x, if the layer reads_sparse_rows
  Matrix<T> y;                                      // may be the memory of x, unless the layer owns_output
  Matrix<T> dy;
  Matrix<T> dx;                // empty if it is not needed; the memory of dy, unless the layer owns_output
  Matrix<T> dx2;               // empty if it is not needed; may be the memory of dy
  Matrix<T> scratch;           // batch rows x scratch_cols()
  PackedMatrix<T> wt;          // W^T of the product matrix, unless the batch has few rows
  Matrix<T> own_wt;            // in the place of wt, if each thread makes one for itself
  PackedMatrix<T> w;           // a packed copy of the product matrix, if the plan keeps one
  Matrix<T> xt;                // x^T for x^T dy; the plan makes it unless the batch has few rows
  double* partials = nullptr;  // chunks x partial_size()
  double* merged = nullptr;    // merged_size() doubles: the result of merging the partial sums
};

// The properties of a batch that the computation of a chunk depends on.
struct Batch {
  bool training = false;
  Index rows = 0;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::uint64_t draw = 0;  // training passes since the last update; 0 for the pass that updates
  bool packed = false;     // the plan keeps Slot::w, the packed copy of W, equal to W: forward reads it where it is
  // Batches so small that a product works without W^T.
  static constexpr Index kFewRows = 8;
  bool few_rows() const { return rows <= kFewRows; }
  bool own_statistics() const { return has_statistics(training, rows); }
  // Do whole-batch layers use the statistics of the batch? The variance of a single row is always zero, so a batch of
  // one row is normalised by the running statistics, which do not change.
  static constexpr bool has_statistics(bool training, Index rows) { return training && rows > 1; }
};

// Why a batch could not be normalised, and what the user can do about it.
struct StatisticsError {
  std::string what, advice;
};

struct Traits {
  bool row_local = true;      // if false, rows depend on each other: partial sums and their merge split the rows phase
  bool elementwise = false;   // a block of columns of y depends on the same block of the inputs alone
  bool needs_input = false;   // backward or the gradient of a parameter reads x
  bool needs_output = false;  // backward reads y
  // y and dx need memory of their own: because forward reads x, or backward reads dy, after it began to write; because
  // the width changes; or because tile_gradient reads dy. All other layers store dx in the memory of dy.
  bool owns_output = false;
  // A block of columns of y, or of dx, can be computed from whole rows. If the product matrix is large, that is done in
  // a phase of its own.
  bool column_blocks = false;
  // forward can read x at any address and with any stride, and an element of x that is not finite makes all elements of
  // that row of y not finite.
  bool reads_callers_rows = false;
  bool sums_rows = false;          // tile_gradient sums over the rows `over`, so that the sums of parts can be added
  bool reads_sparse_rows = false;  // forward and the gradient of the product matrix can read x as sparse rows
  int inputs = 1;                  // if 2, forward reads x2 as well
};

template <class T>
class Layer {
 public:
  Layer(Index in, Index out, Traits traits) : in_(in), out_(out), traits_(traits) {}
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  Index in() const { return in_; }
  Index out() const { return out_; }
  const Traits& traits() const { return traits_; }
  // The place of the layer in the network: its key in messages ("2", or "4.0" inside a container), and its number among
  // all layers in depth-first order, which selects its random streams.
  const std::string& key() const { return key_; }
  int number() const { return number_; }
  void set_place(std::string key, int number) {
    key_ = std::move(key);
    number_ = number;
  }

  virtual std::vector<ParamShape> params() const { return {}; }
  // The parameter that is the matrix of a product; a shape without rows if there is none.
  ParamShape product_matrix() const {
    for (const ParamShape& shape : params())
      if (shape.role == Role::kProductMatrix) return shape;
    return {};
  }
  virtual void bind(std::span<const Matrix<T>> values) { (void)values; }
  virtual void initialize(std::uint64_t seed) { (void)seed; }
  // Chooses how the initial values of a parameter are drawn, where the layer's registry row says that one may.
  void choose(int param, initializers::Chosen chosen) {
    if (chosen_.size() <= static_cast<std::size_t>(param)) chosen_.resize(static_cast<std::size_t>(param) + 1);
    chosen_[static_cast<std::size_t>(param)] = std::move(chosen);
  }
  // Sets all parameters in the layer's registry row that may change between steps. Returns false if there are none.
  virtual bool change(const Values& values) {
    (void)values;
    return false;
  }
  virtual double flops_per_row() const { return 0; }
  virtual Index scratch_cols() const { return 0; }
  // The number of doubles of the partial sums of one chunk, and of the result of their merge. A row-local layer may
  // have partial sums in backward: those of its parameters' gradients, which have to be taken before dx overwrites dy.
  virtual Index partial_size() const { return 0; }
  virtual Index merged_size() const { return 0; }

  // Computes y[rows, cols] from x[rows]. `cols` are all columns unless the layer is elementwise or has column_blocks.
  virtual void forward(const Slot<T>& slot, Range rows, Range cols, const Batch& batch) const noexcept = 0;
  // Computes dx[rows, cols] from dy[rows].
  virtual void backward(const Slot<T>& slot, Range rows, Range cols, const Batch& batch) const noexcept = 0;
  // Computes the gradient of block (rows, cols) of parameter `param`, summed over the rows `over` of the batch, and
  // stores it in `grad` or, with `accumulate`, continues the sums that are there. Layers with merged sums take it from
  // these.
  virtual void tile_gradient(const Slot<T>& slot, int param, Range rows, Range cols, Range over, bool accumulate,
                             Matrix<T> grad, const PrefetchTargets<T>* prefetch) const noexcept {
    (void)slot, (void)param, (void)rows, (void)cols, (void)over, (void)accumulate, (void)grad, (void)prefetch;
  }
  // The same gradient in a batch of a single row, as two factors: left[r] * right[c]. {} if it is not such a product.
  struct Outer {
    const T* left = nullptr;
    const T* right = nullptr;
  };
  virtual Outer outer(const Slot<T>& slot, int param, Range rows, Range cols) const noexcept {
    (void)slot, (void)param, (void)rows, (void)cols;
    return {};
  }

  // *_partial computes the sums of one chunk; *_merge adds those of all chunks, in the order of the chunks, on one
  // thread; commit stores what the finished step leaves in the layer (running statistics). Only whole-batch layers have
  // sums in forward. forward_merge takes the running statistics if chunks == 0. It returns kUsable, or the first column
  // that cannot be normalised, in which case the engine stops and statistics_error says why.
  static constexpr Index kUsable = -1;
  virtual void forward_partial(const Slot<T>& slot, Range rows, double* partial) const noexcept {
    (void)slot, (void)rows, (void)partial;
  }
  virtual Index forward_merge(const Slot<T>& slot, Index chunks, Index chunk_rows, Index batch_rows) const noexcept {
    (void)slot, (void)chunks, (void)chunk_rows, (void)batch_rows;
    return kUsable;
  }
  virtual StatisticsError statistics_error(const Slot<T>& slot, Index column) const {
    (void)slot, (void)column;
    return {};
  }
  virtual void backward_partial(const Slot<T>& slot, Range rows, double* partial) const noexcept {
    (void)slot, (void)rows, (void)partial;
  }
  virtual void backward_merge(const Slot<T>& slot, Index chunks, Index batch_rows) const noexcept {
    (void)slot, (void)chunks, (void)batch_rows;
  }
  virtual void commit(const Slot<T>& slot, Index batch_rows) noexcept { (void)slot, (void)batch_rows; }

 protected:
  // Draws the values of a parameter by its initializer, or by the default.
  void draw(int param, Matrix<T> values, PhiloxStream& words) const {
    const auto place = static_cast<std::size_t>(param);
    initializers::Chosen chosen = place < chosen_.size() ? chosen_[place] : initializers::Chosen{};
    if (chosen.row == nullptr) chosen.row = initializers::registry().find(initializers::kDefault);
    chosen.row->template fill<T>()(chosen.values, values, {in_, out_}, words);
  }

 private:
  Index in_, out_;
  Traits traits_;
  std::vector<initializers::Chosen> chosen_;  // by parameter
  std::string key_;
  int number_ = 0;
};

template <class T>
using Make = std::unique_ptr<Layer<T>> (*)(Index in, const Values& values);

// The widths that a layer accepts.
inline constexpr Interval kWidths = within(1, 1e9);
inline constexpr Index kAnyWidth = 0;  // what a layer expects that takes any number of columns

// An argument of a layer that names the initializer of one of its parameters.
struct Initial {
  const char* argument = "";  // "bias_init"
  int param = 0;              // number of the parameter in params()
  bool is_vector = false;
};

struct Row : fastnn::Row {
  Index (*expects)(
      const Values& values);  // the columns of x that the layer expects, or kAnyWidth; nullptr if it always is
  Make<float> make_f32;
  Make<double> make_f64;
  std::span<const Initial> initials;

  template <class T>
  Make<T> make() const {
    return of_type<T>(make_f32, make_f64);
  }
};

Registry<Row> registry();
// The registry row of the layer or activation called `name`, or nullptr.
const fastnn::Row* find(std::string_view name);
// The names of all layers and activations.
std::vector<std::string> kinds();

// Makes the layer or activation called `kind` for `in` columns; nullptr if there is none of this name. Throws
// std::invalid_argument if the layer refuses its parameters or the columns.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const std::string& kind, const Values& values, Index in);

}  // namespace fastnn::layers
