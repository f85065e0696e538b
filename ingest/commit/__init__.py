"""The commit chain: what makes a range of offsets done, and how that is proven."""
