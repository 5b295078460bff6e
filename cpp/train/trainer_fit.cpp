// Trainer::fit: the loop over epochs, the orders of their rows, validation, and the return to the last good epoch when
// one fails.
// SPDX-License-Identifier: BSD-3-Clause
#include <chrono>
#include <limits>

#include "core/check.h"
#include "core/float_mode.h"
#include "core/refusal.h"
#include "train/refuse.h"
#include "train/trainer.h"

namespace fastnn::train {

using run::seconds_since;

template <class T>
FitReport Trainer<T>::fit(const FitSpec& spec, Hooks& hooks) {
  const FloatMode mode;
  need_compiled("fit");
  need_own_values("fit");
  pending_ = {};
  gradients_ready_ = false;
  const Index batch = std::min(spec.batch_size, spec.rows);
  const Index dropped = spec.drop_last ? spec.rows % spec.batch_size : 0;
  require(dropped < spec.rows, "[fit] drop_last leaves no batch: X has ", spec.rows, " rows; expected at least ",
          spec.batch_size, ", the batch size");
  const Index rows = spec.rows - dropped, rest = rows % batch;
  plans_.clear();
  const Goal goal = training_goal(batch, Gradient::kLoss);
  OwnPlans own{};
  if (spec.own_loss) own = own_plans(batch, rest);
  const Plan& full = own.rest ? *own.rest : plans_.get(net_, batch, goal);
  const Plan& ragged = own.rest ? *own.short_rest : rest ? plans_.get(net_, rest, goal) : full;
  Workspace<T>& ws = workspace(batch, false);
  if (goal.form == Form::kMaterialised && !goal.accumulate) gradients();
  progress_.group = {};
  ws.need_tiles(static_cast<Index>(std::max(full.tiles.size(), ragged.tiles.size())));
  const int limit = spec.n_threads > 0 ? spec.n_threads : parallel::limits().available();
  ws.need_threads(limit, std::max(full.tile_size, ragged.tile_size));
  Buffer<std::int64_t> shuffled(spec.shuffle ? spec.rows : 0);
  Engine<T> run = engine(ws, goal.accumulate);
  run.whole_epoch = true;
  run.use(&full, &ragged);
  run.wants_accuracy = spec.metrics;
  FitReport report;
  schedules::Clock& clock = compiled_->clock;
  // However fit ends, no fit is running afterwards.
  struct OfThisFit {
    ~OfThisFit() { fit = {}; }
    schedules::Clock::Fit& fit;
  } const of_this_fit{clock.fit};
  for (Index epoch = spec.initial_epoch; epoch < spec.epochs && !hooks.stopped(); ++epoch) {
    const Index steps_before = report.steps;
    run.rewind();
    run.epoch = epoch;
    EpochLog log;
    try {
      // The caller's orders may leave out a row until a later epoch. All rows are checked before anything is trained.
      if (spec.own_orders && epoch == spec.initial_epoch)
        score("fit", spec.data, spec.rows, false, spec.n_threads, hooks.poll());
      const std::int64_t* order = hooks.order(epoch, spec.rows);
      if (!order && spec.shuffle) {
        shuffle(spec, epoch, shuffled.data(), hooks.poll());
        order = shuffled.data();
        // The rows that drop_last leaves out of the first epoch are trained on in later ones, so they are checked now.
        if (epoch == spec.initial_epoch) search("fit", spec.data, {order, rows}, dropped, run.outside()).raise_if_any();
      }
      snapshot();
      clock.fit = {spec.epochs, ceil_div(ceil_div(rows, batch), compiled_->settings.accumulate), epoch, 0};
      run.feed(spec.data, order, rows, batch);
      const Threads threads{limit, spec.n_threads > 0};
      const int used = run_epoch(run, spec, epoch, own, full.flops, threads, hooks, log.train);
      report.threads_used = std::max(used, report.threads_used);
      report.steps += run.totals().steps;
      if (!spec.own_loss) log = log_of(run.totals());
      need_weight(spec.data, log.train);
      if (spec.validation_rows > 0) log.validation = validate(spec, hooks.poll());
      log.lr = compiled_->last_lr;
      clock.position.rows += std::min(rows, run.totals().steps * batch), ++clock.position.epochs;
      clock.fit.epoch = epoch + 1, clock.fit.step = 0;
      if (compiled_->schedule.row)
        compiled_->schedule.row->epoch_end(compiled_->schedule.values, clock.position, log.train.loss);
    } catch (const Interrupted&) {
      progress_.group = {};
      if (!hooks.stopped()) throw;
      report.steps = steps_before + run.totals().steps;
      break;
    }
    threads_used_ = report.threads_used;
    const bool goes_on = hooks.epoch_end(epoch, log);
    need_own_values("fit");  // a callback may have left them exchanged
    if (!goes_on) break;
  }
  return report;
}

template <class T>
EpochLog Trainer<T>::log_of(const run::Totals& totals) const {
  const losses::Sums& sums = totals.sums;
  EpochLog log;
  log.train = {compiled_->loss_traits.average_over_rows(sums), sums.accuracy(), sums.weight};
  if (compiled_->settings.penalty_in_loss) {
    const double counted = compiled_->loss_traits.is_sum ? 1 : totals.counted;
    log.train.loss = totals.objective / counted;
    log.penalty = totals.penalty / counted;
  }
  return log;
}

template <class T>
void Trainer<T>::shuffle(const FitSpec& spec, Index epoch, std::int64_t* order, parallel::Poll poll) {
  const auto stopped = [&] { return poll.ask && poll.ask(poll.context); };
  if (!permute(order, spec.rows, spec.seed, spec.order_of(epoch), stopped)) throw Interrupted();
}

// The loss of rows whose weights are all zero is undefined: a loss of 0 would count as the best possible.
template <class T>
void Trainer<T>::need_weight(const Data& data, const Scores& scores) {
  if (scores.weight > 0) return;
  restore();
  refuse_unless(false, "fit", reason::kNoWeight, data.names->weights);
}

// Wrong validation data is found at the end of the first epoch; the model then returns to its state before the call.
template <class T>
Scores Trainer<T>::validate(const FitSpec& spec, parallel::Poll poll) {
  try {
    const Scores scores = score("fit", spec.validation, spec.validation_rows, spec.metrics, spec.n_threads, poll);
    need_weight(spec.validation, scores);
    return scores;
  } catch (const Refused&) {
    restore();
    throw;
  }
}

// Runs all batches of one epoch, in stretches for which the tuner keeps its choice of the number of threads, or one at
// a time if the hooks see them or the caller computes their loss, whose mean becomes `own_scores`. Returns the largest
// number of threads used.
template <class T>
int Trainer<T>::run_epoch(Engine<T>& run, const FitSpec& spec, Index epoch, const OwnPlans& own, double step_flops,
                          Threads threads, Hooks& hooks, Scores& own_scores) {
  Tuner& tuner = tuners_.of(step_flops);
  int used = 1;
  const bool seen = hooks.sees_batches(), alone = seen || spec.own_loss;
  const auto go_on = [&](Index ended, double loss) {
    const bool answer = hooks.between(ended, loss, !run.exhausted());
    if (hooks.stopped()) throw Interrupted();
    return answer;
  };
  double sum = 0, weight = 0;
  if (seen) go_on(-1, 0);
  while (!run.exhausted()) {
    const int n = threads.fixed ? threads.limit : tuner.pick(threads.limit, step_flops);
    const Index steps_before = run.totals().steps;
    const Index most = alone ? 1 : threads.fixed ? std::numeric_limits<Index>::max() : tuner.steps();
    const auto start = std::chrono::steady_clock::now();
    const Verdict verdict =
        spec.own_loss ? own_step(run, own, *spec.own_loss, n, hooks.poll()) : run.run(most, n, hooks.poll());
    if (!threads.fixed) tuner.record(run.totals().steps - steps_before, seconds_since(start));
    keep(run);
    used = std::max(used, run.threads_used());
    if (verdict != Verdict::kGood) {
      if (verdict != Verdict::kStopped) restore();
      const Index batch = run.batch_first() / std::min(spec.batch_size, spec.rows);
      raise("fit", verdict, run, spec.data, run.order(),
            " in epoch " + std::to_string(epoch) + ", batch " + std::to_string(batch));
    }
    sum += run.batch_weight() * run.last_loss();
    weight += run.batch_weight();
    if (seen && !go_on(steps_before, run.last_loss())) break;
  }
  if (spec.own_loss) own_scores = {weight > 0 ? sum / weight : 0, 0, weight};
  return used;
}

template FitReport Trainer<float>::fit(const FitSpec&, Hooks&);
template FitReport Trainer<double>::fit(const FitSpec&, Hooks&);

}  // namespace fastnn::train
