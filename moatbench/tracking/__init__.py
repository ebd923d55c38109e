"""Records in MLflow, written and read; the only room that imports it."""
