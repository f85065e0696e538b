"""What a long-lived process needs around its work: signals, schedule, metrics, web, control, log."""
