"""What monitoring looks like: where each mark stands on the page, and the picture of a whole replay."""
