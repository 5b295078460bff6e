// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/numpy_draws.h"

#include <pybind11/gil_safe_call_once.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <numeric>

#include "bindings/numpy_view.h"
#include "core/check.h"

namespace fastnn::bindings {

namespace {

// The interface of NumPy's generators: numpy/random/bitgen.h.
struct NumpyBits {
  void* state;
  std::uint64_t (*next_uint64)(void*);
  std::uint32_t (*next_uint32)(void*);
  double (*next_double)(void*);
  std::uint64_t (*next_raw)(void*);
};

NumpyBits& bits_of(const py::object& generator) {
  const py::object capsule = generator.attr("capsule");
  auto* bits = static_cast<NumpyBits*>(PyCapsule_GetPointer(capsule.ptr(), "BitGenerator"));
  if (!bits) throw py::error_already_set();
  return *bits;
}

void draw_bits(void* bits, std::uint32_t* out, Index count) noexcept {
  const auto& generator = *static_cast<const NumpyBits*>(bits);
  for (Index k = 0; k < count; ++k) out[k] = generator.next_uint32(generator.state);
}

void draw_units(void* bits, double* out, Index count) noexcept {
  const auto& generator = *static_cast<const NumpyBits*>(bits);
  for (Index k = 0; k < count; ++k) out[k] = generator.next_double(generator.state);
}

// Is the state of a numpy.random.MT19937 stored as a MersenneTwister? It is if what NumPy shows of it is found there.
// That takes longer than to draw an order, so the answer, which is the same for all of them, is kept.
bool has_known_layout(const py::object& generator) {
  static std::atomic<int> known{-1};
  if (known < 0) {
    const py::object shown = generator.attr("state")["state"];
    const auto key = shown["key"].cast<py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>>();
    const auto& state = *static_cast<const MersenneTwister*>(bits_of(generator).state);
    known = key.size() == MersenneTwister::kWords && std::equal(state.key, std::end(state.key), key.data()) &&
            state.pos == shown["pos"].cast<int>();
  }
  return known == 1;
}

const py::object& twister_class() {
  static py::gil_safe_call_once_and_store<py::object> found;
  return found.call_once_and_store_result([] { return py::module_::import("numpy.random").attr("MT19937"); })
      .get_stored();
}

// Holds the lock of a generator for the lifetime of the object.
class Locked {
 public:
  explicit Locked(const NumpyGenerator& generator) : lock_(generator.lock) { lock_.attr("acquire")(); }
  ~Locked() { lock_.attr("release")(); }
  Locked(const Locked&) = delete;

 private:
  const py::object& lock_;
};

// Fills an array with what RandomState.uniform(-bound, bound) draws for an array of its shape.
template <class T>
void fill_uniform(const Numbers& numbers, double bound, py::array& out) {
  const bool is_matrix = out.ndim() == 2;
  const Index rows = is_matrix ? out.shape(0) : 1, columns = out.shape(is_matrix ? 1 : 0);
  const Index step = out.strides(is_matrix ? 1 : 0);
  std::vector<double> row(static_cast<std::size_t>(columns));
  for (Index r = 0; r < rows; ++r) {
    numbers.draw_units(numbers.state, row.data(), columns);
    char* at = static_cast<char*>(out.mutable_data()) + (is_matrix ? r * out.strides(0) : 0);
    for (const double unit : row) {
      const T number = static_cast<T>(2 * bound * unit - bound);
      std::memcpy(at, &number, sizeof(T)), at += step;
    }
  }
}

void numpy_uniform(const py::object& given, const std::vector<std::pair<double, py::object>>& parts) {
  const NumpyGenerator generator(given);
  const Locked locked(generator);
  for (const auto& [bound, out] : parts) {
    py::array array = in_place("numpy_uniform", "out", out);
    require(array.ndim() == 1 || array.ndim() == 2, "[numpy_uniform] out has ", array.ndim(),
            " dimensions; expected 1 or 2");
    (array.itemsize() == sizeof(float) ? fill_uniform<float> : fill_uniform<double>)(generator.numbers, bound, array);
  }
}

}  // namespace

NumpyGenerator::NumpyGenerator(const py::object& generator) : owner(generator) {
  NumpyBits& bits = bits_of(generator);
  lock = generator.attr("lock");
  const bool fast = py::type::of(generator).is(twister_class()) && [&] {
    const Locked locked(*this);
    return has_known_layout(generator);
  }();
  numbers = fast ? MersenneTwister::numbers(bits.state) : Numbers{draw_bits, draw_units, &bits};
}

NumpyOrders::NumpyOrders(const py::object& generator, Index n, bool shared) : generator_(generator), shared_(shared) {
  require(n >= 0 && n <= Index{1} << 32, "[NumpyOrders] n = ", n, "; expected 0 to 2^32");
  order_.resize(static_cast<std::size_t>(n));
  shuffled_.resize(order_.size());
  std::iota(shuffled_.begin(), shuffled_.end(), std::uint32_t{0});
}

const std::int64_t* NumpyOrders::next() {
  const auto draw = [&] {
    shuffle(shuffled_.data(), rows(), generator_.numbers);
    std::ranges::copy(shuffled_, order_.begin());
  };
  if (shared_) {
    const WithGil gil;
    const Locked locked(generator_);
    draw();
  } else {
    draw();
  }
  return order_.data();
}

void register_draws(py::module_& m) {
  using py::arg;
  py::class_<NumpyOrders>(m, "NumpyOrders",
                          "The orders of n rows that a bit generator of numpy.random draws: one array, shuffled again "
                          "for each epoch as by\n"
                          "RandomState.shuffle. shared: others may draw from the generator meanwhile.")
      .def(
          "__init__",
          [](py::detail::value_and_holder& place, const py::object& generator, Index n, bool shared) {
            become(place, std::make_unique<NumpyOrders>(generator, n, shared));
          },
          py::detail::is_new_style_constructor(), arg("generator"), arg("n"), arg("shared") = true)
      .def(
          "next",
          [](NumpyOrders& orders) {
            const std::int64_t* next = nullptr;
            {
              const WithoutGil free;
              next = orders.next();
            }
            return py::array_t<std::int64_t>(orders.rows(), next);
          },
          "Draws the next order and returns a copy of it.");
  m.def("numpy_uniform", numpy_uniform, arg("generator"), arg("parts"),
        "For each part (bound, out) in turn, fills out, of one or two dimensions, with what\n"
        "RandomState.uniform(-bound, bound) draws from a bit generator of numpy.random.");
}

}  // namespace fastnn::bindings
