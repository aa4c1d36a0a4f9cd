#pragma once
#include <string>

#include "tokens/account.hpp"

namespace stsync::tokens {

/// How it stands with an account's credentials.
enum class Health {
  working,   ///< also before the first fetch
  rotating,  ///< what is configured is refused, what worked before still works: a rotation half done, or a wrong secret
  down,      ///< no token now: the endpoint cannot be reached, is overloaded or talks nonsense
  refused,   ///< the endpoint refuses the client, or the API refuses its tokens
};

/// Told what happens. Loop thread; it must not call back.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A request to the token endpoint has ended: ok, refused, failed.
  virtual void fetched(const Account&, const char* /*outcome*/) {}
  /// Once for each change. `why`: the error, empty when it works again; never a secret.
  virtual void changed(const Account&, Health /*now*/, const std::string& /*why*/) {}
};

}  // namespace stsync::tokens
