// _core.Network: one model of either dtype. Checks memory, releases the GIL, calls the trainer; no arithmetic.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <chrono>
#include <optional>

#include "bindings/border.h"
#include "activations/activation.h"
#include "bindings/numpy_view.h"
#include "core/check.h"
#include "trainer/model.h"

namespace fastnn::inline FASTNN_ISA::bindings {

namespace {

using trainer::Model;

// Tables of a layer's hyperparameters, layer or activation.
std::span<const Hyper> table_of(const std::string& kind) {
  if (const auto* row = layers::find(kind)) return row->hypers;
  if (const auto* row = activations::find(kind)) return row->hypers;
  return {};
}

std::vector<double> numbers(const py::dict& given, const char* key) {
  if (!given.contains(key)) return {};
  const py::object value = given[key];
  if (py::isinstance<py::float_>(value) || py::isinstance<py::int_>(value)) return {value.cast<double>()};
  return value.cast<std::vector<double>>();
}

layers::Config layer_config(const std::string& kind, const py::dict& given) {
  layers::Config config{kind, {}, {}, {}};
  if (kind == "rescale") {
    config.scale = numbers(given, "scale");
    config.shift = numbers(given, "shift");
  } else {
    config.hyper = hyper_given("[" + kind + "]", given, table_of(kind));
  }
  return config;
}

int checked_threads(const char* where, int n_threads) {
  require(n_threads >= 0 && n_threads <= parallel::kMaxThreads, "[", where, "] n_threads = ", n_threads,
          "; expected 1 to ", parallel::kMaxThreads, ", or 0 for automatic");
  return n_threads;
}

class Network {
 public:
  Network(const std::vector<std::pair<std::string, py::dict>>& layer_list, const std::string& dtype, std::uint64_t seed) {
    require(dtype == "float32" || dtype == "float64", "[Network] unknown dtype '", dtype, "'; known: float32, float64");
    std::vector<layers::Config> configs;
    for (const auto& [kind, hyper] : layer_list) {
      configs.push_back(layer_config(kind, hyper));
      flatten_ = flatten_ || kind == "flatten";
    }
    model_ = trainer::make_model(configs, dtype == "float64", seed);
  }

  Model& model() { return *model_; }
  std::string dtype() const { return model_->is_double() ? "float64" : "float32"; }

  py::list parameters(const py::object& self, int array);
  void compile(const std::string& loss, const py::dict& loss_hyper, const std::string& optimizer,
               const py::dict& optimizer_hyper, const std::map<int, py::dict>& per_layer, double max_grad_norm);
  py::dict fit(const py::object& x, const py::object& y, const py::object& w, Index batch_size, Index epochs,
               Index first_epoch, bool shuffle, std::uint64_t seed, const py::object& orders,
               const py::object& validation, bool metrics, int n_threads, const py::object& on_epoch);
  double train_step(const py::object& x, const py::object& y, const py::object& w, int n_threads);
  double train_step_grad(const py::object& x, const py::object& grad, int n_threads);
  double loss_and_grad(const py::object& x, const py::object& y, const py::object& w, int n_threads, bool training);
  py::array forward(const py::object& x, bool training, int n_threads);
  py::object backward(const py::object& grad, bool need_dx, int n_threads);
  double clip_grad_norm(double max_norm);
  void apply_gradients(int n_threads);
  py::dict evaluate(const py::object& x, const py::object& y, const py::object& w, bool metrics, int n_threads);
  py::array predict(const py::object& x, bool link, const py::object& out, int n_threads);
  py::dict optimizer_state(const py::object& self);
  void set_frozen(int layer, bool frozen) {
    const trainer::Gate::Writer writer(model_->gate(), "freeze");
    model_->set_frozen(layer, frozen);
  }
  void set_progress(std::int64_t step, std::int64_t batches) {
    const trainer::Gate::Writer writer(model_->gate(), "load");
    require(step >= 0 && batches >= 0, "[set_progress] step = ", step, ", batches = ", batches, "; expected numbers >= 0");
    model_->set_progress(step, batches);
  }

