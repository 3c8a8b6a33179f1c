// SPDX-License-Identifier: MIT
// A piece table.
#include "common/check/patch.h"

#include <algorithm>
#include <cstring>

namespace qpop::check {

Patch::Patch(std::uint64_t size) : original_(size) {
  if (size > 0) pieces_.push_back({.length = size});
  index();
}

void Patch::index() {
  ends_.clear();
  std::uint64_t end = 0;
  for (const auto& piece : pieces_) ends_.push_back(end += piece.length);
}

void Patch::add(std::vector<Piece>& out, Piece piece) const {
  if (piece.length == 0) return;
  if (!out.empty()) {
    Piece& last = out.back();
    if (last.inserted == piece.inserted && last.offset + last.length == piece.offset) {
      last.length += piece.length;
      return;
    }
  }
  out.push_back(piece);
}

void Patch::copy(std::vector<Piece>& out, std::uint64_t from, std::uint64_t to) const {
  for (auto i = static_cast<std::size_t>(std::ranges::upper_bound(ends_, from) - ends_.begin()); i < pieces_.size() && from < to; ++i) {
    const std::uint64_t start = ends_[i] - pieces_[i].length;
    const std::uint64_t end = std::min(to, ends_[i]);
    add(out, {.inserted = pieces_[i].inserted, .offset = pieces_[i].offset + (from - start), .length = end - from, .id = pieces_[i].id});
    from = end;
  }
}

std::size_t Patch::apply(std::span<const Edit> edits) {
  std::vector<Piece> out;
  std::uint64_t at = 0;
  std::size_t applied = 0;
  for (const auto& edit : edits) {
    if (edit.offset < at || edit.offset + edit.removed > size()) continue;
    copy(out, at, edit.offset);
    add(out, {.inserted = true, .offset = text_.size(), .length = edit.inserted.size(), .id = edit.id});
    text_ += edit.inserted;
    at = edit.offset + edit.removed;
    ++applied;
  }
  copy(out, at, size());
  pieces_ = std::move(out);
  index();
  return applied;
}

std::vector<Edit> Patch::edits() const {
  std::vector<Edit> out;
  std::uint64_t at = 0;  // in the original
  Edit open;
  bool any = false;
  const auto close = [&](std::uint64_t next) {
    open.removed = next - open.offset;
    if (any && (open.removed > 0 || !open.inserted.empty())) out.push_back(std::move(open));
    open = {};
    any = false;
  };
  for (const auto& piece : pieces_) {
    if (piece.inserted) {
      if (!any) open = {.offset = at, .id = piece.id};
      any = true;
      open.inserted += std::string_view{text_}.substr(piece.offset, piece.length);
      continue;
    }
    if (!any && piece.offset > at) {
      open = {.offset = at};
      any = true;
    }
    if (any) close(piece.offset);
    at = piece.offset + piece.length;
  }
  if (!any && at < original_) {
    open = {.offset = at};
    any = true;
  }
  if (any) close(original_);
  return out;
}

std::uint64_t Patch::original_of(std::uint64_t at) const {
  const auto found = static_cast<std::size_t>(std::ranges::upper_bound(ends_, at) - ends_.begin());
  if (found == pieces_.size()) return original_;
  const Piece& piece = pieces_[found];
  if (!piece.inserted) return piece.offset + (at - (ends_[found] - piece.length));
  // The next octet of the original behind the insertion.
  for (std::size_t i = found + 1; i < pieces_.size(); ++i) {
    if (!pieces_[i].inserted) return pieces_[i].offset;
  }
  return original_;
}

base::Result<std::size_t> PatchedBytes::read(std::uint64_t offset, std::span<char> out) {
  const auto& ends = patch_.ends_;
  std::size_t done = 0;
  for (auto i = static_cast<std::size_t>(std::ranges::upper_bound(ends, offset) - ends.begin()); i < ends.size() && done < out.size(); ++i) {
    const auto& piece = patch_.pieces_[i];
    const std::uint64_t inside = offset + done - (ends[i] - piece.length);
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(out.size() - done, piece.length - inside));
    if (piece.inserted) {
      std::memcpy(out.data() + done, patch_.text_.data() + piece.offset + inside, want);
    } else {
      auto got = original_.read(piece.offset + inside, out.subspan(done, want));
      if (!got) return got.error();
      if (*got != want) return base::Error{base::ErrorKind::changed, "the spool became shorter while it was read"};
    }
    done += want;
  }
  return done;
}

}  // namespace qpop::check
