"""What is not as it should be in a window, whatever the model makes of it: each finding with severity and sentence."""
