"""The officer's page: a process of its own, which knows the device by its socket alone."""
