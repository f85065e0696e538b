"""Commands that a source runs: when to start them, how one run goes, what is heard of them."""
