"""From what a defense told to what the true answers may have been."""
