"""Training data: the library of structures and the simulated pairs made of it on the fly."""
