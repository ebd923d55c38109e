"""The two protocols: what clients send, to rows; and what they are told, to bytes."""
