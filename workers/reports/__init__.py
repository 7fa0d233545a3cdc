"""Pure computations on the numbers of load tests: verdict, timeline, comparison, chart, page. The handlers use them."""

from workers.reports.chart import draw_load_test as draw_load_test
from workers.reports.history import comparison as comparison, earlier_runs as earlier_runs, report_json as report_json
from workers.reports.html_report import render_page as render_page
from workers.reports.probe_chart import draw_search as draw_search
from workers.reports.search import bounds as bounds, limit as limit, next_rate as next_rate
from workers.reports.timeline import POINTS as POINTS, ReplicaChanges as ReplicaChanges, thinned as thinned
from workers.reports.verdict import Verdict as Verdict, judge as judge
