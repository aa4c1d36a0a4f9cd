#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stsync::bench {

/// What a process has cost so far.
struct Cost {
  double cpu_seconds = 0;      ///< user and system, all threads
  std::uint64_t peak_rss = 0;  ///< bytes
  std::uint64_t rss = 0;       ///< bytes, now
};
/// Of a running process, from /proc; throws when there is none.
Cost cost_of(int pid);

/// One way of bringing records from the API into Kafka, measured.
struct Sample {
  std::uint64_t records = 0, bytes = 0;
  double wall_seconds = 0;
  Cost cost;
  double cpu_per_million() const { return cost.cpu_seconds * 1e6 / static_cast<double>(records); }
  double records_per_second() const { return static_cast<double>(records) / wall_seconds; }
};

struct FloorOptions {
  std::string config;  ///< as `stsync sim --config` writes it
  std::string resource;
};
/// The least that the job can cost: each tenant's feed read over one blocking connection, inflated, cut, and produced with the
/// same headers by an idempotent producer; no journal, no transactions, no pacing, no metrics. Prints a Sample as JSON.
int run_floor(const FloorOptions& options);

struct PipelineOptions {
  std::uint64_t records = 300'000;
  std::size_t page = 1000;  ///< records of a page
  int runs = 3;
  std::string json;  ///< file for the figures
};
/// The worker against the floor, over plain HTTP and over TLS with gzip.
int run_pipeline(const PipelineOptions& options, const std::string& self);

struct TimedOptions {
  int seconds = 60;
  std::string json;  ///< file for the figures
};
/// How much of a quota of 60 calls a second the worker uses, and how often it is refused; counted by the server.
int run_quota(const TimedOptions& options);

/// Fifty tenants under one quota of their app: what each gets when all want more, and what the small ones notice of a large one.
int run_fairness(const TimedOptions& options);

/// Three workers and one limit in a real Redis, which is killed in the middle.
int run_shared(const TimedOptions& options);

/// How soon pause, resume and cancel have their effect beside two hundred running jobs.
int run_control(const TimedOptions& options);

struct TenantsOptions {
  int tenants = 2000;
  int seconds = 60;
  bool used = false;   ///< each has made a call before
  bool store = false;  ///< limits are kept in a Redis
  std::string json;
};
/// What tenants cost a worker that has nothing to do.
int run_tenants(const TenantsOptions& options);

struct FloodOptions {
  std::uint64_t commands = 1'000'000;
  int tenants = 1;
  std::size_t ids = 0;  ///< of each command; 0: windows of a list
  std::string max_memory = "512MiB";
  int slow = 0;                ///< milliseconds by which Kafka answers later
  bool pages = false;          ///< beside them each tenant reads a feed
  std::size_t page = 500'000;  ///< bytes of its pages
  int seconds = 0;             ///< to go on looking at the memory
  std::string json;
};
/// More commands than anybody could work off: how fast they are read, what others notice, and the memory they take.
int run_flood(const FloodOptions& options);

struct WebhookOptions {
  int seconds = 60;
  std::uint32_t connections = 64;
  std::size_t bytes = 4000;         ///< of an event
  double rate = 0;                  ///< events a second; 0: as many as are answered
  bool tls = false, plain = false;  ///< neither: both
  std::string json;
};
/// How many events the ingress acknowledges, how soon, and whether all that it acknowledged are on their topic; 1 when not.
int run_webhook(const WebhookOptions& options);

double median(std::vector<double> values);
/// `q` from 0 to 1. Throws where there are none.
double percentile(std::vector<double> values, double q);
/// Writes the text; a name that is empty is nothing to do. Throws when it cannot.
void write_file(const std::string& name, const std::string& text);

}  // namespace stsync::bench
