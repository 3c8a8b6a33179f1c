// SPDX-License-Identifier: MIT
// The client's connection, in clear or inside TLS: command lines in, responses out through one buffer, so that an answer leaves in one write.
//
// Runs as: popnet, without any right.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"
#include "common/pop3/command.h"
#include "common/tls/server.h"
#include "popper/session/quick_look.h"

namespace qpop::session {

class Client {
 public:
  enum class Event : std::uint8_t {
    line,      ///< line() holds a command
    too_long,  ///< an over-long line was consumed
    hopeless,  ///< an over-long line does not end
    closed,    ///< end of file or error
    timeout,   ///< deadline reached
    monitor,   ///< the monitor has something to say
  };

  /// `wake_fd`: also waited for while the client is silent.
  Client(base::UniqueFd socket, int wake_fd, std::int64_t write_timeout_ms, base::Clock& clock);

  /// Next command. Buffered output is sent first when no further command is waiting (RFC 2449 section 6.6: answers to
  /// pipelined commands may leave together). `deadline_ms` on the monotonic clock.
  Event next(std::int64_t deadline_ms);
  /// `work` is done before each wait for the next command of a client that is quick.
  void while_waiting(std::function<void()> work) { while_waiting_ = std::move(work); }
  [[nodiscard]] std::string_view line() const { return reader_.line(); }
  void wipe_line();
  /// Longest line of the next event: pop3::kMaxCommandLine (as it is at first) or pop3::kMaxResponseLine.
  void limit_line(std::size_t octets) { reader_.set_limit(octets); }

  /// Queues text. Nothing happens after failed().
  void put(std::string_view text);
  /// Room for `size` octets at the end of the buffer; the buffer is flushed before when it is more than half full.
  char* reserve(std::size_t size);
  void commit(std::size_t size) { used_ += size; }
  [[nodiscard]] std::size_t waiting() const { return used_; }
  /// Sends what is queued. False when the client is gone or took nothing for the write timeout.
  bool flush();
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool stalled() const { return stalled_; }
  /// Octets that went out, without TLS.
  [[nodiscard]] std::uint64_t sent_octets() const { return sent_octets_; }

  /// Octets that came behind the command that was handed out last.
  [[nodiscard]] bool has_input();
  [[nodiscard]] int socket() const { return socket_.get(); }
  /// From here on everything goes through `connection`, once its handshake is done. Event::line: it is; closed: the peer is gone or
  /// tls_failure() says why it failed; timeout, monitor as in next().
  Event secure(std::unique_ptr<tls::Connection> connection, std::int64_t deadline_ms);
  [[nodiscard]] const tls::Connection* tls() const { return tls_.get(); }

  /// No more output; the peer sees the end of the connection behind all that was sent.
  void shut();

 private:
  enum class Got : std::uint8_t { octets, want_read, want_write, gone };
  /// Waits until the socket can be read, or written: Event::line then.
  Event wait(short events, std::int64_t deadline_ms);
  Got receive(std::span<char> out, std::size_t& got);
  Got send(std::string_view octets, std::size_t& put);
  [[nodiscard]] bool has_line_waiting() const;
  [[nodiscard]] bool is_readable() const;

  base::UniqueFd socket_;
  std::unique_ptr<tls::Connection> tls_;  ///< empty outside TLS
  int wake_fd_;
  std::int64_t write_timeout_ms_;
  base::Clock& clock_;
  pop3::LineReader reader_;
  std::vector<char> input_;
  std::size_t input_begin_ = 0;
  std::size_t input_end_ = 0;
  std::vector<char> output_;
  std::size_t used_ = 0;
  std::uint64_t sent_octets_ = 0;
  QuickLook quick_look_;
  std::function<void()> while_waiting_;
  bool failed_ = false;
  bool stalled_ = false;
};

}  // namespace qpop::session
