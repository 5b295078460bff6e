// SPDX-License-Identifier: BSD-3-Clause
#include "trainer/trainer.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/check.h"
#include "kernels/reduce.h"
#include "trainer/refuse.h"

namespace fastnn::inline FASTNN_ISA::trainer {

namespace {
constexpr double kLongTiles = 5e8;  // flops: beyond, a fused tiles phase may last longer than a stop may wait
constexpr double kSteepLr = 1.0;    // beyond, one update may overflow: keep a copy of the model first
constexpr std::size_t kMaxPlans = 16;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
}  // namespace

template <class T>
std::vector<ParameterView> Trainer<T>::parameters(int array) {
  T* buffer = net_.values();
  if (array == kGradients) buffer = workspace(1, false, true).gradients.data();
  std::shared_ptr<void> owner;
  if (array >= 0) {
    const auto& state = compiled_->states.at(static_cast<std::size_t>(array));
    buffer = state->data();
    owner = state;
  }
  std::vector<ParameterView> views;
  for (const auto& p : net_.parameters())
    if (array == kValues || p.trainable) views.push_back({p, p.in(buffer).data, owner});
  return views;
}

template <class T>
void Trainer<T>::set_frozen(int position, bool frozen) {
  net_.set_frozen(position, frozen);
  plans_.clear();
  pending_ = {};
}

template <class T>
void Trainer<T>::compile(const CompileSpec& spec) {
  compiled_.emplace(net_, spec);
  progress_.step = 0;
  plans_.clear();
}

template <class T>
void Trainer<T>::need_compiled(const char* where) const {
  require(compiled_.has_value(), "[", where, "] the model has no loss and optimizer yet: call compile first");
}

template <class T>
Goal Trainer<T>::training_goal(Index rows, Gradient gradient) const {
  Goal goal;
  goal.gradient = gradient;
  goal.clip = compiled_->max_grad_norm > 0;
  const double tile_flops = net_.flops_per_row() * static_cast<double>(rows);
  if (goal.clip || force_materialised_ || tile_flops > kLongTiles) goal.form = Form::kMaterialised;
  return goal;
}

template <class T>
const Plan& Trainer<T>::plan(Index rows, const Goal& goal) {
  for (const auto& known : plans_)
    if (known->rows == rows && known->goal == goal) return *known;
  if (plans_.size() >= kMaxPlans) plans_.clear();
  plans_.push_back(std::make_unique<Plan>(make_plan(net_, rows, goal)));
  return *plans_.back();
}

template <class T>
Workspace<T>& Trainer<T>::workspace(Index rows, bool need_dx, bool gradients) {
  if (!workspace_ || workspace_->capacity() < rows || (need_dx && !workspace_->has_dx())) {
    Buffer<T> kept = workspace_ ? std::move(workspace_->gradients) : Buffer<T>();
    workspace_.reset();
    pending_ = {};
    workspace_ = std::make_unique<Workspace<T>>(net_, rows, need_dx);
    workspace_->gradients = std::move(kept);
  }
  if (gradients) workspace_->need_gradients(net_.size());
  return *workspace_;
}

template <class T>
Engine<T> Trainer<T>::engine(Workspace<T>& workspace) {
  return Engine<T>(net_, compiled_ ? &*compiled_ : nullptr, workspace, progress_);
}

template <class T>
void Trainer<T>::keep(const Engine<T>& engine) {
  progress_ = engine.progress;
  threads_used_ = engine.threads_used();
}

template <class T>
double Trainer<T>::one_batch(const char* where, const Data& data, Index rows, const Goal& goal, int n_threads,
                             parallel::Poll poll) {
  const Plan& todo = plan(rows, goal);
  const bool gradients = goal.form == Form::kMaterialised || !goal.update;
  Workspace<T>& ws = workspace(rows, goal.need_dx, gradients && (goal.gradient != Gradient::kNone || goal.update));
  ws.need_norms(static_cast<Index>(todo.tiles.size()));
  Engine<T> run = engine(ws);
  run.feed(data, nullptr, rows, rows);
  run.use(&todo, &todo);
  const int n = n_threads > 0 ? n_threads : tuner_.pick(parallel::limits().available(), todo.flops);
  ws.need_threads(n);
  const bool guarded = goal.update && compiled_ && compiled_->steepest() > kSteepLr;
  if (guarded) snapshot();
  const auto start = std::chrono::steady_clock::now();
  const Verdict verdict = run.run(1, n, poll);
  if (n_threads <= 0) tuner_.record(1, seconds_since(start));
  keep(run);
  if (verdict != Verdict::kGood) {
    if (guarded) restore();
    raise(where, verdict, run, data, nullptr, "");
  }
  return run.last_loss();
}

template <class T>
double Trainer<T>::train_step(const Data& data, Index rows, int n_threads, parallel::Poll poll) {
  need_compiled("train_step");
  pending_ = {};
  gradients_ready_ = false;
  const auto gradient = data.grad ? Gradient::kGiven : Gradient::kLoss;
  return one_batch("train_step", data, rows, training_goal(rows, gradient), n_threads, poll);
}

template <class T>
double Trainer<T>::loss_and_grad(const Data& data, Index rows, bool training, int n_threads, parallel::Poll poll) {
  need_compiled("loss_and_grad");
  pending_ = {};
  const double loss = one_batch("loss_and_grad", data, rows,
                                {.training = training, .update = false, .form = Form::kMaterialised}, n_threads, poll);
  gradients_ready_ = true;
  return loss;
}

template <class T>
void Trainer<T>::forward(const Data& data, Index rows, bool training, void* out, int n_threads, parallel::Poll poll) {
  // The workspace must not change between forward and backward: ask for dx and gradients now.
  workspace(rows, true, true);
  one_batch("forward", data, rows,
            {.training = training, .gradient = Gradient::kNone, .need_dx = true, .update = false}, n_threads, poll);
  pending_ = {rows, training};
  const Matrix<T> y = workspace_->output();
  for (Index r = 0; r < rows; ++r)
    std::memcpy(static_cast<T*>(out) + r * y.cols, y.row(r), sizeof(T) * static_cast<std::size_t>(y.cols));
}

template <class T>
void Trainer<T>::backward(const Data& data, Index rows, void* dx, int n_threads, parallel::Poll poll) {
  require(pending_.rows > 0, "[backward] no forward pass to go back through: call forward first");
  require(pending_.rows == rows, "[backward] dlogits has ", rows, " rows, the forward pass had ", pending_.rows);
  one_batch("backward", data, rows,
            {.training = pending_.training,
             .forward = false,
             .gradient = Gradient::kGiven,
             .need_dx = dx != nullptr,
             .update = false,
             .form = Form::kMaterialised},
            n_threads, poll);
  pending_ = {};
  gradients_ready_ = true;
  if (!dx) return;
  const Matrix<T> from = workspace_->dinput();
  const T* scale = net_.scaling().scale;
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < from.cols; ++c)
      static_cast<T*>(dx)[r * from.cols + c] = scale ? from.row(r)[c] * scale[c] : from.row(r)[c];
}

