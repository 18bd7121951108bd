"""A trained network as a file for others: a class for each format, and the proof that it answers as the run does."""
