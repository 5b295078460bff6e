// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/gather.h"

#include <Eigen/Core>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/simd.h"
#include "kernels/reduce.h"

namespace fastnn::kernels {

namespace {

// NumPy's bool is one byte, of which every value but 0 means true.
struct Bool {
  std::uint8_t byte;
  explicit operator float() const { return byte ? 1.0F : 0.0F; }
  explicit operator double() const { return byte ? 1.0 : 0.0; }
};

template <class S>
S read(const char* at, bool swapped) noexcept {
  unsigned char bytes[sizeof(S)];
  std::memcpy(bytes, at, sizeof(S));
  if (swapped)
    for (std::size_t i = 0; i < sizeof(S) / 2; ++i) std::swap(bytes[i], bytes[sizeof(S) - 1 - i]);
  S value;
  std::memcpy(static_cast<void*>(&value), bytes, sizeof(S));
  return value;
}

// The most frequent case: elements of type T in this machine's byte order, contiguous within a row.
template <class T>
bool has_engine_layout(const Source& source) noexcept {
  return source.dtype == of_type<T>(DType::kFloat32, DType::kFloat64) && !source.columns && !source.swapped &&
         !source.cells;
}

// Scales rows of n values, (x - mean) * scale + shift, and fills the padding columns with zeros.
template <class T>
class ScaleAndPad {
 public:
  ScaleAndPad(const Scaling<T>& scaling, Index n) noexcept
      : scale_(scaling.scale),
        shift_(scaling.shift),
        mean_(scaling.mean),
        n_(n),
        whole_(n / kLanes * kLanes),
        last_(inside<T>(whole_, n)) {}

  // Reads nothing at or after `end`. Returns a vector that is zero if and only if all results are finite: x * 0 is 0
  // for finite x and NaN otherwise, and the bits of these products are ORed together.
  Vec<T> row(const char* from, const char* end, T* out) const noexcept {
    auto nonfinite = Vec<T>::zero();
    Index c = 0;
    for (; c < whole_; c += kLanes) nonfinite = nonfinite | scale_and_store(load(from, c), c, out);
    if (c < n_) {
      nonfinite = nonfinite | scale_and_store(load_tail(from, end), c, out);
      c += kLanes;
    }
    for (; c < padded<T>(n_); c += kLanes) Vec<T>::zero().store(out + c);
    return nonfinite;
  }

 private:
  static constexpr Index kLanes = Vec<T>::kLanes;

  static Vec<T> load(const char* from, Index c) noexcept {
    return Vec<T>::loadu(reinterpret_cast<const T*>(from + c * static_cast<Index>(sizeof(T))));
  }
  // The values after the last whole vector. Where the array goes on far enough, a whole vector is loaded and masked.
  Vec<T> load_tail(const char* from, const char* end) const noexcept {
    if (from + (whole_ + kLanes) * static_cast<Index>(sizeof(T)) <= end)
      return select(last_, load(from, whole_), Vec<T>::zero());
    alignas(kAlign) T last[kLanes] = {};
    std::memcpy(last, from + whole_ * static_cast<Index>(sizeof(T)), static_cast<std::size_t>(n_ - whole_) * sizeof(T));
    return Vec<T>::load(last);
  }
  Vec<T> scale_and_store(Vec<T> x, Index c, T* out) const noexcept {
    if (scale_) {
      if (mean_) x = x - Vec<T>::load(mean_ + c);
      x = x * Vec<T>::load(scale_ + c);
    }
    if (shift_) {
      x = x + Vec<T>::load(shift_ + c);
      if (c == whole_) x = select(last_, x, Vec<T>::zero());
    }
    x.store(out + c);
    return x * Vec<T>::zero();
  }

  const T *scale_, *shift_, *mean_;
  Index n_, whole_;  // whole_: number of columns in whole vectors
  Mask<T> last_;     // the lanes of the next vector that belong to the row
};

// Shuffled rows are out of reach of the hardware's prefetching, so a row is prefetched while an earlier one is converted:
// the next one, or of short rows the one that is about two kilobytes further on. That is mostly a row of the next call,
// whose first rows would come too late otherwise.
constexpr Index rows_ahead(Index bytes) noexcept { return bytes >= 2048 ? 1 : bytes <= 64 ? 32 : 2048 / bytes; }

void prefetch_row(const char* row, Index bytes) noexcept {
  for (Index at = 0; at < bytes; at += static_cast<Index>(kAlign)) __builtin_prefetch(row + at);
}

template <class T, class S>
void convert_row(const Source& source, const char* row, T* out) noexcept {
  if (!source.columns && !source.swapped) {
    for (Index c = 0; c < source.cols; ++c) {
      S value;
      std::memcpy(static_cast<void*>(&value), row + c * static_cast<Index>(sizeof(S)), sizeof(S));
      out[c] = static_cast<T>(value);
    }
    return;
  }
  for (Index c = 0; c < source.cols; ++c) {
    const Index offset = source.columns ? source.columns[c] : c * static_cast<Index>(sizeof(S));
    out[c] = static_cast<T>(read<S>(row + offset, source.swapped));
  }
}

// Does S have values that T has to round, so that scaling is done in double? (Double rounds integers beyond 2^53
// itself.)
template <class T, class S>
constexpr bool needs_double() {
  if constexpr (sizeof(T) < sizeof(double) && std::is_arithmetic_v<S>)
    return std::numeric_limits<S>::digits > std::numeric_limits<T>::digits;
  return false;
}

// The scaling of a value in double, with the exact numbers, rounded once at the end.
template <class T>
class ExactScaling {
 public:
  explicit ExactScaling(const Scaling<T>& scaling) noexcept
      : scale_(scaling.exact_scale), shift_(scaling.exact_shift), mean_(scaling.exact_mean) {}

