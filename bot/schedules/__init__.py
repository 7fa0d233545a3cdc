"""Schedules: commands that the bots submit at set times. Every bot checks every schedule, and each firing is one job.

APScheduler brings the cron parser, the store in Redis and the round over due jobs, and lets us replace each part. Ours
handle clock changes, store JSON instead of pickles, and let many schedulers share one store.
"""
