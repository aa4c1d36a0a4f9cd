#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/tally.hpp"
#include "core/secret.hpp"
#include "kafka/client.hpp"
#include "kafka/message.hpp"
#include "stage/kafka_proxy.hpp"
#include "stage/process.hpp"

namespace stsync::test {

struct StageOptions {
  std::vector<std::int64_t> tenants{1001};
  std::size_t records = 200;
  double rate = 60;
  std::size_t export_page = 500;
  std::size_t record_bytes = 1000;
  int partitions = 3;
  bool tls_and_gzip = true;         ///< false: plain HTTP, nothing compressed
  std::vector<std::string> sets{};  ///< further --set of every command
  std::vector<std::string> sim{};   ///< further arguments of the simulator
  bool kafka_proxy = false;         ///< workers reach Kafka through kafka_proxy(); the stage and its commands directly
  bool kafka_auth = false;          ///< the broker has a listener with TLS and passwords, too: sasl_sets()
  std::string kafka_settings{};     ///< further lines of the broker's configuration
  std::string worker{};             ///< another program in the place of stsync's worker
};

/// One request, blocking; the body of a 200. Throws what went wrong.
std::string fetch(const std::string& url, const std::string& ca_file = {}, const std::string& post = {});

/// Where a worker that has started serves its metrics, /livez and /readyz.
std::string telemetry_url(const Process& worker);
/// What a worker that has started serves as /metrics. Throws what went wrong.
std::string metrics_of(const Process& worker);

/// A folder with a real Kafka, the simulator and a configuration for both: everything an end-to-end test plays on. All of it goes
/// away with the stage.
class Stage {
 public:
  explicit Stage(StageOptions options);
  ~Stage();

  /// A worker that has joined and owns its partitions (`lanes` of them), unless `wait` is false.
  std::unique_ptr<Process> start_worker(std::vector<std::string> sets = {}, bool wait = true, int lanes = -1) const;
  bool wait_ready(Process& worker, int lanes = -1) const;

  /// The webhook ingress of the stage's app on a port of its own.
  struct Ingress {
    std::unique_ptr<Process> process;
    std::string url;      ///< "https://127.0.0.1:1234"; events go to url + "/webhooks/acme"
    std::string ca_file;  ///< empty without TLS
  };
  /// One that serves and, unless `wait` is false, has reached Kafka; with a certificate of its own where `tls` says so.
  Ingress start_webhook(const std::vector<std::string>& sets = {}, bool tls = true, bool wait = true) const;
  /// Another certificate in its files, by another CA.
  void renew_certificate(Ingress& ingress) const;
  /// What signs for it.
  core::Secret webhook_secret() const;
  /// From now on the simulator tells it of changed rows. `more`: further members of POST /__sim/webhooks, as `"duplicates":0.1`.
  void send_webhooks_to(const Ingress& ingress, const std::string& more = {}) const;

  /// `stsync ARGS --config …`
  std::vector<std::string> command(std::vector<std::string> args, const std::vector<std::string>& sets = {}) const;
  Finished stsync(std::vector<std::string> args, std::chrono::milliseconds timeout = std::chrono::seconds(120)) const;

  /// As in a crash.
  void stop_broker() const;
  void start_broker() const;

  /// Every committed message of the topics, from their beginning to their end.
  std::vector<kafka::Message> read(const std::vector<std::string>& topics) const;
  std::vector<std::string> record_topics() const;

  /// GET or POST to the simulator's control endpoints.
  std::string control(const std::string& path, const std::string& post = {}) const;

  /// What the simulator counted so far.
  struct Calls {
    std::map<std::int64_t, double> answered;  ///< by tenant
    double refused = 0;                       ///< with 429
    double most_in_one_second = 0;            ///< refused ones included: of the app where it has one quota, else of a tenant
    double all_answered() const;
  };
  Calls calls() const;

  const std::string& config_file() const { return config_; }
  const kafka::Cluster& cluster() const { return cluster_; }
  /// What stands between the workers and Kafka. Throws where the options did not ask for it.
  KafkaProxy& kafka_proxy() const;
  /// What a worker or command needs to come by TLS and password, with `kafka_auth`.
  std::vector<std::string> sasl_sets(const std::string& mechanism) const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void make_broker();

  std::filesystem::path folder_;
  std::string config_;
  StageOptions options_;
  std::unique_ptr<KafkaProxy> kafka_proxy_;
  kafka::Cluster cluster_;
  std::unique_ptr<Process> simulator_;
  std::string simulator_url_, ca_file_;
};

/// An empty Redis on a socket. Throws where there is none to start.
std::unique_ptr<Process> start_redis(const std::string& socket);

/// The resources that tests of delivery move about: the largest kinds of records, by export feeds and by lists.
inline constexpr const char* kBulk =
    "accounting.invoices,accounting.payments,crm.bookings,crm.customers,crm.locations,dispatch.appointment-assignments,"
    "inventory.vendors,jpm.appointments,jpm.job-types,jpm.jobs,jpm.projects,marketing.campaigns,memberships.memberships,"
    "settings.business-units,settings.employees,settings.technicians";

/// What records say of themselves: each job's sequence whole and ascending in each partition, and the contents by tenant and
/// resource ("1001 jpm.jobs").
struct Checked {
  struct Job {
    std::string of;  ///< tenant and resource
    app::Tally tally;
    std::int64_t last_ms = 0;  ///< the latest record was handed to Kafka
  };
  std::map<std::string, app::Tally> tallies;
  std::map<std::string, Job> jobs;  ///< by id
  std::vector<std::string> problems;
  std::size_t records = 0;
};
Checked check_records(const std::vector<kafka::Message>& messages);

/// Compares with the simulator's truth; one line a difference.
std::vector<std::string> compare_with_truth(const Checked& checked, const std::string& truth_json);

/// Members of flat JSON objects in an array, raw values.
std::vector<std::map<std::string, std::string>> json_rows(const std::string& array);

}  // namespace stsync::test
