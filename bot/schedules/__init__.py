"""Commands on a clock: every bot looks at every schedule, and each firing is one job."""

from bot.schedules.clock import next_times
from bot.schedules.repository import Schedules
from bot.schedules.timekeeper import Timekeeper

__all__ = ["Schedules", "Timekeeper", "next_times"]
