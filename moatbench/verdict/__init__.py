"""What records come to, in a sentence: how much was stolen, at which price, on which support."""