 private:
  friend class BatchArgs;
  py::array new_output(Index rows, Index cols) const {
    return model_->is_double() ? output<double>("out", py::none(), rows, cols) : output<float>("out", py::none(), rows, cols);
  }
  std::unique_ptr<Model> model_;
  bool flatten_ = false;
};

// The arrays of one call, checked against the model and against each other.
class BatchArgs {
 public:
  BatchArgs(const char* where, Network& net, const py::object& x, const py::object& y, const py::object& w,
            const py::object& grad = py::none())
      : x_(where, "X", x, net.model().n_features(), net.flatten_, false) {
    data.x = x_.source();
    rows = x_.rows();
    if (!y.is_none()) {
      const auto* loss = net.model().loss();
      require(loss != nullptr, "[", where, "] the model has no loss and optimizer yet: call compile first");
      const bool dense = loss->target == losses::TargetKind::kDense;
      y_.emplace(where, "y", y, dense ? net.model().n_outputs() : 1, false, !dense || net.model().n_outputs() == 1);
      same(where, "y", *y_);
      data.y = y_->source();
    }
    if (!w.is_none()) {
      w_.emplace(where, "sample_weight", w, 1, false, true);
      same(where, "sample_weight", *w_);
      data.weights = w_->source();
    }
    if (!grad.is_none()) {
      grad_.emplace(where, "grad", grad, net.model().n_outputs(), false, net.model().n_outputs() == 1);
      same(where, "grad", *grad_);
      data.grad = grad_->source();
    }
  }
  void need_rows(const char* where) const { require(rows > 0, "[", where, "] X has 0 rows; expected at least one"); }

  trainer::Data data;
  Index rows = 0;

 private:
  void same(const char* where, const char* name, const Rows& other) const {
    require(other.rows() == rows, "[", where, "] ", name, " has ", other.rows(), " rows, X has ", rows);
  }
  Rows x_;
  std::optional<Rows> y_, w_, grad_;
};

py::list Network::parameters(const py::object& self, int array) {
  const bool busy = model_->gate().writing();
  const py::dtype dtype = model_->is_double() ? py::dtype::of<double>() : py::dtype::of<float>();
  const auto item = dtype.itemsize();
  py::list rows;
  for (const auto& view : model_->parameters(array)) {
    const auto& p = view.parameter;
    py::object base = self;
    if (view.owner)
      base = py::capsule(new std::shared_ptr<void>(view.owner),
                         [](void* owner) { delete static_cast<std::shared_ptr<void>*>(owner); });
    
    py::array a = p.matrix ? py::array(dtype, {p.rows, p.cols}, {p.stride * item, item}, view.data, base)
                         : py::array(dtype, {p.cols}, {item}, view.data, base);
    if (busy) a.attr("setflags")(py::arg("write") = false);
    rows.append(py::dict(py::arg("layer") = p.position, py::arg("name") = p.name, py::arg("array") = a,
                         py::arg("trainable") = p.trainable));
  }
  return rows;
}

void Network::compile(const std::string& loss, const py::dict& loss_hyper, const std::string& optimizer,
                      const py::dict& optimizer_hyper, const std::map<int, py::dict>& per_layer, double max_grad_norm) {
  const trainer::Gate::Writer writer(model_->gate(), "compile");
  trainer::CompileSpec spec;
  const auto* loss_row = losses::find(loss);
  const auto* optimizer_row = optimizers::find(optimizer);
  const std::span<const Hyper> none;
  const auto optimizer_table = optimizer_row ? optimizer_row->hypers : none;
  spec.loss = loss;
  spec.loss_hyper = hyper_given("[" + loss + "]", loss_hyper, loss_row ? loss_row->hypers : none);
  spec.optimizer = optimizer;
  spec.optimizer_hyper = hyper_given("[" + optimizer + "]", optimizer_hyper, optimizer_table);
  for (const auto& [layer, hyper] : per_layer)
    spec.per_layer[layer] = hyper_given("[" + optimizer + "]", hyper, optimizer_table);
  spec.max_grad_norm = max_grad_norm;
  model_->compile(spec);
}

// What a running fit asks of Python, with the GIL taken for that alone.
class FitHooks final : public trainer::Hooks {
 public:
  FitHooks(Model& model, const py::object& orders, const py::object& on_epoch, bool metrics, bool validates)
      : model_(model), orders_(orders), on_epoch_(on_epoch), metrics_(metrics), validates_(validates) {}
  parallel::Poll poll() override { return signal_poll(); }

