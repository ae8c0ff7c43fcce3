"""The report of a run: one HTML file that opens offline. `python -m distill.report --run runs/demo`."""
