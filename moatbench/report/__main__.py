"""python -m moatbench.report, the same as moatbench-report."""

from moatbench.report.main import main

main()
