// SPDX-License-Identifier: MIT
// Bounds checks on an LMDB data file.
#include "common/db/file_check.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace qpop::db {

namespace {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::Status;

// mdb.c of LMDB 0.9: MDB_page, MDB_meta, MDB_db, MDB_node.
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kDataVersion = 1;
constexpr std::size_t kPageHead = 16;
constexpr std::size_t kNodeHead = 8;
constexpr std::size_t kMetaOctets = kPageHead + 136;
constexpr std::uint16_t kBranch = 0x01, kLeaf = 0x02, kOverflow = 0x04, kMetaFlag = 0x08;
constexpr std::uint16_t kBigData = 0x01;
constexpr std::uint16_t kIntegerKey = 0x08, kNoSubdir = 0x4000;
constexpr std::uint64_t kNoPage = ~0ULL;
constexpr std::uint64_t kFirstPage = 2;
constexpr unsigned kMaxDepth = 32;  // CURSOR_STACK
constexpr std::size_t kMaxKey = 511;
constexpr std::uint32_t kMinPage = 4096, kMaxPage = 0x8000;

template <class T>
T get(std::string_view bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

Error damaged(std::string_view what) {
  return Error{ErrorKind::malformed, fmt::format("the file is damaged: {}", what)};
}

/// Reads exactly buffer.size() octets.
Status read_at(int fd, std::uint64_t offset, std::string& buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t got = ::pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "read");
    if (got == 0) return damaged("it ends too early");
    done += static_cast<std::size_t>(got);
  }
  return {};
}

TreeHead parse_tree_head(std::string_view bytes) {
  return {.flags = get<std::uint16_t>(bytes, 4),
          .depth = get<std::uint16_t>(bytes, 6),
          .branch_pages = get<std::uint64_t>(bytes, 8),
          .leaf_pages = get<std::uint64_t>(bytes, 16),
          .overflow_pages = get<std::uint64_t>(bytes, 24),
          .entries = get<std::uint64_t>(bytes, 32),
          .root = get<std::uint64_t>(bytes, 40)};
}

Status check_meta_values(const MetaPage& meta, unsigned index) {
  if (meta.page_octets < kMinPage || meta.page_octets > kMaxPage || (meta.page_octets & (meta.page_octets - 1)) != 0) {
    return damaged("page size");
  }
  if (meta.map_octets < 2ULL * meta.page_octets || meta.map_octets > kMaxMapOctets) return damaged("map size");
  if (meta.last_page < 1 || meta.last_page >= meta.map_octets / meta.page_octets) return damaged("last page");
  // A transaction writes the meta page of its own parity; 0 stands in both pages of a file without any.
  if (meta.transaction != 0 && meta.transaction % 2 != index) return damaged("transaction number");
  if ((meta.free_tree.flags & ~kNoSubdir) != kIntegerKey || meta.main_tree.flags != 0) return damaged("tree flags");
  for (const auto* tree : {&meta.free_tree, &meta.main_tree}) {
    if (tree->depth > kMaxDepth || (tree->root == kNoPage) != (tree->depth == 0)) return damaged("tree depth");
  }
  return {};
}

Result<MetaPage> parse_meta(std::string_view page, unsigned index) {
  if (get<std::uint64_t>(page, 0) != index || get<std::uint16_t>(page, 10) != kMetaFlag) return damaged("no meta page");
  const auto body = page.substr(kPageHead);
  if (get<std::uint32_t>(body, 0) != kMagic) return Error{ErrorKind::malformed, "this is not an LMDB file"};
  if (get<std::uint32_t>(body, 4) != kDataVersion)
    return Error{ErrorKind::unsupported, "another version of the LMDB format"};
  // A fixed map address is a feature we never use; LMDB would map over whatever lies there.
  if (get<std::uint64_t>(body, 8) != 0) return damaged("map address");
  const MetaPage meta{.page_octets = get<std::uint32_t>(body, 24),
                      .map_octets = get<std::uint64_t>(body, 16),
                      .free_tree = parse_tree_head(body.substr(24)),
                      .main_tree = parse_tree_head(body.substr(72)),
                      .last_page = get<std::uint64_t>(body, 120),
                      .transaction = get<std::uint64_t>(body, 128)};
  if (auto ok = check_meta_values(meta, index); !ok) return ok.error();
  return meta;
}

