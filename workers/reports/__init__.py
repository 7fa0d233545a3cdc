"""Pure computations on the numbers of load tests: verdict, timeline, comparison, chart, page. The handlers use them."""