template <class T>
double Trainer<T>::clip_grad_norm(double max_norm) {
  require(gradients_ready_, "[clip_grad_norm] there are no gradients: call backward or loss_and_grad first");
  Buffer<T>& gradients = workspace_->gradients;
  double squares = 0;
  for (const auto& p : net_.parameters())
    if (net_.trains(p))
      for (Index r = 0; r < p.rows; ++r) squares += kernels::sum_of_squares<T>(p.in(gradients.data()).row(r), p.cols);
  const double norm = std::sqrt(squares);
  const auto factor = static_cast<T>(std::min(1.0, max_norm / (norm + 1e-6)));
  if (factor < T(1))
    for (Index i = 0; i < gradients.size(); ++i) gradients[i] *= factor;
  return norm;
}

template <class T>
void Trainer<T>::apply_gradients(int n_threads, parallel::Poll poll) {
  need_compiled("apply_gradients");
  require(gradients_ready_, "[apply_gradients] there are no gradients: call backward or loss_and_grad first");
  pending_ = {};
  one_batch("apply_gradients", {}, 1, {.forward = false, .gradient = Gradient::kNone, .form = Form::kMaterialised},
            n_threads, poll);
  gradients_ready_ = false;
}

template <class T>
Scores Trainer<T>::evaluate(const Data& data, Index rows, bool metrics, int n_threads, parallel::Poll poll) {
  need_compiled("evaluate");
  Inference<T> job(net_, &*compiled_, data, rows);
  job.score(metrics);
  const Verdict verdict = job.run(lanes_, job.pick_threads(n_threads), poll);
  refuse<T>("evaluate", verdict, data, {}, rows, net_.scaling(), net_.n_outputs());
  return job.scores();
}

template <class T>
void Trainer<T>::predict(const Data& data, Index rows, bool link, void* out, Index out_stride, int n_threads,
                         parallel::Poll poll) {
  Inference<T> job(net_, compiled_ ? &*compiled_ : nullptr, data, rows);
  job.write_to(static_cast<T*>(out), out_stride, link && compiled_);
  const Verdict verdict = job.run(lanes_, job.pick_threads(n_threads), poll);
  refuse<T>("predict", verdict, data, {}, rows, net_.scaling(), net_.n_outputs());
}