/// One walk over both trees; every page may be used once.
class PageWalk {
 public:
  PageWalk(int fd, const MetaPage& meta) : fd_(fd), meta_(meta), used_(meta.last_page + 1, false) {}

  Status run() {
    if (auto ok = tree(meta_.main_tree, false); !ok) return ok;
    return tree(meta_.free_tree, true);
  }

  /// Only the pages between the root of the main tree and `key`.
  Status search(std::string_view key) {
    std::uint64_t number = meta_.main_tree.root;
    if (number == kNoPage) return {};
    for (unsigned level = 1;; ++level) {
      const bool leaf = level == meta_.main_tree.depth;
      auto bytes = load(number, leaf);
      if (!bytes) return bytes.error();
      auto nodes = read_nodes(*bytes, number, leaf);
      if (!nodes) return nodes.error();
      if (leaf) return found(*nodes, key, number);
      // The last child whose keys are not all behind `key`; the first one stands for everything below the second.
      const auto behind =
          std::find_if(nodes->begin() + 1, nodes->end(), [&](const Node& node) { return key < node.key; });
      number = std::prev(behind)->child;
    }
  }

 private:
  struct Node {
    std::uint16_t offset = 0;
    std::uint64_t size = 0;  // head, key and data on this page, rounded to even
    std::uint16_t flags = 0;
    std::string_view key;
    std::uint64_t child = 0;        // branch
    std::uint64_t data_octets = 0;  // leaf
    std::string_view data;          // leaf, unless on overflow pages
  };

  Error at_page(std::uint64_t number, std::string_view what) const {
    return damaged(fmt::format("page {}: {}", number, what));
  }

  Status use(std::uint64_t number) {
    if (number < kFirstPage || number > meta_.last_page) return at_page(number, "outside of the file");
    if (used_[number]) return at_page(number, "used twice");
    used_[number] = true;
    return {};
  }

  Status tree(const TreeHead& head, bool is_free) {
    is_free_ = is_free;
    seen_ = {};
    if (head.root != kNoPage) {
      if (auto ok = page(head.root, 1, head.depth); !ok) return ok;
    }
    if (seen_.branch_pages != head.branch_pages || seen_.leaf_pages != head.leaf_pages ||
        seen_.entries != head.entries || seen_.overflow_pages != head.overflow_pages) {
      return damaged("page counts");
    }
    return {};
  }

  /// One page of a tree, its head checked.
  Result<std::string> load(std::uint64_t number, bool leaf) {
    if (auto ok = use(number); !ok) return ok.error();
    std::string bytes(meta_.page_octets, '\0');
    if (auto ok = read_at(fd_, number * meta_.page_octets, bytes); !ok)
      return ok.error().at(fmt::format("page {}", number));
    if (get<std::uint64_t>(bytes, 0) != number) return at_page(number, "carries another number");
    if (get<std::uint16_t>(bytes, 10) != (leaf ? kLeaf : kBranch)) return at_page(number, "page type");
    return bytes;
  }

  Status found(const std::vector<Node>& leaf, std::string_view key, std::uint64_t number) {
    // To the end in every case: a key that is there costs what one costs that is not.
    const Node* at = nullptr;
    for (const auto& node : leaf) {
      if (node.key == key) at = &node;
    }
    return at == nullptr ? Status{} : leaf_node(*at, number);
  }

  /// All leaves of a tree lie at the same level, `depth`.
  Status page(std::uint64_t number, unsigned level, unsigned depth) {
    const bool leaf = level == depth;
    auto bytes = load(number, leaf);
    if (!bytes) return bytes.error();
    auto nodes = read_nodes(*bytes, number, leaf);
    if (!nodes) return nodes.error();
    ++(leaf ? seen_.leaf_pages : seen_.branch_pages);
    for (const auto& node : *nodes) {
      auto ok = leaf ? leaf_node(node, number) : page(node.child, level + 1, depth);
      if (!ok) return ok;
    }
    return {};
  }

