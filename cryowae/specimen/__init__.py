"""What is in the ice: molecules, membranes, filaments, beads, and the scene that they make."""
