"""The main job under SIGKILL, proven by tools other than ours."""
