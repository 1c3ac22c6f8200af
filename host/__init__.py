"""Sets one machine up and keeps the platform's processes running on it."""
