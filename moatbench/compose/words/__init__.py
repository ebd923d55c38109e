"""What is wrong with a command, a config or a part of an earlier form, told in one line."""
