"""What a command owes to the processes around it: the one that started it, and those that it starts."""