  const std::int64_t* order(Index epoch, Index rows) override {
    if (orders_.is_none()) return nullptr;
    const py::gil_scoped_acquire gil;
    order_ = py::array_t<std::int64_t, py::array::c_style>::ensure(orders_(epoch));
    if (!order_) throw py::error_already_set();
    require(order_.ndim() == 1 && order_.shape(0) == rows, "[fit] the order of epoch ", epoch, " has ", order_.size(),
            " entries, expected a permutation of ", rows);
    for (Index r = 0; r < rows; ++r)
      require(order_.data()[r] >= 0 && order_.data()[r] < rows, "[fit] the order of epoch ", epoch, " has ",
              order_.data()[r], " at ", r, ", expected 0 to ", rows - 1);
    return order_.data();
  }

  bool epoch_end(Index epoch, const trainer::EpochLog& log) override {
    logs_.push_back(log);
    if (on_epoch_.is_none()) return true;
    model_.gate().open_window();
    bool go_on = true;
    try {
      const py::gil_scoped_acquire gil;
      go_on = on_epoch_(epoch, words(log)).cast<bool>();
    } catch (...) {
      model_.gate().close_window();
      throw;
    }
    model_.gate().close_window();
    return go_on;
  }

  py::dict words(const trainer::EpochLog& log) const {
    py::dict d;
    d["loss"] = log.train.loss;
    if (metrics_) d["accuracy"] = log.train.accuracy;
    if (validates_) d["val_loss"] = log.validation.loss;
    if (validates_ && metrics_) d["val_accuracy"] = log.validation.accuracy;
    return d;
  }
  py::dict history() const {
    py::dict lists;
    for (const auto& log : logs_)
      for (const auto& [key, value] : words(log)) {
        if (!lists.contains(key)) lists[key] = py::list();
        lists[key].cast<py::list>().append(value);
      }
    return lists;
  }

