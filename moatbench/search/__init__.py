"""Which question to ask next: on boundaries, in boxes and bins, uphill."""
