"""Text from memory: restated from slots, and mended where what is read again differs."""
