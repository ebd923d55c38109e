"""What attacks share: loops, smaller views of an API, their own copies of a defense."""
