"""From answers, or data, to a trained model; torch lives here and in parts."""