  T operator()(double value, Index c) const noexcept {
    const double centred = mean_ ? value - mean_[c] : value;
    return static_cast<T>(centred * scale_[c] + shift_[c]);
  }

 private:
  const double *scale_, *shift_, *mean_;
};

template <class T, class S>
void scale_row(const Source& source, const char* row, const Scaling<T>& scaling, T* out) noexcept {
  const ExactScaling<T> scaled(scaling);
  if (!source.columns && !source.swapped) {
    for (Index c = 0; c < source.cols; ++c) {
      S value;
      std::memcpy(static_cast<void*>(&value), row + c * static_cast<Index>(sizeof(S)), sizeof(S));
      out[c] = scaled(static_cast<double>(value), c);
    }
    return;
  }
  for (Index c = 0; c < source.cols; ++c) {
    const Index offset = source.columns ? source.columns[c] : c * static_cast<Index>(sizeof(S));
    out[c] = scaled(static_cast<double>(read<S>(row + offset, source.swapped)), c);
  }
}

// Row r of a sparse matrix; with `exact`, which has exact numbers, scaled.
template <class T, class S>
void spread_row(const Source& source, Index r, const Scaling<T>* exact, T* out) noexcept {
  const ExactScaling<T> scaled(exact ? *exact : Scaling<T>{});
  for (Index c = 0; c < source.cols; ++c) out[c] = exact ? scaled(0, c) : T(0);
  for (Index k = source.cells->start(r); k < source.cells->start(r + 1); ++k) {
    const Index c = source.cells->column(k);
    const S value = read<S>(source.data + k * static_cast<Index>(sizeof(S)), source.swapped);
    out[c] = exact ? scaled(static_cast<double>(value), c) : static_cast<T>(value);
  }
}

template <class T>
[[gnu::flatten]] bool copy_rows(const Source& source, RowIds ids, const Scaling<T>& scaling, Matrix<T> out) noexcept {
  const ScaleAndPad<T> scale_and_pad(scaling, out.cols);
  const Index bytes = source.cols * static_cast<Index>(sizeof(T));
  const char* end = source.row_stride >= 0 ? source.data + (source.rows - 1) * source.row_stride + bytes : nullptr;
  const Index ahead = rows_ahead(bytes);
  auto nonfinite = Vec<T>::zero();
  for (Index r = 0; r < out.rows; ++r) {
    const char* from = source.data + ids[r] * source.row_stride;
    if (r + ahead < out.rows + ids.soon) prefetch_row(source.data + ids[r + ahead] * source.row_stride, bytes);
    nonfinite = nonfinite | scale_and_pad.row(from, end, out.row(r));
  }
  return all_zero(nonfinite);
}

template <class T, class S>
bool convert_rows(const Source& source, RowIds ids, const Scaling<T>& scaling, Matrix<T> out) noexcept {
  bool exact = false;
  if constexpr (needs_double<T, S>()) exact = scaling.exact_scale != nullptr;
  const ScaleAndPad<T> scale_and_pad(exact ? Scaling<T>{} : scaling, out.cols);
  const Index bytes = source.cols * static_cast<Index>(sizeof(S)), ahead = rows_ahead(bytes);
  auto nonfinite = Vec<T>::zero();
  for (Index r = 0; r < out.rows; ++r) {
    if (r + ahead < out.rows + ids.soon && !source.columns && !source.cells)
      prefetch_row(source.data + ids[r + ahead] * source.row_stride, bytes);
    const char* from = source.data + ids[r] * source.row_stride;
    if (source.cells) {
      spread_row<T, S>(source, ids[r], exact ? &scaling : nullptr, out.row(r));
    } else if constexpr (needs_double<T, S>()) {
      if (exact)
        scale_row<T, S>(source, from, scaling, out.row(r));
      else
        convert_row<T, S>(source, from, out.row(r));
    } else {
      convert_row<T, S>(source, from, out.row(r));
    }
    const char* row = reinterpret_cast<const char*>(out.row(r));
    nonfinite =
        nonfinite | scale_and_pad.row(row, row + padded<T>(out.cols) * static_cast<Index>(sizeof(T)), out.row(r));
  }
  return all_zero(nonfinite);
}

// Calls f with a value of the C++ type of `dtype`. This is the only switch over dtypes.
template <class F>
auto with_type(DType dtype, F f) noexcept {
  switch (dtype) {
    case DType::kBool:
      return f(Bool{});
    case DType::kInt8:
      return f(std::int8_t{});
    case DType::kInt16:
      return f(std::int16_t{});
    case DType::kInt32:
      return f(std::int32_t{});
    case DType::kInt64:
      return f(std::int64_t{});
    case DType::kUint8:
      return f(std::uint8_t{});
    case DType::kUint16:
      return f(std::uint16_t{});
    case DType::kUint32:
      return f(std::uint32_t{});
    case DType::kUint64:
      return f(std::uint64_t{});
    case DType::kFloat16:
      return f(Eigen::half{});
    case DType::kFloat32:
      return f(float{});
    case DType::kFloat64:
      break;
  }
  return f(double{});
}

// The class number that a label stands for, or -1 if it is none.
template <class S>
std::int32_t class_number(S label, Index n_classes) noexcept {
  if constexpr (std::is_integral_v<S>) {
    const bool known = std::cmp_greater_equal(label, 0) && std::cmp_less(label, n_classes);
    return known ? static_cast<std::int32_t>(label) : -1;
  } else {
    const auto number = static_cast<double>(label);
    const bool known = number >= 0 && number < static_cast<double>(n_classes) && number == std::floor(number);
    return known ? static_cast<std::int32_t>(number) : -1;
  }
}

}  // namespace

template <class T>
bool gather(const Source& source, RowIds ids, const Scaling<T>& scaling, Matrix<T> out) noexcept {
  if (has_engine_layout<T>(source)) return copy_rows<T>(source, ids, scaling, out);
  return with_type(source.dtype, [&](auto s) { return convert_rows<T, decltype(s)>(source, ids, scaling, out); });
}

template <class T>
ConstMatrix<T> in_place(const Source& source, const Scaling<T>& scaling, Index first, Index rows) noexcept {
  constexpr auto kSize = static_cast<Index>(sizeof(T));
  if (!has_engine_layout<T>(source) || scaling.scale || scaling.shift || scaling.mean) return {};
  const char* at = source.data + first * source.row_stride;
  if (source.row_stride < source.cols * kSize || source.row_stride % kSize != 0) return {};
  if (reinterpret_cast<std::uintptr_t>(at) % alignof(T) != 0) return {};
  return {reinterpret_cast<const T*>(at), rows, source.cols, source.row_stride / kSize};
}

namespace {
// Without a value if the elements are not of type T, or cannot be read as a matrix where they are.
template <class T>
std::optional<bool> all_finite_in_place(const Source& source) noexcept {
  ConstMatrix<T> x = in_place<T>(source, {}, 0, source.rows);
  if (!x.data) return std::nullopt;
  if (x.stride == x.cols) x = {x.data, 1, x.rows * x.cols, x.rows * x.cols};  // without the ends of rows
  return std::isfinite(max_abs<T>(x));
}
}  // namespace

bool all_finite(const Source& source) noexcept {
  if (const auto known = all_finite_in_place<double>(source)) return *known;
  if (const auto known = all_finite_in_place<float>(source)) return *known;
  for (Index r = 0; r < source.rows; ++r)
    for (Index c = 0; c < source.cols; ++c)
      if (!std::isfinite(element(source, r, c))) return false;
  return true;
}

template <class T>
bool finite_by_product(ConstMatrix<T> x, ConstMatrix<T> y) noexcept {
  for (Index r = 0; r < y.rows; ++r)
    if (!std::isfinite(y.row(r)[0]) && std::isinf(max_abs<T>(x.middle_rows(r, 1)))) return false;
  return true;
}

double element(const Source& source, Index row, Index col) noexcept {
  if (source.cells) {
    Index first = source.cells->start(row), end = source.cells->start(row + 1);
    while (first < end) {
      const Index middle = first + (end - first) / 2, column = source.cells->column(middle);
      if (column == col) return stored(source, middle);
      if (column < col)
        first = middle + 1;
      else
        end = middle;
    }
    return 0;
  }
  return with_type(source.dtype, [&](auto s) {
    using S = decltype(s);
    const Index offset = source.columns ? source.columns[col] : col * static_cast<Index>(sizeof(S));
    return static_cast<double>(read<S>(source.data + row * source.row_stride + offset, source.swapped));
  });
}

double stored(const Source& source, Index cell) noexcept {
  return with_type(source.dtype, [&](auto s) {
    using S = decltype(s);
    return static_cast<double>(read<S>(source.data + cell * static_cast<Index>(sizeof(S)), source.swapped));
  });
}

bool gather_classes(const Source& source, RowIds ids, Index count, Index n_classes, std::int32_t* labels) noexcept {
  return with_type(source.dtype, [&](auto s) {
    using S = decltype(s);
    const Index offset = source.columns ? source.columns[0] : 0;
    bool good = true;
    for (Index r = 0; r < count; ++r) {
      const char* at = source.data + ids[r] * source.row_stride + offset;
      const std::int32_t label = class_number(read<S>(at, source.swapped), n_classes);
      labels[r] = label < 0 ? 0 : label;
      good = good && label >= 0;
    }
    return good;
  });
}

template <class T>
void read_cells(const Source& source, Index first, Index count, const Scaling<T>& scaling, T* values,
                std::int32_t* columns) noexcept {
  for (Index k = 0; k < count; ++k) columns[k] = static_cast<std::int32_t>(source.cells->column(first + k));
  with_type(source.dtype, [&](auto s) {
    using S = decltype(s);
    const char* at = source.data + first * static_cast<Index>(sizeof(S));
    for (Index k = 0; k < count; ++k, at += sizeof(S)) {
      const S value = read<S>(at, source.swapped);
      if constexpr (needs_double<T, S>()) {
        if (scaling.exact_scale) {
          values[k] = ExactScaling<T>(scaling)(static_cast<double>(value), columns[k]);
          continue;
        }
      }
      values[k] = static_cast<T>(value);
      if (scaling.scale) values[k] *= scaling.scale[columns[k]];
    }
  });
}

template <class T>
T scaled(const Source& source, const Scaling<T>& scaling, double value, Index c) noexcept {
  const bool exact = with_type(source.dtype, [](auto s) { return needs_double<T, decltype(s)>(); });
  if (exact && scaling.exact_scale) return ExactScaling<T>(scaling)(value, c);
  T x = static_cast<T>(value);
  if (scaling.mean) x -= scaling.mean[c];
  if (scaling.scale) x *= scaling.scale[c];
  if (scaling.shift) x += scaling.shift[c];
  return x;
}

Extent extent(const Source& source, RowIds ids, Index rows) noexcept {
  return with_type(source.dtype, [&](auto s) {
    using S = decltype(s);
    const Index offset = source.columns ? source.columns[0] : 0;
    Extent found{std::numeric_limits<double>::infinity(), 0};
    bool finite = true;
    for (Index r = 0; r < rows; ++r) {
      const auto w = static_cast<double>(read<S>(source.data + ids[r] * source.row_stride + offset, source.swapped));
      finite = finite && std::isfinite(w);
      found.lowest = w < found.lowest ? w : found.lowest;
      found.size = std::abs(w) > found.size ? std::abs(w) : found.size;
    }
    if (!finite) found.size = std::numeric_limits<double>::infinity();
    return found;
  });
}

template <class T>
double gather_column(const Source& source, RowIds ids, Index rows, double factor, T* to) noexcept {
  return with_type(source.dtype, [&](auto s) {
    using S = decltype(s);
    const Index offset = source.columns ? source.columns[0] : 0;
    double sum = 0;
    for (Index r = 0; r < rows; ++r) {
      const S w = read<S>(source.data + ids[r] * source.row_stride + offset, source.swapped);
      to[r] = static_cast<T>(static_cast<double>(w) * factor);
      sum += static_cast<double>(to[r]);
    }
    return sum;
  });
}

template void read_cells(const Source&, Index, Index, const Scaling<float>&, float*, std::int32_t*) noexcept;
template void read_cells(const Source&, Index, Index, const Scaling<double>&, double*, std::int32_t*) noexcept;
template float scaled(const Source&, const Scaling<float>&, double, Index) noexcept;
template double scaled(const Source&, const Scaling<double>&, double, Index) noexcept;
template double gather_column(const Source&, RowIds, Index, double, float*) noexcept;
template double gather_column(const Source&, RowIds, Index, double, double*) noexcept;
template bool gather(const Source&, RowIds, const Scaling<float>&, Matrix<float>) noexcept;
template bool gather(const Source&, RowIds, const Scaling<double>&, Matrix<double>) noexcept;
template ConstMatrix<float> in_place(const Source&, const Scaling<float>&, Index, Index) noexcept;
template ConstMatrix<double> in_place(const Source&, const Scaling<double>&, Index, Index) noexcept;
template bool finite_by_product(ConstMatrix<float>, ConstMatrix<float>) noexcept;
template bool finite_by_product(ConstMatrix<double>, ConstMatrix<double>) noexcept;

}  // namespace fastnn::kernels
