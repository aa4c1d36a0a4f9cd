#include "sim/row_plan.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/text.hpp"
#include "sim/quirks.hpp"
#include "sim/values.hpp"

namespace stsync::sim {
namespace {

constexpr unsigned kNullIn = 4;         // one of so many nullable values is null
constexpr unsigned kNullIdIn = 40;      // rows whose id may be null (facts 12)
constexpr std::size_t kMaxNesting = 5;  // of objects that hold their own kind

/// Names that say whose id they hold.
constexpr std::array<std::pair<std::string_view, std::string_view>, 47> kTargets{{
    {"activityCode", "payroll.activity-codes"},
    {"agent", "settings.employees"},
    {"appointment", "jpm.appointments"},
    {"billingTemplate", "memberships.invoice-templates"},
    {"booking", "crm.bookings"},
    {"bookingProvider", "crm.booking-provider-tags"},
    {"budgetCode", "jpm.budget-codes"},
    {"businessUnit", "settings.business-units"},
    {"call", "telecom.calls"},
    {"campaign", "marketing.campaigns"},
    {"category", "pricebook.categories"},
    {"contact", "crm.contacts"},
    {"contactMethod", "crm.contact-methods"},
    {"createdBy", "settings.employees"},
    {"customer", "crm.customers"},
    {"employee", "settings.employees"},
    {"equipment", "pricebook.equipment"},
    {"estimate", "salestech.estimates"},
    {"firstAppointment", "jpm.appointments"},
    {"generalLedgerAccount", "accounting.gl-accounts"},
    {"installedEquipment", "equipment-systems.installed-equipment"},
    {"inventoryBill", "accounting.inventory-bills"},
    {"invoice", "accounting.invoices"},
    {"invoiceTemplate", "memberships.invoice-templates"},
    {"job", "jpm.jobs"},
    {"jobType", "jpm.job-types"},
    {"lastAppointment", "jpm.appointments"},
    {"lead", "crm.leads"},
    {"leadCall", "telecom.calls"},
    {"location", "crm.locations"},
    {"manager", "settings.employees"},
    {"material", "pricebook.materials"},
    {"membership", "memberships.memberships"},
    {"membershipType", "memberships.membership-types"},
    {"modifiedBy", "settings.employees"},
    {"payment", "accounting.payments"},
    {"paymentTerm", "accounting.payment-terms"},
    {"paymentType", "accounting.payment-types"},
    {"project", "jpm.projects"},
    {"purchaseOrder", "inventory.purchase-orders"},
    {"recurringService", "memberships.recurring-services"},
    {"service", "pricebook.services"},
    {"soldBy", "settings.technicians"},
    {"taxZone", "accounting.tax-zones"},
    {"technician", "settings.technicians"},
    {"vendor", "inventory.vendors"},
    {"zone", "dispatch.zones"},
}};

constexpr std::array<std::pair<std::string_view, Kind>, 22> kTextKinds{{
    {"street", Kind::street},
    {"city", Kind::city},
    {"state", Kind::state},
    {"zip", Kind::zip},
    {"country", Kind::country},
    {"name", Kind::name},
    {"firstName", Kind::name},
    {"lastName", Kind::name},
    {"customerName", Kind::name},
    {"email", Kind::email},
    {"phone", Kind::phone},
    {"phoneNumber", Kind::phone},
    {"number", Kind::digits},
    {"jobNumber", Kind::digits},
    {"referenceNumber", Kind::digits},
    {"appointmentNumber", Kind::digits},
    {"total", Kind::money},
    {"subTotal", Kind::money},
    {"balance", Kind::money},
    {"amount", Kind::money},
    {"salesTax", Kind::money},
    {"discountTotal", Kind::money},
}};

constexpr std::array<std::string_view, 7> kFillers{"summary", "description", "specialInstructions", "memo", "directions",
                                                   "notes",   "text"};

bool is_id_name(std::string_view name) { return name == "id" || name == "ID"; }

/// "customerIds" -> "customer"
std::string_view stem_of(std::string_view name) {
  for (const std::string_view end : {"Ids", "Id"})
    if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
  return name;
}

const Resource* target_of(std::string_view field) {
  const auto stem = stem_of(field);
  const auto at = std::find_if(kTargets.begin(), kTargets.end(), [stem](const auto& row) { return row.first == stem; });
  return at == kTargets.end() ? nullptr : Schema::get().find(at->second);
}

class Planner {
 public:
  explicit Planner(const Endpoint& e) : endpoint_(e) {
    // Where the row's own id stands: usually "id", with calls "leadCall.id".
    const auto dot = e.key.find('.');
    if (e.key.ends_with(".id") && e.key.find('+') == std::string::npos) owner_ = std::string_view(e.key).substr(0, dot);
    const auto* children = rows_of(*e.resource).endpoint(Role::children);
    if (children != nullptr) parent_ = children->parent;
    for (auto rest = std::string_view(e.resource->key); !rest.empty();) {
      const auto end = std::min(rest.find('+'), rest.size());
      const auto part = rest.substr(0, end);
      if (!part.empty() && std::isalpha(static_cast<unsigned char>(part.front())) != 0) keys_.push_back(part);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  std::vector<Piece> plan() {
    if (endpoint_.row.kind != Scalar::object || endpoint_.row.arrays > 0) return {value({}, "value", endpoint_.row, true)};
    return members(*endpoint_.row.object, true);
  }

 private:
  std::vector<Piece> members(const Type& type, bool top) {
    // The record's own fields are those of the object that has its id.
    const bool own = top ? owner_.empty() : own_members_;
    own_members_ = false;
    std::vector<Piece> out;
    stack_.push_back(&type);
    const auto* fills = top ? filler_of(type) : nullptr;
    for (const auto& field : type.fields) {
      own_members_ = top && field.name == owner_;
      const auto prefix = fmt::format("{}\"{}\":", out.empty() ? "" : ",", field.name);
      auto piece = value(prefix, field.name, field.type, own);
      if (&field == fills) {
        piece.kind = Kind::filler;
        piece.null_in = 0;
      }
      out.push_back(std::move(piece));
    }
    stack_.pop_back();
    if (top) choose_filler(out);
    return out;
  }

  static const Field* filler_of(const Type& type) {
    const auto usable = [](const Field& f) {
      return f.type.arrays == 0 &&
             (f.type.kind == Scalar::string || f.type.kind == Scalar::html || f.type.kind == Scalar::multiline);
    };
    for (const auto name : kFillers)
      if (const auto* field = type.find(name); field != nullptr && usable(*field)) return field;
    const auto at = std::find_if(type.fields.begin(), type.fields.end(), [](const Field& f) {
      return f.type.arrays == 0 && (f.type.kind == Scalar::html || f.type.kind == Scalar::multiline);
    });
    return at == type.fields.end() ? nullptr : &*at;
  }

  /// Where no field is made for long texts, one that holds short ones has to do.
  static void choose_filler(std::vector<Piece>& pieces) {
    const auto is = [](Kind kind) { return [kind](const Piece& p) { return p.kind == kind && p.arrays == 0; }; };
    if (std::any_of(pieces.begin(), pieces.end(), is(Kind::filler))) return;
    const auto at = std::find_if(pieces.begin(), pieces.end(), is(Kind::text));
    if (at == pieces.end() || at->form != Scalar::string) return;
    at->kind = Kind::filler;
    at->null_in = 0;
  }

  Piece value(std::string prefix, std::string_view name, const TypeRef& type, bool own) {
    Piece out;
    out.prefix = std::move(prefix);
    out.form = type.kind;
    out.arrays = type.arrays;
    out.salt = mix(1, name);
    out.null_in = type.nullable ? kNullIn : 0;
    if (type.kind == Scalar::object)
      object(out, type);
    else
      scalar(out, name, type, own);
    return out;
  }

  void object(Piece& out, const TypeRef& type) {
    out.kind = Kind::object;
    if (own_members_) out.null_in = 0;
    const auto deep = std::count(stack_.begin(), stack_.end(), type.object) > 1 || stack_.size() > kMaxNesting;
    if (deep) {
      out.kind = type.arrays > 0 ? Kind::empty : Kind::null;
      return;
    }
    out.members = members(*type.object, false);
  }

  bool is_key(std::string_view name) const { return std::find(keys_.begin(), keys_.end(), name) != keys_.end(); }
  bool must_be_unique(std::string_view name) const {
    const auto& bound = endpoint_.resource->bound_fields;
    return (is_key(name) && name == keys_.back()) || std::find(bound.begin(), bound.end(), name) != bound.end();
  }

  void scalar(Piece& out, std::string_view name, const TypeRef& type, bool own) {
    out.kind = by_type(type);
    const bool number = type.kind == Scalar::int64 || type.kind == Scalar::int32;
    const bool text = type.kind == Scalar::string || type.kind == Scalar::guid;
    if (own && type.arrays == 0 && own_field(out, name, type)) return;
    if (type.kind == Scalar::choice) {
      for (const auto& choice : *type.choices)  // some enumerations are of numbers
        out.choices.push_back(core::parse_int(choice) ? choice : fmt::format("\"{}\"", choice));
      if (out.choices.empty()) out.kind = Kind::null;
    } else if ((number || text) && (name.ends_with("Id") || name.ends_with("Ids") || name.ends_with("By"))) {
      refer(out, name, own);
    } else if (own && must_be_unique(name) && type.kind == Scalar::string) {
      out.kind = Kind::unique_text;
      out.null_in = 0;
    } else if (type.kind == Scalar::string) {
      if (is_key(name)) out.kind = Kind::name;  // not one for the filler
      const auto at = std::find_if(kTextKinds.begin(), kTextKinds.end(), [name](const auto& row) { return row.first == name; });
      if (at != kTextKinds.end()) out.kind = at->second;
    }
  }

  /// The fields of which the facts of a row speak.
  bool own_field(Piece& out, std::string_view name, const TypeRef& type) {
    if (is_id_name(name)) {
      out.kind = Kind::id;
      out.null_in = type.nullable && endpoint_.resource->source() != nullptr ? kNullIdIn : 0;
    } else if (name == "modifiedOn" && type.kind == Scalar::date_time) {
      out.kind = Kind::modified;
    } else if (name == "createdOn" && type.kind == Scalar::date_time) {
      out.kind = Kind::created;
      out.null_in = 0;
    } else if (name == "active" && type.kind == Scalar::boolean) {
      out.kind = Kind::active;
      out.null_in = 0;
    } else {
      return false;
    }
    return true;
  }

  /// Numbers fit every id; a guid or a text only an id that is one.
  static bool holds_ids_of(Scalar form, const Resource& target) {
    if (form != Scalar::guid && form != Scalar::string) return true;
    const auto* source = target.source();
    const auto* id = source != nullptr && source->row.object != nullptr ? source->row.object->find("id") : nullptr;
    return id != nullptr && id->type.kind == form;
  }

  void refer(Piece& out, std::string_view name, bool own) {
    out.target = target_of(name);
    if (out.target != nullptr && !holds_ids_of(out.form, *out.target)) out.target = nullptr;
    const bool parents = own && out.arrays == 0 && out.target != nullptr && out.target == parent_;
    const bool unique = own && out.arrays == 0 && must_be_unique(name);
    if (parents || unique || is_key(name)) out.null_in = 0;
    if (parents)
      out.kind = Kind::parent;
    else if (unique && out.target != nullptr)
      out.kind = Kind::related_unique;
    else if (unique)
      out.kind = Kind::id;
    else if (out.target != nullptr)
      out.kind = Kind::related;
    else if (out.form != Scalar::guid && out.form != Scalar::string)
      out.kind = Kind::reference;
  }

  static Kind by_type(const TypeRef& type) {
    switch (type.kind) {
      case Scalar::int32:
        return Kind::number;
      case Scalar::int64:
        return Kind::number;
      case Scalar::decimal:
      case Scalar::real:
        return Kind::decimal;
      case Scalar::boolean:
        return Kind::flag;
      case Scalar::date:
        return Kind::date;
      case Scalar::date_time:
        return Kind::date_time;
      case Scalar::guid:
        return Kind::guid;
      case Scalar::duration:
        return Kind::duration;
      case Scalar::email:
        return Kind::email;
      case Scalar::phone:
        return Kind::phone;
      case Scalar::choice:
        return Kind::choice;
      default:
        return Kind::text;
    }
  }

  const Endpoint& endpoint_;
  std::string_view owner_{};          // the member that holds the record, where that is not the row itself
  const Resource* parent_ = nullptr;  // whose rows the resource's belong to
  std::vector<std::string_view> keys_;
  std::vector<const Type*> stack_;
  bool own_members_ = false;
};

}  // namespace

std::vector<Piece> plan_row(const Endpoint& endpoint) { return Planner(endpoint).plan(); }

}  // namespace stsync::sim
