"""Pure cores: events and the time in, decisions and the next due time out."""
