"""From curves to claims."""
