"""Keep targets up to date, site by site, as long as the service runs."""
