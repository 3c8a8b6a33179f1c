// SPDX-License-Identifier: MIT
// Names of findings, severities, regions and dialects.
#include "common/check/findings.h"

#include "common/check/report.h"

namespace qpop::check {

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::note:
      return "note";
    case Severity::warning:
      return "warning";
    case Severity::error:
      break;
  }
  return "error";
}

std::string_view name_of(Region region) {
  switch (region) {
    case Region::postmark:
      return "postmark";
    case Region::header:
      return "header";
    case Region::body:
      return "body";
    case Region::separator:
      return "separator";
    case Region::quoted:
      return "quoted line";
    case Region::filler:
      return "filler";
    case Region::damage:
    case Region::count:
      break;
  }
  return "damage";
}

std::string_view name_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::mboxo:
      return "mboxo";
    case Dialect::mboxrd:
      return "mboxrd";
    case Dialect::mboxcl:
      return "mboxcl";
    case Dialect::mboxcl2:
      return "mboxcl2";
    case Dialect::mmdf:
      return "MMDF";
    case Dialect::unknown:
      break;
  }
  return "mbox";
}

}  // namespace qpop::check
