"""The technician's tool: from this repository to cards that boot.

It runs on the technician's computer, and imports neither the device nor the simulator. What lands on a card is in
`recipe/`.
"""
