"""What a service keeps: how accounts stand, what was asked and answered, before it is told."""