  Result<std::vector<Node>> read_nodes(std::string_view bytes, std::uint64_t number, bool leaf) {
    const std::size_t lower = get<std::uint16_t>(bytes, 12);
    const std::size_t upper = get<std::uint16_t>(bytes, 14);
    if (lower < kPageHead || lower % 2 != 0 || lower > upper || upper > bytes.size())
      return at_page(number, "free space");
    const std::size_t count = (lower - kPageHead) / 2;
    if (count < (leaf || is_free_ ? 1U : 2U)) return at_page(number, "number of entries");
    std::vector<Node> nodes;
    for (std::size_t i = 0; i < count; ++i) {
      auto node = read_node(bytes, get<std::uint16_t>(bytes, kPageHead + 2 * i), upper, leaf);
      if (!node) return at_page(number, node.error().detail());
      // LMDB leaves the first key of a branch page empty or old: it stands for "everything below the second".
      const bool has_key = leaf || i > 0;
      if (has_key && (node->key.empty() || (i > (leaf ? 0U : 1U) && !is_ordered(nodes.back().key, node->key)))) {
        return at_page(number, "keys out of order");
      }
      nodes.push_back(*node);
    }
    if (!tiles(nodes, upper, bytes.size())) return at_page(number, "entries overlap");
    return nodes;
  }

  Result<Node> read_node(std::string_view bytes, std::size_t offset, std::size_t upper, bool leaf) const {
    if (offset < upper || offset % 2 != 0 || offset + kNodeHead > bytes.size()) return damaged("entry offset");
    Node node;
    node.offset = static_cast<std::uint16_t>(offset);
    const std::uint64_t low = get<std::uint16_t>(bytes, offset), high = get<std::uint16_t>(bytes, offset + 2);
    node.flags = get<std::uint16_t>(bytes, offset + 4);
    const std::size_t key_octets = get<std::uint16_t>(bytes, offset + 6);
    if (key_octets > kMaxKey || offset + kNodeHead + key_octets > bytes.size()) return damaged("key size");
    node.key = bytes.substr(offset + kNodeHead, key_octets);
    if (is_free_ && !node.key.empty() && key_octets != sizeof(std::uint64_t)) return damaged("key size");
    std::uint64_t here = 0;
    if (leaf) {
      if ((node.flags & ~kBigData) != 0) return damaged("entry flags");
      node.data_octets = low | high << 16U;
      here = node.flags == kBigData ? sizeof(std::uint64_t) : node.data_octets;
      if (offset + kNodeHead + key_octets + here > bytes.size()) return damaged("data size");
      node.data = bytes.substr(offset + kNodeHead + key_octets, here);
    } else {
      node.child = low | high << 16U | std::uint64_t{node.flags} << 32U;
    }
    node.size = (kNodeHead + key_octets + here + 1) & ~std::uint64_t{1};
    return node;
  }

  bool is_ordered(std::string_view before, std::string_view after) const {
    if (!is_free_) return before < after;
    return before.size() == after.size() && get<std::uint64_t>(before, 0) < get<std::uint64_t>(after, 0);
  }

  /// Entries fill [upper, end) without gap or overlap; deletion moves memory by the sizes that stand in them.
  static bool tiles(const std::vector<Node>& nodes, std::size_t upper, std::size_t end) {
    std::vector<std::pair<std::size_t, std::uint64_t>> places;
    places.reserve(nodes.size());
    for (const auto& node : nodes) places.emplace_back(node.offset, node.size);
    std::ranges::sort(places);
    std::uint64_t next = upper;
    for (const auto& [offset, size] : places) {
      if (offset != next) return false;
      next += size;
    }
    return next == end;
  }

