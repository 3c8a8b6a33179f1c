// SPDX-License-Identifier: MIT
// Counters as text.
#include "popper/monitor/metrics.h"

#include <fmt/format.h>

namespace qpop::monitor {

namespace {

/// One family: its type and help, then its samples.
class Family {
 public:
  Family(std::string& out, const char* name, const char* type, const char* help) : out_(out), name_(name), suffix_(std::string_view{type} == "counter" ? "_total" : "") {
    out_ += fmt::format("# TYPE {0} {1}\n# HELP {0} {2}\n", name, type, help);
  }
  template <class Value>
  Family& sample(Value value, std::string_view labels = {}) {
    out_ += labels.empty() ? fmt::format("{}{} {}\n", name_, suffix_, value) : fmt::format("{}{}{{{}}} {}\n", name_, suffix_, labels, value);
    return *this;
  }

 private:
  std::string& out_;
  const char* name_;
  const char* suffix_;
};

void durations(std::string& out, const char* name, const char* help, const Durations& durations) {
  out += fmt::format("# TYPE {0} summary\n# UNIT {0} seconds\n# HELP {0} {1}\n{0}_count {2}\n{0}_sum {3:.3f}\n", name, help, durations.count,
                     static_cast<double>(durations.sum_ms) / 1000);
}

}  // namespace

std::string open_metrics(const Counters& counters, const Gauges& gauges) {
  std::string out;
  Family{out, "popper_sessions", "gauge", "Clients that are connected, by what they are doing."}
      .sample(gauges.waiting, "state=\"authorization\"")
      .sample(gauges.transaction, "state=\"transaction\"")
      .sample(gauges.updating, "state=\"update\"");
  Family{out, "popper_spare_processes", "gauge", "Session processes that wait for a client."}.sample(gauges.spares);
  Family{out, "popper_connections", "counter", "Clients that were accepted."}.sample(counters.connections);
  Family{out, "popper_refused_connections", "counter", "Clients that were sent away, by a limit or for want of a certificate."}.sample(counters.refused_connections);
  Family{out, "popper_tls_handshakes", "counter", "TLS handshakes that were completed."}
      .sample(counters.handshakes - counters.resumed_handshakes, "resumed=\"no\"")
      .sample(counters.resumed_handshakes, "resumed=\"yes\"");
  Family logins{out, "popper_logins", "counter", "Attempts to log in, by mechanism and result."};
  for (std::size_t i = 0; i < kMechanismNames.size(); ++i) {
    logins.sample(counters.logins.at(i), fmt::format("mechanism=\"{}\",result=\"accepted\"", kMechanismNames.at(i)));
    logins.sample(counters.failed_logins.at(i), fmt::format("mechanism=\"{}\",result=\"refused\"", kMechanismNames.at(i)));
  }
  Family ends{out, "popper_ended_sessions", "counter", "Sessions that had logged in, by how they ended."};
  for (std::size_t i = 0; i < kEndNames.size(); ++i) ends.sample(counters.ends.at(i), fmt::format("by=\"{}\"", kEndNames.at(i)));
  Family{out, "popper_sent_octets", "counter", "Octets that were sent to clients, without TLS."}.sample(counters.sent_octets);
  Family{out, "popper_retrieved_messages", "counter", "Messages that were sent whole."}.sample(counters.retrieved);
  Family{out, "popper_deleted_messages", "counter", "Messages that clients deleted."}.sample(counters.deleted);
  durations(out, "popper_open_seconds", "Time to open a maildrop.", counters.opens);
  durations(out, "popper_update_seconds", "Time to remove deleted messages.", counters.updates);
  Family recoveries{out, "popper_recoveries", "counter", "Interrupted updates that were looked at, by outcome."};
  for (std::size_t i = 0; i < kRecoveryNames.size(); ++i) recoveries.sample(counters.recoveries.at(i), fmt::format("outcome=\"{}\"", kRecoveryNames.at(i)));
  if (gauges.has_certificate) Family{out, "popper_certificate_days", "gauge", "Days until the first certificate ends."}.sample(gauges.certificate_days);
  Family{out, "popper_uptime_seconds", "gauge", "Since the server started."}.sample(gauges.uptime_s);
  return out + "# EOF\n";
}

}  // namespace qpop::monitor
