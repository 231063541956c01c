"""The world around a BondMate device, simulated: board, sky, network, gateway. It imports nothing of the device."""