  Status leaf_node(const Node& node, std::uint64_t number) {
    ++seen_.entries;
    if (node.flags != kBigData) return is_free_ ? free_list(node.data, number) : Status{};
    const auto first = get<std::uint64_t>(node.data, 0);
    const std::uint64_t count = (kPageHead + node.data_octets + meta_.page_octets - 1) / meta_.page_octets;
    for (std::uint64_t i = 0; i < count; ++i) {
      if (auto ok = use(first + i); !ok) return ok;
    }
    std::string bytes(count * meta_.page_octets, '\0');
    if (auto ok = read_at(fd_, first * meta_.page_octets, bytes); !ok) return ok;
    const bool right = get<std::uint64_t>(bytes, 0) == first && get<std::uint16_t>(bytes, 10) == kOverflow &&
                       get<std::uint32_t>(bytes, 12) == count;
    if (!right) return at_page(first, "overflow page");
    seen_.overflow_pages += count;
    if (!is_free_) return {};
    return free_list(std::string_view{bytes}.substr(kPageHead, node.data_octets), first);
  }

  /// Count, then that many page numbers in falling order. The record may be longer than the list.
  Status free_list(std::string_view data, std::uint64_t number) {
    constexpr std::size_t kWord = sizeof(std::uint64_t);
    if (data.size() < kWord || data.size() % kWord != 0) return at_page(number, "free list size");
    const auto count = get<std::uint64_t>(data, 0);
    if (count > data.size() / kWord - 1) return at_page(number, "free list count");
    std::uint64_t before = kNoPage;
    for (std::size_t i = 1; i <= count; ++i) {
      const auto entry = get<std::uint64_t>(data, i * kWord);
      if (entry >= before) return at_page(number, "free list order");
      if (auto ok = use(entry); !ok) return ok;
      before = entry;
    }
    return {};
  }

  int fd_;
  const MetaPage& meta_;
  std::vector<bool> used_;
  bool is_free_ = false;
  TreeHead seen_;
};

}  // namespace

Result<MetaPages> read_meta_pages(int fd) {
  std::string page(kMetaOctets, '\0');
  MetaPages metas;
  if (auto ok = read_at(fd, 0, page); !ok) return ok.error();
  auto first = parse_meta(page, 0);
  if (!first) return first.error();
  if (auto ok = read_at(fd, first->page_octets, page); !ok) return ok.error();
  auto second = parse_meta(page, 1);
  if (!second) return second.error();
  metas = {*first, *second};
  if (metas[0].page_octets != metas[1].page_octets) return damaged("page size");
  const auto [older, newer] = std::minmax(metas[0].transaction, metas[1].transaction);
  // Commits write the two pages in turn, so their numbers are neighbours, or both 0 in a file never written to.
  if (newer - older > 1 || (newer == older && newer != 0)) return damaged("transaction numbers");
  return metas;
}

Status check_pages(int fd, const MetaPage& meta) {
  return PageWalk{fd, meta}.run();
}

Status check_path(int fd, const MetaPage& meta, std::string_view key) {
  return PageWalk{fd, meta}.search(key);
}

bool is_network_file_system(std::uint32_t type) {
  // linux/magic.h and the file systems' own sources.
  constexpr std::array<std::uint32_t, 19> kTypes{
      0x6969,      // NFS
      0x517B,      // SMB
      0xFF534D42,  // CIFS
      0xFE534D42,  // SMB2
      0x564C,      // NCP
      0x01021997,  // 9P
      0x5346414F,  // AFS
      0x6B414653,  // kAFS
      0x73757245,  // CODA
      0x00C36400,  // Ceph
      0x65735546,  // FUSE: sshfs, GlusterFS, S3 and other remote ones cannot be told from local ones
      0x7461636F,  // OCFS2
      0x01161970,  // GFS2
      0x0BD00BD0,  // Lustre
      0x47504653,  // GPFS
      0xAAD7AAEA,  // PanFS
      0x19830326,  // BeeGFS
      0x786F4256,  // VirtualBox shared folder
      0x013111A8,  // IBRIX
  };
  return std::ranges::find(kTypes, type) != kTypes.end();
}

}  // namespace qpop::db