 private:
  Model& model_;
  py::object orders_, on_epoch_;
  py::array_t<std::int64_t, py::array::c_style> order_;
  bool metrics_, validates_;
  std::vector<trainer::EpochLog> logs_;
};

py::dict Network::fit(const py::object& x, const py::object& y, const py::object& w, Index batch_size, Index epochs,
                      Index first_epoch, bool shuffle, std::uint64_t seed, const py::object& orders,
                      const py::object& validation, bool metrics, int n_threads, const py::object& on_epoch) {
  BatchArgs args("fit", *this, x, y, w);
  args.need_rows("fit");
  require(!y.is_none(), "[fit] y is None; expected targets");
  require(batch_size > 0 && epochs >= 0 && first_epoch >= 0, "[fit] batch_size = ", batch_size, ", epochs = ", epochs,
          ", first_epoch = ", first_epoch, "; expected batch_size >= 1 and the others >= 0");
  trainer::FitSpec spec{args.data, args.rows, batch_size, epochs, first_epoch, shuffle, seed, {}, 0, metrics,
                        checked_threads("fit", n_threads)};
  std::unique_ptr<BatchArgs> held_out;
  if (!validation.is_none()) {
    const auto parts = validation.cast<py::tuple>();
    require(parts.size() == 3, "[fit] validation has ", parts.size(), " parts, expected (X, y, sample_weight or None)");
    held_out = std::make_unique<BatchArgs>("fit, validation", *this, parts[0], parts[1], parts[2]);
    held_out->need_rows("fit, validation");
    require(!parts[1].is_none(), "[fit, validation] y is None; expected targets");
    spec.validation = held_out->data;
    spec.validation_rows = held_out->rows;
  }
  FitHooks hooks(*model_, orders, on_epoch, metrics, held_out != nullptr);
  const auto start = std::chrono::steady_clock::now();
  trainer::FitReport report;
  {
    const trainer::Gate::Writer writer(model_->gate(), "fit");
    const py::gil_scoped_release release;
    report = model_->fit(spec, hooks);
  }
  py::dict result = hooks.history();
  result["threads_used"] = report.threads_used;
  result["steps"] = report.steps;
  result["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

double Network::train_step(const py::object& x, const py::object& y, const py::object& w, int n_threads) {
  BatchArgs args("train_step", *this, x, y, w);
  args.need_rows("train_step");
  require(!y.is_none(), "[train_step] y is None; expected targets (or a gradient: train_step_grad)");
  checked_threads("train_step", n_threads);
  const trainer::Gate::Writer writer(model_->gate(), "train_step");
  const py::gil_scoped_release release;
  return model_->train_step(args.data, args.rows, n_threads, signal_poll());
}

double Network::train_step_grad(const py::object& x, const py::object& grad, int n_threads) {
  BatchArgs args("train_step", *this, x, py::none(), py::none(), grad);
  args.need_rows("train_step");
  require(!grad.is_none(), "[train_step] grad is None; expected dl/dlogits");
  checked_threads("train_step", n_threads);
  const trainer::Gate::Writer writer(model_->gate(), "train_step");
  const py::gil_scoped_release release;
  return model_->train_step(args.data, args.rows, n_threads, signal_poll());
}

double Network::loss_and_grad(const py::object& x, const py::object& y, const py::object& w, int n_threads, bool training) {
  BatchArgs args("loss_and_grad", *this, x, y, w);
  args.need_rows("loss_and_grad");
  require(!y.is_none(), "[loss_and_grad] y is None; expected targets");
  checked_threads("loss_and_grad", n_threads);
  const trainer::Gate::Writer writer(model_->gate(), "loss_and_grad");
  const py::gil_scoped_release release;
  return model_->loss_and_grad(args.data, args.rows, training, n_threads, signal_poll());
}

py::array Network::forward(const py::object& x, bool training, int n_threads) {
  BatchArgs args("forward", *this, x, py::none(), py::none());
  args.need_rows("forward");
  checked_threads("forward", n_threads);
  py::array out = new_output(args.rows, model_->n_outputs());
  void* memory = out.mutable_data();
  const trainer::Gate::Writer writer(model_->gate(), "forward");
  const py::gil_scoped_release release;
  model_->forward(args.data, args.rows, training, memory, n_threads, signal_poll());
  return out;
}

py::object Network::backward(const py::object& grad, bool need_dx, int n_threads) {
  const Index k = model_->n_outputs();
  Rows rows("backward", "dlogits", grad, k, false, k == 1);
  checked_threads("backward", n_threads);
  trainer::Data data;
  data.grad = rows.source();
  py::object dx = py::none();
  void* memory = nullptr;
  if (need_dx) {
    py::array array = new_output(rows.rows(), model_->n_features());
    memory = array.mutable_data();
    dx = array;
  }
  const trainer::Gate::Writer writer(model_->gate(), "backward");
  const py::gil_scoped_release release;
  model_->backward(data, rows.rows(), memory, n_threads, signal_poll());
  return dx;
}

double Network::clip_grad_norm(double max_norm) {
  require(max_norm > 0, "[clip_grad_norm] max_norm = ", max_norm, "; expected a number > 0");
  const trainer::Gate::Writer writer(model_->gate(), "clip_grad_norm");
  return model_->clip_grad_norm(max_norm);
}

void Network::apply_gradients(int n_threads) {
  checked_threads("apply_gradients", n_threads);
  const trainer::Gate::Writer writer(model_->gate(), "apply_gradients");
  const py::gil_scoped_release release;
  model_->apply_gradients(n_threads, signal_poll());
}

py::dict Network::evaluate(const py::object& x, const py::object& y, const py::object& w, bool metrics, int n_threads) {
  BatchArgs args("evaluate", *this, x, y, w);
  args.need_rows("evaluate");
  require(!y.is_none(), "[evaluate] y is None; expected targets");
  checked_threads("evaluate", n_threads);
  trainer::Scores scores;
  {
    const trainer::Gate::Reader reader(model_->gate(), "evaluate");
    const py::gil_scoped_release release;
    scores = model_->evaluate(args.data, args.rows, metrics, n_threads, signal_poll());
  }
  py::dict d;
  d["loss"] = scores.loss;
  if (metrics) d["accuracy"] = scores.accuracy;
  return d;
}

py::array Network::predict(const py::object& x, bool link, const py::object& out, int n_threads) {
  BatchArgs args("predict", *this, x, py::none(), py::none());
  checked_threads("predict", n_threads);
  const Index k = model_->n_outputs();
  py::array result = model_->is_double() ? output<double>("predict", out, args.rows, k)
                                         : output<float>("predict", out, args.rows, k);
  if (args.rows == 0) return result;
  void* memory = result.mutable_data();
  const Index stride = args.rows > 1 ? result.strides(0) / result.itemsize() : k;
  const trainer::Gate::Reader reader(model_->gate(), "predict");
  const py::gil_scoped_release release;
  model_->predict(args.data, args.rows, link, memory, stride, n_threads, signal_poll());
  return result;
}

py::dict Network::optimizer_state(const py::object& self) {
  py::list states;
  for (int s = 0; s < model_->n_states(); ++s) states.append(parameters(self, s));
  return py::dict(py::arg("step") = model_->step(), py::arg("state") = states);
}

}  // namespace

void register_network(py::module_& m) {
  using py::arg;
  const auto none = py::none();
  py::class_<Network>(m, "Network", "Layers, their values and their training; see fastnn.nn.Sequential.")
      .def(py::init<const std::vector<std::pair<std::string, py::dict>>&, const std::string&, std::uint64_t>(),
           arg("layers"), arg("dtype") = "float32", arg("seed") = 0)
      .def_property_readonly("n_features", [](Network& n) { return n.model().n_features(); })
      .def_property_readonly("n_outputs", [](Network& n) { return n.model().n_outputs(); })
      .def_property_readonly("dtype", &Network::dtype)
      .def_property_readonly("flops_per_row", [](Network& n) { return n.model().flops_per_row(); })
      .def_property_readonly("threads_used", [](Network& n) { return n.model().threads_used(); })
      .def_property_readonly("step", [](Network& n) { return n.model().step(); })
      .def_property_readonly("num_batches", [](Network& n) { return n.model().batches(); })
      .def_property_readonly("busy", [](Network& n) { return n.model().gate().writing(); })
      .def("set_progress", &Network::set_progress, arg("step"), arg("num_batches"))
      .def("parameters", [](const py::object& self) { return self.cast<Network&>().parameters(self, Model::kValues); })
      .def("gradients", [](const py::object& self) { return self.cast<Network&>().parameters(self, Model::kGradients); })
      .def("optimizer_state", [](const py::object& self) { return self.cast<Network&>().optimizer_state(self); })
      .def("set_frozen", &Network::set_frozen, arg("layer"), arg("frozen"))
      .def("frozen", [](Network& n, int layer) { return n.model().frozen(layer); }, arg("layer"))
      .def("compile", &Network::compile, arg("loss"), arg("loss_hyper"), arg("optimizer"), arg("optimizer_hyper"),
           arg("per_layer") = py::dict(), arg("max_grad_norm") = 0.0)
      .def("fit", &Network::fit, arg("x"), arg("y"), arg("sample_weight") = none, py::kw_only(), arg("batch_size"),
           arg("epochs"), arg("first_epoch") = 0, arg("shuffle") = true, arg("seed") = 0, arg("orders") = none,
           arg("validation") = none, arg("metrics") = false, arg("n_threads") = 0, arg("on_epoch") = none)
      .def("train_step", &Network::train_step, arg("x"), arg("y"), arg("sample_weight") = none, arg("n_threads") = 0)
      .def("train_step_grad", &Network::train_step_grad, arg("x"), arg("grad"), arg("n_threads") = 0)
      .def("loss_and_grad", &Network::loss_and_grad, arg("x"), arg("y"), arg("sample_weight") = none,
           arg("n_threads") = 0, arg("training") = true)
      .def("forward", &Network::forward, arg("x"), arg("training"), arg("n_threads") = 0)
      .def("backward", &Network::backward, arg("grad"), arg("need_dx") = false, arg("n_threads") = 0)
      .def("clip_grad_norm", &Network::clip_grad_norm, arg("max_norm"))
      .def("apply_gradients", &Network::apply_gradients, arg("n_threads") = 0)
      .def("evaluate", &Network::evaluate, arg("x"), arg("y"), arg("sample_weight") = none, arg("metrics") = false,
           arg("n_threads") = 0)
      .def("predict", &Network::predict, arg("x"), arg("link") = true, arg("out") = none, arg("n_threads") = 0);
}

}  // namespace fastnn::inline FASTNN_ISA::bindings
