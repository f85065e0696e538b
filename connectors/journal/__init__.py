"""The systemd journal as journalctl prints it: its entries, and where reading goes on."""
