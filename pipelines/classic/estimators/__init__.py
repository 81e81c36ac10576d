"""What is fitted and saved: scikit-learn estimators of our own, and the way they go to a file and back."""
