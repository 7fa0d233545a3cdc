"""Cards: one module for each kind of job, and the frame that they share."""
