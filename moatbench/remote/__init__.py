"""Endpoints over HTTP as victims: what is sent where, what the answers mean, what it cost."""
