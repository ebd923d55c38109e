"""Sums of trees as sums of products of steps, told apart by answers: exact where answers are."""
