#pragma once
#include <string>

#include <fmt/format.h>

namespace stsync::webhook::test {

/// An event as the vendor sends it; `data` without what names the tenant.
inline std::string event_of(const std::string& type, const std::string& data, const std::string& id = "u-1",
                            const std::string& tenant = "1001") {
  return fmt::format(
      R"({{"specversion":"1.0","id":"d-1","type":"{}","time":"2026-01-02T03:04:05Z","source":"https://webhooks.servicetitan.io",)"
      R"("userassignedid":"{}","datacontenttype":"application/json","data":{{{},"tenantId":{},"tenantName":"A Company"}}}})",
      type, id, data, tenant);
}

}  // namespace stsync::webhook::test
