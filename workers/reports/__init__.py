"""What the numbers of load tests mean: verdict, timeline, comparison with earlier ones, chart, page. Pure: values in,
values out."""
