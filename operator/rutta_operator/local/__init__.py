"""A topology as processes on this machine: the second way to realise a plan, and the first thing a new user runs."""
