#include "sim/rows.hpp"

#include <algorithm>

namespace stsync::sim {
namespace {

/// Rows of a resource by itself, for measuring.
class Nobody final : public Related {
 public:
  std::int64_t any_id(const Resource&, std::uint64_t draw) const override {
    return static_cast<std::int64_t>(1'000'000 + draw % 90'000'000'000);
  }
  std::int64_t id_at(const Resource&, std::uint32_t index) const override { return 1'000'000'000 + index; }
};

}  // namespace

struct RowWriter::Context {
  const RowFacts& row;
  const Related& related;
};

RowWriter::RowWriter(const Endpoint& endpoint, std::size_t bytes)
    : pieces_(plan_row(endpoint)), object_(endpoint.row.kind == Scalar::object && endpoint.row.arrays == 0) {
  // What the other fields need on average is measured once; the filler takes the rest.
  constexpr std::uint32_t kSample = 64;
  constexpr std::size_t kHalfPhrase = 28;  // by which a filler is longer than asked for, on average
  std::string sample;
  for (std::uint32_t i = 0; i < kSample; ++i) append(sample, {.seed = mix(i, 1), .index = i, .id = 1'000'000'000}, Nobody());
  const auto needed = sample.size() / kSample + kHalfPhrase;
  filler_ = bytes > needed ? bytes - needed : 0;
}

void RowWriter::append(std::string& out, const RowFacts& row, const Related& related) const {
  const Context context{row, related};
  if (object_) out += '{';
  for (const auto& piece : pieces_) {
    Draw draw(mix(row.seed, piece.salt));
    append_piece(out, piece, draw, context);
  }
  if (object_) out += '}';
}

void RowWriter::append_piece(std::string& out, const Piece& piece, Draw& draw, const Context& context) const {
  out += piece.prefix;
  const bool never = piece.kind == Kind::modified && piece.null_in > 0 && !context.row.ever_modified;
  const bool by_chance = piece.kind != Kind::modified && piece.null_in > 0 && draw.one_in(piece.null_in);
  if (never || by_chance) {
    out += "null";
    return;
  }
  append_one(out, piece, draw, context, piece.arrays);
}

void RowWriter::append_one(std::string& out, const Piece& piece, Draw& draw, const Context& context, int arrays) const {
  if (arrays > 0) {
    out += '[';
    const auto count = piece.kind == Kind::empty ? 0 : draw.below(4);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i > 0) out += ',';
      append_one(out, piece, draw, context, arrays - 1);
    }
    out += ']';
  } else if (piece.kind == Kind::object) {
    out += '{';
    for (const auto& member : piece.members) {
      Draw inner(mix(draw.next(), member.salt));
      append_piece(out, member, inner, context);
    }
    out += '}';
  } else if (piece.kind == Kind::choice) {
    out += piece.choices[draw.below(piece.choices.size())];
  } else if (piece.kind == Kind::filler) {
    const auto spread = filler_ / 5;
    append_filler(out, draw, filler_ - spread + (spread > 0 ? draw.below(2 * spread) : 0) + context.row.extra);
  } else if (!append_fact(out, piece, draw, context)) {
    append_value(out, piece.kind, draw, context.row.created);
  }
}

/// Values that do not come by chance.
bool RowWriter::append_fact(std::string& out, const Piece& piece, Draw& draw, const Context& context) const {
  const auto& row = context.row;
  const auto quoted_time = [&out](Ticks t) {
    out += '"';
    append_time(out, t);
    out += '"';
  };
  switch (piece.kind) {
    case Kind::id:
      append_id(out, piece.form, row.id);
      return true;
    case Kind::parent:
      append_id(out, piece.form, row.parent);
      return true;
    case Kind::related:
      append_id(out, piece.form, context.related.any_id(*piece.target, draw.next()));
      return true;
    case Kind::related_unique:
      append_id(out, piece.form, context.related.id_at(*piece.target, row.index));
      return true;
    case Kind::unique_text:
      append_id(out, Scalar::string, row.id);
      return true;
    case Kind::active:
      out += row.active ? "true" : "false";
      return true;
    case Kind::modified:
      quoted_time(row.modified);
      return true;
    case Kind::created:
      quoted_time(row.created);
      return true;
    default:
      return false;
  }
}

bool modified_nullable(const Endpoint& endpoint) {
  const auto pieces = plan_row(endpoint);
  return std::any_of(pieces.begin(), pieces.end(), [](const Piece& p) { return p.kind == Kind::modified && p.null_in > 0; });
}

}  // namespace stsync::sim
