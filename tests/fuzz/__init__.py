"""A fuzzer over all readers that a user's file can reach: `python -m tests.fuzz --minutes 10`."""
