"""What developers run; no part of the daemon, and nothing of it imports this."""