template <class T>
FitReport Trainer<T>::fit(const FitSpec& spec, Hooks& hooks) {
  need_compiled("fit");
  pending_ = {};
  gradients_ready_ = false;
  const Index batch = std::min(spec.batch_size, spec.rows);
  const Index rest = spec.rows % batch;
  const Goal goal = training_goal(batch, Gradient::kLoss);
  plans_.clear();
  const Plan& full = plan(batch, goal);
  const Plan& ragged = rest ? plan(rest, goal) : full;
  Workspace<T>& ws = workspace(batch, false, goal.form == Form::kMaterialised);
  ws.need_norms(static_cast<Index>(std::max(full.tiles.size(), ragged.tiles.size())));
  const int limit = spec.n_threads > 0 ? spec.n_threads : parallel::limits().available();
  ws.need_threads(limit);
  Buffer<std::int64_t> shuffled(spec.shuffle ? spec.rows : 0);
  Engine<T> run = engine(ws);
  run.use(&full, &ragged);
  run.wants_accuracy = spec.metrics;
  FitReport report;
  for (Index epoch = spec.first_epoch; epoch < spec.first_epoch + spec.epochs; ++epoch) {
    const std::int64_t* order = hooks.order(epoch, spec.rows);
    if (!order && spec.shuffle) {
      permute(shuffled.data(), spec.rows, spec.seed, static_cast<std::uint64_t>(epoch));
      order = shuffled.data();
    }
    snapshot();
    run.feed(spec.data, order, spec.rows, batch);
    const int used =
        run_epoch(run, "fit", spec.data, epoch, batch, full.flops, {limit, spec.n_threads > 0}, hooks.poll());
    report.threads_used = std::max(used, epoch == spec.first_epoch ? 1 : report.threads_used);
    report.steps += run.totals().steps;
    EpochLog log;
    log.train = {run.totals().loss / run.totals().rows,
                 run.totals().weights > 0 ? run.totals().right / run.totals().weights : 0};
    if (spec.validation_rows > 0)
      log.validation = evaluate(spec.validation, spec.validation_rows, spec.metrics, spec.n_threads, hooks.poll());
    threads_used_ = report.threads_used;
    if (!hooks.epoch_end(epoch, log)) break;
  }
  return report;
}

// All batches of one epoch, in pieces as long as the choice of threads holds. Returns the threads used.
template <class T>
int Trainer<T>::run_epoch(Engine<T>& run, const char* where, const Data& data, Index epoch, Index batch_size,
                          double step_flops, Threads threads, parallel::Poll poll) {
  int used = 1;
  while (!run.exhausted()) {
    const int n = threads.fixed ? threads.limit : tuner_.pick(threads.limit, step_flops);
    const Index steps_before = run.totals().steps;
    const auto start = std::chrono::steady_clock::now();
    const Verdict verdict = run.run(threads.fixed ? std::numeric_limits<Index>::max() : tuner_.steps(), n, poll);
    if (!threads.fixed) tuner_.record(run.totals().steps - steps_before, seconds_since(start));
    keep(run);
    used = std::max(used, run.threads_used());
    if (verdict == Verdict::kGood) continue;
    if (verdict != Verdict::kStopped) restore();
    raise(where, verdict, run, data, run.order(),
          " in epoch " + std::to_string(epoch) + ", batch " + std::to_string(run.batch_first() / batch_size));
  }
  return used;
}

template <class T>
void Trainer<T>::raise(const char* where, Verdict verdict, const Engine<T>& run, const Data& data,
                       const std::int64_t* order, const std::string& when) {
  refuse<T>(where, verdict, data, {order, run.batch_first()}, run.batch_rows(), net_.scaling(), net_.n_outputs());
  const std::string what = verdict == Verdict::kLossNotFinite ? "the loss is " + std::to_string(run.last_loss())
                                                              : "an update gave weights that are not finite";
  throw Diverged("[" + std::string(where) + "] training diverged" + when + ": " + what +
                 "; the model is as at the end of the last finite epoch (or before the call). "
                 "Try a smaller learning rate, scaled inputs or max_grad_norm");
}

template <class T>
void Trainer<T>::snapshot() {
  saved_.take(net_.value_buffer(), compiled_->states, progress_);
}

template <class T>
void Trainer<T>::restore() {
  progress_ = saved_.put_back(net_.values(), compiled_->states);
}

template class Trainer<float>;
template class Trainer<double>;

std::unique_ptr<Model> make_model(const std::vector<layers::Config>& configs, bool is_double, std::uint64_t seed) {
  if (is_double) return std::make_unique<Trainer<double>>(configs, seed);
  return std::make_unique<Trainer<float>>(configs, seed);
}

}  // namespace fastnn::inline FASTNN_ISA::trainer
