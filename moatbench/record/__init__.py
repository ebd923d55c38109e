"""What a run leaves: columns, rows, summary.json, identity, marks."""
