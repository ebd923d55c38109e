"""What a run finds against its defense and its attacks, and how it says so."""
