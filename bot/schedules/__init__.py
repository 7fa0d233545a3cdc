"""Schedules: commands that the bots submit at set times. Every bot checks every schedule, and each firing is one job.

APScheduler fires them because it is well tested and because its triggers, job store and executor can be replaced: ours
add the clock changes, JSON instead of pickles, and many schedulers on one store. A loop of our own over a sorted set
would need the same parts and cron parsing as well.
"""

from bot.schedules.clock import next_times
from bot.schedules.desk import BotScheduleDesk
from bot.schedules.firing import Firing
from bot.schedules.repository import Schedules
from bot.schedules.timekeeper import Timekeeper

__all__ = ["BotScheduleDesk", "Firing", "Schedules", "Timekeeper", "next_times"]
