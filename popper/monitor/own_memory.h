// SPDX-License-Identifier: MIT
// Memory that the monitor's children do not inherit.
//
// Why: what is known of other clients is nothing for a child to see, and a page that two processes share after a fork costs a copy when
// one of them changes it: the monitor forks twice for a login. Not all of it: texts of more than 15 octets (std::string) lie elsewhere, and what
// the stack and freed memory still hold is inherited as ever. It makes a captured process poorer; nothing relies on it.
#pragma once

#include <memory_resource>

namespace qpop::monitor {

/// Whole mappings with MADV_DONTFORK. Errors: std::bad_alloc.
class UnsharedPages final : public std::pmr::memory_resource {
 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override;
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
};

/// For the monitor's own containers. A child that touches one of them ends with SIGSEGV.
class OwnMemory {
 public:
  [[nodiscard]] std::pmr::memory_resource* get() { return &pool_; }

 private:
  UnsharedPages pages_;
  std::pmr::unsynchronized_pool_resource pool_{{.max_blocks_per_chunk = 0, .largest_required_pool_block = 4096}, &pages_};
};

}  // namespace qpop::monitor
