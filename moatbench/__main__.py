"""python -m moatbench is the command moatbench."""

from moatbench.cli.main import main

if __name__ == "__main__":
    main()
