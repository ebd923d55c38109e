"""What a run leaves behind: columns, rows, summary.json, identity, marks."""
