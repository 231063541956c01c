"""One device each: the serial line, the receiver, the button, the indicator."""
