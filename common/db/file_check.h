// SPDX-License-Identifier: MIT
// Reads an LMDB data file with our own bounds checks, so that a damaged or hand-made one never reaches the library.
//
// LMDB trusts the pages it maps: a wrong offset in one of them is a wild memory access. Everything that its code
// follows without a check of its own is checked here: both meta pages, every page of both trees, and every free list.
// Source: the on-disk layout of LMDB 0.9 (data version 1), in host byte order and word size as LMDB itself uses it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/base/result.h"

namespace qpop::db {

/// Largest file we map; 1 GiB is some two million accounts.
inline constexpr std::uint64_t kMaxMapOctets = 1ULL << 30U;

struct TreeHead {
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t branch_pages = 0, leaf_pages = 0, overflow_pages = 0, entries = 0, root = 0;
};

struct MetaPage {
  std::uint32_t page_octets = 0;
  std::uint64_t map_octets = 0;
  TreeHead free_tree, main_tree;
  std::uint64_t last_page = 0;
  std::uint64_t transaction = 0;
};
using MetaPages = std::array<MetaPage, 2>;

/// Both meta pages, each valid by itself and the two consistent with each other.
/// Errors  malformed: not an LMDB file or damaged; unsupported: another data version; io.
[[nodiscard]] base::Result<MetaPages> read_meta_pages(int fd);

/// Walks the trees of one meta page. The caller keeps a read transaction of that number open meanwhile, or the file is
/// not in use. Errors  malformed with the page number; io.
[[nodiscard]] base::Status check_pages(int fd, const MetaPage& meta);

/// Checks no more than what a search for `key` follows: one page for each level, and the overflow pages of its value.
/// Same conditions and errors as check_pages(). Costs the depth of the tree, whatever the size of the file.
[[nodiscard]] base::Status check_path(int fd, const MetaPage& meta, std::string_view key);

/// True for the types (statfs f_type) on which memory maps or locks do not work between hosts: NFS, SMB, FUSE and their
/// like.
[[nodiscard]] bool is_network_file_system(std::uint32_t type);

}  // namespace qpop::db
