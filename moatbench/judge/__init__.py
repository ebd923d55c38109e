"""What was stolen, what customers paid, who was caught."""
