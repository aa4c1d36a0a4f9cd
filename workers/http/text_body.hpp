#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/message.hpp>

namespace stsync::http {

/// A body for Beast's parsers, as text that can be taken out in parts while it comes. Beast's own string_body sets aside what
/// Content-Length claims.
struct TextBody {
  struct value_type {
    std::string text;
    std::size_t most_at_once = std::numeric_limits<std::size_t>::max();  ///< bytes expected between two takings
  };
  static std::uint64_t size(const value_type& body) { return body.text.size(); }

  class reader {
   public:
    template <bool isRequest, class Fields>
    reader(boost::beast::http::header<isRequest, Fields>&, value_type& body) : body_(body) {}
    template <class Length>  // an optional number: of Boost, or of another kind in another version
    void init(const Length& length, boost::system::error_code& ec) {
      if (length) body_.text.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, body_.most_at_once)));
      ec = {};
    }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& ec) {
      std::size_t size = 0;
      for (auto at = boost::asio::buffer_sequence_begin(buffers); at != boost::asio::buffer_sequence_end(buffers); ++at) {
        const boost::asio::const_buffer part = *at;
        body_.text.append(static_cast<const char*>(part.data()), part.size());
        size += part.size();
      }
      ec = {};
      return size;
    }
    void finish(boost::system::error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

}  // namespace stsync::http
