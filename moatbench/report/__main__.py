"""python -m moatbench.report, the same as moatbench-report."""

from moatbench.report.write.report import main

main()
