"""Chapter 4: bias neurons that spike, groups that share one, and what a score on a new person means."""
