// SPDX-License-Identifier: MIT
// The two readings of a spool at once: the scan that the server uses, and a tolerant one that says what is wrong and why.
//
// The tolerant reading runs from event to event (event_scan.h) and judges each by what stands around it: the line before,
// the date, the header behind, Content-Length, an open MIME part. Memory: a window of some 600 KiB, a few octets for each
// message, and the findings.
#pragma once

#include "common/base/result.h"
#include "common/check/bytes.h"
#include "common/check/report.h"

namespace qpop::check {

/// Errors: what `bytes` returns; limit (more than kMostEdits changes, or more messages than can be counted).
[[nodiscard]] base::Result<Report> read_spool(Bytes& bytes, const ReadOptions& options);

}  // namespace qpop::check
