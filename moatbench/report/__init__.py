"""From the runs in MLflow to a page, figures and tables: what a paper on defenses needs."""
