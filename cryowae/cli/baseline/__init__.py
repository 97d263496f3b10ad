"""`cryowae baseline ...`: the 2-D image baselines."""
