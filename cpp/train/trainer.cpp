// All of Trainer but fit, which is in trainer_fit.cpp: training steps and their parts, evaluate and predict, and changes
// of settings between calls.
// SPDX-License-Identifier: BSD-3-Clause
#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "core/check.h"
#include "core/float_mode.h"
#include "core/refusal.h"
#include "kernels/reduce.h"
#include "run/derivatives.h"
#include "train/refuse.h"

namespace fastnn::train {

using run::clip_factor;
using run::kLargestSafeGradient;
using run::seconds_since;
using run::tile_squares;

namespace {
// A fused tiles phase of more floating-point operations would delay the answer to a signal or a stop for too long.
constexpr double kLongTiles = 5e8;
// With a larger learning rate one update may overflow, so a copy of the model is made before it.
constexpr double kLargestSafeLr = 1.0;
}  // namespace

template <class T>
std::vector<ParameterView> Trainer<T>::parameters(int array, const std::optional<std::string>& layer) {
  T* buffer = net_.values();
  if (array == kGradients) buffer = gradients();
  std::shared_ptr<void> owner;
  if (array >= 0) {
    buffer = compiled_->state(array);
    owner = compiled_->states;
  }
  std::vector<ParameterView> views;
  const auto view = [&](std::span<const Parameter> parameters) {
    for (const auto& p : parameters)
      if (array == kValues || p.trainable) views.push_back({p, p.in(buffer).data, owner});
  };
  if (!layer)
    view(net_.parameters());
  else
    for (const int k : net_.nodes_of(*layer)) view(net_.parameters_of(k));
  return views;
}

template <class T>
void Trainer<T>::set_frozen(const std::string& layer, bool frozen) {
  need_own_values("freeze");
  for (const int k : net_.nodes_of(layer)) {
    if (frozen || !net_.frozen(k)) continue;
    gradients_ready_ = false;  // this layer has none yet
    if (!compiled_ || !compiled_->averaging) continue;
    // As long as its values did not change, they were their average.
    for (const auto& p : net_.parameters_of(k))
      std::copy_n(net_.values() + p.offset, p.rows * p.stride, compiled_->averages() + p.offset);
  }
  net_.set_frozen(layer, frozen);
  plans_.clear();
  pending_ = {};
}

template <class T>
void Trainer<T>::change_layer(const std::vector<std::string>& layers, const graph::Config& settings) {
  for (const auto& layer : layers) net_.change(layer, settings, fits_sparse_);
  if (!settings.settings.empty()) pending_ = {};  // backward would scale dx with other factors than forward scaled x
}

template <class T>
std::map<std::string, std::int64_t> Trainer<T>::batches(const std::optional<std::string>& layer) const {
  std::map<std::string, std::int64_t> found;
  const auto add = [&](int k) {
    if (!net_.layer(k).traits().row_local) found[net_.node(k).key] = net_.batches()[static_cast<std::size_t>(k)];
  };
  if (layer)
    for (const int k : net_.nodes_of(*layer)) add(k);
  else
    for (int k = 0; k < net_.depth(); ++k) add(k);
  return found;
}

template <class T>
void Trainer<T>::set_batches(const std::map<std::string, std::int64_t>& batches) {
  std::vector<std::int64_t> all = net_.batches();
  for (const auto& [key, count] : batches) {
    require(count >= 0, "[Network] ", count, " batches of layer ", key, "; expected a number >= 0");
    for (const int k : net_.nodes_of(key)) all[static_cast<std::size_t>(k)] = count;
  }
  net_.set_batches(all);
}

template <class T>
void Trainer<T>::compile(const CompileSpec& spec) {
  const FloatMode mode;
  need_own_values("compile");
  compiled_ = Compiled<T>(net_, spec);  // First, because it throws if it refuses `spec`: then nothing has changed.
  progress_ = {};
  plans_.clear();
}

template <class T>
void Trainer<T>::set_optimizer_values(const run::OptimizerValues& values, bool continues) {
  need_compiled("set_optimizer_params");
  const auto& fit = compiled_->clock.fit;
  if (fit.epochs > 0 && fit.epoch_steps == 0) Compiled<T>::need_steps("set_optimizer_params", values.schedule);
  compiled_->set_values(net_, values, continues);
}

template <class T>
void Trainer<T>::use_averages(bool on) {
  need_compiled("averaged");
  refuse_unless(compiled_->averaging != nullptr, "averaged", reason::kNoAverage);
  refuse_unless(progress_.averaged > 0, "averaged", reason::kNothingAveraged);
  if (on) need_own_values("averaged");
  if (on == averaged_) return;
  for (const auto& p : net_.parameters())
    if (net_.trains(p))
      std::swap_ranges(net_.values() + p.offset, net_.values() + p.offset + p.rows * p.stride,
                       compiled_->averages() + p.offset);
  averaged_ = on;
  pending_ = {};
}

template <class T>
void Trainer<T>::need_own_values(const char* where) const {
  refuse_unless(!averaged_, where, reason::kAveraged);
}

template <class T>
void Trainer<T>::need_compiled(const char* where) const {
  refuse_unless(compiled_.has_value(), where, reason::kNotCompiled);
}

template <class T>
void Trainer<T>::need_length(const char* where) const {
  need_compiled(where);
  if (compiled_->needs_fit())
    throw Refused({.where = where, .reason = reason::kNoLength, .came = compiled_->schedule.row->class_name});
}

template <class T>
Goal Trainer<T>::training_goal(Index rows, Gradient gradient, const kernels::Source& x) const {
  Goal goal;
  goal.row_cells = plan::row_cells(net_, x);
  goal.gradient = gradient;
  goal.clip = compiled_->clips_norm();
  const double tile_flops = net_.flops_per_row(goal.row_cells) * static_cast<double>(rows);
  goal.accumulate = compiled_->settings.accumulates();
  if (goal.clip || goal.accumulate || force_materialised_ || tile_flops > kLongTiles) goal.form = Form::kMaterialised;
  return goal;
}

template <class T>
Workspace<T>& Trainer<T>::workspace(Index rows, bool need_dx, bool dense) {
  if (!workspace_ || workspace_->capacity() < rows || (need_dx && !workspace_->has_dx()) ||
      (dense && !workspace_->has_input())) {
    auto larger = std::make_unique<Workspace<T>>(net_, rows, need_dx, dense);  // If memory runs out, nothing changes.
    workspace_ = std::move(larger);
    pending_ = {};
  }
  return *workspace_;
}

template <class T>
void Trainer<T>::need_cells(Workspace<T>& workspace, const Plan& full, const Plan& ragged, const kernels::Source& x,
                            Index rows) {
  if (full.goal.row_cells == 0) return;
  std::vector<std::int32_t> cells;
  for (Index r = 0; r < x.rows; ++r)
    cells.push_back(static_cast<std::int32_t>(x.cells->start(r + 1) - x.cells->start(r)));
  const auto end = cells.begin() + std::min(rows, x.rows);
  if (end != cells.end()) std::nth_element(cells.begin(), end, cells.end(), std::greater<>());
  for (const Plan* plan : {&full, &ragged})
    workspace.need_cells(std::accumulate(cells.begin(), end, Index{0}), *plan, net_.n_features());
}

template <class T>
T* Trainer<T>::gradients() {
  if (gradients_.size() == 0) gradients_ = Buffer<T>(net_.size());
  return gradients_.data();
}

template <class T>
Engine<T> Trainer<T>::engine(Workspace<T>& workspace, bool accumulate) {
  Compiled<T>* compiled = compiled_ ? &*compiled_ : nullptr;
  return {net_,      compiled,         workspace, accumulate ? compiled->accumulated() : gradients_.data(),
          progress_, gradients_weight_};
}

template <class T>
void Trainer<T>::keep(const Engine<T>& engine) {
  progress_ = engine.progress;
  threads_used_ = engine.threads_used();
}

template <class T>
double Trainer<T>::one_batch(const char* where, const Data& data, Index rows, Goal goal, int n_threads,
                             parallel::Poll poll) {
  // An update that overflows is undone with a copy of the model. Copying a large model before every update would cost
  // too much, so it is copied only if this update may overflow, or if the copy costs less than the overflow guard.
  // Otherwise the guard bounds the gradients before they are made, and the step stops if they may be too large.
  // With accumulated gradients, those that overflow may be of earlier batches, so each update is copied before.
  const bool joins = goal.accumulate && progress_.group.batches + 1 < compiled_->settings.accumulate;
  bool guarded =
      goal.update && !joins && (goal.accumulate || may_overflow(goal) || copy_is_small(rows, goal.row_cells));
  if (guarded) snapshot();
  goal.guard = goal.update && !guarded && !joins && goal.gradient != Gradient::kNone;
  const Plan& todo = plans_.get(net_, rows, goal);
  Workspace<T>& ws = workspace(rows, goal.need_dx, goal.forward && goal.row_cells == 0);
  need_cells(ws, todo, todo, data.x, rows);
  if (goal.form == Form::kMaterialised && !goal.accumulate) gradients();
  ws.need_tiles(static_cast<Index>(todo.tiles.size()));
  Engine<T> run = engine(ws, goal.accumulate);
  run.feed(data, nullptr, rows, rows);
  run.use(&todo, &todo);
  Tuner* tuner = n_threads <= 0 && !Tuner::too_small(todo.flops) ? &tuners_.of(todo.flops) : nullptr;
  int n = n_threads;
  if (n <= 0) n = tuner ? tuner->pick(limits_.available(), todo.flops) : 1;
  ws.need_threads(n, todo);
  const auto start = tuner ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point{};
  Verdict verdict = run.run(1, n, poll);
  if (tuner) tuner->record(1, seconds_since(start));
  if (verdict == Verdict::kMayOverflow) {  // Nothing was updated yet: run the batch again, with a copy and no guard.
    guarded = true;
    snapshot();
    goal.guard = false;
    const Plan& again = plans_.get(net_, rows, goal);
    run.use(&again, &again);
    run.rewind();
    verdict = run.run(1, n, poll);
  }
  keep(run);
  if (goal.gradient != Gradient::kNone) gradients_weight_ = run.batch_weight();
  if (verdict != Verdict::kGood) {
    // Some tiles of the gradients may be of this batch and others of the batch before.
    if (verdict == Verdict::kStopped && goal.form == Form::kMaterialised && goal.gradient != Gradient::kNone)
      gradients_ready_ = false;
    if (guarded) restore();
    // Some tiles may have this batch and others not; or a batch of the group has gradients that are not finite.
    if ((verdict == Verdict::kStopped && joins) || verdict == Verdict::kWeightsNotFinite) progress_.group = {};
    raise(where, verdict, run, data, nullptr, "");
  }
  if (goal.gradient != Gradient::kNone) gradients_rows_ = rows;
  if (goal.update) compiled_->clock.position.rows += gradients_rows_;
  return run.last_loss();
}

template <class T>
bool Trainer<T>::copy_is_small(Index rows, Index cells) const {
  Index looked_at = 0;
  for (const auto& p : net_.parameters())
    if (p.role == graph::Role::kProductMatrix && net_.trains(p))
      looked_at += rows * ((cells > 0 && p.layer == net_.sparse_reader() ? cells : p.rows) + p.cols);
  return net_.size() * (1 + compiled_->n_states) < looked_at;
}

template <class T>
bool Trainer<T>::may_overflow(const Goal& goal) const {
  if (compiled_->largest_lr() > kLargestSafeLr) return true;
  if (goal.gradient != Gradient::kNone) return false;  // the guard of the plan will tell
  return !(kernels::max_abs<T>({gradients_.data(), 1, gradients_.size(), gradients_.size()}) <=
           kLargestSafeGradient<T>);
}

template <class T>
void Trainer<T>::begin_step() {
  need_length("train_step");
  need_own_values("train_step");
  pending_ = {};
  gradients_ready_ = false;
}

template <class T>
double Trainer<T>::train_step(const Data& data, Index rows, int n_threads, parallel::Poll poll) {
  const FloatMode mode;
  begin_step();
  const auto gradient = data.grad ? Gradient::kGiven : Gradient::kLoss;
  const Goal goal = training_goal(rows, gradient, data.x);
  return one_batch("train_step", data, rows, goal, n_threads, poll);
}

template <class T>
double Trainer<T>::loss_and_grad(const Data& data, Index rows, bool training, int n_threads, parallel::Poll poll) {
  const FloatMode mode;
  need_compiled("loss_and_grad");
  refuse_unless(!data.weights || kernels::extent(data.weights, {}, rows).size > 0, "loss_and_grad", reason::kNoWeight,
                data.names->weights);
  pending_ = {};
  const double loss = one_batch(
      "loss_and_grad", data, rows,
      {.training = training, .update = false, .form = Form::kMaterialised, .row_cells = plan::row_cells(net_, data.x)},
      n_threads, poll);
  gradients_ready_ = true;
  return loss;
}

template <class T>
void Trainer<T>::forward(const Data& data, Index rows, bool training, void* out, int n_threads, parallel::Poll poll) {
  const FloatMode mode;
  // need_dx, because backward may ask for dx and the workspace must not be replaced between forward and backward.
  pending_ = {};
  one_batch("forward", data, rows,
            {.training = training, .gradient = Gradient::kNone, .need_dx = true, .update = false}, n_threads, poll);
  pending_ = {rows, training};
  const Matrix<T> y = workspace_->output();
  for (Index r = 0; r < rows; ++r)
    std::memcpy(static_cast<T*>(out) + r * y.cols, y.row(r), sizeof(T) * static_cast<std::size_t>(y.cols));
}

template <class T>
void Trainer<T>::backward(const Data& data, Index rows, void* dx, int n_threads, parallel::Poll poll) {
  const FloatMode mode;
  refuse_unless(pending_.rows > 0, "backward", reason::kNoForward);
  if (pending_.rows != rows)
    throw Refused({.where = "backward",
                   .reason = reason::kRows,
                   .argument = data.names->grad,
                   .expected = {.rows = pending_.rows, .of = "the forward pass"},
                   .shape = {rows}});
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
  net_.preparation().backward(workspace_->dinput(), static_cast<T*>(dx));
}

template <class T>
double Trainer<T>::clip_grad_norm(double max_norm) {
  const FloatMode mode;
  refuse_unless(gradients_ready_, "clip_grad_norm", reason::kNoGradients);
  const Plan& plan = plans_.get(net_, 1, {.gradient = Gradient::kGiven, .form = Form::kMaterialised});
  double squares = 0;  // added tile by tile, in the order of a fit with max_grad_norm, so that both have the same bits
  for (const Tile& tile : plan.tiles) squares += tile_squares(net_, gradients_.data(), tile);
  const double norm = std::sqrt(squares);
  const auto factor = static_cast<T>(clip_factor(norm, max_norm));
  if (factor < T(1))
    for (Index i = 0; i < gradients_.size(); ++i) gradients_[i] *= factor;
  return norm;
}

template <class T>
void Trainer<T>::apply_gradients(int n_threads, parallel::Poll poll) {
  const FloatMode mode;
  need_length("apply_gradients");
  need_own_values("apply_gradients");
  refuse_unless(gradients_ready_, "apply_gradients", reason::kNoGradients);
  pending_ = {};
  one_batch("apply_gradients", {}, 1, {.forward = false, .gradient = Gradient::kNone, .form = Form::kMaterialised},
            n_threads, poll);
  gradients_ready_ = false;
}

template <class T>
Scores Trainer<T>::evaluate(const Data& data, Index rows, bool accuracy, void* predictions, int n_threads,
                            parallel::Poll poll) {
  const FloatMode mode;
  need_compiled("evaluate");
  Scores scores = score("evaluate", data, rows, accuracy, predictions, n_threads, poll);
  refuse_unless(scores.weight > 0, "evaluate", reason::kNoWeight, data.names->weights);
  return scores;
}

template <class T>
Scores Trainer<T>::score(const char* where, const Data& data, Index rows, bool accuracy, void* predictions,
                         int n_threads, parallel::Poll poll) {
  Inference<T> job(net_, scratches_, &*compiled_, data, rows);
  job.score(accuracy);
  if (predictions) job.write_to(static_cast<T*>(predictions), net_.n_outputs(), true);
  const Verdict verdict = job.run(job.pick_threads(n_threads), poll);
  if (verdict != Verdict::kGood) search(where, data, {}, rows, job.outside()).raise(verdict);
  return job.scores();
}

template <class T>
void Trainer<T>::predict(const Data& data, Index rows, bool link, void* out, Index out_stride, int n_threads,
                         parallel::Poll poll) {
  const FloatMode mode;
  Inference<T> job(net_, scratches_, compiled_ ? &*compiled_ : nullptr, data, rows);
  job.write_to(static_cast<T*>(out), out_stride, link && compiled_);
  const Verdict verdict = job.run(job.pick_threads(n_threads), poll);
  if (verdict != Verdict::kGood) search("predict", data, {}, rows, job.outside()).raise(verdict);
}

template <class T>
void Trainer<T>::differentiate(const char* where, const Data& data, Index rows, const run::Wanted& wanted,
                               int n_threads, parallel::Poll poll) {
  const FloatMode mode;
  if (wanted.of != run::Wanted::kOutputs) need_compiled(where);
  run::Derivatives<T> job(net_, compiled_ ? &*compiled_ : nullptr, data, rows, wanted);
  const Verdict verdict = job.run(n_threads, poll);
  if (verdict != Verdict::kGood) search(where, data, {}, rows, job.outside()).raise(verdict);
}

template <class T>
void Trainer<T>::raise(const char* where, Verdict verdict, Engine<T>& run, const Data& data, const std::int64_t* order,
                       const std::string& when) {
  search(where, data, {order, run.batch_first()}, run.batch_rows(), run.outside()).raise(verdict);
  diverged(where, verdict, run, when);
}

template class Trainer<float>;
template class Trainer<double>;

std::unique_ptr<Model> make_model(const std::vector<graph::Config>& configs, bool is_double, std::uint64_t seed,
                                  bool initialize) {
  const FloatMode mode;
  if (is_double) return std::make_unique<Trainer<double>>(configs, seed, initialize);
  return std::make_unique<Trainer<float>>(configs, seed, initialize);
}

}  // namespace fastnn::train
