// SPDX-License-Identifier: MIT
// The page: data as JSON in an inert element, drawn by a script that sets text, never markup. A policy in the page itself
// forbids everything else, so that not even a fault of ours could load or send something.
#include "popcheck/page.h"

#include <fcntl.h>

#include <cerrno>

#include "common/base/io.h"
#include "common/base/unique_fd.h"

namespace qpop::popcheck {

namespace {

constexpr std::string_view kHead = R"page(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>popcheck</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<style>
body { font: 14px/1.4 sans-serif; margin: 2em auto; max-width: 76em; color: #222; background: #fff }
h1 { font-size: 1.4em } h2 { font-size: 1.15em; margin: 2em 0 .3em; overflow-wrap: anywhere }
.map { display: flex; flex-wrap: wrap; gap: 1px; margin: .6em 0 }
.map button { width: 9px; height: 12px; padding: 0; border: 0; background: #ccc }
.map button.has { outline: 2px solid #000; z-index: 1 }
.map button.now { outline: 3px solid #06c; z-index: 2 }
.c0 { background: #224488 !important } .c1 { background: #5b8fd6 !important } .c2 { background: #d8e6d4 !important }
.c3 { background: #aaaaaa !important } .c4 { background: #e6d58a !important } .c5 { background: #333333 !important } .c6 { background: #d03030 !important }
.key span { display: inline-block; margin-right: 1.2em } .key i { display: inline-block; width: 1em; height: 1em; margin-right: .4em; vertical-align: -2px }
details { border-left: 4px solid #999; margin: .4em 0; padding: .1em .8em } details.error { border-color: #d03030 } details.warning { border-color: #e0a020 }
details.now { background: #eef4ff } summary { cursor: pointer } pre { background: #f4f4f4; padding: .4em; overflow-x: auto; white-space: pre-wrap }
</style></head><body><h1>popcheck</h1><p id="made"></p><p class="key" id="key"></p><div id="spools"></div>
<script type="application/json" id="data">)page";

constexpr std::string_view kTail = R"page(</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const names = ["postmark", "header", "body", "separator", "quoted line", "filler (NUL)", "damage"];
function add(parent, kind, text, cls) {
  const one = document.createElement(kind);
  if (text !== undefined) one.textContent = text;
  if (cls) one.className = cls;
  parent.appendChild(one);
  return one;
}
document.getElementById("made").textContent = data.made;
names.forEach((name, i) => { const s = add(document.getElementById("key"), "span"); add(s, "i", "", "c" + i); s.append(name); });
// The rarer a region, the more it has to be seen.
const rank = [4, 3, 0, 1, 2, 5, 6];
function kindOf(cell) {
  let best = 2;
  cell.forEach((octets, i) => { if (octets > 0 && rank[i] > rank[best] && (rank[i] > 3 || octets > cell[best] / 4)) best = i; });
  return best;
}
data.spools.forEach((spool) => {
  const box = add(document.getElementById("spools"), "section");
  add(box, "h2", spool.spool);
  if (spool.findings === undefined) { add(box, "p", spool.result + ": " + spool.message); return; }
  add(box, "p", spool.result + ": " + spool.format + ", " + spool.messages + " messages, " + spool.size + " octets, " + spool.findings.length + " findings");
  if (spool.refused) add(box, "p", "popper refuses this spool: " + spool.refused);
  const map = add(box, "div", undefined, "map");
  const cells = (spool.cells || []).filter((cell) => cell.some((octets) => octets > 0));
  const each = spool.cells && spool.cells.length ? Math.max(1, Math.ceil(spool.size / spool.cells.length)) : 1;
  const buttons = cells.map((cell, i) => {
    const b = add(map, "button", undefined, "c" + kindOf(cell));
    b.title = "octets " + i * each + " to " + Math.min(spool.size, (i + 1) * each);
    b.setAttribute("aria-label", b.title);
    return b;
  });
  const marked = (list, one) => { list.forEach((x) => x.classList.remove("now")); one.classList.add("now"); };
  const details = spool.findings.map((f) => {
    const d = add(box, "details", undefined, f.severity);
    const place = f.line || f.offset ? " at octet " + f.offset + (f.line ? ", line " + f.line : "") + (f.message ? ", message " + f.message : "") : "";
    add(d, "summary", f.severity + " " + f.id + place + ": " + f.title);
    if (f.excerpt) add(d, "pre", f.excerpt);
    if (f.detail) add(d, "p", f.detail);
    add(d, "p", f.reason);
    add(d, "p", "repair: " + f.repair);
    return d;
  });
  spool.findings.forEach((f, i) => {
    const b = buttons[Math.min(buttons.length - 1, Math.floor(f.offset / each))];
    details[i].addEventListener("toggle", () => { if (details[i].open && b) marked(buttons, b); });
    if (!b || !(f.line || f.offset)) return;
    b.classList.add("has");
    b.addEventListener("click", () => { marked(details, details[i]); details[i].open = true; details[i].scrollIntoView({ block: "center" }); });
  });
});
document.body.dataset.drawn = String(data.spools.length);
</script></body></html>
)page";

}  // namespace

std::string make_page(const std::vector<std::string>& spools, const std::string& made) {
  std::string data = "{\"made\": \"" + made + "\", \"spools\": [";
  for (std::size_t i = 0; i < spools.size(); ++i) data += (i > 0 ? ",\n" : "") + spools[i];
  data += "]}";
  std::string page{kHead};
  for (const char c : data) {
    // Nothing in the data may end the element it stands in.
    if (c == '<') {
      page += "\\u003c";
    } else {
      page += c;
    }
  }
  return page.append(kTail);
}

base::Status write_page(const std::string& path, const std::string& page) {
  base::UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!fd.valid()) return base::Error::from_errno(errno, "open").at("report", path);
  if (auto written = base::write_whole(fd.get(), page); !written) return written.error().at("report", path);
  const int closed = fd.close_checked();
  if (closed != 0) return base::Error::from_errno(closed, "close").at("report", path);
  return {};
}

}  // namespace qpop::popcheck
