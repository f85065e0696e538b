"""The main job under SIGKILL, proven by tools other than ours; a test runs it small, `scripts/bench crash` runs it large."""
