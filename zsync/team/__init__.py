"""Keep a folder in step with a team's: both ways."""
