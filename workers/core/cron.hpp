#pragma once
#include <bitset>
#include <memory>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace stsync::core {

/// The moments that a line of a crontab names: minute, hour, day of the month, month, day of the week, each "*", a number, a name
/// (jan, mon), a range, a list, or steps ("*/15", "8-18/2"); or "@hourly", "@daily", "@weekly", "@monthly", "@yearly". Where both
/// days are restricted, either will do. Where clocks are put forward, a fixed hour that is left out comes at the moment of the
/// change; where they are put back, it comes once. Hours that begin with "*" follow the clock as it goes. Pure.
class Cron {
 public:
  /// `zone`: a name of the IANA database ("America/Chicago"), which the system has to have. bad_config: what is wrong with which
  /// part.
  static Result<Cron> parse(std::string_view text, const std::string& zone);
  /// The first moment after a time, a whole minute.
  WallTime next(WallTime after) const;

 private:
  struct Zone;
  struct Fields {
    std::bitset<60> minutes;
    std::bitset<24> hours;
    std::bitset<32> days;
    std::bitset<13> months;
    std::bitset<7> weekdays;  ///< from Sunday on
    bool every_day = false, every_weekday = false, every_hour = false;
  };
  Cron(Fields fields, std::shared_ptr<const Zone> zone) : fields_(fields), zone_(std::move(zone)) {}

  Fields fields_;
  std::shared_ptr<const Zone> zone_;
};

}  // namespace stsync::core
