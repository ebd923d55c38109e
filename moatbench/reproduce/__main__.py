"""Lets `python -m moatbench.reproduce` do what `moatbench-reproduce` does."""

from moatbench.reproduce.main import main

if __name__ == "__main__":  # workers import this file as well
    main()
