"""The technician's tool: an image from this repository, onto cards, and cards into devices of a gateway.

It runs on the technician's computer, and imports neither the device nor the simulator. What lands on a card is in
`recipe/`.
"""
