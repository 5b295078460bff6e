// _core.Network: the registration of the class and its methods. predict, train_step and train_step_grad are called for
// single rows and small batches, so they take their arguments by the short way of fastcall.h.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "bindings/fastcall.h"
#include "bindings/network.h"

namespace fastnn::bindings {

namespace {

LayerSpecs specs_of(const py::object& layers) {
  try {
    return LayerSpecs(layers.cast<LayerList>());
  } catch (const py::cast_error&) {
    throw py::type_error("[Network] layers is a " + type_name(layers) + "; expected a list of (kind, settings)");
  }
}

void make_network(py::detail::value_and_holder& place, const py::object& layers, const std::string& dtype,
                  std::uint64_t seed, bool initialize) {
  const bool are_specs = py::isinstance<LayerSpecs>(layers);
  become(place, are_specs ? std::make_unique<Network>(layers.cast<const LayerSpecs&>(), dtype, seed, initialize)
                          : std::make_unique<Network>(specs_of(layers), dtype, seed, initialize));
}

constexpr const char* kPredictNames[] = {"x", "link", "out", "n_threads"};
constexpr const char* kStepNames[] = {"x", "y", "sample_weight", "n_threads"};
constexpr const char* kGradNames[] = {"x", "grad", "n_threads"};
constexpr Signature kPredict{"predict", kPredictNames, 1};
constexpr Signature kStep{"train_step", kStepNames, 2};
constexpr Signature kGrad{"train_step", kGradNames, 2};

PyObject* predict(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return with_errors([&] {
    const Arguments<4> given(kPredict, args, count, keywords);
    return object_of<Network>(self)
        .predict(given[0], given.flag(1, true), given.or_none(2), given.number(3, 0))
        .release()
        .ptr();
  });
}

PyObject* train_step(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return with_errors([&] {
    const Arguments<4> given(kStep, args, count, keywords);
    return PyFloat_FromDouble(
        object_of<Network>(self).train_step(given[0], given[1], given.or_none(2), given.number(3, 0)));
  });
}

PyObject* train_step_grad(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return with_errors([&] {
    const Arguments<3> given(kGrad, args, count, keywords);
    return PyFloat_FromDouble(object_of<Network>(self).train_step_grad(given[0], given[1], given.number(2, 0)));
  });
}

// The first line of each docstring is a signature in the format of pybind11.
PyMethodDef g_methods[] = {
    fast_method("predict", predict,
                "predict(self: fastnn._core.Network, x: object, link: bool = True, out: object = None, "
                "n_threads: int = 0) -> numpy.ndarray"),
    fast_method("train_step", train_step,
                "train_step(self: fastnn._core.Network, x: object, y: object, sample_weight: object = None, "
                "n_threads: int = 0) -> float"),
    fast_method("train_step_grad", train_step_grad,
                "train_step_grad(self: fastnn._core.Network, x: object, grad: object, n_threads: int = 0) -> float"),
};

void add_calls(const py::handle& cls) {
  const auto layer = py::make_tuple("linear", py::dict(py::arg("in_features") = 1, py::arg("out_features") = 1));
  require_known_layout<Network>(cls(py::make_tuple(layer)));
  for (PyMethodDef& method : g_methods) add_fast_method(cls, method);
}

// The calls that read a model; predict is a fast method.
void add_inference(py::class_<Network>& cls) {
  using py::arg;
  const auto none = py::none();
  cls.def("input_gradient", &Network::input_gradient, arg("x"), arg("y"), arg("n_threads") = 0, arg("grad") = none)
      .def("jacobian", &Network::jacobian, arg("x"), arg("link") = false, arg("n_threads") = 0)
      .def("per_sample_gradients", &Network::per_sample_gradients, arg("x"), arg("y"), arg("n_threads") = 0,
           arg("grad") = none)
      .def("evaluate", &Network::evaluate, arg("x"), arg("y"), arg("sample_weight") = none, arg("metrics") = false,
           arg("n_threads") = 0, arg("predictions") = none);
}

// Whole fits, single steps and the parts of a step.
void add_training(py::class_<Network>& cls) {
  using py::arg;
  const auto none = py::none();
  cls.def(
         "fit", &Network::fit, arg("x") = none, arg("y") = none, arg("sample_weight") = none, arg("orders") = none,
         arg("validation") = none, arg("class_weight") = none, arg("on_epoch") = none, arg("on_batch") = none,
         arg("own_loss") = none, arg("pieces") = none, arg("rows") = 0, arg("predictions") = none,
         arg("standstill") = none,
         "predictions: an array for those of the validation rows, after each epoch. standstill: None, or the settings\n"
         "of that row, by which the fit ends. settings: of the row \"fit\".")
      .def("check", &Network::check, arg("x"), arg("y"), arg("sample_weight") = none, arg("validation") = false,
           arg("part") = false)
      .def("train_step_own", &Network::train_step_own, arg("x"), arg("sample_weight"), arg("own_loss"),
           arg("n_threads") = 0)
      .def("loss_and_grad", &Network::loss_and_grad, arg("x"), arg("y"), arg("sample_weight") = none,
           arg("n_threads") = 0, arg("training") = true)
      .def("forward", &Network::forward, arg("x"), arg("training"), arg("n_threads") = 0)
      .def("backward", &Network::backward, arg("grad"), arg("need_dx") = false, arg("n_threads") = 0)
      .def("clip_grad_norm", &Network::clip_grad_norm, arg("max_norm"))
      .def("apply_gradients", &Network::apply_gradients, arg("n_threads") = 0);
}

// The function f(first, spec), as a function of `first` and of the arguments of compile, which make the spec.
template <class First, class F>
auto with_spec(F f) {
  return
      [f](First first, const std::string& loss, const py::dict& loss_params, const std::string& optimizer,
          const py::dict& params, const Network::Groups& groups, const py::object& schedule, const py::object& average,
          const Network::Limits& limits, const Network::MetricList& metrics, const py::kwargs& settings) {
        f(first, Network::compile_spec(loss, loss_params, optimizer, params, groups, schedule, average, limits, metrics,
                                       settings));
      };
}

// What a network consists of and how it trains.
void add_settings(py::module_& m, py::class_<Network>& cls) {
  using py::arg;
  const auto none = py::none();
  py::class_<LayerSpecs>(m, "LayerSpecs", "The layers of a network; they may serve several equal ones.")
      .def(
          "__init__",
          [](py::detail::value_and_holder& place, const LayerList& layers) {
            become(place, std::make_unique<LayerSpecs>(layers));
          },
          py::detail::is_new_style_constructor(), arg("layers"));
  py::class_<CompileSpec> spec(m, "CompileSpec", "What compile needs; it may serve several networks.");
  cls.def("set_frozen", &Network::set_frozen, arg("layer"), arg("frozen"))
      .def(
          "frozen", [](Network& n, const std::string& layer) { return n.model().frozen(layer); }, arg("layer"))
      .def("change_layer", &Network::change_layer, arg("layers"), arg("kind"), arg("settings"))
      .def("compile_as", &Network::compile, arg("spec"), "compile, with what it has in common with other networks.")
      .def("use_averages", &Network::use_averages, arg("on"),
           "Exchanges the values of the parameters that train with their averages, or back.")
      .def_property_readonly("averaged", [](const Network& n) { return n.model().averaged(); })
      .def(
          "set_optimizer_params", &Network::set_optimizer_params, arg("params"), arg("groups") = py::dict(),
          arg("schedule") = none, arg("continues") = false, arg("limits") = py::list(),
          "Other hyperparameters, as compile takes them, from the next update on; states and counts stay. The schedule "
          "begins now, unless it continues the one before.")
      .def_property_readonly("lr", &Network::lr)
      .def("schedule_position", &Network::schedule_position)
      .def("set_schedule_position", &Network::set_schedule_position, arg("position"));
  const auto def = [&](auto& of, const char* name, auto function, const auto&... more) {
    of.def(
        name, function, more..., arg("loss"), arg("loss_params"), arg("optimizer"), arg("params"),
        arg("groups") = py::dict(), arg("schedule") = none, arg("average") = none, arg("limits") = py::list(),
        arg("metrics") = py::list(),
        "schedule, average: None, or a pair of name and parameters; metrics: such pairs. limits: pairs of a limit of "
        "the gradients' norm, or None, and the keys of its parameters. settings: of the row \"compile\".");
  };
  using Place = py::detail::value_and_holder;
  def(spec, "__init__", with_spec<Place&>([](Place& place, CompileSpec made) {
        become(place, std::make_unique<CompileSpec>(std::move(made)));
      }),
      py::detail::is_new_style_constructor());
  def(cls, "compile", with_spec<Network&>([](Network& n, const CompileSpec& made) { n.compile(made); }));
}

}  // namespace

void register_network(py::module_& m) {
  using py::arg;
  const auto none = py::none();
  py::class_<Network> cls(m, "Network", "Layers, their values and their training; see fastnn.nn.Sequential.");
  cls.def("__init__", &make_network, py::detail::is_new_style_constructor(), arg("layers"), arg("dtype") = "float32",
          arg("seed") = 0, arg("initialize") = true)
      .def_property_readonly("n_features", [](Network& n) { return n.model().n_features(); })
      .def_property_readonly("n_outputs", [](Network& n) { return n.model().n_outputs(); })
      .def_property_readonly("dtype", &Network::dtype)
      .def_property_readonly("flops_per_row", [](Network& n) { return n.model().flops_per_row(); })
      .def_property_readonly("threads_used", [](Network& n) { return n.model().threads_used(); })
      .def_property_readonly("step", [](Network& n) { return n.model().step(); })
      .def(
          "num_batches", [](Network& n, const std::optional<std::string>& layer) { return n.model().batches(layer); },
          arg("layer") = none, "From how many training batches each layer has taken the statistics that it keeps.")
      .def(
          "expect_idle", [](Network& n, const std::string& where) { n.model().gate().expect_idle(where.c_str()); },
          arg("where"), "Raises ModelBusyError, headed by `where`, while a call trains the model.")
      .def_property_readonly("busy", [](Network& n) { return n.model().gate().writing(); })
      .def_property_readonly("history", &Network::history)
      .def_property_readonly("epochs", &Network::epochs, "How many epochs all calls of fit have ended.")
      .def_property_readonly("draw", [](Network& n) { return n.model().draw(); })
      .def("set_progress", &Network::set_progress, arg("step"), arg("draw") = 0, arg("averaged") = 0,
           arg("group") = none)
      .def("load", &Network::load, arg("values"), arg("num_batches"),
           "Copies values, in torch's layout and in the order of parameters(); None leaves one as it is.")
      .def("load_state", &Network::load_state, arg("number"), arg("arrays"),
           "Copies a state of the optimizer, in torch's layout and by the keys of the parameters.")
      .def_property("stop", &Network::asked_to_stop, &Network::ask_to_stop)
      .def("stop_after", &Network::stop_after, arg("seconds"),
           "Lets the running fit end so many seconds from now, within an epoch.")
      .def(
          "parameters",
          [](const py::object& self, const std::optional<std::string>& layer) {
            return self.cast<Network&>().parameters(self, Model::kValues, layer);
          },
          arg("layer") = none)
      .def("gradients",
           [](const py::object& self) { return self.cast<Network&>().parameters(self, Model::kGradients); })
      .def("optimizer_state", [](const py::object& self) { return self.cast<Network&>().optimizer_state(self); })
      .def("snapshot", &Network::snapshot, arg("layers") = none)
      .def(
          "views",
          [](const py::object& self, const std::optional<std::string>& layer) {
            return self.cast<Network&>().views(self, layer);
          },
          arg("layer") = none, "Views of the values, in torch's layout, by the layer's key and the name; lent.")
      .def("lend", &Network::lend, arg("view"))
      .def("set_optimizer_steps", &Network::set_optimizer_steps, arg("steps"));
  add_settings(m, cls);
  add_training(cls);
  add_inference(cls);
  add_calls(cls);
}

}  // namespace fastnn::bindings
