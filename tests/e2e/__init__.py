"""The whole path in real processes: board, receiver, daemon, network and gateway of the simulated world."""
