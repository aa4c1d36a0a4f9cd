#include "http/certificate.hpp"

#include <ctime>
#include <memory>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <boost/asio/ip/address.hpp>

namespace stsync::http {
namespace {

using core::ErrorKind;
using core::fail;

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;

struct Plan {
  std::string name;
  std::string alt_names;  // "DNS:a,IP:1.2.3.4"; empty: a root
  core::WallTime from, to;
};

/// Collects success: every OpenSSL call says 1 when it worked.
class Steps {
 public:
  Steps& operator()(bool ok) {
    ok_ = ok_ && ok;
    return *this;
  }
  bool ok() const noexcept { return ok_; }

 private:
  bool ok_ = true;
};

template <class Write>
std::string to_pem(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return {};
  std::string out(BIO_ctrl_pending(bio.get()), '\0');
  return BIO_read(bio.get(), out.data(), static_cast<int>(out.size())) == static_cast<int>(out.size()) ? out : std::string();
}

bool add_extension(X509* cert, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension && X509_add_ext(cert, extension.get(), -1) == 1;
}

bool set_identity(X509* cert, X509* issuer, const Plan& plan) {
  std::uint64_t serial = 0;
  unsigned char bytes[sizeof serial] = {};
  Steps steps;
  steps(RAND_bytes(bytes, sizeof bytes) == 1);
  for (const auto b : bytes) serial = serial << 8 | b;
  steps(X509_set_version(cert, X509_VERSION_3) == 1);
  steps(ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1) == 1);
  using std::chrono::system_clock;
  steps(ASN1_TIME_set(X509_getm_notBefore(cert), system_clock::to_time_t(plan.from)) != nullptr);
  steps(ASN1_TIME_set(X509_getm_notAfter(cert), system_clock::to_time_t(plan.to)) != nullptr);
  const std::vector<unsigned char> name(plan.name.begin(), plan.name.end());
  steps(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, name.data(), static_cast<int>(name.size()), -1,
                                   0) == 1);
  steps(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
  return steps.ok();
}

/// A certificate after the plan, signed by the issuer, or by itself when there is none.
Certificate make_certificate(const Plan& plan, X509* issuer, EVP_PKEY* issuer_key) {
  const Key key(EVP_EC_gen("P-256"));
  const X509Ptr cert(X509_new());
  if (!key || !cert) return {};
  auto* signer = issuer ? issuer : cert.get();
  Steps steps;
  steps(set_identity(cert.get(), signer, plan))(X509_set_pubkey(cert.get(), key.get()) == 1);
  steps(add_extension(cert.get(), signer, NID_subject_key_identifier, "hash"));
  steps(add_extension(cert.get(), signer, NID_authority_key_identifier, "keyid:always"));
  if (plan.alt_names.empty()) {
    steps(add_extension(cert.get(), signer, NID_basic_constraints, "critical,CA:TRUE"));
    steps(add_extension(cert.get(), signer, NID_key_usage, "critical,keyCertSign,cRLSign"));
  } else {
    steps(add_extension(cert.get(), signer, NID_basic_constraints, "critical,CA:FALSE"));
    steps(add_extension(cert.get(), signer, NID_key_usage, "critical,digitalSignature"));
    steps(add_extension(cert.get(), signer, NID_ext_key_usage, "serverAuth"));
    steps(add_extension(cert.get(), signer, NID_subject_alt_name, plan.alt_names));
  }
  steps(X509_sign(cert.get(), issuer_key ? issuer_key : key.get(), EVP_sha256()) > 0);
  if (!steps.ok()) return {};
  return {to_pem([&](BIO* out) { return PEM_write_bio_X509(out, cert.get()); }),
          to_pem([&](BIO* out) { return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); })};
}

/// The subjectAltName of a host; empty when it is neither a name nor an IP literal.
std::string alt_name(const std::string& host) {
  boost::system::error_code no_address;
  boost::asio::ip::make_address(host, no_address);
  if (!no_address) return "IP:" + host;
  const auto allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*_";
  return host.empty() || host.find_first_not_of(allowed) != std::string::npos ? std::string() : "DNS:" + host;
}

}  // namespace

core::Result<core::WallTime> expiry_of(const std::string& certificate_pem) {
  const Bio bio(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  const X509Ptr certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  std::tm at{};
  const bool known = certificate && ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &at) == 1;
  ERR_clear_error();
  if (!known) return fail(ErrorKind::bad_config, "the TLS certificate cannot be read");
  return core::WallTime(std::chrono::seconds(::timegm(&at)));
}

core::Result<CertificateAuthority> CertificateAuthority::make(const std::string& name, core::WallTime now) {
  CertificateAuthority out;
  out.root = make_certificate({name, "", now - std::chrono::days(1), now + std::chrono::days(3650)}, nullptr, nullptr);
  if (out.root.key_pem.empty()) return fail(ErrorKind::internal, "the CA certificate cannot be made");
  return out;
}

core::Result<Certificate> CertificateAuthority::issue(const std::vector<std::string>& hosts, core::WallTime from,
                                                      core::WallTime to) const {
  std::string names;
  for (const auto& host : hosts) {
    const auto name = alt_name(host);
    if (name.empty()) return fail(ErrorKind::bad_config, fmt::format("'{}' is no host name", host));
    names += (names.empty() ? "" : ",") + name;
  }
  if (names.empty()) return fail(ErrorKind::bad_config, "a server certificate needs a host");
  const Bio cert_bio(BIO_new_mem_buf(root.certificate_pem.data(), static_cast<int>(root.certificate_pem.size())));
  const Bio key_bio(BIO_new_mem_buf(root.key_pem.data(), static_cast<int>(root.key_pem.size())));
  const X509Ptr issuer(PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr));
  const Key issuer_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!issuer || !issuer_key) return fail(ErrorKind::internal, "the CA certificate cannot be read");
  auto out = make_certificate({hosts.front().substr(0, 64), names, from, to}, issuer.get(), issuer_key.get());
  if (out.key_pem.empty()) return fail(ErrorKind::internal, "the server certificate cannot be made");
  return out;
}

}  // namespace stsync::http
