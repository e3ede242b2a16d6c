"""Random programs: text that is right by construction, ends always, and runs under torch as under bridge."""
