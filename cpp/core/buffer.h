// Owning, 64-byte-aligned, zero-filled flat memory: the only allocation of numbers in the engine.
// It never grows: a workspace is sized when a model meets its batch size, and nothing allocates inside a step.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <limits>
#include <memory>
#include <new>

#include "core/faults.h"
#include "core/memory.h"
#include "core/types.h"

namespace fastnn {

template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Index size) : size_(size) {
    if (size < 0 || static_cast<std::size_t>(size) > std::numeric_limits<Index>::max() / sizeof(T) - kAlign)
      throw std::bad_alloc();
    if (size == 0) return;
    const Memory memory =
        faults::allocation_fails() ? Memory{} : take_zeroed(sizeof(T) * static_cast<std::size_t>(size));
    if (memory.first == nullptr) throw std::bad_alloc();
    data_ = {static_cast<T*>(memory.first), Free{memory}};
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  Index size() const { return size_; }
  T& operator[](Index i) { return data_.get()[i]; }
  const T& operator[](Index i) const { return data_.get()[i]; }

 private:
  struct Free {
    Memory memory;
    void operator()(T*) const { give_back(memory); }
  };
  std::unique_ptr<T, Free> data_;
  Index size_ = 0;
};

// rows x cols with padded rows.
template <class T>
class MatrixBuffer {
 public:
  MatrixBuffer() = default;
  MatrixBuffer(Index rows, Index cols)
      : buffer_(checked(rows, row_stride<T>(cols))), rows_(rows), cols_(cols), stride_(row_stride<T>(cols)) {}
  Matrix<T> view() { return {buffer_.data(), rows_, cols_, stride_}; }
  ConstMatrix<T> view() const { return {buffer_.data(), rows_, cols_, stride_}; }

 private:
  static Index checked(Index rows, Index stride) {
    Index size = 0;
    if (__builtin_mul_overflow(rows, stride, &size)) throw std::bad_alloc();
    return size;
  }
  Buffer<T> buffer_;
  Index rows_ = 0, cols_ = 0, stride_ = 0;
};

}  // namespace fastnn
