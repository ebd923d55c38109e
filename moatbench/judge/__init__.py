"""What was stolen, what honest customers paid, and who was caught."""
