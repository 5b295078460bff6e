// Owning, 64-byte-aligned, zero-filled arrays: the only allocation of numbers in the engine. A buffer never grows: a
// workspace is sized when a model first gets a batch of some size, and nothing is allocated inside a step.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <limits>
#include <memory>
#include <new>
#include <vector>

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
        faults::allocation_fails() ? Memory{} : allocate_zeroed(sizeof(T) * static_cast<std::size_t>(size));
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
    void operator()(T*) const { deallocate(memory); }
  };
  std::unique_ptr<T, Free> data_;
  Index size_ = 0;
};

// How many numbers a matrix of padded rows takes.
template <class T>
Index matrix_size(Index rows, Index cols) {
  Index size = 0;
  if (__builtin_mul_overflow(rows, row_stride<T>(cols), &size)) throw std::bad_alloc();
  return size;
}

// How many numbers a matrix packed into panels takes.
template <class T>
Index packed_size(Index rows, Index cols) {
  Index size = 0;
  if (__builtin_mul_overflow(rows, padded<T>(cols), &size)) throw std::bad_alloc();
  return size;
}

// A matrix of rows x cols numbers that owns its memory; its rows are padded.
template <class T>
class MatrixBuffer {
 public:
  MatrixBuffer() = default;
  MatrixBuffer(Index rows, Index cols)
      : buffer_(matrix_size<T>(rows, cols)), rows_(rows), cols_(cols), stride_(row_stride<T>(cols)) {}
  Matrix<T> view() { return {buffer_.data(), rows_, cols_, stride_}; }
  ConstMatrix<T> view() const { return {buffer_.data(), rows_, cols_, stride_}; }

 private:
  Buffer<T> buffer_;
  Index rows_ = 0, cols_ = 0, stride_ = 0;
};

// Matrices of equal lifetime in one block of memory, one after the other, so that small ones share (huge) pages. The
// owner takes all matrices twice in the same order: before reserve() their sizes are only added up, after it each gets
// its place. Under AddressSanitizer every matrix has a block of its own, so that an access behind its end is reported.
template <class T>
class Arena {
 public:
  Matrix<T> take(Index rows, Index cols) { return {take(matrix_size<T>(rows, cols)), rows, cols, row_stride<T>(cols)}; }
  PackedMatrix<T> take_packed(Index rows, Index cols) { return {take(packed_size<T>(rows, cols)), rows, cols}; }
  void reserve() {
#ifndef __SANITIZE_ADDRESS__
    memory_ = Buffer<T>(used_);
#endif
    reserved_ = true;
    used_ = 0;
  }

 private:
  // Returns nullptr before reserve().
  T* take(Index size) {
    const Index at = used_;
    if (__builtin_add_overflow(used_, size, &used_) || __builtin_add_overflow(used_, kGap, &used_))
      throw std::bad_alloc();
    if (!reserved_) return nullptr;
#ifdef __SANITIZE_ADDRESS__
    return static_cast<void>(at), blocks_.emplace_back(size).data();
#else
    return memory_.data() + at;
#endif
  }

  // A gap after each matrix: matrices whose size is a power of two would otherwise map to the same sets of a cache.
  static constexpr Index kGap = 3 * kPad<T>;

#ifdef __SANITIZE_ADDRESS__
  std::vector<Buffer<T>> blocks_;
#else
  Buffer<T> memory_;
#endif
  Index used_ = 0;
  bool reserved_ = false;
};

}  // namespace fastnn
