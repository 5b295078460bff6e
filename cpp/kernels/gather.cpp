// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/gather.h"

#include <Eigen/Core>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace fastnn::inline FASTNN_ISA::kernels {

namespace {

// numpy's bool is one byte that may hold anything but 0 for true.
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

// All ones in the exponent: Inf or NaN. Integer tests vectorise where comparisons of floats would not.
template <class T>
bool finite_row(const T* x, Index n) noexcept {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits exponent = sizeof(T) == 4 ? Bits{0x7F800000U} : static_cast<Bits>(0x7FF0000000000000ULL);
  Bits bad = 0;
  for (Index c = 0; c < n; ++c) {
    Bits bits;
    std::memcpy(&bits, x + c, sizeof bits);
    bad |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return bad == 0;
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

template <class T, class S>
bool gather_rows(const Source& source, RowIds ids, Scaling<T> scaling, Matrix<T> out) noexcept {
  bool finite = true;
  const Index width = padded<T>(out.cols);
  for (Index r = 0; r < out.rows; ++r) {
    T* row = out.row(r);
    convert_row<T, S>(source, source.data + ids[r] * source.row_stride, row);
    if (scaling.scale)
      for (Index c = 0; c < out.cols; ++c) row[c] *= scaling.scale[c];
    if (scaling.shift)
      for (Index c = 0; c < out.cols; ++c) row[c] += scaling.shift[c];
    for (Index c = out.cols; c < width; ++c) row[c] = T(0);
    finite = finite_row(row, out.cols) && finite;
  }
  return finite;
}

// Calls f with a value of the source's element type: the one switch over dtypes.
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

}  // namespace

template <class T>
bool gather(const Source& source, RowIds ids, Scaling<T> scaling, Matrix<T> out) noexcept {
  return with_type(source.dtype, [&](auto s) { return gather_rows<T, decltype(s)>(source, ids, scaling, out); });
}

double element(const Source& source, Index row, Index col) noexcept {
  return with_type(source.dtype, [&](auto s) {
    using S = decltype(s);
    const Index offset = source.columns ? source.columns[col] : col * static_cast<Index>(sizeof(S));
    return static_cast<double>(read<S>(source.data + row * source.row_stride + offset, source.swapped));
  });
}

bool gather_classes(const Source& source, RowIds ids, Index count, Index n_classes, std::int32_t* labels) noexcept {
  bool good = true;
  for (Index r = 0; r < count; ++r) {
    const double label = element(source, ids[r], 0);
    const bool known = label >= 0 && label < static_cast<double>(n_classes) && label == std::floor(label);
    labels[r] = known ? static_cast<std::int32_t>(label) : 0;
    good = good && known;
  }
  return good;
}

template bool gather(const Source&, RowIds, Scaling<float>, Matrix<float>) noexcept;
template bool gather(const Source&, RowIds, Scaling<double>, Matrix<double>) noexcept;

}  // namespace fastnn::inline FASTNN_ISA::kernels
