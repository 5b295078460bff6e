// The contract of a layer: the parameters it needs; forward and backward of a chunk of rows; the gradient of one
// parameter tile; whether a row depends on its own row alone. A layer owns no numbers: values belong to the Network,
// activations, gradients and scratch to the plan's workspace, and both are handed in as views.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/registry.h"
#include "core/rng.h"
#include "core/types.h"

namespace fastnn::layers {

struct Range {
  Index first = 0;
  Index count = 0;
};

struct ParamShape {
  const char* name;  // torch's word: weight, bias, running_mean, ...
  Index rows, cols;  // as stored: weight (in, out), vectors (1, n)
  bool trainable = true;
  bool matrix = false;  // shown to Python as 2-d
};

// One layer's place in a batch: views of the workspace, whole batch rows. Elementwise layers may work in place
// (y.data == x.data), and all layers but Linear take dy and leave dx in the same memory.
template <class T>
struct Slot {
  ConstMatrix<T> x;  // the first layer's may be rows of the caller, not aligned (see in_place)
  Matrix<T> y;
  Matrix<T> dy, dx;            // dx empty: nobody needs it
  Matrix<T> scratch;           // batch rows x scratch_cols()
  PackedMatrix<T> wt;          // Linear: W^T, kept up to date by the plan unless the batch has few rows
  PackedMatrix<T> w;           // Linear: W once more, where and while the plan packs it
  double* partials = nullptr;  // whole-batch layers: chunks x partial_size()
  double* merged = nullptr;    // and their sum over chunks, in chunk order
};

// What a chunk knows of its batch.
struct Pass {
  bool training = false;
  Index batch_rows = 0;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::uint64_t draw = 0;  // training passes since the last update; 0 for the pass that updates
  bool packed = false;     // slots that have a `w` have it up to date
  // Batches so small that Linear works without W^T.
  static constexpr Index kFewRows = 8;
  bool few_rows() const { return batch_rows <= kFewRows; }
  bool own_statistics() const { return has_statistics(training, batch_rows); }
  // Whether whole-batch layers take the statistics of the batch itself. A row alone has none: its variance is zero
  // whatever it is, so it is normalised by the running statistics, which stay as they are.
  static constexpr bool has_statistics(bool training, Index batch_rows) { return training && batch_rows > 1; }
};

// Why a batch could not be normalised, and what its owner can do about it.
struct Complaint {
  std::string what, advice;
};

struct Traits {
  bool row_local = true;      // false: forward_partial / merge, backward_partial / merge split the phase
  bool elementwise = false;   // any block of columns can be computed alone, in place
  bool needs_input = false;   // backward reads x
  bool needs_output = false;  // backward reads y
  bool wide_capable = false;  // can compute blocks of columns: may get a phase of its own
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
  int position() const { return position_; }  // torch's number
  void set_position(int position) { position_ = position; }

  virtual std::vector<ParamShape> params() const { return {}; }
  virtual void bind(std::span<const Matrix<T>> values) { (void)values; }
  virtual void initialize(std::uint64_t seed) { (void)seed; }
  // Parameters of the row that may change between steps, all of them; false: the layer has none of that kind.
  virtual bool change(const Values& values) {
    (void)values;
    return false;
  }
  virtual double flops_per_row() const { return 0; }
  virtual Index scratch_cols() const { return 0; }
  virtual Index partial_size() const { return 0; }  // doubles a chunk

  // y[rows, cols] from x[rows]; cols are all columns unless elementwise or wide_capable.
  virtual void forward(const Slot<T>& slot, Range rows, Range cols, const Pass& pass) const noexcept = 0;
  // dx[rows, cols] from dy[rows]; in place for every layer but Linear.
  virtual void backward(const Slot<T>& slot, Range rows, Range cols, const Pass& pass) const noexcept = 0;
  // grad = gradient of block (rows, cols) of parameter `param`, over rows `batch` of the batch; every range of rows but
  // the first is added onto what the ranges before it left in grad.
  virtual void tile_gradient(const Slot<T>& slot, int param, Range rows, Range cols, Range batch, Matrix<T> grad,
                             const PrefetchTargets<T>* prefetch) const noexcept {
    (void)slot, (void)param, (void)rows, (void)cols, (void)batch, (void)grad, (void)prefetch;
  }
  // That gradient in a batch of a single row, as factors: left[r] * right[c]. None: {}.
  struct Outer {
    const T* left = nullptr;
    const T* right = nullptr;
  };
  virtual Outer outer(const Slot<T>& slot, int param, Range rows, Range cols) const noexcept {
    (void)slot, (void)param, (void)rows, (void)cols;
    return {};
  }

  // Whole-batch layers: sums of one chunk, their merge in chunk order by one thread, and what the finished step
  // leaves behind (running statistics). forward_merge with chunks == 0: take the running statistics. It returns
  // kUsable, or the first column that cannot be normalised; `complaint` says why, after the engine has stopped.
  static constexpr Index kUsable = -1;
  virtual void forward_partial(const Slot<T>& slot, Range rows, double* partial) const noexcept {
    (void)slot, (void)rows, (void)partial;
  }
  virtual Index forward_merge(const Slot<T>& slot, Index chunks, Index chunk_rows, Index batch_rows) const noexcept {
    (void)slot, (void)chunks, (void)chunk_rows, (void)batch_rows;
    return kUsable;
  }
  virtual Complaint complaint(const Slot<T>& slot, Index column) const {
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

 private:
  Index in_, out_;
  Traits traits_;
  int position_ = 0;
};

struct Config {
  std::string kind;           // registry name of a layer or an activation
  Values values;              // of the row's parameters
  std::vector<double> scale;  // Rescale only: one number or one per column
  std::vector<double> shift;
};

template <class T>
using Make = std::unique_ptr<Layer<T>> (*)(Index in, const Values& values);

// The widths that a layer may be given.
inline constexpr Interval kWidths = within(1, 1e9);

struct Row : fastnn::Row {
  Index (*expects)(const Values& values);  // columns of x, as its parameters say; 0: any
  Make<float> make_f32;                    // nullptr: input preparation, done by gather
  Make<double> make_f64;

  template <class T>
  Make<T> make() const {
    return of_type<T>(make_f32, make_f64);
  }
};

Registry<Row> registry();
// The row of a layer or an activation called `name`, or nullptr.
const fastnn::Row* find(std::string_view name);

// The layer of a configuration, layer or activation, for `in` features. Throws std::invalid_argument.
template <class T>
std::unique_ptr<Layer<T>> make_layer(const Config& config, Index in);

}  // namespace fastnn::layers
