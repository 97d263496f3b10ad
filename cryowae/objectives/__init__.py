"""Training objectives: what the restored density must agree with, and what the codes must look like."""
