"""From records to a paper's page: select the runs, measure, write figures and tables."""
