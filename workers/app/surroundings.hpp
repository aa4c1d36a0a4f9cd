#pragma once
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "config/config.hpp"
#include "core/clock.hpp"
#include "sync/surroundings.hpp"

namespace stsync::app {

/// The real ones: librdkafka, sockets, threads. `client_id`: how Kafka knows this process. `crash_notes` outlives them, where there
/// are any.
std::unique_ptr<sync::Surroundings> make_surroundings(boost::asio::any_io_executor loop, core::Clock& clock,
                                                      const config::Config& config, std::string client_id,
                                                      core::CrashNoteFile* crash_notes = nullptr);

}  // namespace stsync::app
